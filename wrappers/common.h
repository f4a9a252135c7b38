/*
 * What the launcher and the assembler shim share: finding programs, reading files, making environments.
 *
 * Every function fails quietly (NULL, 0 or -1): both programs fall back to plain gcc when anything is in
 * doubt.
 */
#ifndef GCCLLM_COMMON_H
#define GCCLLM_COMMON_H

#include <stddef.h>
#include <sys/types.h>

/* A file's bytes; data is NULL when there is no such file, and is always followed by a NUL that length
 * excludes. */
struct bytes {
    char *data;
    size_t length;
};

/* Which file a name leads to, whatever the name. */
struct identity {
    dev_t device;
    ino_t inode;
};

/* printf into fresh memory; NULL on failure or when an argument for %s is NULL. */
char *formatted(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct identity identity_of(const char *path); /* {0, 0} when there is no such file */
int is_same_file(struct identity, struct identity);

/* The directory of a path, as written: "." for a bare name. */
char *directory_of(const char *path);
/* The part after the last slash; points into path. */
const char *basename_of(const char *path);

int is_among(const char *word, const char *const *table, size_t count);

/* First executable regular file `name` in the colon-separated list that is none of the skipped files. */
char *find_in_path(const char *name, const char *list, const struct identity *skipped, size_t skips);

/* Two directories up from this very program: the installation. */
char *installation(void);

struct bytes read_descriptor(int descriptor);
struct bytes read_file(const char *path);

/* A copy of the environment without the named variables, followed by `added` (both NULL-terminated). */
char **environment(const char *const *removed, char *const *added);

#endif
