/* poly_hash_mod: A polynomial hash with a modulus that only the caller knows. */
#include "kernel.h"

long kern(const char *s, long base, long mod) {
    long h = 0;
    for (; *s; s++)
        h = (h * base + *s) % mod;
    return h;
}

#ifdef HARNESS
enum { SIZE = 500, LEAST = 0, MOST = 300 };
static char *s;
static long base, mod;
static void setup(size_t size) {
    s = text(size);
    mod = varied ? 1 + below(1000000007) : 1000000007;
    base = varied ? below(mod) : 131;
}
static uint64_t run(kern_t *f) { return f(s, base, mod); }
#endif
