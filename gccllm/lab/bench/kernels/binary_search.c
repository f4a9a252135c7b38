/* binary_search: Halving a sorted array until the key is met. */
#include "kernel.h"

int kern(const int *a, int n, int x) {
    int l = 0, h = n - 1;
    while (l <= h) {
        int m = l + (h - l) / 2;
        if (a[m] == x)
            return m;
        if (a[m] < x)
            l = m + 1;
        else
            h = m - 1;
    }
    return -1;
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 600 };
static int *a, *q, n, queries;
static void setup(size_t size) {
    n = size;
    queries = varied ? 40 : 4096;
    a = output(n * sizeof *a, sizeof *a);
    for (int i = 0, v = 0; i < n; i++)
        a[i] = v += 1 + below(5);
    q = ints(queries, varied ? -5 : 0, 3 * n);
}
static uint64_t run(kern_t *f) {
    uint64_t s = 0;
    for (int i = 0; i < queries; i++)
        s = s * 31 + f(a, n, q[i]);
    return s;
}
#endif
