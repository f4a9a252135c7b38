/* dot_f32: A dot product whose order of additions must stay. */
#include "kernel.h"

float kern(const float *a, const float *b, int n) {
    float s = 0;
    for (int i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 600 };
static float *a, *b;
static int n;
static void setup(size_t size) {
    n = size;
    a = floats(n);
    b = floats(n);
}
static uint64_t run(kern_t *f) { return bits32(f(a, b, n)); }
#endif
