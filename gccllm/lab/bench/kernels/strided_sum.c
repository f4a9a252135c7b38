/* strided_sum: Every k-th element added up. */
#include "kernel.h"

long kern(const int *a, int n, int st) {
    long s = 0;
    for (int i = 0; i < n; i += st)
        s += a[i];
    return s;
}

#ifdef HARNESS
enum { SIZE = 8192, LEAST = 0, MOST = 900 };
static int *a, n, s0 = 3, s1 = 7;
static void setup(size_t size) {
    n = size;
    a = ints(n, varied ? -1000 : 0, 1000);
    if (varied) {
        s0 = 1 + below(9);
        s1 = 1 + below(200);
    }
}
static uint64_t run(kern_t *f) { return f(a, n, s0) + 3 * f(a, n, s1); }
#endif
