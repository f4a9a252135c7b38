/* insertion_sort: Each element moved left to its place. */
#include "kernel.h"

void kern(int *a, int n) {
    for (int i = 1; i < n; i++) {
        int k = a[i], j = i - 1;
        while (j >= 0 && a[j] > k) {
            a[j + 1] = a[j];
            j--;
        }
        a[j + 1] = k;
    }
}

#ifdef HARNESS
#define FRESH
enum { SIZE = 400, LEAST = 0, MOST = 150 };
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
