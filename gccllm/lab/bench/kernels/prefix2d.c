/* prefix2d: A summed-area table. */
#include "kernel.h"

void kern(int n, int a[][64], int p[][65]) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            p[i + 1][j + 1] = a[i][j] + p[i][j + 1] + p[i + 1][j] - p[i][j];
}

#ifdef HARNESS
#define BOUNDED
enum { SIZE = 64, LEAST = 0, MOST = 30 };
static int (*a)[64], (*p)[65], n;
static void setup(size_t size) {
    n = size;
    a = (void *)ints(n * 64, varied ? -1000 : 0, 1000);
    p = zeros((n + 1) * sizeof *p, 4);
    for (int i = 0; varied && i <= n; i++)
        p[i][0] = p[0][i] = below(500);
}
static uint64_t run(kern_t *f) {
    f(n, a, p);
    return 0;
}
#endif
