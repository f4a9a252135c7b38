/* prefix_sum: Running sums. */
#include "kernel.h"

void kern(const int *a, int *o, int n) {
    int s = 0;
    for (int i = 0; i < n; i++) {
        s += a[i];
        o[i] = s;
    }
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 600 };
static int *a, *o, n;
static void setup(size_t size) {
    n = size;
    a = ints(n, varied ? -1000 : 0, 1000);
    o = varied && one_in(4) ? a : output(n * sizeof *o, 4);
}
static uint64_t run(kern_t *f) {
    f(a, o, n);
    return 0;
}
#endif
