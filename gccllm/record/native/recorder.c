/*
 * The recorder: linked into every image that has a recorded function. A stub at the function's entry counts its calls
 * and comes here for some of them; docs/internals/recording.md has the whole way of a call.
 *
 * Without GCCLLM_RECORD_DIR in the environment, or in a set-user-id program, the first call of each function comes
 * here, and no other. Otherwise samples of the calls are captured, each in a child process (capture.h).
 *
 * What the program cannot see: no descriptor is ever opened in it; the child sends it no SIGCHLD and is none that its
 * own wait finds; a sample that comes to nothing is counted and forgotten. All signals are blocked around a sample:
 * no handler of the program runs, or jumps away, between taking the lock and giving it back, the wait is not
 * interrupted, and the child starts with everything blocked. A signal that comes meanwhile is delivered after it.
 * What it can see: time, up to 8 MiB of address space, the processor time of waited-for children, minor page faults.
 *
 * Needs /proc. Not for programs that confine themselves by a filter which kills for clone or wait4.
 */
#include "capture.h"
#include "chance.h"

enum { DEFAULT_CALLS = 24, DEFAULT_PERCENT = 3, WRITE_EVERY = 64, MANY_FAILURES = 8 };
enum { CLONE_NS = 80000, PAGE_COPY_NS = 100 };
static const u64 DEFAULT_BYTES = 256ul << 20;
static const u64 FREE_NS = 30 * 1000000;        /* of recording, however short the program */
static const u64 FIRST_NS = 1000 * 1000000;     /* more, for the first captures of functions: one may be of 64 MiB */
static const u32 FIRST_CALLS = 3;               /* of a function, that may take from the whole budget */
static const int64_t NEVER = (int64_t)1 << 62;  /* calls */
static const int64_t SOON = 1000;

/* Of this image. */
static struct state *volatile current __attribute__((section(".bss.record")));
#define NOT_YET ((struct state *)0)
#define OFF ((struct state *)1)
#define STARTING ((struct state *)2)

void sample(const struct registers *, struct descriptor *, u64 r11) __attribute__((used));

__asm__(".text\n"
        ".globl __gccllm_record_v2\n"
        ".hidden __gccllm_record_v2\n"
        ".type __gccllm_record_v2, @function\n"
        /* r11: the descriptor. On the stack: our way back, r11 as it was, and what the function found. Keeps every
         * register: a caller in the same unit may know which ones the function leaves alone. */
        "__gccllm_record_v2:\n"
        "\tpushq %r11\n"
        "\tpushfq\n"
        "\tsubq $120, %rsp\n"
        "\tmovq %rdi, (%rsp)\n"
        "\tmovq %rsi, 8(%rsp)\n"
        "\tmovq %rdx, 16(%rsp)\n"
        "\tmovq %rcx, 24(%rsp)\n"
        "\tmovq %r8, 32(%rsp)\n"
        "\tmovq %r9, 40(%rsp)\n"
        "\tmovq %rax, 48(%rsp)\n"
        "\tmovq %r10, 56(%rsp)\n"
        "\tmovq %rbx, 64(%rsp)\n"
        "\tmovq %rbp, 72(%rsp)\n"
        "\tmovq %r12, 80(%rsp)\n"
        "\tmovq %r13, 88(%rsp)\n"
        "\tmovq %r14, 96(%rsp)\n"
        "\tmovq %r15, 104(%rsp)\n"
        "\tleaq 152(%rsp), %rax\n"
        "\tmovq %rax, 112(%rsp)\n"
        "\tmovq %rsp, %rdi\n"
        "\tmovq %r11, %rsi\n"
        "\tmovq 144(%rsp), %rdx\n"
        "\tmovq %rsp, %rbx\n"
        "\tandq $-16, %rsp\n"
        "\tcld\n"
        "\tcall sample\n"
        "\tmovq %rbx, %rsp\n"
        "\tmovq (%rsp), %rdi\n"
        "\tmovq 8(%rsp), %rsi\n"
        "\tmovq 16(%rsp), %rdx\n"
        "\tmovq 24(%rsp), %rcx\n"
        "\tmovq 32(%rsp), %r8\n"
        "\tmovq 40(%rsp), %r9\n"
        "\tmovq 48(%rsp), %rax\n"
        "\tmovq 56(%rsp), %r10\n"
        "\tmovq 64(%rsp), %rbx\n"
        "\taddq $120, %rsp\n"
        "\tpopfq\n"
        "\tpopq %r11\n"
        "\tret\n"
        ".size __gccllm_record_v2, .-__gccllm_record_v2\n");

