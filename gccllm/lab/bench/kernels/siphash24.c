/* siphash24: SipHash-2-4 over short messages. */
#include "kernel.h"

#define ROTL(x, b) (uint64_t)(((x) << (b)) | ((x) >> (64 - (b))))
#define SR                                                                                                   \
    do {                                                                                                     \
        v0 += v1;                                                                                            \
        v1 = ROTL(v1, 13);                                                                                   \
        v1 ^= v0;                                                                                            \
        v0 = ROTL(v0, 32);                                                                                   \
        v2 += v3;                                                                                            \
        v3 = ROTL(v3, 16);                                                                                   \
        v3 ^= v2;                                                                                            \
        v0 += v3;                                                                                            \
        v3 = ROTL(v3, 21);                                                                                   \
        v3 ^= v0;                                                                                            \
        v2 += v1;                                                                                            \
        v1 = ROTL(v1, 17);                                                                                   \
        v1 ^= v2;                                                                                            \
        v2 = ROTL(v2, 32);                                                                                   \
    } while (0)
uint64_t kern(const uint8_t *in, size_t n, uint64_t k0, uint64_t k1) {
    uint64_t v0 = 0x736f6d6570736575ull ^ k0, v1 = 0x646f72616e646f6dull ^ k1,
             v2 = 0x6c7967656e657261ull ^ k0, v3 = 0x7465646279746573ull ^ k1;
    size_t left = n & 7;
    const uint8_t *end = in + n - left;
    uint64_t b = ((uint64_t)n) << 56;
    for (; in != end; in += 8) {
        uint64_t m;
        memcpy(&m, in, 8);
        v3 ^= m;
        SR;
        SR;
        v0 ^= m;
    }
    for (size_t i = 0; i < left; i++)
        b |= ((uint64_t)in[i]) << (8 * i);
    v3 ^= b;
    SR;
    SR;
    v0 ^= b;
    v2 ^= 0xff;
    SR;
    SR;
    SR;
    SR;
    return v0 ^ v1 ^ v2 ^ v3;
}

#ifdef HARNESS
enum { SIZE = 20, LEAST = 0, MOST = 300 };
static uint8_t *a;
static size_t n;
static uint64_t k0 = 7, k1 = 9;
static void setup(size_t size) {
    n = size;
    a = bytes(3200 + n);
    if (varied) {
        k0 = random64();
        k1 = random64();
    }
}
static uint64_t run(kern_t *f) {
    uint64_t s = 0;
    for (int i = 0; i < 32; i++)
        s = s * 3 + f(a + i * 100, n + i, k0, k1);
    return s;
}
#endif
