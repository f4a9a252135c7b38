/* popcnt_swar: Set bits of 64-bit words by parallel addition. */
#include "kernel.h"

uint64_t kern(const uint64_t *a, int n) {
    uint64_t c = 0;
    for (int i = 0; i < n; i++) {
        uint64_t x = a[i];
        x -= (x >> 1) & 0x5555555555555555ull;
        x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
        x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
        c += (x * 0x0101010101010101ull) >> 56;
    }
    return c;
}

#ifdef HARNESS
enum { SIZE = 1024, LEAST = 0, MOST = 300 };
static uint64_t *a;
static int n;
static void setup(size_t size) {
    n = size;
    a = words64(n);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
