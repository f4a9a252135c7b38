/*
 * Linked into a program: every instruction of chosen functions is stopped at, and the stack is unwound from there.
 *
 * CAMPAIGN_RANGES names a file of lines "START SIZE NAME", in hexadecimal and relative to the program's start. From a
 * constructor on the trap flag is set, so that each instruction ends in SIGTRAP. At a function's first instruction the
 * return address and the CFA are read off the stack; at each later one _Unwind_Backtrace must find both. Ends with
 * status 99 and a line on stderr at the first that it does not; else writes what it saw to CAMPAIGN_STEPS.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

enum { MOST = 256, MOST_STEPS = 2000 };
static struct range {
    unsigned long start, end, cfa, back, steps;
    char name[64];
    int is_entered;
} ranges[MOST];
static int count;
static unsigned long whole;
extern char __executable_start[];

struct look { unsigned long pc, back, cfa; int found; };

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *context, void *data) {
    struct look *look = data;
    int before = 0;

    if (look->found == 1) {
        look->back = _Unwind_GetIPInfo(context, &before);
        look->found = 2;
        return _URC_END_OF_STACK;
    }
    /* What is given as a frame's CFA is the stack pointer in it: the callee's CFA. */
    if (_Unwind_GetIPInfo(context, &before) == look->pc && before)
        look->found = 1;
    return _URC_NO_REASON;
}

static _Unwind_Reason_Code on_cfa(struct _Unwind_Context *context, void *data) {
    struct look *look = data;
    int before = 0;

    if (look->found == 2) {
        if (_Unwind_GetIPInfo(context, &before) == look->back && look->cfa == 0)
            look->cfa = _Unwind_GetCFA(context);
        return look->cfa ? _URC_END_OF_STACK : _URC_NO_REASON;
    }
    return _URC_NO_REASON;
}

static void end(const char *why, const struct range *range, unsigned long pc, const struct look *look) {
    fprintf(stderr, "%s in %s+%#lx: back %#lx, unwound %#lx; cfa %#lx, unwound %#lx\n", why, range->name,
            pc - range->start, range->back, look->back, range->cfa, look->cfa);
    _exit(99);
}

static void on_trap(int signal, siginfo_t *info, void *data) {
    ucontext_t *context = data;
    unsigned long pc = (unsigned long)context->uc_mcontext.gregs[REG_RIP];
    unsigned long sp = (unsigned long)context->uc_mcontext.gregs[REG_RSP];

    (void)signal, (void)info;
    for (int i = 0; i < count; i++) {
        struct range *range = &ranges[i];
        struct look look = {pc, 0, 0, 0};

        if (pc < range->start || pc >= range->end)
            continue;
        if (pc == range->start) {
            range->is_entered = 1;
            range->cfa = sp + 8;
            range->back = *(unsigned long *)sp;
        }
        if (!range->is_entered || range->steps >= MOST_STEPS)
            return;
        range->steps++;
        whole++;
        _Unwind_Backtrace(on_frame, &look);
        if (look.found != 2 || look.back != range->back)
            end("wrong return address", range, pc, &look);
        _Unwind_Backtrace(on_cfa, &look);
        if (look.cfa != range->cfa)
            end("wrong CFA", range, pc, &look);
        return;
    }
}

static void at_end(void) {
    const char *path = getenv("CAMPAIGN_STEPS");
    FILE *file;

    __asm__ volatile("pushfq; andl $~0x100, (%%rsp); popfq" ::: "cc", "memory");
    if (path != NULL && (file = fopen(path, "w")) != NULL) {
        int entered = 0;
        for (int i = 0; i < count; i++)
            entered += ranges[i].is_entered;
        fprintf(file, "%lu %d\n", whole, entered);
        fclose(file);
    }
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("CAMPAIGN_RANGES");
    FILE *file = path == NULL ? NULL : fopen(path, "r");
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct look nothing = {0, 0, 0, 0};
    unsigned long size;

    if (file == NULL)
        return;
    while (count < MOST && fscanf(file, "%lx %lx %63s", &ranges[count].start, &size, ranges[count].name) == 3) {
        ranges[count].start += (unsigned long)__executable_start;
        ranges[count].end = ranges[count].start + size;
        count++;
    }
    fclose(file);
    _Unwind_Backtrace(on_frame, &nothing); /* what it loads, it loads now */
    sigaction(SIGTRAP, &action, NULL);
    atexit(at_end);
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq" ::: "cc", "memory");
}
