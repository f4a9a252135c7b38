/*
 * Callers of one function, on the tests of call.h, in every way that the ABI allows. Compiled at several levels; prints
 * a line a way: a digest of results, memory and of everything the caller kept over the call.
 *
 * call.h: NAME, INTS, REALS, SLOTS, RETURN_INT / RETURN_REAL (bytes, 0: none), IS_ALONE (it writes globals: no threads),
 * STEP (bytes by which arguments may be moved), tests[] with their regions.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

struct region { int arena; unsigned offset, length; const unsigned char *data; };
struct test {
    uint64_t ints[6], reals[8], slots[8];
    int arenas, regions;
    const struct region *region;
};
#include "call.h"

#define BASE 0x610000000000ul
#define STRIDE 0x10000000ul
#define BYTES 0x10000ul
#define ARENAS 12

extern uint64_t NAME(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, double, double, double, double, double,
                     double, double, double, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                     uint64_t);
typedef double real_of(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, double, double, double, double, double,
                       double, double, double, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t);

static uint64_t mix(uint64_t digest, uint64_t word) {
    digest = (digest ^ word) * 0x9e3779b97f4a7c15ul;
    return digest ^ digest >> 29;
}

static int is_place(uint64_t word) { return word >= BASE && word - BASE < ARENAS * STRIDE; }

static uint64_t moved(uint64_t word, uint64_t by) { return is_place(word) ? word + by : word; }

/* Memory of a test, every pointer in it moved by `by`. */
static void lay(const struct test *test, uint64_t by) {
    for (int i = 0; i < test->arenas; i++) {
        unsigned char *arena = (unsigned char *)(BASE + i * STRIDE + by);
        for (unsigned k = 0; k < BYTES; k += 8) {
            uint64_t junk = (k + 1u) * 0x9e3779b97f4a7c15ul >> 3;
            memcpy(arena + k, &junk, 8);
        }
    }
    for (int i = 0; i < test->regions; i++) {
        const struct region *region = &test->region[i];
        unsigned char *at = (unsigned char *)(BASE + region->arena * STRIDE + by) + region->offset;
        memcpy(at, region->data, region->length);
        for (unsigned k = -region->offset & 7u; k + 8 <= region->length; k += 8) {
            uint64_t word;
            memcpy(&word, at + k, 8);
            word = moved(word, by);
            memcpy(at + k, &word, 8);
        }
    }
}

static uint64_t look(const struct test *test, uint64_t by, uint64_t digest) {
    for (int i = 0; i < test->arenas; i++)
        for (unsigned k = 0; k < BYTES; k += 8) {
            uint64_t word;
            memcpy(&word, (unsigned char *)(BASE + i * STRIDE + by) + k, 8);
            digest = mix(digest, is_place(word - by) && by ? word - by : word);
        }
    return digest;
}

static double real(uint64_t bits) {
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static uint64_t bits(double value) {
    uint64_t word;
    memcpy(&word, &value, 8);
    return word;
}

/* The call: as many values as there are registers are alive over it. */
static __attribute__((noinline)) uint64_t call(const struct test *t, uint64_t by, uint64_t digest) {
    uint64_t a[6], k0 = digest * 3, k1 = digest * 5, k2 = digest ^ 7, k3 = digest + 9, k4 = digest - 11, k5 = ~digest,
                   k6 = digest << 3, k7 = digest >> 5, result = 0;
    double x0 = (double)(k0 >> 40), x1 = (double)(k1 >> 41), x2 = x0 * 3.0, x3 = x1 * 5.0, x4 = x0 - x1, x5 = x0 + x1;

    for (int i = 0; i < 6; i++)
        a[i] = moved(t->ints[i], by);
#define ARGUMENTS                                                                                                       \
    a[0], a[1], a[2], a[3], a[4], a[5], real(t->reals[0]), real(t->reals[1]), real(t->reals[2]), real(t->reals[3]),     \
        real(t->reals[4]), real(t->reals[5]), real(t->reals[6]), real(t->reals[7]), moved(t->slots[0], by),             \
        moved(t->slots[1], by), moved(t->slots[2], by), moved(t->slots[3], by), moved(t->slots[4], by),                 \
        moved(t->slots[5], by), moved(t->slots[6], by), moved(t->slots[7], by)
#if RETURN_REAL
    result = bits(((real_of *)NAME)(ARGUMENTS));
    if (RETURN_REAL < 8)
        result &= 0xffffffffu;
#elif RETURN_INT
    result = NAME(ARGUMENTS);
    if (RETURN_INT < 8)
        result &= ~0ul >> (64 - 8 * RETURN_INT % 64);
    result = is_place(result - by) && by ? result - by : result;
#else
    NAME(ARGUMENTS);
#endif
    digest = mix(digest, result);
    digest = mix(digest, k0 ^ k1 ^ k2 ^ k3);
    digest = mix(digest, k4 + k5 * 3 + k6 * 5 + k7);
    return mix(digest, bits(x0 + x1 * 3) ^ bits(x2 + x3) ^ bits(x4 * x5));
}

static __attribute__((noinline)) uint64_t around(const struct test *test, uint64_t by, uint64_t digest) {
    jmp_buf back;
    volatile uint64_t kept = digest;

    if (setjmp(back) == 0) {
        kept = call(test, by, digest);
        longjmp(back, 1);
    }
    return kept;
}

static uint64_t all(uint64_t by, uint64_t (*how)(const struct test *, uint64_t, uint64_t)) {
    uint64_t digest = 1;

    for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++) {
        lay(&tests[i], by);
        digest = look(&tests[i], by, how(&tests[i], by, digest));
    }
    return digest;
}

