/* sum_mod_var: Remainders by one divisor that only the caller knows. */
#include "kernel.h"

long kern(const int *a, int n, int m) {
    long s = 0;
    for (int i = 0; i < n; i++)
        s += a[i] % m;
    return s;
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 300 };
static int *a, n, m;
static void setup(size_t size) {
    n = size;
    a = varied ? (int *)words32(n) : ints(n, 0, 100000000);
    m = varied ? 1 + below(1 << below(31)) : 9973;
}
static uint64_t run(kern_t *f) { return f(a, n, m); }
#endif
