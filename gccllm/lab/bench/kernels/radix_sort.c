/* radix_sort: Four stable passes by byte. */
#include "kernel.h"

void kern(uint32_t *a, uint32_t *t, int n) {
    for (int s = 0; s < 32; s += 8) {
        int c[256] = {0};
        for (int i = 0; i < n; i++)
            c[(a[i] >> s) & 255]++;
        for (int i = 1; i < 256; i++)
            c[i] += c[i - 1];
        for (int i = n - 1; i >= 0; i--)
            t[--c[(a[i] >> s) & 255]] = a[i];
        for (int i = 0; i < n; i++)
            a[i] = t[i];
    }
}

#ifdef HARNESS
#define FRESH
enum { SIZE = 4000, LEAST = 0, MOST = 300 };
static uint32_t *a, *t;
static int n;
static void setup(size_t size) {
    n = size;
    a = words32(n);
    t = output(n * sizeof *t, 4);
}
static uint64_t run(kern_t *f) {
    f(a, t, n);
    return 0;
}
#endif