static void map(uint64_t by) {
    for (int i = 0; i < ARENAS; i++)
        if (mmap((void *)(BASE + i * STRIDE + (by & ~4095ul)), BYTES + 8192, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            exit(3);
}

static void *on_thread(void *by) { return (void *)all((uint64_t)by, call); }

static uint64_t on_threads(int count, size_t stack) {
    pthread_t threads[8];
    pthread_attr_t attributes;
    uint64_t digest = 0;

    pthread_attr_init(&attributes);
    if (stack != 0 && pthread_attr_setstacksize(&attributes, stack) != 0)
        exit(4);
    for (long i = 0; i < count; i++) {
        uint64_t by = (uint64_t)(i + 1) << 40;
        map(by);
        if (pthread_create(&threads[i], &attributes, on_thread, (void *)by) != 0)
            exit(5);
    }
    for (int i = 0; i < count; i++) {
        void *one;
        pthread_join(threads[i], &one);
        digest = mix(digest, (uint64_t)one);
    }
    return digest;
}

static volatile sig_atomic_t signals;

/* What a handler may do to the registers of whom it interrupts: everything; the kernel puts them back. */
static void on_alarm(int signal) {
    (void)signal;
    signals++;
    __asm__ volatile("pcmpeqd %%xmm0,%%xmm0; pcmpeqd %%xmm1,%%xmm1; pcmpeqd %%xmm2,%%xmm2; pcmpeqd %%xmm3,%%xmm3;"
                     "pcmpeqd %%xmm4,%%xmm4; pcmpeqd %%xmm5,%%xmm5; pcmpeqd %%xmm6,%%xmm6; pcmpeqd %%xmm7,%%xmm7;"
                     "pcmpeqd %%xmm8,%%xmm8; pcmpeqd %%xmm9,%%xmm9; pcmpeqd %%xmm10,%%xmm10; pcmpeqd %%xmm11,%%xmm11;"
                     "pcmpeqd %%xmm12,%%xmm12; pcmpeqd %%xmm13,%%xmm13; pcmpeqd %%xmm14,%%xmm14; pcmpeqd %%xmm15,%%xmm15" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                           "xmm12", "xmm13", "xmm14", "xmm15");
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vzeroall" ::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                         "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    if (__builtin_cpu_supports("avx512bw"))
        __asm__ volatile("kxnorq %%k1,%%k1,%%k1; kxnorq %%k2,%%k2,%%k2; kxnorq %%k3,%%k3,%%k3; kxnorq %%k4,%%k4,%%k4;"
                         "vpternlogd $255,%%zmm16,%%zmm16,%%zmm16; vpternlogd $255,%%zmm31,%%zmm31,%%zmm31" ::: "memory");
}

int main(int argc, char **argv) {
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};

    (void)argv;
    map(0);
    printf("plain %016lx\n", all(0, call));
    printf("setjmp %016lx\n", all(0, around));
    for (unsigned i = 1; i <= 8; i++) {
        uint64_t by = (20ul << 40) + i * STEP;
        map(by);
        printf("moved by %u %016lx\n", i * STEP, all(by, call));
    }
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 20; i++)
        printf("signals %016lx\n", all(0, call));
    setitimer(ITIMER_REAL, &never, NULL);
    if (argc > 1)
        fprintf(stderr, "%d signals\n", (int)signals);
    printf("small stack %016lx\n", IS_ALONE ? 0 : on_threads(1, 64 << 10));
    printf("threads %016lx\n", IS_ALONE ? 0 : on_threads(8, 0));
    return 0;
}
