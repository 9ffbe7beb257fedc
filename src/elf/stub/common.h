/* Shared by the entry stub and the script launcher: no library, no relocation, no writable data.
   Finds the folder of the running program, and joins paths. */
#if defined __x86_64__
#include "arch_x86_64.h"
#elif defined __aarch64__
#include "arch_aarch64.h"
#else
#error "no arch_*.h for this processor"
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define NULL ((void *)0)
#define UNUSED __attribute__((unused)) /* by one of the two programs */
#define HIDDEN __attribute__((visibility("hidden")))

#define AT_NULL 0
#define AT_PHDR 3
#define AT_PHNUM 5
#define AT_PAGESZ 6
#define AT_BASE 7
#define AT_ENTRY 9
#define AT_SECURE 23
#define AT_EXECFN 31

#define AT_FDCWD (-100)
#define O_RDONLY_CLOEXEC 02000000
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_PRIVATE 2
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20

#define LINKS_FOLLOWED 40
#define PATH_ROOM 8192 /* longer than the kernel opens: two of its longest paths joined */

static int failed(long result) { return result < 0 && result > -4096; }

UNUSED static long open_file(const char *path)
{
    return kernel(SYS_OPENAT, AT_FDCWD, (long)path, O_RDONLY_CLOEXEC, 0, 0, 0);
}

static long read_link(const char *path, char *into, u64 room)
{
    return kernel(SYS_READLINKAT, AT_FDCWD, (long)path, (long)into, (long)room, 0, 0);
}

UNUSED static int exists(const char *path)
{
    return kernel(SYS_FACCESSAT, AT_FDCWD, (long)path, 0, 0, 0, 0) == 0;
}

static long map(u64 at, u64 size, long protection, long flags, long file, u64 offset)
{
    return kernel(SYS_MMAP, (long)at, (long)size, protection, flags, file, (long)offset);
}

__attribute__((noreturn)) static void exit_with(int code)
{
    for (;;)
        kernel(SYS_EXIT_GROUP, code, 0, 0, 0, 0, 0);
}

static u64 length(const char *text)
{
    u64 n = 0;
    while (text[n])
        n++;
    return n;
}

UNUSED static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

/* Length of `start` when `text` begins with it, else 0. */
UNUSED static u64 begins(const char *text, const char *start)
{
    u64 n = 0;
    for (; start[n]; n++)
        if (text[n] != start[n])
            return 0;
    return n;
}

/* Bytes up to and including the last slash; 0 without one. */
static u64 folder_length(const char *path)
{
    u64 n = 0;
    for (u64 i = 0; path[i]; i++)
        if (path[i] == '/')
            n = i + 1;
    return n;
}

/* Text that grows inside [at, end). Once it did not fit, `at` is NULL and stays so. */
struct text {
    char *at, *end;
};

static void add_bytes(struct text *text, const char *from, u64 count)
{
    if (!text->at)
        return;
    if ((u64)(text->end - text->at) <= count) {
        text->at = NULL;
        return;
    }
    while (count--)
        *text->at++ = *from++;
    *text->at = 0;
}

static void add(struct text *text, const char *from) { add_bytes(text, from, length(from)); }

/* A path under work: of the program, then of what lies beside it. */
struct search {
    char program[PATH_ROOM]; /* path of the program, links of its last part followed */
    char beside[PATH_ROOM];  /* folder of the program + '/' + what was looked for */
    char link[PATH_ROOM];
};

/* Where the block that the kernel gave says what. */
struct block {
    u64 argc;
    char **argv, **environment;
    u64 *auxiliary;
};

static void read_block(u64 *stack, struct block *block)
{
    block->argc = stack[0];
    block->argv = (char **)(stack + 1);
    block->environment = block->argv + block->argc + 1;
    char **end = block->environment;
    while (*end)
        end++;
    block->auxiliary = (u64 *)(end + 1);
}

/* The place of an auxiliary value; the terminator's (0 or ignored) when the kernel gave none. */
static u64 *auxiliary(const struct block *block, u64 kind)
{
    u64 *entry = block->auxiliary;
    while (entry[0] != AT_NULL && entry[0] != kind)
        entry += 2;
    return entry + 1;
}

/* Fills `beside` from the folder of `program`. False when it does not fit. */
static int join(struct search *s, const char *relative)
{
    struct text text = {s->beside, s->beside + PATH_ROOM};
    u64 folder = folder_length(s->program);
    if (folder)
        add_bytes(&text, s->program, folder);
    else
        add(&text, "./");
    add(&text, relative);
    return text.at != NULL;
}

/* program = path with the links of its last part followed: `..` after it is then right, because
   the kernel resolves the folders before it. */
static int follow(struct search *s, const char *path)
{
    struct text text = {s->program, s->program + PATH_ROOM};
    add(&text, path);
    for (int i = 0; text.at && i < LINKS_FOLLOWED; i++) {
        long n = read_link(s->program, s->link, PATH_ROOM - 1);
        if (n <= 0)
            return 1;
        s->link[n] = 0;
        text.at = s->program + (s->link[0] == '/' ? 0 : folder_length(s->program));
        add(&text, s->link);
    }
    return 0;
}

UNUSED static int has_slash(const char *path) { return folder_length(path) != 0; }

/* /proc/self/exe, as the kernel says it ("(unreachable)/x" does not count). */
static int ask_proc(struct search *s)
{
    long n = read_link("/proc/self/exe", s->program, PATH_ROOM - 1);
    if (n <= 0 || s->program[0] != '/')
        return 0;
    s->program[n] = 0;
    return 1;
}

/* Makes `program` absolute: what is derived from it must survive a chdir. */
UNUSED static void make_absolute(struct search *s)
{
    if (s->program[0] == '/')
        return;
    struct text text = {s->link, s->link + PATH_ROOM};
    long n = kernel(SYS_GETCWD, (long)s->link, PATH_ROOM, 0, 0, 0, 0);
    if (n <= 1 || s->link[0] != '/')
        return;
    text.at += n - 1;
    add(&text, "/");
    add(&text, s->program);
    if (!text.at)
        return;
    text.at = s->program;
    text.end = s->program + PATH_ROOM;
    add(&text, s->link);
}

/* AT_SECURE: somebody else could have placed a hard link, and with it the loader. */
#define REFUSES_PRIVILEGES                                                                         \
    "refuses to run with raised privileges (set-user-ID, set-group-ID, file capabilities, or a "   \
    "domain entered by a security policy): "

/* The last words of a program that cannot start: "name: text path more", exit code 127. */
__attribute__((noreturn)) static void refuse(struct search *s, const char *name, const char *what,
                                             const char *path, const char *more)
{
    struct text text = {s->link, s->link + PATH_ROOM};
    add(&text, name ? name : "?");
    add(&text, ": ");
    add(&text, what);
    add(&text, path);
    add(&text, more);
    add(&text, "\n");
    kernel(SYS_WRITE, 2, (long)s->link, (long)length(s->link), 0, 0, 0);
    exit_with(127);
}
