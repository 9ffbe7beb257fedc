/* The entry stub: what the kernel starts in an executable of a closure, instead of a loader named by an
   absolute path. It finds its own folder, maps the closure's loader, and enters it as the kernel would
   have done. Begin at begin(). What every parameter means: struct parameters, written by ../embed.rs.

   Nothing is executed a second time, no file is written, the environment stays as it is: so
   /proc/self/exe, ps, core dumps and children see the program that was asked for. */
#include "common.h"

#define FLAG_PYTHON 1  /* argv[0] must lead to this program: CPython finds its prefix by it */
#define FLAG_HIDE 2    /* the host's LD_LIBRARY_PATH, LD_PRELOAD, LD_AUDIT are not for our loader */
#define FLAG_PRIVATE 4 /* private variables for data that a bare host lacks */

#define PT_LOAD 1
#define PT_INTERP 3
#define PT_PHDR 6
#define DT_NULL 0
#define DT_DEBUG 21

struct parameters {
    u64 self;          /* link-time address of the stub's first byte */
    u64 entry;         /* link-time address of the program's own entry */
    u64 dynamic;       /* link-time address of PT_DYNAMIC */
    u64 search_path;   /* index of DT_RPATH in it */
    u64 strings;       /* link-time address of DT_STRTAB */
    u64 flags;
    u32 loader;        /* offsets from this struct: path of the loader, relative to our folder */
    u32 library_path;  /* the value of DT_RPATH, with $ORIGIN */
    u32 variables;     /* name, path relative to our folder, host paths..., "", name... , "" */
    u32 fixed;         /* 0, or: path of this program where its closure is installed, DT_RPATH there */
};

struct dynamic {
    u64 tag, value;
};

struct segment {
    u32 type, flags;
    u64 offset, address, physical, file_size, memory_size, align;
};

struct header {
    u8 identity[16];
    u16 type, machine;
    u32 version;
    u64 entry, segments, sections;
    u32 flags;
    u16 size, segment_size, segment_count, section_size, section_count, names;
};

/* Anonymous memory: scratch for the search, then what the loader and the program go on using. */
struct memory {
    struct search search;
    char loader_start[2048]; /* the loader's header and program headers */
    /* What follows is found again from AT_PHDR. */
    u64 entry;
    u64 hidden_count;
    char **hidden;
    struct segment segments[];
};

#define TEXT_ROOM (16 * PATH_ROOM) /* strings made here; untouched pages cost nothing */

struct start {
    u64 entry;
    u64 *stack;
};

extern const struct parameters parameters HIDDEN;
extern const char start[] HIDDEN;
extern const char hook[] HIDDEN;

static const char *parameter(u32 offset) { return (const char *)&parameters + offset; }

/* 1 when a loader has already run ("ld.so PROGRAM", ldd): it has left its mark for debuggers. */
static int already_loaded(const struct dynamic *dynamic)
{
    for (; dynamic->tag != DT_NULL; dynamic++)
        if (dynamic->tag == DT_DEBUG)
            return dynamic->value != 0;
    return 0;
}

/* The loader beside this candidate, opened; negative when it is not there. */
static long open_loader(struct search *s)
{
    return join(s, parameter(parameters.loader)) ? open_file(s->beside) : -1;
}

static long open_loader_of(struct search *s, const char *path)
{
    return follow(s, path) ? open_loader(s) : -1;
}

/* Finds our own folder: search->program is then a path in it. Never returns without a loader.
   AT_EXECFN is the script under a "#!", hence only a loader beside it makes a candidate count. */
static long find_loader(struct search *s, const char *name, const char *executed, int *by_proc)
{
    long file = -1;
    *by_proc = ask_proc(s);
    if (*by_proc)
        file = open_loader(s);
    if (!failed(file))
        return file;
    if (executed)
        file = open_loader_of(s, executed);
    if (failed(file) && name && has_slash(name))
        file = open_loader_of(s, name);
    if (failed(file)) {
        if (!*by_proc && !(executed && follow(s, executed)))
            refuse(s, name, "cannot find its own folder: /proc is not mounted", "", "");
        if (*by_proc)
            ask_proc(s);
        join(s, parameter(parameters.loader));
        refuse(s, name, "cannot open its loader ", s->beside,
               ": this program works inside its closure only; link to it instead of copying it");
    }
    *by_proc = 0;
    make_absolute(s);
    return file;
}

