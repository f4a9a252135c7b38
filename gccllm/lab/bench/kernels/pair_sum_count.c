/* pair_sum_count: Pairs of elements with a given sum. */
#include "kernel.h"

int kern(const int *a, int n, int t) {
    int c = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            if (a[i] + a[j] == t)
                c++;
    return c;
}

#ifdef HARNESS
enum { SIZE = 300, LEAST = 0, MOST = 90 };
static int *a, n, t;
static void setup(size_t size) {
    n = size;
    a = ints(n, 0, varied ? 20 : 1000);
    t = varied ? below(40) : 1000;
}
static uint64_t run(kern_t *f) { return f(a, n, t); }
#endif
