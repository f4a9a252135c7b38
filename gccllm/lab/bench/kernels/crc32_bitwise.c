/* crc32_bitwise: CRC-32, a bit at a time. */
#include "kernel.h"

uint32_t kern(const uint8_t *p, size_t n) {
    uint32_t c = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) {
            if (c & 1)
                c = (c >> 1) ^ 0xEDB88320u;
            else
                c >>= 1;
        }
    }
    return ~c;
}

#ifdef HARNESS
enum { SIZE = 4096, LEAST = 0, MOST = 600 };
static uint8_t *a;
static size_t n;
static void setup(size_t size) {
    n = size;
    a = bytes(n);
}
static uint64_t run(kern_t *f) { return f(a, n); }
#endif
