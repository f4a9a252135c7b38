/* log2_loop: The position of the highest bit, by shifting. */
#include "kernel.h"

int kern(uint32_t x) {
    int n = 0;
    while (x >>= 1)
        n++;
    return n;
}

#ifdef HARNESS
enum { SIZE = 1024, LEAST = 1, MOST = 60 };
static uint32_t *a;
static int n;
static void setup(size_t size) {
    n = size;
    a = words32(n);
    for (int i = 0; i < n; i++)
        a[i] >>= below(32);
}
static uint64_t run(kern_t *f) {
    uint64_t s = 0;
    for (int i = 0; i < n; i++)
        s = s * 3 + f(a[i]);
    return s;
}
#endif
