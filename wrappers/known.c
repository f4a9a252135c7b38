/* The unit cache and the queue: files of the store. Formats: docs/internals/formats.md. See
 * shim.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "asked.h"
#include "shared.h"
#include "shim.h"

#define UNIT_MAGIC "gccllm-unit 2 "

enum { OPEN_DIRECTORIES = 16 };

/* Add the words of a command line but for those that only name files. */
static void add_words(struct blake2b *hash, const char *name, char *const *words) {
    for (; *words != NULL; words++) {
        if (!is_among(*words, file_names, sizeof(file_names) / sizeof(file_names[0])))
            add_field(hash, name, *words, strlen(*words));
        else if (takes_argument(*words) && words[1] != NULL)
            words++;
    }
}

/*
 * The key holds all that leads to the source again (directory, command line, environment), so that what an
 * answer says of the source's files is about the files of this compile.
 */
void name_unit(struct unit *unit) {
    static const char *const searched[] = {"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH",
                                           "GCC_EXEC_PREFIX"};
    char *cwd = getcwd(NULL, 0);
    struct blake2b hash;

    blake2b_start(&hash);
    add_field(&hash, "schema", UNIT_MAGIC, strlen(UNIT_MAGIC));
    add_circumstances(&hash, &unit->settings);
    /* What is only looked up says nothing about what work would find. */
    add_field(&hash, "lookup", mode_of(&unit->settings) == CACHED ? "1" : "0", 1);
    /* And it holds for what there was to be found. */
    if (mode_of(&unit->settings) == CACHED && unit->store != NULL)
        add_time(&hash, "known", unit->store, "rewrites");
    add_program(&hash, "compiler", getenv("GCCLLM_COMPILER"));
    add_field(&hash, "directory", cwd == NULL ? "" : cwd, cwd == NULL ? 0 : strlen(cwd));
    for (size_t i = 0; i < sizeof(searched) / sizeof(searched[0]); i++) {
        const char *value = getenv(searched[i]);

        if (value != NULL)
            add_field(&hash, searched[i], value, strlen(value));
    }
    add_words(&hash, "option", unit->options);
    add_words(&hash, "argument", unit->driver);
    add_field(&hash, "text", unit->text.data, unit->text.length);
    blake2b_end(&hash, unit->key);
    free(cwd);
}

static int has_hash(const void *data, size_t length, const char *hex) {
    char computed[BLAKE2B_HEX + 1];
    struct blake2b hash;

    blake2b_start(&hash);
    blake2b_add(&hash, data, length);
    blake2b_end(&hash, computed);
    return strncmp(hex, computed, BLAKE2B_HEX) == 0;
}

static unsigned long long nanoseconds(struct timespec time) {
    return (unsigned long long)time.tv_sec * 1000000000 + (unsigned long long)time.tv_nsec;
}

/* Is this second of the clock to come, and not further away than any that we write? */
static int is_ahead(long long second) {
    long long left = second - (long long)time(NULL);

    return left > 0 && left <= PUT_OFF_S;
}

/*
 * Does one row still hold? `same` names a file of the source: unchanged by its times and place, or else by
 * its contents. `absent` names a file that would be found before another of them. `until` says that something
 * is undecided, and for how long builds leave it so. `row` ends in a NUL.
 */
static int holds(const char *row, int is_strict) {
    unsigned long long size, modified, changed, inode;
    char hex[BLAKE2B_HEX + 1];
    struct bytes file;
    struct stat status;
    int head = 0, is;

    if (strncmp(row, "absent\t", 7) == 0)
        return access(row + 7, F_OK) != 0;
    if (strncmp(row, "until\t", 6) == 0)
        return !is_strict && is_ahead(strtoll(row + 6, NULL, 10));
    if (sscanf(row, "same\t%64[0-9a-f]\t%llu\t%llu\t%llu\t%llu\t%n", hex, &size, &modified, &changed, &inode,
               &head) != 5 ||
        head == 0 || stat(row + head, &status) != 0 || (unsigned long long)status.st_size != size)
        return 0;
    if (changed != 0 && nanoseconds(status.st_mtim) == modified && nanoseconds(status.st_ctim) == changed &&
        status.st_ino == inode)
        return 1;
    file = read_file(row + head);
    is = file.data != NULL && has_hash(file.data, file.length, hex);
    free(file.data);
    return is;
}

/* Whether every row holds, up to the empty one; `rest` is what comes behind. The text is cut into strings. */
static int all_hold(struct bytes rows, int is_strict, struct bytes *rest) {
    char *end = rows.data + rows.length;

    for (char *row = rows.data, *stop; row < end && (stop = memchr(row, '\n', (size_t)(end - row))) != NULL;
         row = stop + 1) {
        *stop = '\0';
        if (stop == row) {
            *rest = (struct bytes){stop + 1, (size_t)(end - stop - 1)};
            return 1;
        }
        if (!holds(row, is_strict))
            return 0;
    }
    return 0;
}

enum known look_up(const struct unit *unit, struct bytes *spliced) {
    char *path =
        unit->store == NULL ? NULL : formatted("%s/units/%.2s/%s", unit->store, unit->key, unit->key);
    struct bytes entry = read_file(path);
    enum known known = UNKNOWN;
    char hex[BLAKE2B_HEX + 1];
    unsigned long long length;
    int head = 0, is_whole = 0;

