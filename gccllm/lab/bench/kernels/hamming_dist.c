/* hamming_dist: Differing bits of two byte strings, bit by bit. */
#include "kernel.h"

int kern(const uint8_t *a, const uint8_t *b, int n) {
    int d = 0;
    for (int i = 0; i < n; i++) {
        uint8_t x = a[i] ^ b[i];
        while (x) {
            d += x & 1;
            x >>= 1;
        }
    }
    return d;
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 600 };
static uint8_t *a, *b;
static int n;
static void setup(size_t size) {
    n = size;
    a = bytes(n);
    b = bytes(n);
}
static uint64_t run(kern_t *f) { return f(a, b, n); }
#endif
