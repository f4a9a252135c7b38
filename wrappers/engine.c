/*
 * Ask the engine: a directory with the request goes in, a directory with the answer comes out.
 *
 * The engine runs in our process group, so that a terminal's Ctrl-C reaches it as it reaches gcc. Its own
 * children may have left that group: while it runs we are the reaper of orphans, and whoever is left after it
 * is killed. See shim.h, and docs/internals/formats.md for the files.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

enum {
    BUDGET_S = 120,
    LONGEST_BUDGET_S = 24 * 3600,
    GRACE_S = 15,
    SILENT_S = 5,
    DYING_S = 2,
    STRICT_STATUS = 3,
    SWEEPS = 1000
};

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDINGS = sizeof(ending) / sizeof(ending[0]) };

/* The signal that asked us to end; 0 for none. The only state a handler writes. */
static volatile sig_atomic_t caught;

static void on_signal(int signal) {
    if (signal != SIGCHLD)
        caught = signal;
}

static int64_t now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Seconds we are willing to wait. */
static int patience(const struct settings *settings) {
    char *text = setting(settings, "budget");
    double budget = text == NULL ? BUDGET_S : strtod(text, NULL);

    free(text);
    if (!(budget >= 0 && budget <= LONGEST_BUDGET_S))
        budget = BUDGET_S;
    return (int)budget + GRACE_S;
}

/* In the child: become the engine. */
static void become_engine(const char *program, const char *directory, char *const *variables,
                          const sigset_t *mask, pid_t parent) {
    char *const words[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)directory, NULL};
    char *path = formatted("%s/engine.log", directory);
    int null = open("/dev/null", O_RDONLY);
    int log = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || null < 0 || log < 0)
        _exit(127);
    /* Whatever was closed in the build, both are moved out of the way of 0, 1 and 2 first. */
    null = fcntl(null, F_DUPFD, 3);
    log = fcntl(log, F_DUPFD, 3);
    if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(127);
    /* make's jobserver among others: a token held by us would stall the build. */
    if (syscall(SYS_close_range, 3, ~0u, 0) != 0)
        for (int descriptor = 3; descriptor < sysconf(_SC_OPEN_MAX); descriptor++)
            close(descriptor);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execve(program, words, variables);
    _exit(127);
}

/* Kill what the engine has left behind: those have become our children. */
static void sweep(void) {
    char *path = formatted("/proc/self/task/%d/children", (int)getpid());

    for (int i = 0; i < SWEEPS; i++) {
        struct bytes list = read_file(path);
        char *at = list.data;
        int killed = 0;

        while (at != NULL && *at != '\0') {
            pid_t child = (pid_t)strtol(at, &at, 10);

            if (child > 0 && kill(child, SIGKILL) == 0)
                killed += waitpid(child, NULL, 0) == child;
            at += strspn(at, " ");
        }
        free(list.data);
        if (killed == 0)
            break;
    }
    free(path);
}

/* Until the engine ends, `deadline` passes or a signal comes. 1 when it ended, with its wait status. */
static int wait_until(pid_t engine, int64_t deadline, const sigset_t *mask, int *status, int stop_on_signal) {
    for (;;) {
        pid_t ended = waitpid(engine, status, WNOHANG);
        int64_t left = deadline - now_ms();
        struct timespec timeout = {left / 1000, left % 1000 * 1000000};

        if (ended == engine)
            return 1;
        if ((ended < 0 && errno != EINTR) || left <= 0 || (stop_on_signal && caught != 0))
            return 0;
        ppoll(NULL, 0, &timeout, mask);
    }
}

static char *first_line(const char *directory, const char *name) {
    char *path = formatted("%s/%s", directory, name);
    struct bytes text = read_file(path);

    free(path);
    if (text.data != NULL)
        text.data[strcspn(text.data, "\r\n")] = '\0';
    return text.data;
}

/* Once a build, on its terminal and nowhere else: what it waits for. The engine keeps its step in `status`.
 */
static void say_progress(const struct unit *unit, const char *directory) {
    static const char *const words[] = {"1", "0", "false", "no", "off", NULL};
    char *mark = unit->store == NULL || unit->build == NULL
                     ? NULL
                     : formatted("%s/builds/%s.said", unit->store, unit->build);
    char *step = first_line(directory, "status");
    int terminal, once;

    if (mark != NULL && isatty(STDERR_FILENO) && choice(&unit->settings, "progress", words) == 0 &&
        (once = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) >= 0) {
        close(once);
        if ((terminal = open("/dev/tty", O_WRONLY | O_NOCTTY | O_CLOEXEC)) >= 0) {
            dprintf(terminal, "gcc-llm: working on %s; Ctrl-C is safe; `gccllm watch`: more\n",
                    step == NULL || *step == '\0' ? "the first functions" : step);
            close(terminal);
        }
    }
    free(step);
    free(mark);
}

