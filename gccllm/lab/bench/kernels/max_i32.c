/* max_i32: The largest element. */
#include "kernel.h"

int kern(const int *a, int n) {
    int m = a[0];
    for (int i = 1; i < n; i++)
        if (a[i] > m)
            m = a[i];
    return m;
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 1, MOST = 600 };
static int *a, n;
static void setup(size_t size) {
    n = size;
    a = keys(n, 1000000);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
