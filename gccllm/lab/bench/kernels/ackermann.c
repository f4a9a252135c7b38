/* ackermann: Double recursion: call overhead and nothing else. */
#include "kernel.h"

int kern(int m, int n) {
    if (m == 0)
        return n + 1;
    if (n == 0)
        return kern(m - 1, 1);
    return kern(m - 1, kern(m, n - 1));
}

#ifdef HARNESS
#define BOUNDED
enum { SIZE = 30, LEAST = 0, MOST = 40 };
static int m, k;
static void setup(size_t size) {
    m = varied ? below(4) : 2;
    k = m == 3 ? below(6) : (int)size;
}
static uint64_t run(kern_t *f) { return f(m, k); }
#endif
