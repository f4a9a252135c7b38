/* rc4: A key stream from a permuted table, xored in place. */
#include "kernel.h"

void kern(uint8_t *S, uint8_t *d, int n) {
    int i = 0, j = 0;
    for (int k = 0; k < n; k++) {
        i = (i + 1) & 255;
        j = (j + S[i]) & 255;
        uint8_t t = S[i];
        S[i] = S[j];
        S[j] = t;
        d[k] ^= S[(S[i] + S[j]) & 255];
    }
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 600 };
static uint8_t *state, *d;
static int n;
static void setup(size_t size) {
    n = size;
    d = bytes(n);
    state = output(256, 1);
    int step = varied ? 2 * below(128) + 1 : 167;
    for (int i = 0; i < 256; i++)
        state[i] = i * step + 13;
}
static uint64_t run(kern_t *f) {
    f(state, d, n);
    return 0;
}
#endif
