/* lz_copy: Short copies that may overlap themselves. */
#include "kernel.h"

void kern(uint8_t *dst, const uint8_t *src, int n) {
    for (int i = 0; i < n; i++)
        dst[i] = src[i];
}

#ifdef HARNESS
enum { SIZE = 512, LEAST = 1, MOST = 60 };
static uint8_t *a;
static int *lengths, n;
static void setup(size_t size) {
    n = size;
    a = bytes(varied ? 2048 + 40 * n : 65536);
    lengths = ints(n, 0, 40);
}
static uint64_t run(kern_t *f) {
    uint8_t *to = a + 1000;
    for (int i = 0; i < n; i++) {
        int back = varied ? lengths[n - 1 - i] - 8 : 1 + lengths[n - 1 - i] * 5;
        int count = varied ? lengths[i] : lengths[i] + 4;
        f(to, to - back, count);
        to += count;
    }
    return 0;
}
#endif
