/* See common.h. */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

char *formatted(const char *format, ...) {
    va_list arguments;
    char *text;
    int length;

    va_start(arguments, format);
    length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return length < 0 ? NULL : text;
}

struct identity identity_of(const char *path) {
    struct stat status;

    if (path == NULL || stat(path, &status) != 0)
        return (struct identity){0, 0};
    return (struct identity){status.st_dev, status.st_ino};
}

int is_same_file(struct identity a, struct identity b) {
    return a.inode != 0 && a.device == b.device && a.inode == b.inode;
}

const char *basename_of(const char *path) {
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

char *directory_of(const char *path) {
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return strdup(".");
    if (slash == path)
        return strdup("/");
    return strndup(path, (size_t)(slash - path));
}

static int is_executable_file(const char *path) {
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

char *find_in_path(const char *name, const char *list, const struct identity *skipped, size_t skips) {
    if (list == NULL)
        return NULL;
    for (;;) {
        const char *end = strchrnul(list, ':');
        int length = (int)(end - list);
        /* An empty entry means the working directory. */
        char *path = length == 0 ? formatted("./%s", name) : formatted("%.*s/%s", length, list, name);

        if (path == NULL)
            return NULL;
        if (is_executable_file(path)) {
            struct identity found = identity_of(path);
            size_t i = 0;

            while (i < skips && !is_same_file(found, skipped[i]))
                i++;
            if (i == skips)
                return path;
        }
        free(path);
        if (*end == '\0')
            return NULL;
        list = end + 1;
    }
}

char *installation(void) {
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length <= 0)
        return NULL;
    self[length] = '\0';
    char *directory = directory_of(self);
    char *up = directory == NULL ? NULL : directory_of(directory);

    free(directory);
    return up;
}

struct bytes read_descriptor(int descriptor) {
    const struct bytes nothing = {NULL, 0};
    struct stat status;
    struct bytes all = nothing;
    size_t room = 1 << 16;

    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
        room = (size_t)status.st_size + 2; /* one more, to see the end without growing */
    if ((all.data = malloc(room)) == NULL)
        return nothing;
    for (;;) {
        if (all.length + 1 == room) {
            char *larger = realloc(all.data, room *= 2);

            if (larger == NULL)
                break;
            all.data = larger;
        }
        ssize_t got = read(descriptor, all.data + all.length, room - all.length - 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        if (got == 0) {
            all.data[all.length] = '\0';
            return all;
        }
        all.length += (size_t)got;
    }
    free(all.data);
    return nothing;
}

struct bytes read_file(const char *path) {
    struct bytes all = {NULL, 0};
    int descriptor = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (descriptor < 0)
        return all;
    all = read_descriptor(descriptor);
    close(descriptor);
    return all;
}

int is_among(const char *word, const char *const *table, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, table[i]) == 0)
            return 1;
    return 0;
}

char **environment(const char *const *removed, char *const *added) {
    size_t count = 0, extra = 0, kept = 0;
    char **fresh;

    while (environ[count] != NULL)
        count++;
    while (added[extra] != NULL)
        extra++;
    if ((fresh = calloc(count + extra + 1, sizeof(*fresh))) == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t r = 0;

        for (; removed[r] != NULL; r++) {
            size_t length = strlen(removed[r]);

            if (strncmp(environ[i], removed[r], length) == 0 && environ[i][length] == '=')
                break;
        }
        if (removed[r] == NULL)
            fresh[kept++] = environ[i];
    }
    for (size_t i = 0; i < extra; i++)
        fresh[kept++] = added[i];
    return fresh;
}
