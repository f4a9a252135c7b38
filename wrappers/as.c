/*
 * as: what gcc finds as its assembler when gcc-llm has set COMPILER_PATH.
 *
 * usage: as [the assembler's options] -o OBJECT [FILE]
 *
 * Assembles gcc's text, or in its place the text that the unit cache or the engine knows to be faster: the
 * same functions, some with other bodies. The real assembler does the work and gets the arguments as they
 * came.
 *
 * Left to the real assembler at once: probes, hand-written text, slim LTO, listings, several inputs, units
 * without a loop or recursion or a function that is said to be hot, units compiled without -O1 or more,
 * GCCLLM_MODE=off.
 *
 * With GCCLLM_MODE=record the engine puts recording stubs into the text, with trial choices of bodies; the
 * unit cache and the queue are left alone.
 *
 * Whatever fails here (no store, no engine, no memory, a full disk, a spliced text that the assembler
 * refuses), the result is gcc's own object and its own messages. Only GCCLLM_STRICT=1 asks for a failure
 * instead.
 *
 * Environment read: GCCLLM_MODE, GCCLLM_BUDGET, GCCLLM_CACHE_DIR, GCCLLM_ENGINE (another engine program, for
 * tests), and what gcc and the launcher leave: COLLECT_GCC_OPTIONS, GCCLLM_COMPILER, GCCLLM_ARGV.
 *
 * File formats: docs/internals/formats.md.
 *
 * exit: the real assembler's; 1 with one line when GCCLLM_STRICT is not met or there is no assembler.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

extern char **environ;

/* The assembler's command line, as far as it matters here. */
struct line {
    int inputs;
    int input; /* index of the last one; 0: standard input */
    int output;
    int is_plain; /* an object from one text, and nothing else */
};

static struct line read_line(int argc, char **argv) {
    struct line line = {.is_plain = 1};

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];

        if (word[0] != '-' || word[1] == '\0' || strcmp(word, "--") == 0) {
            line.inputs++;
            line.input = word[0] == '-' ? 0 : i;
            if (word[0] == '@')
                line.is_plain = 0;
        } else if (strcmp(word, "-o") == 0 && i + 1 < argc) {
            line.output = ++i;
        } else if ((strcmp(word, "-I") == 0 || strcmp(word, "--defsym") == 0 ||
                    strcmp(word, "--debug-prefix-map") == 0) &&
                   i + 1 < argc) {
            i++;
        } else if (strcmp(word, "-v") == 0 || strcmp(word, "-V") == 0 || strncmp(word, "-a", 2) == 0 ||
                   strncmp(word, "--MD", 4) == 0 || strncmp(word, "--version", 9) == 0 ||
                   strncmp(word, "--help", 6) == 0 || strncmp(word, "--target-help", 13) == 0 ||
                   strncmp(word, "--statistics", 12) == 0) {
            /* Listings, reports and dependencies are about the text that was given. */
            line.is_plain = 0;
        }
    }
    if (line.inputs > 1 || line.output == 0)
        line.is_plain = 0;
    return line;
}

/* Where a gcc called TRIPLE-gcc keeps its target's own tools: conda's and most cross compilers do. */
static char *target_directory(const char *compiler) {
    char *file = compiler == NULL ? NULL : realpath(compiler, NULL);
    char *directory = file == NULL ? NULL : directory_of(file);
    const char *name = file == NULL ? "" : basename_of(file);
    const char *end = strstr(name, "-gcc");
    char *found = NULL;

    if (end == NULL)
        end = strstr(name, "-g++");
    if (end != NULL && directory != NULL)
        found = formatted("%s/../%.*s/bin", directory, (int)(end - name), name);
    free(directory);
    free(file);
    return found;
}

/* The assembler that gcc would have run without us: the rest of COMPILER_PATH, gcc's directory for its
 * target, PATH. */
static char *real_assembler(void) {
    struct identity self = identity_of("/proc/self/exe");
    const char *path = getenv("PATH");
    char *target = target_directory(getenv("GCCLLM_COMPILER"));
    char *found = find_in_path("as", getenv("COMPILER_PATH"), &self, 1);

    if (found == NULL)
        found = find_in_path("as", target, &self, 1);
    free(target);
    if (found == NULL)
        found = find_in_path("as", path != NULL ? path : "/usr/local/bin:/usr/bin:/bin", &self, 1);
    return found;
}

