/* What a build should not do, one word each. Linked statically. tests/rooms/sandbox compiles it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result) {
    printf("%s: %s\n", what, result < 0 ? strerror(errno) : "yes");
    errno = 0;
}

static void *nothing(void *same) { return same; }

/* Asks for each call in a child, for some that are granted change the caller. */
static void each(const char *what, long (*call)(void)) {
    fflush(stdout);
    if (fork() == 0) { say(what, call()); fflush(stdout); _exit(0); }
    int status;
    wait(&status);
    if (WIFSIGNALED(status)) printf("%s: killed by %d\n", what, WTERMSIG(status));
}

static long new_user(void) { return unshare(CLONE_NEWUSER); }
static long new_files(void) { return unshare(CLONE_FILES); }
static long cloned(void) { return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) > 0 ? 0 : -1; }
static long clone3(void) { return syscall(SYS_clone3, NULL, 0); }
static long traced(void) { return ptrace(PTRACE_TRACEME, 0, 0, 0); }
static long keyring(void) { return syscall(SYS_keyctl, 0, -3, 0, 0, 0); }
static long bpf(void) { return syscall(SYS_bpf, 0, NULL, 0); }
static long fault(void) { return syscall(SYS_userfaultfd, 1); }
static long ring(void) { return syscall(SYS_io_uring_setup, 1, NULL); }
static long perf(void) { return syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0); }
static long mounts(void) { return mount("none", "/tmp", "tmpfs", 0, NULL); }
static long clockset(void) { struct timespec t = {1, 0}; return syscall(SYS_clock_settime, 0, &t); }
static long vsock(void) { return socket(AF_VSOCK, SOCK_STREAM, 0); }
static long alg(void) { return socket(AF_ALG, SOCK_SEQPACKET, 0); }
static long inet(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static long linux32(void) { return personality(PER_LINUX32); }
static long fixed(void) { return personality(ADDR_NO_RANDOMIZE); }
static long threads(void) { pthread_t t; int e = pthread_create(&t, NULL, nothing, NULL); errno = e; return e ? -1 : pthread_join(t, NULL); }
static long whiteout(void) { return mknod("/out/whiteout", S_IFCHR | 0600, makedev(0, 0)); }
static long pipes(void) { return mknod("/out/pipe", S_IFIFO | 0600, 0); }
static long chmod_suid(void) { close(creat("/out/a", 0755)); return chmod("/out/a", 04755); }
static long fchmod_sgid(void) { return fchmod(open("/out/a", O_WRONLY | O_CREAT, 0755), 02755); }
static long chmod2_suid(void) { return syscall(452, AT_FDCWD, "/out/a", 04755, 0); }
static long open_suid(void) { return open("/out/b", O_WRONLY | O_CREAT, 04755); }
static long plain(void) { return chmod("/out/a", 0711); }
#ifdef __x86_64__
static long old(void) { long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory"); return r; }
static long x32(void) { return syscall(0x40000000 + SYS_getpid); }
#endif

static void calls(void) {
    each("user namespace", new_user); each("own files", new_files); each("clone", cloned); each("clone3", clone3);
    each("trace", traced); each("keyring", keyring); each("bpf", bpf); each("userfaultfd", fault); each("io_uring", ring);
    each("perf", perf); each("mount", mounts); each("clock", clockset); each("vsock", vsock); each("alg", alg);
    each("inet", inet); each("linux32", linux32); each("fixed addresses", fixed); each("threads", threads);
    each("whiteout", whiteout); each("pipe", pipes); each("chmod 4755", chmod_suid); each("fchmod 2755", fchmod_sgid);
    each("fchmodat2 4755", chmod2_suid); each("open 4755", open_suid); each("chmod 0711", plain);
#ifdef __x86_64__
    each("i386", old); each("x32", x32);
#endif
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(word, "calls")) calls();
        if (!strcmp(word, "forks")) for (;;) fork();
        if (!strcmp(word, "fills")) {
            static char b[1 << 20], name[100];
            for (int n = 0;; n++) { snprintf(name, 100, "%s/%d", next, n); int f = open(name, O_WRONLY | O_CREAT, 0644); if (write(f, b, sizeof b) < 0) return 3; close(f); }
        }
        if (!strcmp(word, "grows")) { static char b[1 << 20]; int f = open(next, O_WRONLY | O_CREAT, 0644); while (write(f, b, sizeof b) > 0); }
        if (!strcmp(word, "crowds")) { static char name[100]; for (int n = 0;; n++) { snprintf(name, 100, "%s/%d", next, n); close(creat(name, 0600)); } }
        if (!strcmp(word, "links")) { say("hard link", link(next, "/out/linked")); i++; }
        if (!strcmp(word, "replaces")) { say("remove the output", rmdir("/out")); say("rename the output", rename("/out", "/tmp/out")); }
        if (!strcmp(word, "points")) { say(next, symlink(next, "/out/link")); i++; }
        if (!strcmp(word, "socket")) { struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/out/socket"}; say("socket", bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof a)); }
        if (!strcmp(word, "pipe")) say("pipe", mkfifo("/out/pipe", 0600));
        if (!strcmp(word, "file")) { int f = creat(next, 0644); say(next, f); if (f >= 0) close(f); i++; }
        if (!strcmp(word, "reads")) { int f = open(next, O_RDONLY); say(next, f); if (f >= 0) close(f); i++; }
        if (!strcmp(word, "hides")) { mkdir("/out/hidden", 0700); close(creat("/out/hidden/file", 0)); say("hidden", chmod("/out/hidden", 0)); }
        if (!strcmp(word, "nested")) { chdir("/out"); for (int n = 0; n < 500; n++) { if (mkdir("d", 0755) < 0 || chdir("d") < 0) break; } }
    }
    return 0;
}
