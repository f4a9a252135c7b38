/* list_reverse: A linked list turned round, twice. */
#include "kernel.h"

struct nd {
    int v;
    struct nd *next;
};
struct nd *kern(struct nd *p) {
    struct nd *r = 0;
    while (p) {
        struct nd *n = p->next;
        p->next = r;
        r = p;
        p = n;
    }
    return r;
}

#ifdef HARNESS
enum { SIZE = 2000, LEAST = 0, MOST = 300 };
static struct nd *a;
static int n;
static void setup(size_t size) {
    n = size;
    a = output(n * sizeof *a, 8);
    for (int i = 0; i < n; i++)
        a[i] = (struct nd){.v = i, .next = i + 1 < n ? &a[i + 1] : 0};
}
static uint64_t run(kern_t *f) {
    struct nd *r = f(n ? a : 0);
    return varied ? (uint64_t)r : f(r) == a;
}
#endif
