/* nqueens: Backtracking on bit masks. */
#include "kernel.h"

int kern(int n, unsigned cols, unsigned d1, unsigned d2) {
    unsigned full = (1u << n) - 1;
    if (cols == full)
        return 1;
    int c = 0;
    unsigned av = full & ~(cols | d1 | d2);
    while (av) {
        unsigned b = av & -av;
        av ^= b;
        c += kern(n, cols | b, (d1 | b) << 1, (d2 | b) >> 1);
    }
    return c;
}

#ifdef HARNESS
#define BOUNDED
enum { SIZE = 8, LEAST = 0, MOST = 8 };
static int n;
static unsigned mask[3];
static void setup(size_t size) {
    n = size;
    for (int i = 0; i < 3; i++)
        mask[i] = varied && coin() ? random64() & random64() & ((1u << n) - 1) : 0;
}
static uint64_t run(kern_t *f) { return f(n, mask[0], mask[1], mask[2]); }
#endif
