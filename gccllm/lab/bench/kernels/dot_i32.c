/* dot_i32: A dot product of integers. */
#include "kernel.h"

int kern(const int *a, const int *b, int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 600 };
static int *a, *b, n;
static void setup(size_t size) {
    n = size;
    a = ints(n, varied ? -1000 : 0, 1000);
    b = ints(n, varied ? -1000 : 0, 1000);
}
static uint64_t run(kern_t *f) { return f(a, b, n); }
#endif
