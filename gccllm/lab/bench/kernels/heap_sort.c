/* heap_sort: Heap sort; `sift` is a helper inside the unit. */
#include "kernel.h"

static void sift(int *a, int i, int n) {
    for (;;) {
        int l = 2 * i + 1, m = i;
        if (l < n && a[l] > a[m])
            m = l;
        if (l + 1 < n && a[l + 1] > a[m])
            m = l + 1;
        if (m == i)
            break;
        int t = a[i];
        a[i] = a[m];
        a[m] = t;
        i = m;
    }
}
void kern(int *a, int n) {
    for (int i = n / 2 - 1; i >= 0; i--)
        sift(a, i, n);
    for (int i = n - 1; i > 0; i--) {
        int t = a[0];
        a[0] = a[i];
        a[i] = t;
        sift(a, 0, i);
    }
}

#ifdef HARNESS
#define FRESH
enum { SIZE = 4000, LEAST = 0, MOST = 300 };
static int *a, n;
static void setup(size_t size) {
    n = size;
    a = keys(n, 1000000);
}
static uint64_t run(kern_t *f) {
    f(a, n);
    return 0;
}
#endif
