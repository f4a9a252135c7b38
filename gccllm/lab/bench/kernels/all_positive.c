/* all_positive: A scan that stops at the first negative element. */
#include "kernel.h"

int kern(const int *a, int n) {
    for (int i = 0; i < n; i++)
        if (a[i] < 0)
            return 0;
    return 1;
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 600 };
static int *a, n;
static void setup(size_t size) {
    n = size;
    a = ints(n, 0, 1000);
    if (varied && n && coin())
        a[below(n)] = -1 - below(5);
}
static uint64_t run(kern_t *f) { return f(a, n) + 2 * f(a, n < 50 ? n : 50); }
#endif
