/* sumprod_modconst: Products added up with a constant modulus at every step. */
#include "kernel.h"

long kern(const int *a, const int *b, int n) {
    long s = 0;
    for (int i = 0; i < n; i++)
        s = (s + (long)a[i] * b[i]) % 1000000007;
    return s;
}

#ifdef HARNESS
enum { SIZE = 1024, LEAST = 0, MOST = 300 };
static int *a, *b, n;
static void setup(size_t size) {
    n = size;
    a = ints(n, varied && coin() ? -1000000 : 0, 1000000007);
    b = ints(n, 0, 1000000007);
}
static uint64_t run(kern_t *f) { return f(a, b, n); }
#endif
