/* modpow_const: Modular power with a constant modulus. */
#include "kernel.h"

#define MOD 1000000007LL
long long kern(long long b, long long e) {
    long long r = 1;
    while (e > 0) {
        if (e & 1)
            r = r * b % MOD;
        b = b * b % MOD;
        e >>= 1;
    }
    return r;
}

#ifdef HARNESS
enum { SIZE = 256, LEAST = 2, MOST = 40 };
static int *a, n;
static void setup(size_t size) {
    n = size & ~1u;
    a = ints(n, varied ? -1000 : 0, 1000000007);
}
static uint64_t run(kern_t *f) {
    uint64_t s = 0;
    for (int i = 0; i < n; i += 2)
        s = s * 3 + f(a[i], a[i + 1]);
    return s;
}
#endif
