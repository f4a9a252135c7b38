/* saxpy: A scaled vector added to another; the two may overlap. */
#include "kernel.h"

void kern(int n, float al, const float *x, float *y) {
    for (int i = 0; i < n; i++)
        y[i] = al * x[i] + y[i];
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 600 };
static float *x, *y, al;
static int n;
static void setup(size_t size) {
    n = size;
    al = varied ? (below(4001) - 2000) / 997.0f : 1.0009f;
    if (varied && one_in(3)) {
        int apart = below(20);
        float *both = floats(n + apart);
        x = coin() ? both : both + apart;
        y = x == both ? both + apart : both;
    } else {
        x = floats(n);
        y = floats(n);
    }
}
static uint64_t run(kern_t *f) {
    f(n, al, x, y);
    return 0;
}
#endif
