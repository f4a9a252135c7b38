/* See settings.h. */
#define _GNU_SOURCE
#include "settings.h"

#include <cpuid.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "by_project.h"

extern char **environ;

enum { MOST_VARIABLES = 256, PROJECT_BYTES = 1 << 20, PROFILE_BYTES = 1 << 20, ORIGINS = 3 };
enum origin { ENVIRONMENT, PROJECT, USER };

/* Somebody's pipe of that name must not make a build wait. */
static int open_quietly(const char *path) {
    return path == NULL ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static int is_mine(uid_t owner) { return owner == 0 || owner == geteuid(); }

/* A project's file when it counts; the rules and their reasons are those of gccllm/base/project_file.py. */
static struct bytes read_project(const char *path, int any_owner) {
    struct bytes all = {NULL, 0};
    int descriptor = open_quietly(path);
    struct stat link, status;

    if (descriptor < 0)
        return all;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= PROJECT_BYTES &&
        (any_owner || (lstat(path, &link) == 0 && is_mine(link.st_uid) && is_mine(status.st_uid) &&
                       (status.st_mode & S_IWOTH) == 0)))
        all = read_descriptor(descriptor);
    close(descriptor);
    return all;
}

/* Every directory from here to the root. */
static void load_project(struct settings *settings) {
    static const char *const trusts[] = {"own", "any", NULL};
    int any_owner = choice(settings, "project_owner", trusts) == 1;
    char directory[PATH_MAX];

    if (getcwd(directory, sizeof(directory)) == NULL || directory[0] != '/')
        return;
    for (;;) {
        char *path = formatted("%s/gccllm.toml", directory);
        char *slash = strrchr(directory, '/');

        settings->project = read_project(path, any_owner);
        free(path);
        if (settings->project.data != NULL) {
            settings->project_directory = strdup(directory);
            return;
        }
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

/* As platformdirs does: $<variable>, else below $HOME. Without either: none, though Python would ask the user
 * database, which a static program cannot do well; then the shim has no store, and asks the engine every
 * time. */
static char *user_directory(const char *variable, const char *fallback) {
    const char *named = getenv(variable);
    const char *home = getenv("HOME");

    if (named != NULL && named[strspn(named, " \t")] != '\0')
        return formatted("%s/gccllm", named);
    return home == NULL ? NULL : formatted("%s/%s/gccllm", home, fallback);
}

void load_settings(struct settings *settings) {
    char *directory = user_directory("XDG_CONFIG_HOME", ".config");
    char *path = directory == NULL ? NULL : formatted("%s/config.toml", directory);

    memset(settings, 0, sizeof(*settings));
    settings->user = read_file(path);
    free(path);
    free(directory);
    load_project(settings);
}

/* The value of `name = "value"` or `name = 12` above the first table header. No other TOML is understood. */
static char *toml_value(const char *text, const char *name) {
    size_t length = strlen(name);

    for (const char *line = text; *line != '\0'; line = strchrnul(line, '\n'), line += *line == '\n') {
        const char *at = line + strspn(line, " \t");

        if (*at == '[')
            return NULL;
        if (strncmp(at, name, length) != 0)
            continue;
        at += length;
        at += strspn(at, " \t");
        if (*at++ != '=')
            continue;
        at += strspn(at, " \t");
        if (*at == '"' || *at == '\'') {
            const char stop[] = {*at, '\n', '\0'};
            size_t size = strcspn(at + 1, stop);

            return at[1 + size] == *at ? strndup(at + 1, size) : NULL;
        }
        return strndup(at, strcspn(at, " \t\r\n#"));
    }
    return NULL;
}

static int is_outside(const char *path) {
    for (const char *part = path; *part != '\0'; part = strchrnul(part, '/'), part += *part == '/')
        if (strncmp(part, "../", 3) == 0 || strcmp(part, "..") == 0)
            return 1;
    return path[0] == '/';
}

/* May the project's file set `name` to `value`? What is not in the table it may not. */
static int is_for_project(const char *name, const char *value) {
    for (size_t i = 0; i < sizeof(by_project) / sizeof(by_project[0]); i++) {
        const char *const *word = by_project[i].words;

        if (strcmp(by_project[i].name, name) != 0)
            continue;
        if (by_project[i].is_inside)
            return !is_outside(value);
        if (*word == NULL)
            return 1;
        while (*word != NULL && strcmp(*word, value) != 0)
            word++;
        return *word != NULL;
    }
    return 0;
}

static char *value_from(const struct settings *settings, const char *name, enum origin origin) {
    const struct bytes *file = origin == PROJECT ? &settings->project : &settings->user;
    char variable[64] = "GCCLLM_";
    size_t end = strlen(variable);
    const char *set;

    if (origin != ENVIRONMENT) {
        char *value = file->data == NULL ? NULL : toml_value(file->data, name);

        if (value == NULL || origin == USER || is_for_project(name, value))
            return value;
        free(value);
        return NULL;
    }
    for (; *name != '\0' && end + 1 < sizeof(variable); name++)
        variable[end++] = (char)(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
    set = getenv(variable);
    return set == NULL || *set == '\0' ? NULL : strdup(set);
}

char *setting(const struct settings *settings, const char *name) {
    char *value = NULL;

    for (int origin = 0; origin < ORIGINS && value == NULL; origin++)
        value = value_from(settings, name, (enum origin)origin);
    return value;
}

size_t choice(const struct settings *settings, const char *name, const char *const *words) {
    for (int origin = 0; origin < ORIGINS; origin++) {
        char *value = value_from(settings, name, (enum origin)origin);
        size_t i = 0;

        while (value != NULL && words[i] != NULL && strcmp(words[i], value) != 0)
            i++;
        if (value != NULL && words[i] != NULL) {
            free(value);
            return i;
        }
        free(value);
    }
    return 0;
}

enum mode mode_of(const struct settings *settings) {
    static const char *const modes[] = {"inline", "queue", "cached", "record", "trial", "off", NULL};

    enum mode mode = (enum mode)choice(settings, "mode", modes);
    char *budget = mode == INLINE ? setting(settings, "build_budget") : NULL;

    /* A build that may wait for nothing leaves everything to `gccllm tune`. */
    if (budget != NULL && strspn(budget, "0.") == strlen(budget))
        mode = QUEUE;
    free(budget);
    return mode;
}

int is_strict(const struct settings *settings) {
    static const char *const words[] = {"0", "1", "true", "yes", "on", "false", "no", "off", NULL};
    size_t word = choice(settings, "strict", words);

    return word >= 1 && word <= 4;
}

enum opt opt_of(const struct settings *settings) {
    static const char *const words[] = {"o3", "keep", "untouched", NULL};

    return (enum opt)choice(settings, "opt", words);
}

/* As Settings.profile_path of gccllm/base/config.py has it. */
static char *profile_path(const struct settings *settings) {
    char *named = setting(settings, "profile");
    const char *base = settings->project_directory;
    const char *name = named != NULL ? named : "gccllm.profile";
    char *path = NULL;

    if (name[0] == '/')
        path = strdup(name);
    else if (base != NULL || named != NULL)
        path = formatted("%s/%s", base != NULL ? base : ".", name);
    free(named);
    return path;
}

int read_profile(const struct settings *settings, struct bytes *profile) {
    char *path = profile_path(settings);
    int descriptor = open_quietly(path);
    struct stat status;
    int is_large = 0;

    if (descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
        is_large = status.st_size > PROFILE_BYTES;
        if (!is_large)
            *profile = read_descriptor(descriptor);
    }
    if (descriptor >= 0)
        close(descriptor);
    free(path);
    return is_large ? -1 : 0;
}

char *store_directory(const struct settings *settings) {
    char *named = setting(settings, "cache_dir");

    return named != NULL ? named : user_directory("XDG_CACHE_HOME", ".cache");
}

void add_field(struct blake2b *hash, const char *name, const void *data, size_t length) {
    char head[128];
    int size = snprintf(head, sizeof(head), "%s %zu\n", name, length);

    blake2b_add(hash, head, (size_t)size);
    blake2b_add(hash, data, length);
}

static void add_bytes(struct blake2b *hash, const char *name, struct bytes all) {
    if (all.data != NULL)
        add_field(hash, name, all.data, all.length);
}

void add_time(struct blake2b *hash, const char *field, const char *directory, const char *name) {
    char *path = name[0] == '/' ? strdup(name) : formatted("%s/%s", directory, name);
    struct stat status;

    if (path != NULL && stat(path, &status) == 0)
        add_field(hash, field, &status.st_mtim, sizeof(status.st_mtim));
    free(path);
}

/* Variables that say where, when or how long, but never what comes out. */
static int is_setting(const char *variable) {
    static const char *const other[] = {"ARGV",       "BUDGET",     "BUILD_BUDGET", "CACHE_DIR",
                                        "CC",         "COMPILER",   "DEPTH",        "ENGINE",
                                        "MODE",       "PROGRESS",   "RECORD_BYTES", "RECORD_CALLS",
                                        "RECORD_CPU", "RECORD_DIR", "STATE_DIR",    "STRICT"};
    const char *name = variable + strlen("GCCLLM_");

    if (strncmp(variable, "GCCLLM_", strlen("GCCLLM_")) != 0)
        return 0;
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        size_t length = strlen(other[i]);

        if (strncmp(name, other[i], length) == 0 && name[length] == '=')
            return 0;
    }
    return 1;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* With GCCLLM_ISA=native the answer depends on the machine that builds. The first leaf's ebx names the core:
 * left out. */
static void add_processor(struct blake2b *hash) {
    unsigned int leaf[3][4] = {{0}};

    __get_cpuid(1, &leaf[0][0], &leaf[0][1], &leaf[0][2], &leaf[0][3]);
    leaf[0][1] = 0;
    __get_cpuid_count(7, 0, &leaf[1][0], &leaf[1][1], &leaf[1][2], &leaf[1][3]);
    __get_cpuid_count(7, 1, &leaf[2][0], &leaf[2][1], &leaf[2][2], &leaf[2][3]);
    add_field(hash, "processor", leaf, sizeof(leaf));
}

void add_circumstances(struct blake2b *hash, const struct settings *settings) {
    static const char *const isas[] = {"guarded", "baseline", "native", NULL};
    char *variables[MOST_VARIABLES];
    size_t count = 0;
    char *store = store_directory(settings);
    char *epoch = store == NULL ? NULL : formatted("%s/epoch", store);
    char *profile = profile_path(settings);
    struct bytes stamp = read_file(epoch);

    add_field(hash, "version", GCCLLM_VERSION, strlen(GCCLLM_VERSION));
    for (char **each = environ; *each != NULL && count < MOST_VARIABLES; each++)
        if (is_setting(*each))
            variables[count++] = *each;
    qsort(variables, count, sizeof(variables[0]), by_text);
    for (size_t i = 0; i < count; i++)
        add_field(hash, "set", variables[i], strlen(variables[i]));
    add_bytes(hash, "user", settings->user);
    add_bytes(hash, "project", settings->project);
    if (settings->project_directory != NULL)
        add_time(hash, "rewrites", settings->project_directory, "cache/rewrites");
    if (profile != NULL)
        add_time(hash, "profile", ".", profile);
    add_bytes(hash, "epoch", stamp);
    if (choice(settings, "isa", isas) == 2)
        add_processor(hash);
    free(stamp.data);
    free(profile);
    free(epoch);
    free(store);
}

void add_program(struct blake2b *hash, const char *name, const char *path) {
    struct stat status;

    if (path == NULL || stat(path, &status) != 0)
        return;
    add_field(hash, name, path, strlen(path));
    add_field(hash, "size", &status.st_size, sizeof(status.st_size));
    add_field(hash, "time", &status.st_mtim, sizeof(status.st_mtim));
}
