/*
 * gcc-llm: be gcc, with our assembler shim in its path.
 *
 * usage: gcc-llm [gcc's options]         runs gcc (g++-llm runs g++)
 *        gcc-llm COMPILER [options]      runs that one: the form of CMAKE_C_COMPILER_LAUNCHER
 *        gcc-llm --gccllm-fingerprint    prints a hash of all that decides our output, for ccache
 *
 * As a symbolic link named cc, gcc, x86_64-linux-gnu-gcc-12… it runs the next one of that name in PATH.
 *
 * The command line goes to the real compiler as it came, but for what follows the last -O option where that
 * asks for -O1 or more: -O3 (unless told to keep the level), and -fno-ipa-ra -fno-ipa-stack-alignment. With
 * these two every function of a unit keeps the calling convention of the psABI, so that it can be exchanged
 * without a look at its callers. COMPILER_PATH gets our libexec directory in front, where gcc finds `as`.
 *
 * Environment read: GCCLLM_CC (another C compiler), GCCLLM_MODE (off: leave everything alone), GCCLLM_OPT
 * (keep: leave the level alone; untouched: add nothing); also as `cc`, `mode` and `opt` in gccllm.toml and
 * the user's config.toml.
 *
 * Environment given: COMPILER_PATH; GCCLLM_COMPILER, path of the real compiler; GCCLLM_ARGV, its arguments
 * joined by 0x1f, for the shim; GCCLLM_DEPTH, the files passed through so far, against going in circles.
 *
 * Not done: compilers other than gcc, and gcc for other machines, are run without any of this. Nothing is
 * printed.
 *
 * exit: the compiler's own; 127 with one line on standard error when there is none.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "asked.h"
#include "common.h"
#include "settings.h"
#include "shared.h"

enum { DEEPEST = 16, ARGV_BYTES = 100 << 10, NAME_BYTES = 256 };

enum kind { NO_COMPILER, C_DRIVER, CXX_DRIVER, OTHER_DRIVER };

/* Drop a trailing -12 or -12.2.0. */
static void drop_version(char *name) {
    char *dash = strrchr(name, '-');

    if (dash != NULL && dash[1] != '\0' && dash[1 + strspn(dash + 1, "0123456789.")] == '\0')
        *dash = '\0';
}

static enum kind kind_of(const char *path) {
    char name[NAME_BYTES];
    const char *last;

    if (snprintf(name, sizeof(name), "%s", basename_of(path)) >= (int)sizeof(name))
        return NO_COMPILER;
    drop_version(name);
    last = strrchr(name, '-');
    last = last == NULL ? name : last + 1;
    if (is_among(last, (const char *const[]){"gcc", "cc", "c89", "c99"}, 4))
        return C_DRIVER;
    if (is_among(last, (const char *const[]){"g++", "c++"}, 2))
        return CXX_DRIVER;
    if (is_among(last, (const char *const[]){"clang", "clang++", "gfortran"}, 3))
        return OTHER_DRIVER;
    return NO_COMPILER;
}

/* Is this gcc for the machine we rewrite for? The file behind the links tells: Debian's is
 * x86_64-linux-gnu-gcc-12. */
static int is_our_gcc(const char *path) {
    char *file = realpath(path, NULL);
    const char *name = file == NULL ? "" : basename_of(file);
    enum kind kind = kind_of(name);
    int is = kind == NO_COMPILER; /* a wrapper such as ccache: what it leads to decides */

    if (kind == C_DRIVER || kind == CXX_DRIVER) {
        char *bare = strdup(name);

        if (bare != NULL)
            drop_version(bare);
        is = bare != NULL && (strchr(bare, '-') == NULL || strncmp(bare, "x86_64-", 7) == 0);
        free(bare);
    }
    free(file);
    return is;
}

static const char *search_path(void) {
    const char *path = getenv("PATH");

    return path != NULL ? path : "/usr/local/bin:/usr/bin:/bin";
}

/* The real compiler's path, skipping ourselves and, when we are called by a wrapper, that wrapper. */
static char *find_compiler(const char *wanted, const struct identity *skipped, size_t skips) {
    if (strchr(wanted, '/') == NULL)
        return find_in_path(wanted, search_path(), skipped, skips);
    for (size_t i = 0; i < skips; i++)
        if (is_same_file(identity_of(wanted), skipped[i]))
            return NULL;
    return access(wanted, X_OK) == 0 ? strdup(wanted) : NULL;
}

