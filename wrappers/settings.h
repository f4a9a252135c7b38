/*
 * Settings as gccllm/base/config.py has them: environment, then the project's gccllm.toml, then the user's
 * config.toml, then the default. Of TOML only `name = "word"` and `name = 12` above the first table are
 * understood. What a project's file may set: by_project.h. Whose file counts: gccllm/base/project_file.py.
 */
#ifndef GCCLLM_SETTINGS_H
#define GCCLLM_SETTINGS_H

#include "blake2b.h"
#include "common.h"

/* Part of every key. Set by CMakeLists.txt from pyproject.toml. */
#ifndef GCCLLM_VERSION
#define GCCLLM_VERSION "0"
#endif

enum mode { INLINE, QUEUE, CACHED, RECORD, TRIAL, OFF };

struct settings {
    char *project_directory; /* of the nearest gccllm.toml from the working directory upward that counts */
    struct bytes project;    /* that file */
    struct bytes user;       /* config.toml of the user */
};

void load_settings(struct settings *);

/* GCCLLM_<NAME> (empty counts as unset), else `name` of the project's file, else of the user's; NULL: the
 * default. */
char *setting(const struct settings *, const char *name);

/* Index of the first origin's word that is one of `words` (NULL at the end), 0 when none is. */
size_t choice(const struct settings *, const char *name, const char *const *words);
enum mode mode_of(const struct settings *);

int is_strict(const struct settings *);

/* What the launcher adds where speed is asked for: RAISE: -O3 and no private arrangements; KEEP: the latter.
 */
enum opt { RAISE, KEEP, UNTOUCHED };
enum opt opt_of(const struct settings *);

/* The profile that is in force; no data when there is none. -1 when it is too large to be read here. */
int read_profile(const struct settings *, struct bytes *profile);

/* The user's store, where gccllm.store finds it; NULL: none. */
char *store_directory(const struct settings *);

/* Add `name` and a value to a key, each with its length, so that no two lists of fields hash alike. */
void add_field(struct blake2b *, const char *name, const void *data, size_t length);
/* Add everything but the unit that decides what comes out: version, settings, their files, store epoch. */
void add_circumstances(struct blake2b *, const struct settings *);
/* Add when the file at `directory/name` was last changed; `name` alone when it is a path from the root. */
void add_time(struct blake2b *, const char *field, const char *directory, const char *name);
/* Add a program by its path, size and time; nothing when there is none. */
void add_program(struct blake2b *, const char *name, const char *path);

#endif