/* Give bytes already read from standard input to whoever comes next. */
static int put_on_input(struct bytes text) {
    int memory = memfd_create("gccllm", MFD_CLOEXEC);

    if (memory < 0)
        return -1;
    for (size_t done = 0; done < text.length;) {
        ssize_t wrote = write(memory, text.data + done, text.length - done);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0) {
            close(memory);
            return -1;
        }
        done += (size_t)wrote;
    }
    if (lseek(memory, 0, SEEK_SET) != 0)
        return -1;
    /* dup2 to itself would keep the close-on-exec flag. */
    return memory == 0 ? fcntl(0, F_SETFD, 0) : dup2(memory, 0);
}

static int become_assembler(const struct unit *unit) {
    execv(unit->assembler, unit->argv);
    fprintf(stderr, "gcc-llm: error: cannot run the assembler %s: %s\n", unit->assembler, strerror(errno));
    return 1;
}

/* Assemble gcc's own text, which may have been read from a pipe. */
static int assemble_own(const struct unit *unit) {
    if (unit->input == 0 && unit->text.data != NULL && put_on_input(unit->text) < 0) {
        fprintf(stderr, "gcc-llm: error: cannot hand on standard input: %s\n", strerror(errno));
        return 1;
    }
    return become_assembler(unit);
}

/* Assemble the spliced text in place of gcc's. 0 only when the real assembler succeeds and has nothing to
 * say. */
