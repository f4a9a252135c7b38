/* strrev: A string turned round in place. */
#include "kernel.h"

void kern(char *s) {
    int n = strlen(s);
    for (int i = 0; i < n / 2; i++) {
        char t = s[i];
        s[i] = s[n - 1 - i];
        s[n - 1 - i] = t;
    }
}

#ifdef HARNESS
enum { SIZE = 1001, LEAST = 0, MOST = 600 };
static char *s;
static void setup(size_t size) { s = text(size); }
static uint64_t run(kern_t *f) {
    f(s);
    return 0;
}
#endif
