/* selection_sort: The smallest of the rest, exchanged to the front. */
#include "kernel.h"

void kern(int *a, int n) {
    for (int i = 0; i < n - 1; i++) {
        int m = i;
        for (int j = i + 1; j < n; j++)
            if (a[j] < a[m])
                m = j;
        int t = a[i];
        a[i] = a[m];
        a[m] = t;
    }
}

#ifdef HARNESS
#define FRESH
enum { SIZE = 300, LEAST = 0, MOST = 120 };
static int *a, n;
static void setup(size_t size) {
    n = size;
    a = keys(n, 100000);
}
static uint64_t run(kern_t *f) {
    f(a, n);
    return 0;
}
#endif
