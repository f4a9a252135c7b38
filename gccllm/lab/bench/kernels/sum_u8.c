/* sum_u8: A sum of bytes. */
#include "kernel.h"

unsigned kern(const uint8_t *a, int n) {
    unsigned s = 0;
    for (int i = 0; i < n; i++)
        s += a[i];
    return s;
}

#ifdef HARNESS
enum { SIZE = 8192, LEAST = 0, MOST = 1500 };
static uint8_t *a;
static int n;
static void setup(size_t size) {
    n = size;
    a = bytes(n);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
