/* clamp_i32: Every element forced between two bounds. */
#include "kernel.h"

void kern(int *a, int n, int lo, int hi) {
    for (int i = 0; i < n; i++) {
        if (a[i] < lo)
            a[i] = lo;
        else if (a[i] > hi)
            a[i] = hi;
    }
}

#ifdef HARNESS
#define FRESH
enum { SIZE = 8192, LEAST = 0, MOST = 600 };
static int *a, n, lo = 200, hi = 800;
static void setup(size_t size) {
    n = size;
    a = ints(n, varied ? -1000 : 0, 1000);
    if (varied) {
        lo = below(1200) - 600;
        hi = below(1200) - 600;
    }
}
static uint64_t run(kern_t *f) {
    f(a, n, lo, hi);
    return 0;
}
#endif
