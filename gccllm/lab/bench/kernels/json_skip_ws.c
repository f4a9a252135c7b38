/* json_skip_ws: Skipping blanks: many short calls. */
#include "kernel.h"

const char *kern(const char *p) {
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}

#ifdef HARNESS
enum { SIZE = 4090, LEAST = 1, MOST = 500 };
static char *a;
static int *q, queries;
static void setup(size_t size) {
    a = zeros(size + 1, 1);
    q = zeros(512 * sizeof *q, 4);
    queries = 0;
    for (size_t i = 0; i < size && queries < 512;) {
        q[queries++] = i;
        for (int blanks = below(varied ? 60 : 9); blanks && i < size; blanks--)
            a[i++] = " \n\r\t"[below(6) ? 0 : 1 + below(varied ? 3 : 1)];
        if (i < size)
            a[i++] = 'x';
    }
}
static uint64_t run(kern_t *f) {
    uint64_t s = 0;
    for (int i = 0; i < queries; i++)
        s = s * 31 + (f(a + q[i]) - a);
    return s;
}
#endif
