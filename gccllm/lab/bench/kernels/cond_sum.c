/* cond_sum: The sum of the elements over a threshold. */
#include "kernel.h"

long kern(const int *a, int n) {
    long s = 0;
    for (int i = 0; i < n; i++)
        if (a[i] >= 128)
            s += a[i];
    return s;
}

#ifdef HARNESS
enum { SIZE = 8192, LEAST = 0, MOST = 600 };
static int *a, n;
static void setup(size_t size) {
    n = size;
    a = ints(n, varied ? -300 : 0, 256);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
