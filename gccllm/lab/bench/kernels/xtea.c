/* xtea: A 64-round Feistel cipher on pairs of words. */
#include "kernel.h"

void kern(uint32_t v[2], const uint32_t k[4]) {
    uint32_t v0 = v[0], v1 = v[1], s = 0;
    for (int i = 0; i < 32; i++) {
        v0 += (((v1 << 4) ^ (v1 >> 5)) + v1) ^ (s + k[s & 3]);
        s += 0x9E3779B9;
        v1 += (((v0 << 4) ^ (v0 >> 5)) + v0) ^ (s + k[(s >> 11) & 3]);
    }
    v[0] = v0;
    v[1] = v1;
}

#ifdef HARNESS
enum { SIZE = 32, LEAST = 0, MOST = 40 };
static uint32_t *v, *key;
static int n;
static void setup(size_t size) {
    n = size;
    v = words32(2 * n);
    key = words32(4);
}
static uint64_t run(kern_t *f) {
    for (int i = 0; i < n; i++)
        f(v + 2 * i, key);
    return 0;
}
#endif
