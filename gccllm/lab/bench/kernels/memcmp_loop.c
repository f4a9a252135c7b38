/* memcmp_loop: Two byte strings compared up to the first difference. */
#include "kernel.h"

int kern(const uint8_t *a, const uint8_t *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

#ifdef HARNESS
enum { SIZE = 1024, LEAST = 0, MOST = 600 };
static uint8_t *a, *b;
static size_t n;
static void setup(size_t size) {
    n = size;
    a = bytes(n);
    b = copy(a, n, 1);
    if (!varied)
        b[1000] ^= 1;
    else if (n && below(4))
        b[below(n)] ^= 1 << below(8);
}
static uint64_t run(kern_t *f) {
    size_t late = n > 100 ? 940 * n / 1024 : 0;
    return (unsigned)f(a, b, n) + 7ull * (unsigned)f(a + late, b + late, n - late);
}
#endif