    if (entry.data != NULL) {
        if (sscanf(entry.data, UNIT_MAGIC "%64[0-9a-f] %llu%n", hex, &length, &head) == 2 &&
            entry.data[head] == '\n' && length == entry.length - (size_t)head - 1) {
            struct bytes rows = {entry.data + head + 1, (size_t)length};

            is_whole = has_hash(rows.data, rows.length, hex);
            if (is_whole && all_hold(rows, is_strict(&unit->settings), spliced))
                known = spliced->length == 0 ? OWN_TEXT : SPLICED;
        }
        if (!is_whole)
            unlink(path);
    }
    free(path);
    return known;
}

static int write_file(const char *directory, const char *name, const void *data, size_t length) {
    char *path = formatted("%s/%s", directory, name);
    int descriptor = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const char *next = data;

    free(path);
    if (descriptor < 0)
        return -1;
    while (length > 0) {
        ssize_t wrote = write(descriptor, next, length);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            break;
        next += wrote;
        length -= (size_t)wrote;
    }
    return close(descriptor) != 0 || length > 0 ? -1 : 0;
}

void make_directories(char *path) {
    for (char *slash = path + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        mkdir(path, 0777);
    }
}

void put_off(const struct unit *unit) {
    char *directory = unit->store == NULL ? NULL : formatted("%s/units/%.2s/", unit->store, unit->key);
    char *name = formatted(".%s.%d", unit->key, (int)getpid());
    char *fresh = formatted("%s%s", directory, name);
    char *path = formatted("%s%s", directory, unit->key);
    char *rows = formatted("until\t%lld\n\n", (long long)time(NULL) + PUT_OFF_S);
    char hex[BLAKE2B_HEX + 1], *entry;
    struct blake2b hash;

    /* An answer that has run out may hold rewrites: it is the engine's to replace. */
    if (fresh != NULL && path != NULL && rows != NULL && access(path, F_OK) != 0) {
        blake2b_start(&hash);
        blake2b_add(&hash, rows, strlen(rows));
        blake2b_end(&hash, hex);
        entry = formatted(UNIT_MAGIC "%s %zu\n%s", hex, strlen(rows), rows);
        make_directories(directory);
        if (entry != NULL &&
            (write_file(directory, name, entry, strlen(entry)) != 0 || rename(fresh, path) != 0))
            unlink(fresh);
        free(entry);
    }
    free(rows);
    free(path);
    free(fresh);
    free(name);
    free(directory);
}

static void print_line(FILE *file, const char *key, const char *value) {
    fprintf(file, "%s\t", key);
    for (; *value != '\0'; value++) {
        switch (*value) {
        case '\\':
            fputs("\\\\", file);
            break;
        case '\n':
            fputs("\\n", file);
            break;
        case '\t':
            fputs("\\t", file);
            break;
        default:
            putc(*value, file);
        }
    }
    putc('\n', file);
}

int write_request(const struct unit *unit, const char *directory, const char *mode) {
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    const char *compiler = getenv("GCCLLM_COMPILER");
    const char *called = getenv("COLLECT_GCC");
    char *cwd = getcwd(NULL, 0);
    int status = -1;

    if (file == NULL)
        return -1;
    print_line(file, "unit_key", unit->key);
    print_line(file, "compiler", compiler != NULL ? compiler : called != NULL ? called : "gcc");
    print_line(file, "assembler", unit->assembler);
    print_line(file, "cwd", cwd == NULL ? "" : cwd);
    print_line(file, "mode", mode);
    print_line(file, "build", unit->build == NULL ? "" : unit->build);
    for (int i = 1; i < unit->argc; i++)
        print_line(file, "as_arg", unit->argv[i]);
    for (char **option = unit->options; *option != NULL; option++)
        print_line(file, "gcc_option", *option);
    for (char **argument = unit->driver; *argument != NULL; argument++)
        print_line(file, "driver_arg", *argument);
    if (fclose(file) == 0 && write_file(directory, "in.s", unit->text.data, unit->text.length) == 0)
        status = write_file(directory, "request", text, length);
    free(text);
    free(cwd);
    return status;
}

/* Readers of the queue see whole requests only: the directory gets its name when it is complete. */
void enqueue(const struct unit *unit) {
    char *queue = unit->store == NULL ? NULL : formatted("%s/queue", unit->store);
    char *place = queue == NULL ? NULL : formatted("%s/%s", queue, unit->key);
    char *fresh = queue == NULL ? NULL : formatted("%s/.new-XXXXXX", queue);

    if (place != NULL && fresh != NULL && access(place, F_OK) != 0) {
        make_directories(queue);
        mkdir(queue, 0777);
        if (mkdtemp(fresh) != NULL && (write_request(unit, fresh, "queue") != 0 || rename(fresh, place) != 0))
            remove_tree(fresh);
    }
    free(fresh);
    free(place);
    free(queue);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status;
    (void)type;
    (void)where;
    remove(path);
    return 0;
}

void remove_tree(const char *directory) {
    nftw(directory, remove_one, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS);
}
