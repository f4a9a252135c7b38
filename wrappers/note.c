/*
 * The log (gccllm/base/events.py), for what the engine never hears of: units that are left alone at once, and an
 * engine that is missing, crashes or takes too long. One line in one write; the engine keeps the file small.
 * See shim.h.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

enum { LOG_BYTES = 20 << 20 };

static void print_string(FILE *file, const char *value) {
    putc('"', file);
    for (; *value != '\0'; value++) {
        unsigned char byte = (unsigned char)*value;

        if (byte == '"' || byte == '\\' || byte < ' ')
            fprintf(file, "\\u%04x", byte);
        else
            putc(byte, file);
    }
    putc('"', file);
}

/* `,"name":"value"` in JSON; nothing when there is no value. */
static void print_member(FILE *file, const char *name, const char *value) {
    if (value == NULL)
        return;
    fprintf(file, ",\"%s\":", name);
    print_string(file, value);
}

/* `,"options":[...]`: what gcc was told, for `gccllm explain`. */
static void print_options(FILE *file, char *const *options) {
    fputs(",\"options\":[", file);
    for (size_t i = 0; options != NULL && options[i] != NULL; i++) {
        if (i > 0)
            putc(',', file);
        print_string(file, options[i]);
    }
    putc(']', file);
}

/* Does the text's .file name this word? Of one that was not read nobody knows. */
static int is_named(struct bytes text, const char *word) {
    char *line = formatted("\t.file\t\"%s\"\n", basename_of(word));
    int is = line != NULL && text.data != NULL && memmem(text.data, text.length, line, strlen(line)) != NULL;

    free(line);
    return is;
}

/* The unit's source by the driver's words: of those that look like C or C++ the one that the text names, else
 * the last. */
static char *source_of(const struct unit *unit) {
    static const char *const endings[] = {".c",   ".cc", ".cp",  ".cxx", ".cpp",
                                          ".c++", ".C",  ".CPP", ".i",   ".ii"};
    const char *found = NULL;

    for (char **word = unit->driver; word != NULL && *word != NULL; word++) {
        const char *dot = strrchr(*word, '.');

        if (dot != NULL && **word != '-' && is_among(dot, endings, sizeof(endings) / sizeof(endings[0]))) {
            found = *word;
            if (is_named(unit->text, found))
                break;
        }
    }
    return found == NULL ? NULL : realpath(found, NULL);
}

void note(const struct unit *unit, const char *event, const char *reason) {
    char *store = store_directory(&unit->settings);
    char *path = store == NULL ? NULL : formatted("%s/log/events.jsonl", store);
    char *text = NULL, *cwd = getcwd(NULL, 0), *source = source_of(unit);
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    struct timespec now;
    struct stat status;

    if (path != NULL && file != NULL) {
        clock_gettime(CLOCK_REALTIME, &now);
        fprintf(file, "{\"at\":%lld.%03ld", (long long)now.tv_sec, now.tv_nsec / 1000000);
        print_member(file, "event", event);
        print_member(file, "reason", reason);
        print_member(file, "cwd", cwd);
        print_member(file, "source", source);
        print_options(file, unit->options);
        fputs("}\n", file);
        if (fclose(file) == 0) {
            make_directories(path);
            int descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

            if (descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_size < LOG_BYTES &&
                write(descriptor, text, length) < 0)
                status.st_size = 0; /* a log that cannot be written changes no build */
            if (descriptor >= 0)
                close(descriptor);
        }
    }
    free(text);
    free(source);
    free(cwd);
    free(path);
    free(store);
}