/* With raised privileges no place counts that a caller could have chosen: only the one that was given
   when the closure was built. Never returns without a loader. */
static long find_fixed_loader(struct search *s, const char *name)
{
    struct text text = {s->program, s->program + PATH_ROOM};
    if (!parameters.fixed)
        refuse(s, name, REFUSES_PRIVILEGES "its libraries are found by its place", "", "");
    add(&text, parameter(parameters.fixed));
    long file = open_loader(s);
    if (failed(file))
        refuse(s, name, "cannot open its loader ", s->beside,
               ": with raised privileges it works only where its closure was built for");
    return file;
}

static int protection(u32 flags)
{
    return (flags & 4 ? PROT_READ : 0) | (flags & 2 ? PROT_WRITE : 0) | (flags & 1 ? PROT_EXEC : 0);
}

static int map_segment(u64 base, const struct segment *segment, long file, u64 page)
{
    u64 begin = base + segment->address;
    u64 first = begin & -page;
    u64 file_end = begin + segment->file_size;
    u64 mapped_end = segment->file_size ? (file_end + page - 1) & -page : first;
    u64 end = begin + segment->memory_size;
    int rights = protection(segment->flags);
    if (mapped_end > first && failed(map(first, mapped_end - first, rights, MAP_PRIVATE | MAP_FIXED,
                                         file, segment->offset & -page)))
        return 0;
    if (end > file_end && (rights & PROT_WRITE))
        for (u64 at = file_end; at < mapped_end; at++)
            *(u8 *)at = 0;
    if (end > mapped_end && failed(map(mapped_end, end - mapped_end, rights,
                                       MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0)))
        return 0;
    return 1;
}

