/* normalize_f32: A vector divided by its length; the sum's order must stay. */
#include "kernel.h"

void kern(float *a, int n) {
    float s = 0;
    for (int i = 0; i < n; i++)
        s += a[i] * a[i];
    float inv = 1.0f / sqrtf(s);
    for (int i = 0; i < n; i++)
        a[i] *= inv;
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 600 };
static float *a;
static int n;
static void setup(size_t size) {
    n = size;
    a = floats(n);
}
static uint64_t run(kern_t *f) {
    f(a, n);
    return 0;
}
#endif