/* The number up to `stop`, which is passed over; anything else ends it too. */
static unsigned long long hexadecimal(const char **text, char stop) {
    static const char digits[] = "0123456789abcdef";
    unsigned long long value = 0;
    const char *digit;

    for (; **text != '\0' && **text != stop; ++*text)
        if ((digit = strchr(digits, **text)) != NULL)
            value = value << 4 | (unsigned long long)(digit - digits);
    *text += **text == stop;
    return value;
}

/* The files in GCCLLM_DEPTH, as `device:inode ` each: launchers and what they launched. Less than DEEPEST. */
static size_t passed_through(struct identity *passed) {
    const char *list = getenv("GCCLLM_DEPTH");
    size_t count = 0;

    while (list != NULL && *list != '\0' && count < DEEPEST) {
        unsigned long long device = hexadecimal(&list, ':');
        unsigned long long inode = hexadecimal(&list, ' ');

        passed[count++] = (struct identity){(dev_t)device, (ino_t)inode};
    }
    return count;
}

static char *as_variable(const struct identity *passed, size_t count) {
    char *text = strdup("GCCLLM_DEPTH=");

    for (size_t i = 0; i < count && text != NULL; i++) {
        char *longer = formatted("%s%llx:%llx ", text, (unsigned long long)passed[i].device,
                                 (unsigned long long)passed[i].inode);

        free(text);
        text = longer;
    }
    return text;
}

/* argv[0]: what the user would have typed, if PATH leads from there to the real compiler, else its path: gcc
 * looks for its own parts relative to it, and for its name in messages. */
static char *name_to_run(const char *wanted, char *compiler) {
    char *first;
    int is_plain;

    if (strchr(wanted, '/') != NULL || getenv("PATH") == NULL ||
        (first = find_in_path(wanted, search_path(), NULL, 0)) == NULL)
        return compiler;
    is_plain = is_same_file(identity_of(first), identity_of(compiler));
    free(first);
    return is_plain ? strdup(wanted) : compiler;
}

static int print_fingerprint(const struct settings *settings, const char *compiler, const char *shim) {
    struct blake2b hash;
    char hex[BLAKE2B_HEX + 1];
    enum mode mode = mode_of(settings);

    blake2b_start(&hash);
    add_circumstances(&hash, settings);
    add_field(&hash, "mode", &mode, sizeof(mode));
    add_program(&hash, "compiler", compiler);
    add_program(&hash, "launcher", "/proc/self/exe");
    add_program(&hash, "shim", shim);
    blake2b_end(&hash, hex);
    return dprintf(STDOUT_FILENO, "%s\n", hex) < 0;
}

/* GCCLLM_ARGV; NULL when a word holds the separator or all are too long. */
static char *joined(char *const *words) {
    size_t length = strlen("GCCLLM_ARGV=") + 1;
    char *text;
    char *end;

    for (size_t i = 0; words[i] != NULL; i++) {
        if (strchr(words[i], '\x1f') != NULL)
            return NULL;
        length += strlen(words[i]) + 1;
    }
    if (length > ARGV_BYTES || (text = malloc(length)) == NULL)
        return NULL;
    end = stpcpy(text, "GCCLLM_ARGV=");
    for (size_t i = 0; words[i] != NULL; i++) {
        if (i > 0)
            *end++ = '\x1f';
        end = stpcpy(end, words[i]);
    }
    return text;
}

/* Is this a gcc whose name says that it is too old for us? Then its units are left alone. */
static int is_too_old(const char *path) {
    char *file = realpath(path, NULL);
    const char *dash = file == NULL ? NULL : strrchr(file, '-');
    int version = 0;

    for (const char *digit = dash == NULL ? "" : dash + 1; *digit >= '0' && *digit <= '9'; digit++)
        version = version * 10 + *digit - '0';
    free(file);
    return version > 0 && version < FIRST_VERIFIED;
}

/* argv with our options behind the one at `place`. */
static char **with_ours(char **argv, int argc, int place, int raises) {
    size_t first = raises ? 0 : 1, count = sizeof(ours) / sizeof(ours[0]) - first;
    char **fresh = calloc((size_t)argc + count + 1, sizeof(*fresh));

    if (fresh == NULL)
        return argv;
    memcpy(fresh, argv, (size_t)(place + 1) * sizeof(*fresh));
    for (size_t i = 0; i < count; i++)
        fresh[(size_t)place + 1 + i] = strdup(ours[first + i]);
    memcpy(fresh + place + 1 + count, argv + place + 1, (size_t)(argc - place - 1) * sizeof(*fresh));
    return fresh;
}

