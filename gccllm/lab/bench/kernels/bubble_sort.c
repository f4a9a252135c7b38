/* bubble_sort: Neighbours exchanged until none is out of order. */
#include "kernel.h"

void kern(int *a, int n) {
    for (int i = 0; i < n - 1; i++)
        for (int j = 0; j < n - 1 - i; j++)
            if (a[j] > a[j + 1]) {
                int t = a[j];
                a[j] = a[j + 1];
                a[j + 1] = t;
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
