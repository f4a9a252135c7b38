/* intersect_sorted: Common elements of two sorted arrays. */
#include "kernel.h"

int kern(const int *a, int n, const int *b, int m, int *o) {
    int i = 0, j = 0, k = 0;
    while (i < n && j < m) {
        if (a[i] < b[j])
            i++;
        else if (a[i] > b[j])
            j++;
        else {
            o[k++] = a[i];
            i++;
            j++;
        }
    }
    return k;
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 400 };
static int *a, *b, *o, n, m;
static int *rising(int count) {
    int *p = output(count * sizeof *p, 4);
    for (int i = 0, v = 0; i < count; i++)
        p[i] = v += 1 + below(4);
    return p;
}
static void setup(size_t size) {
    n = size;
    m = varied ? below(300) : n;
    a = rising(n);
    b = rising(m);
    o = output((n < m ? n : m) * sizeof *o, 4);
}
static uint64_t run(kern_t *f) { return f(a, n, b, m, o); }
#endif
