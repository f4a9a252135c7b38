/* one_at_a_time: A hash with a long dependency chain. */
#include "kernel.h"

uint32_t kern(const uint8_t *key, size_t len) {
    uint32_t h = 0;
    for (size_t i = 0; i < len; i++) {
        h += key[i];
        h += h << 10;
        h ^= h >> 6;
    }
    h += h << 3;
    h ^= h >> 11;
    h += h << 15;
    return h;
}

#ifdef HARNESS
enum { SIZE = 2000, LEAST = 0, MOST = 600 };
static uint8_t *a;
static size_t n;
static void setup(size_t size) {
    n = size;
    a = bytes(n);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
