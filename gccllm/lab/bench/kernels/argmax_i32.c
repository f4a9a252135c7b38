/* argmax_i32: The first position of the largest element. */
#include "kernel.h"

int kern(const int *a, int n) {
    int k = 0;
    for (int i = 1; i < n; i++)
        if (a[i] > a[k])
            k = i;
    return k;
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 600 };
static int *a, n;
static void setup(size_t size) {
    n = size;
    a = keys(n, 1000000);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
