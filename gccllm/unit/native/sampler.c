/*
 * sampler: where a program and its children spend CPU time, without perf.
 *
 * build: gcc -O2 -shared -fPIC; use: LD_PRELOAD, with GCCLLM_SAMPLER_DIR naming a directory.
 *
 * Every process image makes a table file PID.N there, mapped and shared, so that its counts outlive any way
 * to end, SIGKILL included. A forked child goes on counting in its parent's table: its code lies at the same
 * addresses. Beside the table, PID.N.maps holds /proc/self/maps, written at the start and again at exit (for
 * libraries loaded later).
 *
 * Each thread has a timer on its own CPU clock that sends it SIGPROF every GCCLLM_SAMPLER_US microseconds of
 * CPU time (default 2000; the kernel's tick is the lower limit). Sleeping threads get none, so no wait of
 * theirs is cut short, and timers of timer_create end at exec, together with their pending signals: a program
 * that does not load this library cannot be killed by one.
 *
 * A program that handles SIGPROF itself is left alone from then on. Not seen: static programs, threads made
 * without pthread_create, code run while SIGPROF is blocked. Every failure here means no samples, never a
 * changed program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* The table: (program counter, count) pairs, open addressing; slot 0 counts what found no room. */
enum { SLOTS = 1 << 15, PROBES = 64 };
typedef struct {
    _Atomic uint64_t pc, count;
} slot;

static slot *table;
static char maps_path[4096];
static _Atomic int is_off;
static _Thread_local timer_t own_timer;
static _Thread_local int has_timer;

static void on_tick(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number;
    (void)info;
    uint64_t pc = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    uint64_t at = pc * 0x9E3779B97F4A7C15u >> 49;
    for (int i = 0; i < PROBES; i++) {
        slot *s = &table[1 + (at + i) % (SLOTS - 1)];
        uint64_t held = 0;
        if (atomic_compare_exchange_strong(&s->pc, &held, pc) || held == pc) {
            atomic_fetch_add(&s->count, 1);
            return;
        }
    }
    atomic_fetch_add(&table[0].count, 1);
}

static void start_timer(void) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
    const char *text = getenv("GCCLLM_SAMPLER_US");
    long us = text && atol(text) > 0 ? atol(text) : 2000;
    struct itimerspec every = {.it_interval = {us / 1000000, us % 1000000 * 1000}};
    if (!table || is_off)
        return;
    every.it_value = every.it_interval;
    event._sigev_un._tid = syscall(SYS_gettid);
    has_timer = timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &own_timer) == 0;
    if (has_timer)
        timer_settime(own_timer, 0, &every, 0);
}

static void stop_timer(void *unused) {
    (void)unused;
    if (has_timer)
        timer_delete(own_timer);
    has_timer = 0;
}

static void in_child(void) {
    has_timer = 0; /* timers are not inherited */
    int kept = errno;
    start_timer();
    errno = kept;
}

static void copy_maps(void) {
    char buffer[16384];
    int from = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    int to = open(maps_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (ssize_t got; from >= 0 && to >= 0 && (got = read(from, buffer, sizeof buffer)) > 0;)
        if (write(to, buffer, got) != got)
            break;
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
}

static void make_table(const char *directory) {
    char path[4000];
    int file = -1;
    for (int n = 0; file < 0 && n < 1000; n++) {
        if (snprintf(path, sizeof path, "%s/%d.%d", directory, (int)getpid(), n) >= (int)sizeof path)
            return;
        file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0 && errno != EEXIST)
            return;
    }
    if (file < 0)
        return;
    if (ftruncate(file, SLOTS * sizeof(slot)) == 0) {
        void *at = mmap(0, SLOTS * sizeof(slot), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        table = at == MAP_FAILED ? 0 : at;
    }
    close(file);
    snprintf(maps_path, sizeof maps_path, "%s.maps", path);
}

__attribute__((constructor)) static void begin(void) {
    int kept = errno;
    const char *directory = getenv("GCCLLM_SAMPLER_DIR");
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    if (directory)
        make_table(directory);
    if (table) {
        copy_maps();
        int (*real)(int, const struct sigaction *, struct sigaction *) = dlsym(RTLD_NEXT, "sigaction");
        if (real && real(SIGPROF, &action, 0) == 0 && pthread_atfork(0, 0, in_child) == 0)
            start_timer();
    }
    errno = kept;
}

__attribute__((destructor)) static void end(void) {
    if (table)
        copy_maps();
}

/* --- the three functions of libc that could end the sampling or be ended by it
 * ----------------------------------- */

typedef struct {
    void *(*run)(void *);
    void *argument;
} thread_start;

static void *run_thread(void *given) {
    thread_start start = *(thread_start *)given;
    void *result;
    free(given);
    start_timer();
    pthread_cleanup_push(stop_timer, 0);
    result = start.run(start.argument);
    pthread_cleanup_pop(1);
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument) {
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        dlsym(RTLD_NEXT, "pthread_create");
    thread_start *start = table ? malloc(sizeof *start) : 0;
    if (!start)
        return real(thread, attributes, run, argument);
    *start = (thread_start){run, argument};
    int failed = real(thread, attributes, run_thread, start);
    if (failed)
        free(start);
    return failed;
}

/* A handler of the program's own takes SIGPROF over; a reset to the default must not let a tick kill it. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
    int (*real)(int, const struct sigaction *, struct sigaction *) = dlsym(RTLD_NEXT, "sigaction");
    if (number != SIGPROF || !table || is_off)
        return real(number, action, old);
    if (action && action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN) {
        is_off = 1;
        stop_timer(0);
        real(number, action, 0);
    }
    if (old)
        *old = (struct sigaction){.sa_handler = SIG_DFL};
    return 0;
}

sighandler_t signal(int number, sighandler_t handler) {
    sighandler_t (*real)(int, sighandler_t) = dlsym(RTLD_NEXT, "signal");
    if (number != SIGPROF || !table || is_off)
        return real(number, handler);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(number, &action, 0);
    return SIG_DFL;
}
