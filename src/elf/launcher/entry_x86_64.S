/* First instructions of the launcher: begin() never returns. */
    .section .text.start, "ax"
    .globl start
    .hidden start
start:
    endbr64
    xorl %ebp, %ebp
    movq %rsp, %rdi
    subq $STACK_GAP, %rsp
    call begin
    hlt

    .section .note.GNU-stack, "", @progbits
