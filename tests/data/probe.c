/* What a program can see and do: one small answer for each word in its arguments. Linked
   statically, so that it runs where nothing else is. tests/sandbox.rs compiles it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result) {
    printf("%s: %s\n", what, result < 0 ? strerror(errno) : "yes");
}

static int entry(const char *path, const struct stat *st, int kind, struct FTW *w) {
    (void)st; (void)w;
    if (strncmp(path, "/proc/", 6) != 0) printf("%c %s\n", kind == FTW_SL ? 'l' : kind == FTW_D ? 'd' : 'f', path);
    return 0;
}

static void who(char **argv) {
    char host[100], domain[100], cwd[1000];
    gethostname(host, 100); getdomainname(domain, 100);
    mode_t mask = umask(0); umask(mask);
    printf("name %s\nuser %d %d\ngroup %d %d\nhost %s %s\ncwd %s\numask %03o\nsession %d\nprivileges %d\n", argv[0],
           getuid(), geteuid(), getgid(), getegid(), host, domain, getcwd(cwd, 1000), mask, getsid(0) == getpid(),
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    for (int s = 1; s < 65; s++) {
        struct sigaction a; sigset_t blocked;
        if (sigaction(s, NULL, &a) == 0 && a.sa_handler != SIG_DFL) printf("signal %d is not default\n", s);
        sigprocmask(SIG_BLOCK, NULL, &blocked);
        if (sigismember(&blocked, s) == 1) printf("signal %d is blocked\n", s);
    }
    for (char **e = environ; *e; e++) printf("env %s\n", *e);
}

static int reach(int port, const char *abstract) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    say("tcp", connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&in, sizeof in));
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    strncpy(un.sun_path + 1, abstract, 90);
    say("abstract", connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(abstract)));
    return 0;
}

/* Twice forked, in a session of its own, deaf to signals, and writing for as long as it lives. */
static void linger(const char *path) {
    if (fork()) return;
    setsid();
    if (fork()) _exit(0);
    for (int s = 1; s < 65; s++) signal(s, SIG_IGN);
    int f = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    for (;;) { if (write(f, ".", 1) != 1) _exit(1); usleep(5000); }
}

static void escape(void) {
    char link[100];
    say("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
    say("sethostname", sethostname("x", 1));
    say("chroot", chroot("/tmp"));
    say("chown", chown("/tmp", 5, 5));
    say("first process's root", readlink("/proc/1/root", link, 100));
    say("first process's memory", open("/proc/1/mem", O_RDWR));
    say("settings", access("/proc/sys", F_OK));
    say("sysrq", access("/proc/sysrq-trigger", F_OK));
    say("terminal", open("/dev/tty", O_RDWR));
    say("write to proc", open("/proc/self/comm", O_WRONLY));
}

static long longest(char kind) {
    if (kind == 'm') return malloc(256 << 20) ? 0 : -1;
    long n = 0;
    while (dup(0) >= 0) n++;
    return n;
}

static void file(const char *path) {
    static char line[10000];
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) printf("%s: %s", path, line);
    if (f) fclose(f); else printf("%s: %s\n", path, strerror(errno));
}

