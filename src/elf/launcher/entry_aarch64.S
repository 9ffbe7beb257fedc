/* First instructions of the launcher: begin() never returns. */
    .section .text.start, "ax"
    .globl start
    .hidden start
start:
    mov x29, #0
    mov x30, #0
    mov x0, sp
    sub sp, sp, #STACK_GAP
    bl begin
    brk #0

    .section .note.GNU-stack, "", %progbits
