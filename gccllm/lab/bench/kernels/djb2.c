/* djb2: A multiply-by-33 hash of a string. */
#include "kernel.h"

unsigned kern(const char *s) {
    unsigned h = 5381;
    int c;
    while ((c = *s++))
        h = ((h << 5) + h) + c;
    return h;
}

#ifdef HARNESS
enum { SIZE = 2000, LEAST = 0, MOST = 600 };
static char *s;
static void setup(size_t size) { s = text(size); }
static uint64_t run(kern_t *f) { return f(s); }
#endif
