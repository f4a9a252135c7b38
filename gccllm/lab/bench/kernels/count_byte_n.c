/* count_byte_n: How often a byte occurs. */
#include "kernel.h"

size_t kern(const uint8_t *s, size_t n, uint8_t c) {
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += (s[i] == c);
    return k;
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 1500 };
static uint8_t *a;
static size_t n;
static uint8_t c;
static void setup(size_t size) {
    n = size;
    a = (uint8_t *)text(n);
    c = varied && n && coin() ? a[below(n)] : '\n';
}
static uint64_t run(kern_t *f) { return f(a, n, c); }
#endif
