/* horner_f64: A polynomial by Horner's rule. */
#include "kernel.h"

double kern(const double *c, int n, double x) {
    double r = 0;
    for (int i = n - 1; i >= 0; i--)
        r = r * x + c[i];
    return r;
}

#ifdef HARNESS
enum { SIZE = 24, LEAST = 0, MOST = 200 };
static double *c, x[32];
static int n;
static void setup(size_t size) {
    n = size;
    c = doubles(n);
    for (int i = 0; i < 32; i++)
        x[i] = varied ? (below(4001) - 2000) / 997.0 : i * .03;
}
static uint64_t run(kern_t *f) {
    double s = 0;
    for (int i = 0; i < 32; i++)
        s += f(c, n, x[i]);
    return bits64(s);
}
#endif
