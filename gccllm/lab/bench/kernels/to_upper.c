/* to_upper: Letters of a string made large in place. */
#include "kernel.h"

void kern(char *s) {
    for (; *s; s++)
        if (*s >= 'a' && *s <= 'z')
            *s -= 32;
}

#ifdef HARNESS
#define FRESH
enum { SIZE = 4096, LEAST = 0, MOST = 900 };
static char *s;
static void setup(size_t size) { s = text(size); }
static uint64_t run(kern_t *f) {
    f(s);
    return 0;
}
#endif
