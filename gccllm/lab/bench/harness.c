/*
 * harness: are two compilations of one kernel equal, and which is faster?
 *
 * build: gcc -O2 -DHARNESS -DKERNEL='"NAME.c"' harness.c A.o B.o C.o, where the objects define kern__a
 * (gcc's), kern__b (under test) and kern__c (gcc's again, elsewhere: the A/A control).
 *
 * usage: harness check TRIALS SEED SCALE  prints "equal TRIALS", or "differ TRIAL SEED SIZE WHAT A B" and
 * exits 1 harness time ROUNDS SEED         prints a line "A B C" per round: time-stamp-counter ticks per call
 * of run()
 *
 * It takes no part of the verifier: it has its own inputs, its own memory and its own comparison.
 *
 * check covers what run() returns, every byte of all memory the inputs lie in, callee-saved registers, the
 * stack pointer, the direction flag, MXCSR and the x87 control word after each call, and faults. Every buffer
 * ends (or, every other trial, starts) at an unmapped page. It does not cover reads that stay inside a page,
 * and stores that put back the value that was there. A fault prints "died VARIANT" and exits 2; endless loops
 * are the caller's to stop.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

/* --- memory: one region, given out from its start
 * ------------------------------------------------------------- */

enum { PAGE = 4096 };
static const size_t region_size = (size_t)256 << 20;
static uint8_t *region;
static size_t region_used;
static int varied;        /* 1 while checking: unusual values, random sizes, guard pages */
static int against_start; /* buffers start at a guard page (else they end at one) */

static void fail(const char *what) {
    fprintf(stderr, "harness: %s\n", what);
    exit(3);
}

static void *plain_or_guarded(size_t size, size_t align) {
    if (!varied) {
        uint8_t *at = region + region_used;
        region_used += (size + 63 + 64) & ~(size_t)63;
        if (region_used > region_size)
            fail("inputs too large");
        return at;
    }
    size_t whole = (size + PAGE - 1) / PAGE * PAGE;
    uint8_t *start = region + region_used + PAGE;
    region_used += whole + PAGE;
    if (region_used + PAGE > region_size)
        fail("inputs too large");
    if (whole && mprotect(start, whole, PROT_READ | PROT_WRITE))
        fail("mprotect");
    return against_start ? start : start + whole - (size + align - 1) / align * align;
}

static void forget_inputs(void) {
    if (varied && region_used && mprotect(region, region_used + PAGE, PROT_NONE))
        fail("mprotect");
    region_used = 0;
}

/* Digest of all memory given out, slack included. Guard pages are skipped. */
static uint64_t digest(uint64_t hash, const uint8_t *from, size_t size) {
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, from + i, 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    return hash;
}

/* --- the words kernel files use for their inputs
 * -------------------------------------------------------------- */

static uint64_t random_state;

