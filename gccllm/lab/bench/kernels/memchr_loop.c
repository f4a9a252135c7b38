/* memchr_loop: The first occurrence of a byte, or none. */
#include "kernel.h"

const uint8_t *kern(const uint8_t *p, int c, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] == c)
            return p + i;
    return 0;
}

#ifdef HARNESS
enum { SIZE = 1000, LEAST = 0, MOST = 600 };
static uint8_t *a;
static size_t n, beyond;
static int c;
static void setup(size_t size) {
    n = size;
    beyond = 0;
    a = (uint8_t *)text(n);
    c = '~';
    if (!varied)
        a[n - 50] = c;
    else if (n && coin()) {
        a[below(n)] = c;
        beyond = one_in(4) ? (size_t)1 << 32
                           : 0; /* found before the end of memory: any larger size is defined too */
    }
    if (varied && one_in(8))
        c += beyond ? 0 : 256;
}
static uint64_t run(kern_t *f) {
    size_t late = n > 100 ? 900 * n / 1000 : 0;
    uint64_t whole = (uint64_t)f(a, c, beyond ? beyond : n);
    return beyond ? whole : whole + 3 * (uint64_t)f(a + late, c, n - late);
}
#endif
