/* xor_cipher: A repeating key xored over a buffer. */
#include "kernel.h"

void kern(uint8_t *d, int n, const uint8_t *key, int k) {
    for (int i = 0; i < n; i++)
        d[i] ^= key[i % k];
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 600 };
static uint8_t *d, *key;
static int n, k;
static void setup(size_t size) {
    n = size;
    k = varied ? 1 + below(70) : 13;
    d = bytes(n);
    key = bytes(k);
}
static uint64_t run(kern_t *f) {
    f(d, n, key, k);
    return 0;
}
#endif