static int assemble_spliced(const struct unit *unit, struct bytes spliced) {
    char **words = calloc((size_t)unit->argc + 1, sizeof(*words));
    int said[2], status;
    struct sigaction usual = {.sa_handler = SIG_DFL}, before;
    pid_t child;
    char byte;

    if (words == NULL || pipe2(said, O_CLOEXEC) != 0)
        return -1;
    memcpy(words, unit->argv, (size_t)unit->argc * sizeof(*words));
    if (unit->input != 0)
        words[unit->input] = (char[]){"--"};
    sigaction(SIGCHLD, &usual, &before);
    if ((child = fork()) == 0) {
        int out = fcntl(said[1], F_DUPFD_CLOEXEC, 3);

        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (put_on_input(spliced) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
            _exit(127);
        sigaction(SIGCHLD, &before, NULL);
        execv(unit->assembler, words);
        _exit(127);
    }
    close(said[1]);
    /* One byte is enough to know; the rest is dropped so that the assembler does not block. */
    ssize_t heard = 0, got;

    while (child > 0 && ((got = read(said[0], &byte, 1)) > 0 || (got < 0 && errno == EINTR)))
        heard += got > 0;
    close(said[0]);
    if (child < 0 || waitpid(child, &status, 0) != child)
        status = -1;
    sigaction(SIGCHLD, &before, NULL);
    free(words);
    return heard == 0 && status == 0 ? 0 : -1;
}

/* Was assembly among the driver's inputs? Then the text may be the user's, even with gcc's .ident in it. */
static int is_given_assembly(char *const *driver) {
    for (; *driver != NULL; driver++) {
        const char *dot = strrchr(*driver, '.');

        if (dot != NULL && (strcmp(dot, ".s") == 0 || strcmp(dot, ".S") == 0 || strcmp(dot, ".sx") == 0) &&
            driver[0][0] != '-')
            return 1;
        if (strncmp(*driver, "assembler", 9) == 0 || strncmp(*driver, "-xassembler", 11) == 0)
            return 1;
    }
    return 0;
}

/* May a trial have chosen bodies? It knows hot functions better than any loop does. */
static int has_trials(const struct unit *unit) {
    char *store = store_directory(&unit->settings);
    char *held = store == NULL ? NULL : formatted("%s/trials", store);
    char *committed = unit->settings.project_directory == NULL
                          ? NULL
                          : formatted("%s/cache/rewrites", unit->settings.project_directory);
    int has =
        (held != NULL && access(held, F_OK) == 0) || (committed != NULL && access(committed, F_OK) == 0);

    free(store);
    free(held);
    free(committed);
    return has;
}

/* Is there a reason to work on a function without a loop? As gccllm/unit/hotness.py has it: it is named by a
 * setting or a profile, or called hot in the source. A recording keeps what other units may call. */
static int is_hot_without_loop(const struct unit *unit) {
    struct bytes profile = {NULL, 0};
    enum mode mode = mode_of(&unit->settings);
    int is_hot = mode == RECORD || setting(&unit->settings, "include") != NULL ||
                 setting(&unit->settings, "only") != NULL || has_hot_section(unit->text) || has_trials(unit);

    if (!is_hot && read_profile(&unit->settings, &profile) != 0)
        return 1;
    is_hot = is_hot || (profile.data != NULL && defines_any_of(unit->text, profile));
    free(profile.data);
    return is_hot;
}

/* Is it worth a trial? Not if the profile has none of its functions. */
static int is_on_trial(const struct unit *unit) {
    struct bytes profile = {NULL, 0};
    int is_whole = read_profile(&unit->settings, &profile) == 0;
    int is_cold = is_whole && profile.data != NULL && !defines_any_of(unit->text, profile);

    free(profile.data);
    return !is_cold;
}

/* Could there be anything to gain? Reads the text. */
static int is_worth_a_look(struct unit *unit) {
    const char *options = getenv("COLLECT_GCC_OPTIONS");
    struct line line = read_line(unit->argc, unit->argv);

    if (options == NULL || !line.is_plain)
        return 0;
    load_settings(&unit->settings);
    if (mode_of(&unit->settings) == OFF)
        return 0;
    unit->options = unquoted_options(options);
    unit->driver = split(getenv("GCCLLM_ARGV"), '\x1f');
    if (unit->options == NULL || unit->driver == NULL || is_given_assembly(unit->driver))
        return 0;
    if (!is_optimised(unit->options)) {
        note(unit, "unit_declined", "optimisation_off");
        return 0;
    }
    unit->input = line.input;
    unit->text = unit->input == 0 ? read_descriptor(0) : read_file(unit->argv[unit->input]);
    if (unit->text.data == NULL || !is_gcc_output(unit->text))
        return 0;
    if (is_slim_lto(unit->text)) {
        note(unit, "unit_declined", "slim_lto");
        return 0;
    }
    if (is_lto_link(unit->text)) {
        note(unit, "unit_declined", "lto_link");
        return 0;
    }
    if (mode_of(&unit->settings) == TRIAL)
        return is_on_trial(unit);
    return has_loop(unit->text) || is_hot_without_loop(unit);
}

int main(int argc, char **argv) {
    struct unit unit = {.argc = argc, .argv = argv, .assembler = real_assembler()};
    struct bytes spliced = {NULL, 0};
    char *line = NULL;
    struct stat status;
    enum mode mode;

    if (unit.assembler == NULL) {
        fprintf(stderr, "gcc-llm: error: no assembler found in PATH\n");
        return 1;
    }
    if (!is_worth_a_look(&unit))
        return assemble_own(&unit);

    unit.store = store_directory(&unit.settings);
    unit.build = build_of();
    mode = mode_of(&unit.settings);
    if (mode == RECORD || mode == TRIAL) {
        if (ask_engine(&unit, mode == RECORD ? "record" : "trial", &spliced, &line) == REWRITTEN &&
            assemble_spliced(&unit, spliced) != 0)
            note(&unit, "shim", "splice_refused");
        else if (spliced.data != NULL)
            return 0;
        return assemble_own(&unit);
    }

    /* Decided before? */
    name_unit(&unit);
    switch (look_up(&unit, &spliced)) {
    case OWN_TEXT:
        return assemble_own(&unit);
    case SPLICED:
        if (assemble_spliced(&unit, spliced) == 0)
            return 0;
        note(&unit, "shim", "splice_refused");
        return assemble_own(&unit);
    case UNKNOWN:
        break;
    }

    if (mode == QUEUE || (mode == INLINE && is_spent(&unit))) {
        enqueue(&unit);
        if (mode == INLINE)
            put_off(&unit);
        return assemble_own(&unit);
    }
    switch (ask_engine(&unit, mode == CACHED ? "cached" : "inline", &spliced, &line)) {
    case STRICT:
        fprintf(stderr, "gcc-llm: GCCLLM_STRICT: %s\n",
                line != NULL && *line != '\0' ? line : "a function is undecided");
        for (int i = 1; i + 1 < argc; i++)
            if (strcmp(argv[i], "-o") == 0 && stat(argv[i + 1], &status) == 0 && S_ISREG(status.st_mode))
                unlink(argv[i + 1]);
        return 1;
    case REWRITTEN:
        if (assemble_spliced(&unit, spliced) == 0)
            return 0;
        note(&unit, "shim", "splice_refused");
        break;
    case GCC_TEXT:
        break;
    }
    return assemble_own(&unit);
}