static uint64_t random64(void) {
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* 0 .. limit - 1; 0 when limit is 0 */
static inline int64_t below(int64_t limit) { return limit > 0 ? (int64_t)(random64() % (uint64_t)limit) : 0; }
static inline int one_in(int n) { return below(n) == 0; }
static inline int coin(void) { return one_in(2); }

static inline void *bytes(size_t size) {
    uint8_t *p = plain_or_guarded(size, 1);
    for (size_t i = 0; i < size; i++)
        p[i] = random64();
    return p;
}

/* Memory that the kernel will write: junk while checking, zeros while timing. */
static inline void *output(size_t size, size_t align) {
    uint8_t *p = plain_or_guarded(size, align);
    if (!varied)
        return memset(p, 0, size);
    for (size_t i = 0; i < size; i++)
        p[i] = random64();
    return p;
}

static inline void *zeros(size_t size, size_t align) {
    return memset(plain_or_guarded(size, align), 0, size);
}

static inline void *copy(const void *from, size_t size, size_t align) {
    return memcpy(plain_or_guarded(size, align), from, size);
}

/* Memory for setup's own use: not the kernel's, not compared. */
static inline void *plain(size_t size) {
    static void *last;
    free(last);
    return last = calloc(size + 1, 1);
}

static inline void swap_bytes(char *p, char *q) {
    char t = *p;
    *p = *q;
    *q = t;
}

/* A string of `length` characters: English-like; while checking also any bytes, runs of blanks, high bytes.
 */
static inline char *text(size_t length) {
    char *p = plain_or_guarded(length + 1, 1);
    int kind = varied ? below(4) : 0;
    for (size_t i = 0; i < length; i++) {
        int r = below(100);
        if (kind == 1)
            p[i] = 1 + below(255);
        else if (kind == 2)
            p[i] = "  \n\tab"[below(6)];
        else if (kind == 3)
            p[i] = "AZaz@[`{"[below(8)];
        else
            p[i] = r < 16   ? ' '
                   : r < 18 ? '\n'
                   : r < 22 ? 'A' + below(26)
                   : r < 26 ? '0' + below(10)
                            : 'a' + below(26);
    }
    p[length] = 0;
    return p;
}

/* Integers in [low, high). */
static inline int *ints(size_t count, int low, int high) {
    int *p = plain_or_guarded(count * sizeof *p, sizeof *p);
    for (size_t i = 0; i < count; i++)
        p[i] = low + below((int64_t)high - low);
    return p;
}

/* Things to sort or search: while checking also few values, extremes, rising and falling runs. */
static inline int *keys(size_t count, int high) {
    int kind = varied ? below(6) : 0;
    int *p = ints(count, 0, kind == 1 ? 1 + below(5) : high);
    for (size_t i = 0; i < count; i++)
        p[i] = kind == 2   ? (int)i
               : kind == 3 ? (int)(count - i)
               : kind == 4 ? p[i] - high / 2
               : kind == 5 ? (one_in(4) ? (coin() ? INT32_MIN : INT32_MAX) : (int)random64())
                           : p[i];
    return p;
}

static inline uint32_t *words32(size_t count) {
    uint32_t *p = plain_or_guarded(count * sizeof *p, sizeof *p);
    for (size_t i = 0; i < count; i++)
        p[i] = random64();
    return p;
}

static inline uint64_t *words64(size_t count) {
    uint64_t *p = plain_or_guarded(count * sizeof *p, sizeof *p);
    for (size_t i = 0; i < count; i++)
        p[i] = varied && coin() ? random64() >> below(64) : random64();
    return p;
}

/* In [-1, 1); while checking sometimes also zeros of both signs, infinities, denormal and huge numbers. */
static inline double odd_number(double usual, double tiny, double huge) {
    switch (below(12)) {
    case 0:
        return coin() ? 0.0 : -0.0;
    case 1:
        return coin() ? tiny : -tiny;
    case 2:
        return coin() ? huge : -huge;
    case 3:
        return one_in(8) ? __builtin_inf() : usual;
    default:
        return usual * (double)(1u << below(30));
    }
}

static inline float *floats(size_t count) {
    float *p = plain_or_guarded(count * sizeof *p, sizeof *p);
    int odd = varied && coin();
    for (size_t i = 0; i < count; i++) {
        p[i] = below(100000) / 50000.0f - 1.0f;
        if (odd)
            p[i] = odd_number(p[i], 1e-40, 1e38);
    }
    return p;
}

static inline double *doubles(size_t count) {
    double *p = plain_or_guarded(count * sizeof *p, sizeof *p);
    int odd = varied && coin();
    for (size_t i = 0; i < count; i++) {
        p[i] = below(1000000) / 500000.0 - 1.0;
        if (odd)
            p[i] = odd_number(p[i], 1e-310, 1e308);
    }
    return p;
}

static inline uint64_t bits64(double value) {
    uint64_t word;
    memcpy(&word, &value, 8);
    return word;
}

static inline uint64_t bits32(float value) {
    uint32_t word;
    memcpy(&word, &value, 4);
    return word;
}

#include KERNEL

extern kern_t kern__a, kern__b, kern__c;

/* --- a call that watches the calling convention
 * ---------------------------------------------------------------
 *
 * `watched` stands in for the function: it takes the return address off the stack (so that stack arguments
 * stay where they are), fills the callee-saved registers with known junk, calls, and counts what came back
 * changed.
 */
__attribute__((used)) static struct {
    void *target, *back, *stack;
    uint64_t saved[6], broken;
    uint32_t mxcsr, mxcsr_after;
    uint16_t x87, x87_after;
} watch;

__asm__(".text\n"
        "watched:\n"
        "  popq watch+8(%rip)\n"
        "  movq %rsp, watch+16(%rip)\n"
        "  movq %rbx, watch+24(%rip)\n  movq %rbp, watch+32(%rip)\n  movq %r12, watch+40(%rip)\n"
        "  movq %r13, watch+48(%rip)\n  movq %r14, watch+56(%rip)\n  movq %r15, watch+64(%rip)\n"
        "  stmxcsr watch+80(%rip)\n  fnstcw watch+88(%rip)\n"
        "  movq $0x1badb001, %rbx\n  movq $0x2badb002, %rbp\n  movq $0x3badb003, %r12\n"
        "  movq $0x4badb004, %r13\n  movq $0x5badb005, %r14\n  movq $0x6badb006, %r15\n"
        "  call *watch(%rip)\n"
        "  cmpq $0x1badb001, %rbx\n  jne 1f\n  cmpq $0x2badb002, %rbp\n  jne 1f\n  cmpq $0x3badb003, %r12\n  "
        "jne 1f\n"
        "  cmpq $0x4badb004, %r13\n  jne 1f\n  cmpq $0x5badb005, %r14\n  jne 1f\n  cmpq $0x6badb006, %r15\n  "
        "jne 1f\n"
        "  cmpq watch+16(%rip), %rsp\n  jne 1f\n"
        "  pushfq\n  testl $0x400, (%rsp)\n  popq %rcx\n  jne 1f\n"
        "2:\n"
        "  stmxcsr watch+84(%rip)\n  fnstcw watch+90(%rip)\n"
        "  movq watch+24(%rip), %rbx\n  movq watch+32(%rip), %rbp\n  movq watch+40(%rip), %r12\n"
        "  movq watch+48(%rip), %r13\n  movq watch+56(%rip), %r14\n  movq watch+64(%rip), %r15\n"
        "  movq watch+16(%rip), %rsp\n"
        "  pushq watch+8(%rip)\n"
        "  ret\n"
        "1:\n"
        "  incq watch+72(%rip)\n  cld\n  jmp 2b\n");
extern kern_t watched;

/* --- check
 * ---------------------------------------------------------------------------------------------------- */

static volatile char variant_running = '-';

static void died(int signal_number) {
    char line[] = "died ?\n";
    line[5] = variant_running;
    ssize_t ignored = write(1, line, sizeof line - 1);
    (void)ignored;
    (void)signal_number;
    _exit(2);
}

typedef struct {
    uint64_t returned, memory, convention;
} outcome;

static outcome observe(kern_t *f, char variant, uint64_t seed, size_t size) {
    random_state = seed;
    against_start = coin();
    setup(size);
    watch.target = (void *)f;
    watch.broken = 0;
    variant_running = variant;
    outcome seen = {run(&watched), 0, 0};
    variant_running = '-';
    /* The control bits only: the sticky exception flags below them may differ between equal computations. */
    seen.convention =
        watch.broken + ((watch.mxcsr ^ watch.mxcsr_after) & 0xffc0u) + (watch.x87 ^ watch.x87_after);
    if (mprotect(region, region_used + PAGE, PROT_READ))
        fail("mprotect");
    seen.memory = digest(size, region, region_used);
    forget_inputs();
    return seen;
}

#ifdef BOUNDED
enum { IS_BOUNDED = 1 };
#else
enum { IS_BOUNDED = 0 };
#endif

static size_t checked_size(uint64_t trial, int scale) {
    size_t most = (size_t)MOST * (IS_BOUNDED ? 1 : scale), span = most - LEAST + 1;
    if (trial < 24 && LEAST + trial <= most)
        return LEAST + trial; /* every small size once */
    if (random64() % 3)
        span = span < 80 ? span : 80;
    return LEAST + random64() % span;
}

static int check(uint64_t trials, uint64_t seed, int scale) {
    static uint8_t signal_stack[65536];
    sigaltstack(&(stack_t){.ss_sp = signal_stack, .ss_size = sizeof signal_stack}, 0);
    struct sigaction action = {.sa_handler = died, .sa_flags = SA_ONSTACK};
    for (const int *s = (const int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, 0}; *s; s++)
        sigaction(*s, &action, 0);
    region = mmap(0, region_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED)
        fail("mmap");
    varied = 1;
    for (uint64_t trial = 0; trial < trials; trial++) {
        random_state = seed * 1000003 + trial;
        size_t size = checked_size(trial, scale);
        uint64_t inputs = random64();
        outcome a = observe(&kern__a, 'a', inputs, size), b = observe(&kern__b, 'b', inputs, size);
        const char *what = a.returned != b.returned ? "returned" : a.memory != b.memory ? "memory" : 0;
        if (!what && a.convention != b.convention)
            what = "convention";
        if (what) {
            printf("differ %lu %lu %zu %s %#lx %#lx\n", trial, inputs, size, what, a.returned, b.returned);
            return 1;
        }
    }
    printf("equal %lu\n", trials);
    return 0;
}

/* --- time
 * ----------------------------------------------------------------------------------------------------- */

#ifdef FRESH
enum { IS_FRESH = 1 };
#else
enum { IS_FRESH = 0 };
#endif

static uint8_t *snapshot;
static volatile uint64_t sink;

static void new_inputs(uint64_t seed) {
    random_state = seed;
    region_used = 0;
    setup(SIZE);
    snapshot = realloc(snapshot, region_used + 1);
    memcpy(snapshot, region, region_used);
}

static inline uint64_t start_ticks(void) {
    _mm_lfence();
    uint64_t now = __rdtsc();
    _mm_lfence();
    return now;
}

static inline uint64_t stop_ticks(void) {
    unsigned processor;
    uint64_t now = __rdtscp(&processor);
    _mm_lfence();
    return now;
}

static uint64_t nothing_ticks(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t from = start_ticks(), took = stop_ticks() - from;
        least = took < least ? took : least;
    }
    return least;
}

