/* reverse_array: An array turned round in place. */
#include "kernel.h"

void kern(int *a, int n) {
    for (int i = 0, j = n - 1; i < j; i++, j--) {
        int t = a[i];
        a[i] = a[j];
        a[j] = t;
    }
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 600 };
static int *a, n;
static void setup(size_t size) {
    n = size;
    a = ints(n, 0, 1000);
}
static uint64_t run(kern_t *f) {
    f(a, n);
    return 0;
}
#endif
