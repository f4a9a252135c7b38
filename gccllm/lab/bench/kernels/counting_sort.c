/* counting_sort: A stable sort of bytes by their counts. */
#include "kernel.h"

void kern(const uint8_t *a, int n, uint8_t *o) {
    int c[256] = {0};
    for (int i = 0; i < n; i++)
        c[a[i]]++;
    for (int i = 1; i < 256; i++)
        c[i] += c[i - 1];
    for (int i = n - 1; i >= 0; i--)
        o[--c[a[i]]] = a[i];
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 600 };
static uint8_t *a, *b;
static int n;
static void setup(size_t size) {
    n = size;
    a = bytes(n);
    b = output(n, 1);
}
static uint64_t run(kern_t *f) {
    f(a, n, b);
    return 0;
}
#endif
