/*
 * The parts of the assembler shim: what a unit is, whether it is worth a look, what is known about it, and
 * asking the engine. as.c puts them together.
 */
#ifndef GCCLLM_SHIM_H
#define GCCLLM_SHIM_H

#include "settings.h"

/* One assembler call of a build. */
struct unit {
    int argc;
    char **argv;       /* as gcc gave them; NULL at the end */
    char *assembler;   /* path of the real as */
    char **options;    /* COLLECT_GCC_OPTIONS without its quoting; NULL at the end */
    char **driver;     /* GCCLLM_ARGV split; NULL at the end; empty when unknown */
    int input;         /* index in argv of the text's file; 0: standard input */
    struct bytes text; /* gcc's assembly */
    struct settings settings;
    char *store; /* NULL: none */
    char *build; /* build.c; NULL: not known */
    char key[BLAKE2B_HEX + 1];
};

/* text.c: cheap looks at the text and the options. */
int is_gcc_output(struct bytes text);
int is_slim_lto(struct bytes text);
int is_lto_link(struct bytes text); /* what lto1 makes of several units */
int has_loop(struct bytes text);
int has_hot_section(struct bytes text);
int defines_any_of(struct bytes text, struct bytes profile);
int is_optimised(char *const *options);
char **unquoted_options(const char *quoted);
char **split(const char *text, char separator);

/* build.c: the build that this compile is part of, and whether it has had its work. */
char *build_of(void);
int is_spent(const struct unit *);

/* known.c: the unit cache and the queue. */
enum known { UNKNOWN, OWN_TEXT, SPLICED };

void name_unit(struct unit *);
enum known look_up(const struct unit *, struct bytes *spliced);
/* The request's files, in a directory that exists. 0, or -1 when anything could not be written. */
int write_request(const struct unit *, const char *directory, const char *mode);
void enqueue(const struct unit *);
/* Builds of a day need not ask again: the unit is left to gcc meanwhile. */
void put_off(const struct unit *);
void remove_tree(const char *directory);
void make_directories(char *path); /* those above it */

/* note.c: a line in the log. `event`: unit_declined, or shim where something of ours failed. */
void note(const struct unit *, const char *event, const char *reason);

/* engine.c: start it, wait, give up. */
enum answer { GCC_TEXT, REWRITTEN, STRICT };

/* `line` gets the reason of a STRICT answer. Signals that end a build end the engine, the directory and this
 * process. */
enum answer ask_engine(const struct unit *, const char *mode, struct bytes *spliced, char **line);

#endif
