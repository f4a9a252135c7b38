/* kadane: The largest sum of neighbouring elements. */
#include "kernel.h"

int kern(const int *a, int n) {
    int best = a[0], cur = a[0];
    for (int i = 1; i < n; i++) {
        cur = cur + a[i] > a[i] ? cur + a[i] : a[i];
        if (cur > best)
            best = cur;
    }
    return best;
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 1, MOST = 600 };
static int *a, n;
static void setup(size_t size) {
    n = size;
    a = ints(n, -1000, varied && one_in(4) ? -1 : 1000);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