/* All that differs from one machine to the next, if it can be seen at all. */
static void view(char **argv) {
    struct utsname u;
    uname(&u);
    printf("system %s\nmachine %s\nrelease %s\nversion %s\n", u.sysname, u.machine, u.release, u.version);
    who(argv);
    gid_t groups[100];
    printf("groups %d\npid %d of %d\n", getgroups(100, groups), getpid(), getppid());
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    printf("processors %ld, may use %d\n", sysconf(_SC_NPROCESSORS_ONLN), CPU_COUNT(&set));
    for (int f = 0; f < 5000; f++) {
        char path[40], to[1000];
        snprintf(path, 40, "/proc/self/fd/%d", f);
        ssize_t n = readlink(path, to, 999);
        if (n > 0) printf("fd %d %.*s\n", f, (int)n, to);
    }
    static const struct { const char *name; int number; } limits[] = {{"memory", RLIMIT_AS}, {"processes", RLIMIT_NPROC},
        {"files", RLIMIT_NOFILE}, {"file", RLIMIT_FSIZE}, {"core", RLIMIT_CORE}};
    for (int i = 0; i < 5; i++) {
        struct rlimit l;
        getrlimit(limits[i].number, &l);
        printf("limit %s %lld %lld\n", limits[i].name, (long long)l.rlim_cur, (long long)l.rlim_max);
    }
    struct if_nameindex *all = if_nameindex();
    for (struct if_nameindex *i = all; i && i->if_name; i++) printf("interface %s\n", i->if_name);
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc && (e = readdir(proc));) printf("in /proc %s\n", e->d_name);
    nftw("/", entry, 50, FTW_PHYS);
    static const char *places[] = {"/", "/in", "/in/source", "/in/source/file", "/build", "/out", "/tmp", "/dev", "/dev/null", "/proc/self/fd"};
    for (int i = 0; i < 10; i++) {
        struct stat st;
        if (stat(places[i], &st) == 0) printf("owner of %s %u %u\n", places[i], st.st_uid, st.st_gid);
    }
    static const char *files[] = {"/proc/self/mountinfo", "/proc/self/status", "/proc/self/cgroup", "/proc/cpuinfo", "/proc/meminfo",
        "/proc/version", "/proc/stat", "/proc/uptime", "/proc/loadavg", "/proc/cmdline", "/proc/sys/kernel/random/boot_id",
        "/proc/sys/kernel/hostname", "/proc/self/net/dev", "/proc/self/uid_map", "/sys/devices/system/cpu/online", "/etc/hostname", "/etc/machine-id"};
    for (int i = 0; i < 17; i++) file(files[i]);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        char *word = argv[i];
        if (!strcmp(word, "tree")) nftw("/", entry, 50, FTW_PHYS);
        if (!strcmp(word, "who")) who(argv);
        if (!strcmp(word, "view")) view(argv);
        if (!strcmp(word, "fds")) for (int f = 0; f < 5000; f++) if (fcntl(f, F_GETFD) >= 0) printf("fd %d\n", f);
        if (!strcmp(word, "reach")) { reach(atoi(argv[i + 1]), argv[i + 2]); i += 2; }
        if (!strcmp(word, "write")) { i++; int f = open(argv[i], O_WRONLY | O_CREAT, 0644); printf("%s: %s\n", argv[i], f >= 0 && write(f, "x", 1) == 1 ? "yes" : strerror(errno)); }
        if (!strcmp(word, "linger")) linger(argv[++i]);
        if (!strcmp(word, "escape")) escape();
        if (!strcmp(word, "memory")) say("256 MiB", longest('m'));
        if (!strcmp(word, "files")) printf("%ld more files\n", longest('f'));
        if (!strcmp(word, "processes")) { int n = 0; pid_t p; while (n < 500 && (p = fork()) > 0) n++; if (p == 0) pause(); printf("%d more processes\n", n); }
        if (!strcmp(word, "signal")) raise(atoi(argv[++i]));
        if (!strcmp(word, "sleep")) sleep(1000);
        if (!strcmp(word, "shout")) for (;;) if (write(1, "0123456789abcdef", 16) < 0) return 1;
        if (!strcmp(word, "stderr")) for (int n = 0; n < 100000; n++) if (write(2, "e", 1) < 0) return 1;
        if (!strcmp(word, "big")) { char *b = malloc(30 << 20); memset(b, 'x', 30 << 20); int f = open("/tmp/big", O_WRONLY | O_CREAT, 0644); say("30 MiB", write(f, b, 30 << 20)); say("again", write(f, b, 1)); }
        if (!strcmp(word, "copy")) { static char b[1 << 16]; ssize_t n; while ((n = read(0, b, sizeof b)) > 0) for (ssize_t d = 0, m; d < n; d += m) if ((m = write(1, b + d, n - d)) < 0) return 1; }
        if (!strcmp(word, "where")) printf("%p %p\n", (void *)&argc, malloc(1));
        if (!strcmp(word, "exit")) return atoi(argv[++i]);
    }
    return 0;
}
