/* First instructions: the kernel jumps to `start`, the loader (flag HIDE) to `hook`. */
    .section .text.start, "ax"
    .globl start, hook
    .hidden start, hook

/* rsp: the kernel's block (argc, argv, environment, auxiliary vector). rdx: 0 from the kernel, or
   the loader's exit function when a loader has already run; it reaches the next one unchanged. */
start:
    endbr64
    xorl %ebp, %ebp
    movq %rdx, %rbx
    movq %rsp, %rdi
    subq $STACK_GAP, %rsp       /* begin() may move the block down into this gap */
    call begin
    movq %rdx, %rsp
    movq %rbx, %rdx
    xorl %ebx, %ebx
    jmp *%rax

/* The loader believes this is the program: put the environment back, then go there. */
hook:
    endbr64
    movq %rsp, %rdi
    pushq %rdx
    subq $8, %rsp
    call restore
    addq $8, %rsp
    popq %rdx
    jmp *%rax

    .section .note.GNU-stack, "", @progbits