/* The engine's answer from its wait status and files. */
static enum answer read_answer(const struct unit *unit, const char *directory, int status,
                               struct bytes *spliced, char **line) {
    char *path;

    if (WIFEXITED(status) && WEXITSTATUS(status) == STRICT_STATUS) {
        *line = first_line(directory, "strict");
        return STRICT;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        note(unit, "shim", "engine_crashed");
        return GCC_TEXT;
    }
    path = formatted("%s/out.s", directory);
    *spliced = read_file(path);
    free(path);
    return spliced->data == NULL || spliced->length == 0 ? GCC_TEXT : REWRITTEN;
}

static char *engine_program(void) {
    const char *named = getenv("GCCLLM_ENGINE");
    char *libexec = named != NULL && *named != '\0' ? NULL : installation();
    char *prefix = libexec == NULL ? NULL : directory_of(libexec);
    char *program = libexec == NULL ? (named == NULL ? NULL : strdup(named)) : NULL;

    if (prefix != NULL)
        program = formatted("%s/bin/gccllm-engine", prefix);
    free(prefix);
    free(libexec);
    if (program != NULL && access(program, X_OK) == 0)
        return program;
    free(program);
    return NULL;
}

enum answer ask_engine(const struct unit *unit, const char *mode, struct bytes *spliced, char **line) {
    static const char *const removed[] = {"PYTHONPATH", "PYTHONHOME",  "PYTHONSTARTUP", "MAKEFLAGS",
                                          "MFLAGS",     "GCCLLM_ARGV", "GCCLLM_DEPTH",  NULL};
    static char *const none[] = {NULL};
    const char *base = getenv("TMPDIR");
    char *program = engine_program();
    char *directory = formatted("%s/gccllm-XXXXXX", base == NULL || *base == '\0' ? "/tmp" : base);
    char **variables = environment(removed, none);
    struct sigaction handler = {.sa_handler = on_signal}, before[ENDINGS + 1];
    enum answer answer = GCC_TEXT;
    pid_t parent = getpid(), engine;
    sigset_t blocked, mask;
    int status = 0, ended;

    if (program == NULL)
        note(unit, "shim", "engine_missing");
    if (program == NULL || directory == NULL || variables == NULL)
        return GCC_TEXT;

    /* From here on a signal only sets `caught`; it is acted on when the directory is gone. What was ignored
     * stays so. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    for (int i = 0; i < ENDINGS; i++)
        sigaddset(&blocked, ending[i]);
    sigprocmask(SIG_BLOCK, &blocked, &mask);
    for (int i = 0; i < ENDINGS; i++) {
        sigaction(ending[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN)
            sigaction(ending[i], &handler, NULL);
    }
    sigaction(SIGCHLD, &handler, &before[ENDINGS]);

    if (mkdtemp(directory) != NULL) {
        if (write_request(unit, directory, mode) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0) {
            if ((engine = fork()) == 0)
                become_engine(program, directory, variables, &mask, parent);
            if (engine > 0) {
                ended = wait_until(engine, now_ms() + SILENT_S * 1000LL, &mask, &status, 1);
                if (!ended && caught == 0) {
                    say_progress(unit, directory);
                    ended = wait_until(engine, now_ms() + (patience(&unit->settings) - SILENT_S) * 1000LL,
                                       &mask, &status, 1);
                }
                if (!ended) {
                    if (caught == 0)
                        note(unit, "shim", "engine_timeout");
                    kill(engine, caught == 0 ? SIGTERM : caught);
                    if (!wait_until(engine, now_ms() + DYING_S * 1000, &mask, &status, 0)) {
                        kill(engine, SIGKILL);
                        waitpid(engine, NULL, 0);
                    }
                }
                sweep();
                if (ended)
                    answer = read_answer(unit, directory, status, spliced, line);
            }
            prctl(PR_SET_CHILD_SUBREAPER, 0);
        }
        remove_tree(directory);
    }

    for (int i = 0; i < ENDINGS; i++)
        sigaction(ending[i], &before[i], NULL);
    sigaction(SIGCHLD, &before[ENDINGS], NULL);
    if (caught != 0)
        raise(caught); /* delivered when the mask is lifted */
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return answer;
}
