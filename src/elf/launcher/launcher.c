/* The launcher: a static program that runs the closure's interpreter on a script, needing no shell, no
   /proc, no PATH and no absolute path. Begin at begin(). Written into an ELF file by ../launcher.rs.

   <folder>/NAME a b  becomes  <folder>/PROGRAM <folder>/SCRIPTS/NAME a b, or without scripts
   <folder>/PROGRAM a b. The environment is passed on as it is. */
#include "common.h"

struct parameters {
    u32 program; /* offsets from this struct: path of the program, relative to our folder */
    u32 scripts; /* folder of scripts, with a slash at its end; 0: none */
};

extern const struct parameters parameters HIDDEN;

/* Programs are found by what lies beside them: the script, or the program itself. */
static int is_home(struct search *s)
{
    struct text text = {s->link, s->link + PATH_ROOM};
    if (parameters.scripts) {
        add(&text, (const char *)&parameters + parameters.scripts);
        add(&text, s->program + folder_length(s->program));
    } else {
        add(&text, (const char *)&parameters + parameters.program);
    }
    return text.at && join(s, s->link) && exists(s->beside);
}

static void find_home(struct search *s, const char *name, const char *executed)
{
    if (ask_proc(s) && is_home(s))
        return;
    if (executed && follow(s, executed) && is_home(s))
        return;
    if (name && has_slash(name) && follow(s, name) && is_home(s))
        return;
    if (!ask_proc(s) && !(executed && follow(s, executed)))
        refuse(s, name, "cannot find its own folder: /proc is not mounted", "", "");
    is_home(s);
    refuse(s, name, "cannot find ", s->beside,
           ": this program works inside its closure only; link to it instead of copying it");
}

HIDDEN __attribute__((noreturn)) void begin(u64 *stack)
{
    struct block block;
    read_block(stack, &block);
    char *name = block.argc ? block.argv[0] : NULL;
    u64 words = (block.argc + 3) * sizeof(char *);
    long mapped = map(0, sizeof(struct search) + PATH_ROOM + words, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (failed(mapped))
        exit_with(127);
    struct search *s = (struct search *)mapped;
    char *script = (char *)(s + 1);
    char **argv = (char **)(script + PATH_ROOM);
    if (*auxiliary(&block, AT_SECURE))
        refuse(s, name, REFUSES_PRIVILEGES "its interpreter is found by its place", "", "");
    find_home(s, name, (const char *)*auxiliary(&block, AT_EXECFN));

    u64 count = 0;
    argv[count++] = s->beside;
    if (parameters.scripts) {
        struct text text = {script, script + PATH_ROOM};
        add(&text, s->beside);
        argv[count++] = script;
    }
    if (!join(s, (const char *)&parameters + parameters.program))
        refuse(s, name, "its folder's path is too long", "", "");
    for (u64 i = 1; i < block.argc; i++)
        argv[count++] = block.argv[i];
    kernel(SYS_EXECVE, (long)s->beside, (long)argv, (long)block.environment, 0, 0, 0);
    refuse(s, name, "cannot run ", s->beside, "");
}
