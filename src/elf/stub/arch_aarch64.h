/* What differs between processors: numbers, the call into the kernel, relocation-free addresses. */
#define ELF_MACHINE 183 /* EM_AARCH64 */

#define SYS_GETCWD 17
#define SYS_FACCESSAT 48
#define SYS_OPENAT 56
#define SYS_CLOSE 57
#define SYS_WRITE 64
#define SYS_PREAD 67
#define SYS_READLINKAT 78
#define SYS_EXIT_GROUP 94
#define SYS_EXECVE 221
#define SYS_MMAP 222

static inline long kernel(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
}
