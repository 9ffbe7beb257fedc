/* What a program sees of time and of folders, changed: the loader is told of this file (LD_PRELOAD), and
 * what programs ask libc for is answered here. For builds that are repeated under other conditions.
 *
 * - The clock of the day is AHEAD seconds ahead. Clocks that count from a start are as they are, and so
 *   are the times that the kernel gives to files: those lie in the past, as make expects it. A wait until
 *   a moment of that clock (sem_timedwait) that would run into its timeout waits on.
 * - A folder's entries come in reverse. A folder is read whole at the first question; each DIR is a
 *   mapping of our own, so every function that takes one is here.
 *
 * It needs no library: the kernel is called directly, and of libc only `errno` is asked for, in the
 * libc that the program brings. Not reached are static programs, programs that call the kernel
 * themselves, and what libc does inside (scandir, glob, nftw). */

#if defined(__x86_64__)
#define SYS_CLOSE 3
#define SYS_LSEEK 8
#define SYS_MMAP 9
#define SYS_MUNMAP 11
#define SYS_GETDENTS 217
#define SYS_CLOCK_GETTIME 228
#define SYS_OPENAT 257
#define O_DIRECTORY 0200000
static long kernel(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
#define SYS_OPENAT 56
#define SYS_CLOSE 57
#define SYS_GETDENTS 61
#define SYS_LSEEK 62
#define SYS_CLOCK_GETTIME 113
#define SYS_MUNMAP 215
#define SYS_MMAP 222
#define O_DIRECTORY 040000
static long kernel(long number, long a, long b, long c, long d, long e, long f)
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
#endif

#define SEEN __attribute__((visibility("default")))
#define NULL ((void *)0)
#define ENOENT 2
#define EINVAL 22
#define ENOMEM 12
#define AT_FDCWD (-100)
#define O_NONBLOCK 04000
#define O_CLOEXEC 02000000

extern int *__errno_location(void) __attribute__((weak));

/* As C wants it: -1 and the reason, or the result. */
static long answer(long result)
{
    if (result > -4096 && result < 0) {
        if (__errno_location)
            *__errno_location() = (int)-result;
        return -1;
    }
    return result;
}

static void copy(void *to, const void *from, unsigned long size)
{
    char *t = to;
    for (const char *f = from; size; size--)
        *t++ = *f++;
}

/* ---- the clock ---- */

struct timespec { long seconds, nanoseconds; };
struct timeval { long seconds, microseconds; };
struct timezone { int minuteswest, dsttime; };
struct timeb { long time; unsigned short millitm; short timezone, dstflag; };

#define REALTIME 0
#define REALTIME_COARSE 5
#define TAI 11
#define TIME_UTC 1

static long look(int clock, struct timespec *now)
{
    long result = kernel(SYS_CLOCK_GETTIME, clock, (long)now, 0, 0, 0, 0);
    if (result == 0 && (clock == REALTIME || clock == REALTIME_COARSE || clock == TAI))
        now->seconds += AHEAD;
    return result;
}

SEEN int clock_gettime(int clock, struct timespec *now)
{
    return (int)answer(look(clock, now));
}

SEEN int timespec_get(struct timespec *now, int base)
{
    if (base != TIME_UTC || look(REALTIME, now) != 0)
        return 0;
    return base;
}

SEEN long time(long *seconds)
{
    struct timespec now;
    look(REALTIME, &now);
    if (seconds)
        *seconds = now.seconds;
    return now.seconds;
}

SEEN int gettimeofday(struct timeval *seen, struct timezone *zone)
{
    struct timespec now;
    look(REALTIME, &now);
    if (seen) {
        seen->seconds = now.seconds;
        seen->microseconds = now.nanoseconds / 1000;
    }
    if (zone)
        zone->minuteswest = zone->dsttime = 0;
    return 0;
}

SEEN int ftime(struct timeb *seen)
{
    struct timespec now;
    look(REALTIME, &now);
    seen->time = now.seconds;
    seen->millitm = (unsigned short)(now.nanoseconds / 1000000);
    seen->timezone = seen->dstflag = 0;
    return 0;
}

/* ---- folders ---- */

/* As the kernel writes it, and as libc's `struct dirent` is with 64 bits. */
struct entry {
    unsigned long inode;
    long behind; /* where the one after it is */
    unsigned short size;
    unsigned char type;
    char name[256];
};

typedef struct {
    int file;
    char *entries; /* in reverse; NULL until somebody asks */
    unsigned long mapped, size, at;
} DIR;

#define FIRST (64UL << 10)

static void *map(unsigned long size)
{
    /* Read and write; private, of no file. */
    long at = kernel(SYS_MMAP, 0, (long)size, 3, 0x22, -1, 0);
    return at > -4096 && at < 0 ? NULL : (void *)at;
}

static void unmap(void *at, unsigned long size)
{
    kernel(SYS_MUNMAP, (long)at, (long)size, 0, 0, 0, 0);
}

/* All entries as they come: a mapping of `*room` bytes that holds `*size`; NULL and the reason. */
static char *all(int file, unsigned long *room, unsigned long *size, long *wrong)
{
    *room = FIRST;
    *size = 0;
    char *read = map(*room);
    while (read) {
        /* An entry has less than 300 bytes. */
        if (*room - *size < 512) {
            char *larger = map(*room * 2);
            if (larger)
                copy(larger, read, *size);
            unmap(read, *room);
            *room *= 2;
            read = larger;
            continue;
        }
        long count = kernel(SYS_GETDENTS, file, (long)(read + *size), (long)(*room - *size), 0, 0, 0);
        if (count == 0)
            return read;
        if (count < 0) {
            unmap(read, *room);
            *wrong = count;
            return NULL;
        }
        *size += (unsigned long)count;
    }
    *wrong = -ENOMEM;
    return NULL;
}

static long load(DIR *folder)
{
    unsigned long room, size;
    long wrong;
    if (folder->entries)
        return 0;
    char *read = all(folder->file, &room, &size, &wrong);
    if (!read)
        return wrong;
    /* Whoever copies a whole `struct dirent` reads beyond the last entry. */
    unsigned long mapped = size + sizeof(struct entry) + 16;
    char *entries = map(mapped);
    if (entries) {
        unsigned long to = size;
        for (unsigned long from = 0; from < size;) {
            struct entry *entry = (struct entry *)(read + from);
            unsigned short length = entry->size;
            from += length;
            entry->behind = (long)to;
            to -= length;
            copy(entries + to, entry, length);
        }
        folder->entries = entries;
        folder->mapped = mapped;
        folder->size = size;
        folder->at = 0;
    }
    unmap(read, room);
    return entries ? 0 : -ENOMEM;
}

static void forget(DIR *folder)
{
    if (folder->entries)
        unmap(folder->entries, folder->mapped);
    folder->entries = NULL;
}

static DIR *folder_of(int file)
{
    DIR *folder = map(sizeof(DIR));
    if (!folder) {
        answer(-ENOMEM);
        return NULL;
    }
    folder->file = file;
    return folder;
}

SEEN DIR *opendir(const char *path)
{
    long flags = O_DIRECTORY | O_NONBLOCK | O_CLOEXEC;
    long file = answer(kernel(SYS_OPENAT, AT_FDCWD, (long)path, flags, 0, 0, 0));
    if (file < 0)
        return NULL;
    DIR *folder = folder_of((int)file);
    if (!folder)
        kernel(SYS_CLOSE, file, 0, 0, 0, 0, 0);
    return folder;
}

SEEN DIR *fdopendir(int file)
{
    /* No room for an entry: a folder says just that, or nothing, and everything else what it is. */
    char little[8];
    long told = kernel(SYS_GETDENTS, file, (long)little, sizeof little, 0, 0, 0);
    if (told < 0 && told != -EINVAL && told != -ENOENT) {
        answer(told);
        return NULL;
    }
    return folder_of(file);
}

SEEN struct entry *readdir(DIR *folder)
{
    long wrong = load(folder);
    if (wrong) {
        /* A folder that is gone has no entries. */
        if (wrong != -ENOENT)
            answer(wrong);
        return NULL;
    }
    if (folder->at >= folder->size)
        return NULL;
    struct entry *entry = (struct entry *)(folder->entries + folder->at);
    folder->at += entry->size;
    return entry;
}

SEEN struct entry *readdir64(DIR *folder) __attribute__((alias("readdir")));

SEEN int readdir_r(DIR *folder, struct entry *kept, struct entry **result)
{
    *result = NULL;
    long wrong = load(folder);
    if (wrong && wrong != -ENOENT)
        return (int)-wrong;
    struct entry *entry = readdir(folder);
    if (entry) {
        copy(kept, entry, entry->size < sizeof *entry ? entry->size : sizeof *entry);
        *result = kept;
    }
    return 0;
}

SEEN int readdir64_r(DIR *folder, struct entry *kept, struct entry **result)
    __attribute__((alias("readdir_r")));

SEEN int closedir(DIR *folder)
{
    if (!folder)
        return (int)answer(-EINVAL);
    int file = folder->file;
    forget(folder);
    unmap(folder, sizeof(DIR));
    return (int)answer(kernel(SYS_CLOSE, file, 0, 0, 0, 0, 0));
}

SEEN int dirfd(DIR *folder)
{
    return folder->file;
}

SEEN void rewinddir(DIR *folder)
{
    forget(folder);
    kernel(SYS_LSEEK, folder->file, 0, 0, 0, 0, 0);
}

SEEN long telldir(DIR *folder)
{
    return folder->entries ? (long)folder->at : 0;
}

SEEN void seekdir(DIR *folder, long at)
{
    if (load(folder) == 0 && at >= 0)
        folder->at = (unsigned long)at;
}
