/* bst_lookup: Walking a binary search tree. */
#include "kernel.h"

struct tn {
    int k;
    struct tn *l, *r;
};
int kern(const struct tn *t, int k) {
    while (t) {
        if (k == t->k)
            return 1;
        if (k < t->k)
            t = t->l;
        else
            t = t->r;
    }
    return 0;
}

#ifdef HARNESS
enum { SIZE = 1000, LEAST = 0, MOST = 200 };
static struct tn *a;
static int *q, queries, n;
static void setup(size_t size) {
    n = size;
    queries = varied ? 40 : 2048;
    a = output(n * sizeof *a, 8);
    for (int i = 0; i < n; i++) {
        a[i].k = below(10 * n);
        a[i].l = a[i].r = 0;
        struct tn **at = &(struct tn *){a};
        while (i && *at)
            at = a[i].k < (*at)->k ? &(*at)->l : &(*at)->r;
        if (i)
            *at = &a[i];
    }
    q = ints(queries, 0, 10 * n + 1);
}
static uint64_t run(kern_t *f) {
    uint64_t s = 0;
    for (int i = 0; i < queries; i++)
        s = s * 3 + f(n ? a : 0, q[i]);
    return s;
}
#endif
