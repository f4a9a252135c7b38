/* sum_i32: A sum of integers. */
#include "kernel.h"

int kern(const int *a, int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        s += a[i];
    return s;
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 600 };
static int *a, n;
static void setup(size_t size) {
    n = size;
    a = ints(n, varied ? -100000 : 0, 1000);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