/*
 * Ticks of one call. A call of BATCH_NS or more is timed once on inputs that no variant's branches have seen:
 * predictors learn thousands of branches in a few repetitions. Shorter ones: the least of five batches of
 * `repeat` calls, warm.
 */
static double sample(kern_t *f, int repeat, uint64_t nothing) {
    uint64_t least = UINT64_MAX;
    if (repeat > 1)
        sink += run(f);
    for (int i = 0; i < (repeat > 1 ? 5 : 1); i++) {
        memcpy(region, snapshot, region_used);
        uint64_t from = start_ticks();
        for (int j = 0; j < repeat; j++)
            sink += run(f);
        uint64_t took = stop_ticks() - from;
        least = took < least ? took : least;
    }
    return (double)(least > nothing ? least - nothing : 1) / repeat;
}

static double ticks_per_second(void) {
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    uint64_t ticks = __rdtsc();
    double seconds;
    do {
        clock_gettime(CLOCK_MONOTONIC, &to);
        seconds = (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) * 1e-9;
    } while (seconds < 2e-3);
    return (__rdtsc() - ticks) / seconds;
}

static int time_rounds(int rounds, uint64_t seed) {
    enum { VARIANTS = 3, BATCH_NS = 2000, MOST_CALLS = 2000 };
    kern_t *const variants[VARIANTS] = {&kern__a, &kern__b, &kern__c};
    region = mmap(0, region_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED)
        fail("mmap");
    uint64_t nothing = nothing_ticks();
    new_inputs(seed);
    double once = 1e300, wanted = BATCH_NS * 1e-9 * ticks_per_second();
    for (int i = 0; i < 3; i++) {
        double took = sample(&kern__a, 1, nothing);
        once = took < once ? took : once;
    }
    int repeat = IS_FRESH || once >= wanted ? 1 : (int)(wanted / once) + 1;
    repeat = repeat > MOST_CALLS ? MOST_CALLS : repeat;
    for (int round = 0; round < (repeat > 1 ? rounds : 5 * rounds); round++) {
        new_inputs(seed + 1 + round);
        uint64_t shuffle = random64();
        int order[VARIANTS] = {0, 1, 2};
        for (int i = VARIANTS - 1; i > 0; i--, shuffle >>= 8) {
            int j = (shuffle & 255) % (i + 1), t = order[i];
            order[i] = order[j];
            order[j] = t;
        }
        double took[VARIANTS];
        for (int i = 0; i < VARIANTS; i++)
            took[order[i]] = sample(variants[order[i]], repeat, nothing);
        printf("%.1f %.1f %.1f\n", took[0], took[1], took[2]);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 5 && !strcmp(argv[1], "check"))
        return check(strtoull(argv[2], 0, 10), strtoull(argv[3], 0, 10), atoi(argv[4]));
    if (argc == 4 && !strcmp(argv[1], "time"))
        return time_rounds(atoi(argv[2]), strtoull(argv[3], 0, 10));
    fputs("usage: harness check TRIALS SEED SCALE | harness time ROUNDS SEED\n", stderr);
    return 3;
}
