/*
 * Which build does this compile belong to? All compiles of one `make`, `ninja` or `pip` share what work may
 * cost (setting build_budget), and there is no daemon that could tell: the processes above us do. See shim.h.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

enum { DEEPEST = 256, COMMAND_BYTES = 64 };

struct process {
    char command[COMMAND_BYTES]; /* as the kernel has it: 15 characters at most */
    int parent, session;
    unsigned long long started; /* clock ticks since the machine did */
};

static int read_process(int id, struct process *process) {
    char *path = formatted("/proc/%d/stat", id);
    struct bytes text = read_file(path);
    char *open = text.data == NULL ? NULL : strchr(text.data, '(');
    char *close = open == NULL ? NULL : strrchr(open, ')'); /* a name may have brackets of its own */
    int is_read = 0;

    if (close != NULL && close - open <= COMMAND_BYTES) {
        memset(process, 0, sizeof(*process));
        memcpy(process->command, open + 1, (size_t)(close - open - 1));
        /* State, parent, group, session, and the 16th field after that: proc(5). */
        is_read = sscanf(close + 1,
                         " %*c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                         &process->parent, &process->session, &process->started) == 3;
    }
    free(text.data);
    free(path);
    return is_read;
}

static int is_build_tool(const char *command) {
    static const char *const tools[] = {
        "bazel", "cargo", "cmake",  "ctest",   "debuild",     "dpkg-buildpacka", "emake", "gmake", "just",
        "make",  "meson", "ninja",  "pip",     "pip3",        "rpmbuild",        "samu",  "scons", "tup",
        "waf",   "xmake", "abuild", "makepkg", "ninja-build", "poetry",          "uv",
    };

    return is_among(command, tools, sizeof(tools) / sizeof(tools[0]));
}

/*
 * The outermost build tool above us; without one, the outermost process below the leader of our session:
 * what was typed into a shell. A process is named by its id and its start, for ids come back.
 */
char *build_of(void) {
    int session = (int)getsid(0), tool = 0, below = 0;
    unsigned long long tool_started = 0, below_started = 0;
    struct process process;

    for (int id = (int)getpid(), depth = 0; id > 0 && depth < DEEPEST && read_process(id, &process);
         id = process.parent, depth++) {
        if (is_build_tool(process.command)) {
            tool = id;
            tool_started = process.started;
        }
        if (process.session == session && (id != session || below == 0)) {
            below = id;
            below_started = process.started;
        }
    }
    if (tool != 0)
        return formatted("%d-%llu", tool, tool_started);
    return below == 0 ? NULL : formatted("%d-%llu", below, below_started);
}

/* The engine leaves this file when the build has had its work (gccllm/store/build_budget.py). */
int is_spent(const struct unit *unit) {
    char *path = unit->store == NULL || unit->build == NULL
                     ? NULL
                     : formatted("%s/builds/%s.spent", unit->store, unit->build);
    int is = path != NULL && access(path, F_OK) == 0;

    free(path);
    return is;
}