/* Two threads may do this at once: counts are then a little wrong, no more. */
static void arm(struct descriptor *of, int64_t calls) {
    of->started = calls;
    of->countdown = calls;
}

/* --- setting up ---------------------------------------------------------------------------------- */

/* This process begins to record: the first time, or as the child of one that does. */
static int begin(struct state *state) {
    struct said *said = map_memory(PAGE, MAP_SHARED);

    if (said == NULL)
        return 0;
    if (state->said != NULL)
        call2(SYS_munmap, state->said, PAGE);
    for (u32 i = 0; i < state->functions; i++) {
        struct descriptor *of = state->table[i].of;

        of->calls = 0;
        of->state = NULL;
        arm(of, 0);
    }
    state->said = said;
    state->functions = 0;
    state->captured = state->bytes = 0;
    state->start = nanoseconds(CLOCK_REALTIME);
    state->random = (state->start ^ ticks_now() << 20) | 1;
    state->spent = state->copied = 0;
    state->own.pid = (u64)call0(SYS_getpid);
    return 1;
}

static struct state *set_up(void) {
    struct state *state = map_memory(sizeof(*state), MAP_PRIVATE | MAP_NORESERVE);

    if (state == NULL)
        return OFF;
    state->most_calls = DEFAULT_CALLS;
    state->most_bytes = DEFAULT_BYTES;
    state->most_percent = DEFAULT_PERCENT;
    if (call3(SYS_madvise, &state->own, PAGE, MADV_WIPEONFORK) == 0 && borrowing(state, read_settings) &&
        state->directory[0] != '\0' && begin(state)) {
        if (state->most_calls < 1 || state->most_calls > MOST_CALLS)
            state->most_calls = state->most_calls < 1 ? 1 : MOST_CALLS;
        return state;
    }
    call2(SYS_munmap, state, sizeof(*state));
    return OFF;
}

static struct function *row_of(struct state *state, struct descriptor *of) {
    struct function *row = of->state;

    if (row != NULL || state->functions == MOST_FUNCTIONS)
        return row;
    row = &state->table[state->functions];
    for (u64 i = 0; i < sizeof(*row) / 4; i++)
        ((u32 *)row)[i] = 0;
    row->of = of;
    row->ticks = ticks_now();
    of->state = row;
    state->functions++;
    return row;
}

/* --- one sample ---------------------------------------------------------------------------------- */

/* Until the child has said what became of it, or is dead. `usage` gets the time that it ran. */
static enum word wait_for(long child, struct said *said, struct usage *usage) {
    const u64 began = nanoseconds(CLOCK_MONOTONIC);
    const struct timespec pause = {0, 5 * 1000000};
    int status = 0, is_killed = 0;
    long ended = 0;

    while (ended == 0 && !__atomic_load_n(&said->is_done, __ATOMIC_SEQ_CST)) {
        system_call(SYS_futex, (u64)&said->is_done, FUTEX_WAIT, 0, (u64)&pause, 0, 0);
        ended = call4(SYS_wait4, child, &status, __WALL | WNOHANG, usage);
        if (!is_killed && nanoseconds(CLOCK_MONOTONIC) - began > (u64)PATIENCE_MS * 1000000) {
            is_killed = 1;
            call2(SYS_kill, child, SIGKILL);
        }
    }
    while (ended == 0 || ended == -EINTR)
        ended = call4(SYS_wait4, child, &status, __WALL, usage);
    if (said->is_done)
        return (enum word)said->word;
    return is_killed || (status & 127) == SIGPROF ? TIMER : KILLED;
}

