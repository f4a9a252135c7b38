/* modpow: Modular power with a modulus that only the caller knows. */
#include "kernel.h"

long long kern(long long b, long long e, long long m) {
    long long r = 1;
    b %= m;
    while (e > 0) {
        if (e % 2 == 1)
            r = r * b % m;
        b = b * b % m;
        e /= 2;
    }
    return r;
}

#ifdef HARNESS
enum { SIZE = 256, LEAST = 2, MOST = 40 };
static int *a, n, m;
static void setup(size_t size) {
    n = size & ~1u;
    a = ints(n, varied ? -1000 : 0, 1000000007);
    m = varied ? 1 + below(1 << below(31)) : 1000000007;
}
static uint64_t run(kern_t *f) {
    uint64_t s = 0;
    for (int i = 0; i < n; i += 2)
        s = s * 3 + f(a[i], a[i + 1], m);
    return s;
}
#endif
