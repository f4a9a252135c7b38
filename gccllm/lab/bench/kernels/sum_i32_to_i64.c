/* sum_i32_to_i64: A sum of integers in a wider type. */
#include "kernel.h"

long kern(const int *a, int n) {
    long s = 0;
    for (int i = 0; i < n; i++)
        s += a[i];
    return s;
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 600 };
static int *a, n;
static void setup(size_t size) {
    n = size;
    a = varied ? (int *)words32(n) : ints(n, 0, 1000);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