static void look_at_usage(struct usage *usage) {
    usage->minor_faults = usage->sizes[0] = 0;
    call2(SYS_getrusage, 0, usage);
}

static enum word make_capture(struct state *state, const struct registers *at, const struct descriptor *of, u64 r11,
                              u64 call, u32 slot, u64 most_bytes) {
    /* The copy finds our own page zeroed, and has to be told who its parent is. */
    struct sample sample = {state, of, at, r11, call, most_bytes, slot, state->own.pid};
    const u64 began = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    struct usage usage;
    enum word word = CLONE;
    u64 cloned;
    long child;

    state->said->is_done = 0;
    child = system_call(SYS_clone, CLONE_UNTRACED, 0, 0, 0, 0, 0);
    if (child == 0) {
        current = OFF; /* of the copy: what the function calls is not sampled */
        become_capture(&sample);
    }
    cloned = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    usage.user[0] = usage.user[1] = usage.system[0] = usage.system[1] = 0;
    if (child > 0)
        word = wait_for(child, state->said, &usage);
    state->copied = cloned - began > CLONE_NS ? (cloned - began - CLONE_NS) / PAGE_COPY_NS : 0;
    state->spent += nanoseconds(CLOCK_THREAD_CPUTIME_ID) - began +
                    (usage.user[0] + usage.system[0]) * 1000000000 + (usage.user[1] + usage.system[1]) * 1000;
    look_at_usage(&usage);
    state->faults = usage.minor_faults;
    return word;
}

/* What is written again after the copy faults, at ten times the cost of having copied it: measured, 1.07 us a page
 * and 0.11 us. How many pages were copied is told by the time that it took. Before a sample, the guess is that a
 * quarter of all pages will be written again. */
static int may_spend(struct state *state, const struct function *row) {
    u64 most = FREE_NS + nanoseconds(CLOCK_PROCESS_CPUTIME_ID) / 100 * state->most_percent, written, pages;
    struct usage usage;

    /* Half is for the first calls of functions that are yet to come: the first one met would take it all. */
    if (row->filled >= FIRST_CALLS)
        most /= 2;
    if (row->filled == 0 && row->failures == 0 && state->most_percent > 0)
        most += FIRST_NS;
    look_at_usage(&usage);
    written = usage.minor_faults - state->faults;
    written = written < state->copied ? written : state->copied;
    pages = usage.sizes[0] / (PAGE / 1024);
    state->spent += written * 10 * PAGE_COPY_NS;
    state->copied -= written;
    state->faults = usage.minor_faults;
    if (state->spent >= most || state->spent + pages * 4 * PAGE_COPY_NS < most)
        return state->spent < most;
    /* The largest size is that of whoever started the program, when that is larger. */
    state->resident = pages;
    borrowing(state, read_resident);
    state->spent += CLONE_NS;
    return state->spent + state->resident * 4 * PAGE_COPY_NS < most;
}

/* After so many calls about 2^25 ticks, some 10 ms, will have passed. */
static int64_t calls_to_pause(const struct function *row, u64 passed) {
    u64 calls = (passed << 20) / (((ticks_now() - row->ticks) >> 5) + 1);

    return calls < 1 ? 1 : calls > 1u << 20 ? 1 << 20 : (int64_t)calls;
}

