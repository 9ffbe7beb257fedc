/* First instructions: the kernel jumps to `start`, the loader (flag HIDE) to `hook`. Both begin with a
   landing pad, and jumps leave by x16: a program that asks for branch protection gets it for its own
   segments, ours among them, and `bti c` is what the start of a program has. */
    .section .text.start, "ax"
    .globl start, hook
    .hidden start, hook

/* sp: the kernel's block (argc, argv, environment, auxiliary vector). x0: 0 from the kernel, or
   the loader's exit function when a loader has already run; it reaches the next one unchanged. */
start:
    hint #34                    /* bti c */
    mov x29, #0
    mov x30, #0
    mov x19, x0
    mov x0, sp
    sub sp, sp, #STACK_GAP      /* begin() may move the block down into this gap */
    bl begin
    mov sp, x1
    mov x16, x0
    mov x0, x19
    mov x19, #0
    mov x30, #0
    br x16

/* The loader believes this is the program: put the environment back, then go there. */
hook:
    hint #34
    stp x0, x30, [sp, #-16]!
    add x0, sp, #16
    bl restore
    mov x16, x0
    ldp x0, x30, [sp], #16
    br x16

    .section .note.GNU-stack, "", %progbits
