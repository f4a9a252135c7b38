/* matmul_f64: A product of square matrices, row by column. */
#include "kernel.h"

void kern(int n, const double *A, const double *B, double *C) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double s = 0;
            for (int k = 0; k < n; k++)
                s += A[i * n + k] * B[k * n + j];
            C[i * n + j] = s;
        }
}

#ifdef HARNESS
enum { SIZE = 40, LEAST = 0, MOST = 24 };
static double *a, *b, *c;
static int n;
static void setup(size_t size) {
    n = size;
    a = doubles(n * n);
    b = doubles(n * n);
    c = output(n * n * sizeof *c, 8);
}
static uint64_t run(kern_t *f) {
    f(n, a, b, c);
    return 0;
}
#endif
