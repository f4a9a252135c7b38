/* matmul_ikj_f32: A product of square matrices with the middle loop outside. */
#include "kernel.h"

void kern(int n, const float *A, const float *B, float *C) {
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            for (int j = 0; j < n; j++)
                C[i * n + j] += A[i * n + k] * B[k * n + j];
}

#ifdef HARNESS
enum { SIZE = 48, LEAST = 0, MOST = 28 };
static float *a, *b, *c;
static int n;
static void setup(size_t size) {
    n = size;
    a = floats(n * n);
    b = floats(n * n);
    c = varied ? floats(n * n) : zeros(n * n * sizeof *c, 4);
}
static uint64_t run(kern_t *f) {
    f(n, a, b, c);
    return 0;
}
#endif
