/* union_find: Disjoint sets with path halving; `find` is a helper inside the unit. */
#include "kernel.h"

static int find(int *p, int x) {
    while (p[x] != x) {
        p[x] = p[p[x]];
        x = p[x];
    }
    return x;
}
int kern(int n, int m, const int *u, const int *v, int *p) {
    for (int i = 0; i < n; i++)
        p[i] = i;
    int c = n;
    for (int e = 0; e < m; e++) {
        int a = find(p, u[e]), b = find(p, v[e]);
        if (a != b) {
            p[a] = b;
            c--;
        }
    }
    return c;
}

#ifdef HARNESS
enum { SIZE = 2000, LEAST = 0, MOST = 200 };
static int *u, *v, *p, n, m;
static void setup(size_t size) {
    n = size;
    m = n == 0 ? 0 : varied ? below(2 * n) : n;
    u = ints(m, 0, n);
    v = ints(m, 0, n);
    p = output(n * sizeof *p, 4);
}
static uint64_t run(kern_t *f) { return f(n, m, u, v, p); }
#endif