/* COMPILER_PATH with the shim's directory in front, once. */
static char *compiler_path(const char *libexec) {
    const char *old = getenv("COMPILER_PATH");
    size_t length = strlen(libexec);

    if (old == NULL || *old == '\0')
        return formatted("COMPILER_PATH=%s", libexec);
    if (strncmp(old, libexec, length) == 0 && (old[length] == ':' || old[length] == '\0'))
        return formatted("COMPILER_PATH=%s", old);
    return formatted("COMPILER_PATH=%s:%s", libexec, old);
}

int main(int argc, char **argv) {
    static const char *const replaced[] = {"COMPILER_PATH", "GCCLLM_ARGV", "GCCLLM_COMPILER", "GCCLLM_DEPTH",
                                           NULL};
    const char *own_name = argc > 0 ? basename_of(argv[0]) : "gcc-llm";
    struct identity passed[DEEPEST + 2];
    size_t depth = passed_through(passed);
    const char *wanted = "gcc";
    enum kind kind = kind_of(own_name);
    struct asked asked = {0};
    struct settings settings;
    const char *chosen;
    char *compiler = NULL;
    char *none[] = {NULL};

    if (argc < 1)
        argv = none;
    load_settings(&settings);
    chosen = setting(&settings, "cc");
    passed[depth] = identity_of("/proc/self/exe");

    /* Which compiler is meant? From here on argv[0] is the word that named it. */
    if (kind != NO_COMPILER) {
        wanted = own_name;
    } else if (argc > 1 && argv[1][0] != '-' && kind_of(argv[1]) != NO_COMPILER) {
        argv++;
        argc--;
        wanted = argv[0];
        kind = kind_of(wanted);
    } else {
        kind = strncmp(own_name, "g++", 3) == 0 ? CXX_DRIVER : C_DRIVER;
        wanted = kind == CXX_DRIVER ? "g++" : "gcc";
    }
    if (kind == C_DRIVER && chosen != NULL && (compiler = find_compiler(chosen, passed, depth + 1)) != NULL)
        wanted = chosen;
    if (compiler == NULL)
        compiler = find_compiler(wanted, passed, depth + 1);
    if (compiler == NULL)
        compiler = find_compiler(wanted = kind == CXX_DRIVER ? "g++" : "gcc", passed, depth + 1);
    /* The variable may have come from further away than a wrapper: it forbids nothing when nothing else is
     * left. */
    if (compiler == NULL)
        compiler = find_compiler(wanted, &passed[depth], 1);
    if (compiler == NULL || depth >= DEEPEST) {
        dprintf(STDERR_FILENO, "gcc-llm: error: %s; GCCLLM_CC can name a compiler\n",
                compiler == NULL ? "no gcc found in PATH" : "the compiler leads back to gcc-llm");
        return 127;
    }

    char *prefix = installation();
    char *libexec = prefix == NULL ? NULL : formatted("%s/libexec/gccllm", prefix);
    char *shim = libexec == NULL ? NULL : formatted("%s/as", libexec);

    if (argc == 2 && strcmp(argv[1], "--gccllm-fingerprint") == 0)
        return print_fingerprint(&settings, compiler, shim);

    /* Does an assembler run, and is it to be ours? */
    passed[depth + 1] = identity_of(compiler);

    char *added[5] = {as_variable(passed, depth + 2), formatted("GCCLLM_COMPILER=%s", compiler)};
    size_t next = 2;
    char **words = argv;

    for (int i = 1; i < argc; i++)
        see_word(&asked, argv[i], i);
    if (asked.inputs > 0 && !asked.is_probe && shim != NULL && access(shim, X_OK) == 0 &&
        mode_of(&settings) != OFF && is_our_gcc(compiler)) {
        char *all;

        enum opt opt = opt_of(&settings);

        if (asked.level > 0 && opt != UNTOUCHED && !is_too_old(compiler))
            words = with_ours(argv, argc, asked.place, opt == RAISE && asked.level < 3);
        if ((added[next] = compiler_path(libexec)) != NULL)
            next++;
        if ((all = joined(words + 1)) != NULL)
            added[next++] = all;
    } else {
        /* Somebody's own COMPILER_PATH stays as it is. */
        const char *old = getenv("COMPILER_PATH");

        if (old != NULL)
            added[next++] = formatted("COMPILER_PATH=%s", old);
    }
    char **fresh = environment(replaced, added);

    if (words == NULL || words[0] == NULL) {
        char *only[] = {compiler, NULL};

        execve(compiler, only, fresh);
    } else {
        words[0] = name_to_run(wanted, compiler);
        execve(compiler, words, fresh);
    }
    dprintf(STDERR_FILENO, "gcc-llm: error: cannot run %s\n", compiler);
    return 127;
}