/* Counts what became of the sample, and says after how many calls the next one is due. */
static int64_t take(struct state *state, const struct registers *at, struct function *row, u64 r11, u64 passed) {
    struct descriptor *of = row->of;
    u64 call = of->calls, kept = state->most_calls, before, most, others, share;
    u32 slot = row->filled < kept ? row->filled : (u32)(next_random(&state->random) % kept);
    enum word word;

    if (!may_spend(state, row)) {
        row->dropped[BUDGET]++;
        return calls_to_pause(row, passed);
    }
    before = row->sizes[slot];
    /* A function has a quarter of the room at most, but for a first call that alone is larger. */
    most = state->most_bytes - (state->bytes - before);
    others = row->bytes - before;
    share = state->most_bytes / 4 > others ? state->most_bytes / 4 - others : 0;
    if (others > 0 && most > share)
        most = share;
    word = make_capture(state, at, of, r11, call, slot, most);
    if (word >= WORDS)
        word = KILLED;
    if (word == CAPTURED) {
        u64 bytes = state->said->bytes;

        row->failures = 0;
        row->filled += slot == row->filled;
        row->sizes[slot] = (u32)bytes;
        row->bytes += bytes - before;
        state->bytes += bytes - before;
        row->captured++;
        state->captured++;
        /* The first ones soon: the program may be killed. */
        if ((state->captured & (state->captured - 1)) == 0 || state->captured % WRITE_EVERY == 0)
            borrowing(state, write_counts);
    } else {
        row->dropped[word]++;
        row->failures++;
    }
    if (row->failures >= MANY_FAILURES)
        return (int64_t)call; /* from now on at every doubling */
    return row->filled < kept ? 0 : (int64_t)(next_kept(call, kept, &state->random) - call - 1);
}

static void take_turn(struct state *state, const struct registers *at, struct descriptor *of, u64 r11, u64 passed) {
    u64 pid = (u64)call0(SYS_getpid);
    struct function *row;

    if (state->own.pid == 0) {
        if (!begin(state)) {
            current = OFF;
            return;
        }
        of->calls = passed = 1;
    }
    if (state->own.pid != pid) { /* after vfork: the memory is the parent's */
        if (of->state != NULL)
            of->state->dropped[BORROWED]++;
        arm(of, SOON);
        return;
    }
    if ((row = row_of(state, of)) == NULL) {
        arm(of, NEVER);
        return;
    }
    arm(of, take(state, at, row, r11, passed));
    row->ticks = ticks_now();
}

static int is_taken(struct own *own) { return __atomic_exchange_n(&own->is_taken, 1, __ATOMIC_ACQUIRE); }

static void give_back(struct own *own) { __atomic_store_n(&own->is_taken, 0, __ATOMIC_RELEASE); }

/* A call that the countdown chose. `at` is what the function finds; nothing of it may be changed. */
void sample(const struct registers *at, struct descriptor *of, u64 r11) {
    const u64 all = ~0ul;
    u64 passed = (u64)(of->started - of->countdown), mask;
    struct state *state = current;

    __atomic_fetch_add(&of->calls, passed, __ATOMIC_RELAXED);
    if (state == OFF) {
        arm(of, NEVER);
        return;
    }
    arm(of, SOON); /* what other threads find meanwhile */
    call4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, 8);
    if (state == NOT_YET && __sync_bool_compare_and_swap(&current, NOT_YET, STARTING))
        current = state = set_up();
    if (state == OFF) {
        arm(of, NEVER);
    } else if (state != NOT_YET && state != STARTING) {
        if (!is_taken(&state->own)) {
            take_turn(state, at, of, r11, passed);
            give_back(&state->own);
        } else if (of->state != NULL) {
            __atomic_fetch_add(&of->state->dropped[BUSY], 1, __ATOMIC_RELAXED);
        }
    }
    call4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
}

/* The image ends, with its process or before it. */
void end_recording(void) __attribute__((used));

void end_recording(void) {
    const u64 all = ~0ul;
    struct state *state = current;
    u64 mask;

    if (state == NOT_YET || state == OFF || state == STARTING)
        return;
    call4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, 8);
    if (state->own.pid == (u64)call0(SYS_getpid) && !is_taken(&state->own)) {
        borrowing(state, write_counts);
        current = OFF;
        give_back(&state->own);
    }
    call4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
}
