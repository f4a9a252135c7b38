/* aos_sum: One field of an array of structures. */
#include "kernel.h"

struct pt {
    float x, y, z;
    int id;
};
int kern(const struct pt *p, int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        s += p[i].id;
    return s;
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 300 };
static void *a;
static int n;
static void setup(size_t size) {
    n = size;
    a = ints(4 * n, -1000, 1000);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
