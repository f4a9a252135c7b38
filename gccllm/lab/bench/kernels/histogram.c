/* histogram: Counts of byte values. */
#include "kernel.h"

void kern(const uint8_t *p, size_t n, uint32_t *h) {
    for (size_t i = 0; i < n; i++)
        h[p[i]]++;
}

#ifdef HARNESS
enum { SIZE = 8192, LEAST = 0, MOST = 900 };
static uint8_t *a;
static uint32_t *h;
static size_t n;
static void setup(size_t size) {
    n = size;
    a = varied && coin() ? bytes(n) : (uint8_t *)text(n);
    h = varied ? words32(256) : zeros(1024, 4);
}
static uint64_t run(kern_t *f) {
    f(a, n, h);
    return 0;
}
#endif
