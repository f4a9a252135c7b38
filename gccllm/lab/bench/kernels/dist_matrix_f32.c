/* dist_matrix_f32: All distances between points in the plane. */
#include "kernel.h"

void kern(const float *p, int n, float *d) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            float dx = p[2 * i] - p[2 * j], dy = p[2 * i + 1] - p[2 * j + 1];
            d[i * n + j] = sqrtf(dx * dx + dy * dy);
        }
}

#ifdef HARNESS
enum { SIZE = 64, LEAST = 0, MOST = 40 };
static float *p, *d;
static int n;
static void setup(size_t size) {
    n = size;
    p = floats(2 * n);
    d = output(n * n * sizeof *d, 4);
}
static uint64_t run(kern_t *f) {
    f(p, n, d);
    return 0;
}
#endif