/* Maps the loader as the kernel would. Gives its base; 0 when the file is no loader for us. */
static u64 map_loader(long file, char *room, u64 page, u64 *entry)
{
    long n = kernel(SYS_PREAD, file, (long)room, 2048, 0, 0, 0);
    const struct header *header = (const struct header *)room;
    if (n < (long)sizeof *header || *(const u32 *)room != 0x464c457f || room[4] != 2 || room[5] != 1 ||
        header->machine != ELF_MACHINE || header->type != 3 ||
        header->segment_size != sizeof(struct segment) || header->segments >= 2048 ||
        header->segments + header->segment_count * sizeof(struct segment) > (u64)n)
        return 0;
    const struct segment *segments = (const struct segment *)(room + header->segments);
    u64 low = -1ul, high = 0, align = page;
    for (u32 i = 0; i < header->segment_count; i++) {
        const struct segment *segment = &segments[i];
        if (segment->type != PT_LOAD)
            continue;
        if (segment->address < low)
            low = segment->address;
        if (segment->address + segment->memory_size > high)
            high = segment->address + segment->memory_size;
        if (segment->align > align)
            align = segment->align;
    }
    if (low >= high)
        return 0;
    low &= -align;
    long base = map(0, high - low + (align - page), 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (failed(base))
        return 0;
    u64 bias = (((u64)base + align - 1) & -align) - low;
    for (u32 i = 0; i < header->segment_count; i++)
        if (segments[i].type == PT_LOAD && !map_segment(bias, &segments[i], file, page))
            return 0;
    *entry = bias + header->entry;
    return bias;
}

/* Flag PYTHON: an argv[0] that does not lead to this closure would send CPython to its compiled-in
   prefix, and so to the host's library. The usual cases need no system call. */
static char *program_name(struct search *s, char *name, char *executed, struct text *text)
{
    int known = executed && has_slash(executed) && !begins(executed, "/dev/fd/");
    if (has_slash(name)) {
        if (executed && same(name, executed))
            return name;
    } else if (known && same(executed + folder_length(executed), name)) {
        return executed;
    }
    /* A rare start (exec -a, fexecve, a script): see which of the names leads here. */
    char *found = text->at;
    add(text, s->program);
    if (text->at)
        text->at++;
    for (int i = 0; i < 2; i++) {
        char *candidate = i == 0 ? name : executed;
        if (i == 0 ? !has_slash(name) : !known)
            continue;
        long file = open_loader_of(s, candidate);
        if (!failed(file)) {
            kernel(SYS_CLOSE, file, 0, 0, 0, 0, 0);
            return candidate;
        }
    }
    return found;
}

/* Flag HIDE: 1 for the variables that would make our loader load the host's libraries. */
static int is_host_loader_variable(const char *variable)
{
    return variable[0] == 'L' && variable[1] == 'D' && variable[2] == '_' &&
           (begins(variable + 3, "LIBRARY_PATH=") || begins(variable + 3, "PRELOAD=") ||
            begins(variable + 3, "AUDIT="));
}

static const char *next(const char *text) { return text + length(text) + 1; }

/* Flag PRIVATE: a variable for each kind of data the host has none of. Gives how many have to be
   added to the environment (in `added`); one that an outer closure has left is replaced. */
static u64 private_variables(const struct search *s, char **environment, struct text *text, char **added)
{
    u64 count = 0;
    for (const char *name = parameter(parameters.variables); *name;) {
        const char *path = next(name);
        const char *host = next(path);
        int found = 0;
        for (; *host; host = next(host))
            found = found || exists(host);
        char *value = text->at;
        add(text, name);
        add(text, "=");
        if (!found) {
            add_bytes(text, s->program, folder_length(s->program));
            add(text, path);
        }
        if (!text->at)
            return count;
        text->at++;
        int replaced = 0;
        for (char **at = environment; *at; at++)
            if (begins(*at, name) && (*at)[length(name)] == '=')
                *at = value, replaced = 1;
        if (!found && !replaced && count < STACK_GAP / 16)
            added[count++] = value;
        name = host + 1;
    }
    return count;
}

/* Moves the block down to make room for `count` more variables; the stack stays aligned. */
static u64 *grow_block(u64 *stack, struct block *block, char **added, u64 count)
{
    u64 *to = stack - ((count + 1) & -2ul);
    u64 *moved = to;
    for (u64 *from = stack; from < block->auxiliary - 1;)
        *to++ = *from++;
    for (u64 i = 0; i < count; i++)
        *to++ = (u64)added[i];
    *to++ = 0;
    u64 kind; /* kept apart: where the count is odd, `to` overlaps `from` by a word */
    u64 *from = block->auxiliary;
    do {
        *to++ = kind = *from++;
        *to++ = *from++;
    } while (kind != AT_NULL);
    read_block(moved, block);
    return moved;
}

/* Without /proc the loader cannot expand $ORIGIN, and with raised privileges it will not: DT_RPATH gets
   the absolute text of `path` instead. */
static void write_search_path(u64 bias, const struct search *s, const char *path, struct text *text)
{
    struct dynamic *entry = (struct dynamic *)(bias + parameters.dynamic) + parameters.search_path;
    char *value = text->at;
    while (*path) {
        u64 n = begins(path, "$ORIGIN");
        if (n)
            add_bytes(text, s->program, folder_length(s->program) - 1);
        else
            add_bytes(text, path, 1);
        path += n ? n : 1;
    }
    if (!text->at)
        return;
    text->at++;
    entry->value = (u64)value - (bias + parameters.strings);
}

/* The program headers the loader is to believe: with a PT_INTERP, which the file no longer has. */
static void private_segments(struct memory *m, const struct segment *from, u64 count, u64 bias,
                             const char *loader)
{
    struct segment *to = m->segments;
    for (u64 i = 0; i < count; i++) {
        const u64 *word = (const u64 *)&from[i];
        for (u32 j = 0; j < sizeof *to / 8; j++)
            ((u64 *)&to[i])[j] = word[j];
        if (to[i].type == PT_PHDR)
            to[i].address = to[i].physical = (u64)to - bias;
    }
    to += count;
    to->type = PT_INTERP;
    to->flags = 4;
    to->address = to->physical = (u64)loader - bias;
    to->file_size = to->memory_size = length(loader) + 1;
    to->align = 1;
}

/* From the kernel's block to where to jump, and with which stack. Called by the entry code. */
HIDDEN struct start begin(u64 *stack)
{
    u64 bias = (u64)start - parameters.self;
    u64 entry = bias + parameters.entry;
    if (already_loaded((const struct dynamic *)(bias + parameters.dynamic)))
        return (struct start){entry, stack};

    struct block block;
    read_block(stack, &block);
    char *name = block.argc ? block.argv[0] : NULL;
    char *executed = (char *)*auxiliary(&block, AT_EXECFN);
    u64 page = *auxiliary(&block, AT_PAGESZ);
    u64 count = *auxiliary(&block, AT_PHNUM);
    u64 variables = (u64)((char **)block.auxiliary - block.environment);
    u64 fixed = sizeof(struct memory) + (count + 1) * sizeof(struct segment) + variables * sizeof(char *);
    long mapped = map(0, fixed + TEXT_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (failed(mapped))
        exit_with(127);
    struct memory *m = (struct memory *)mapped;
    struct search *s = &m->search;
    struct text text = {(char *)m + fixed, (char *)m + fixed + TEXT_ROOM};

    int by_proc = 0, raised = *auxiliary(&block, AT_SECURE) != 0;
    long file = raised ? find_fixed_loader(s, name) : find_loader(s, name, executed, &by_proc);
    u64 loader_entry;
    u64 base = map_loader(file, m->loader_start, page, &loader_entry);
    if (!base)
        refuse(s, name, "cannot map its loader ", s->beside, ": damaged, or of another architecture");
    kernel(SYS_CLOSE, file, 0, 0, 0, 0, 0);

    if (!by_proc) {
        const char *libraries = parameter(raised ? parameters.fixed : parameters.library_path);
        write_search_path(bias, s, raised ? next(libraries) : libraries, &text);
        join(s, parameter(parameters.loader));
    }
    char *loader = text.at;
    add(&text, s->beside);
    char *added[STACK_GAP / 16];
    u64 more = 0;
    if (text.at)
        text.at++;
    if (parameters.flags & FLAG_PRIVATE)
        more = private_variables(s, block.environment, &text, added);
    if ((parameters.flags & FLAG_PYTHON) && name)
        block.argv[0] = program_name(s, name, executed, &text);
    if (!text.at)
        refuse(s, name, "its folder's path is too long", "", "");
    m->entry = entry;
    /* Raised, the loader itself drops those variables, from the children's environment too. */
    if ((parameters.flags & FLAG_HIDE) && !raised) {
        m->hidden = (char **)&m->segments[count + 1];
        for (char **at = block.environment; *at; at++)
            if (is_host_loader_variable(*at)) {
                **at = 1;
                m->hidden[m->hidden_count++] = *at;
            }
    }
    if (more)
        stack = grow_block(stack, &block, added, more);
    private_segments(m, (const struct segment *)*auxiliary(&block, AT_PHDR), count, bias, loader);
    *auxiliary(&block, AT_PHDR) = (u64)m->segments;
    *auxiliary(&block, AT_PHNUM) = count + 1;
    *auxiliary(&block, AT_BASE) = base;
    *auxiliary(&block, AT_ENTRY) = m->hidden_count ? (u64)hook : entry;
    return (struct start){loader_entry, stack};
}

/* Called by the hook, after the loader and before the program: the environment as it was given. */
HIDDEN u64 restore(u64 *stack)
{
    struct block block;
    read_block(stack, &block);
    struct memory *m = (struct memory *)(*auxiliary(&block, AT_PHDR) - __builtin_offsetof(struct memory, segments));
    for (u64 i = 0; i < m->hidden_count; i++)
        m->hidden[i][0] = 'L';
    return m->entry;
}
