/* to_lower_n: Letters of a buffer made small on the way into another. */
#include "kernel.h"

void kern(char *d, const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        d[i] = (c >= 'A' && c <= 'Z') ? c + 32 : c;
    }
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 900 };
static char *s, *d;
static size_t n;
static void setup(size_t size) {
    n = size;
    s = text(n);
    d = varied && one_in(4) ? s : output(n, 1);
}
static uint64_t run(kern_t *f) {
    f(d, s, n);
    return 0;
}
#endif
