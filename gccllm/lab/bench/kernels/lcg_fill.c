/* lcg_fill: An array filled by a linear recurrence. */
#include "kernel.h"

void kern(uint32_t *a, int n, uint32_t s) {
    for (int i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        a[i] = s;
    }
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 600 };
static uint32_t *a, seed;
static int n;
static void setup(size_t size) {
    n = size;
    seed = varied ? random64() : 5;
    a = output(n * sizeof *a, 4);
}
static uint64_t run(kern_t *f) {
    f(a, n, seed);
    return 0;
}
#endif
