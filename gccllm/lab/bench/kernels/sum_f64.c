/* sum_f64: A sum of doubles whose order must stay. */
#include "kernel.h"

double kern(const double *a, int n) {
    double s = 0;
    for (int i = 0; i < n; i++)
        s += a[i];
    return s;
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 600 };
static double *a;
static int n;
static void setup(size_t size) {
    n = size;
    a = doubles(n);
}
static uint64_t run(kern_t *f) { return bits64(f(a, n)); }
#endif
