/* filter_gt: Elements over a threshold, packed together. */
#include "kernel.h"

int kern(const int *a, int n, int t, int *o) {
    int k = 0;
    for (int i = 0; i < n; i++)
        if (a[i] > t)
            o[k++] = a[i];
    return k;
}

#ifdef HARNESS
enum { SIZE = 16384, LEAST = 0, MOST = 600 };
static int *a, *o, n, t;
static void setup(size_t size) {
    n = size;
    a = ints(n, 0, 1000);
    t = varied ? below(1100) - 50 : 500;
    int kept = 0;
    for (int i = 0; i < n; i++)
        kept += a[i] > t;
    o = varied && one_in(4) ? a : output((varied ? kept : n) * sizeof *o, 4);
}
static uint64_t run(kern_t *f) { return f(a, n, t, o); }
#endif
