/* base64_enc: Three bytes in, four letters out, padded. */
#include "kernel.h"

static const char tb[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
size_t kern(const uint8_t *in, size_t n, char *out) {
    size_t i = 0, o = 0;
    for (; i + 2 < n; i += 3) {
        out[o++] = tb[in[i] >> 2];
        out[o++] = tb[((in[i] & 3) << 4) | (in[i + 1] >> 4)];
        out[o++] = tb[((in[i + 1] & 15) << 2) | (in[i + 2] >> 6)];
        out[o++] = tb[in[i + 2] & 63];
    }
    if (i < n) {
        out[o++] = tb[in[i] >> 2];
        if (i + 1 == n) {
            out[o++] = tb[(in[i] & 3) << 4];
            out[o++] = '=';
        } else {
            out[o++] = tb[((in[i] & 3) << 4) | (in[i + 1] >> 4)];
            out[o++] = tb[(in[i + 1] & 15) << 2];
        }
        out[o++] = '=';
    }
    out[o] = 0;
    return o;
}

#ifdef HARNESS
enum { SIZE = 3001, LEAST = 0, MOST = 500 };
static uint8_t *a;
static char *b;
static size_t n;
static void setup(size_t size) {
    n = size;
    a = bytes(n);
    b = output((n + 2) / 3 * 4 + 1, 1);
}
static uint64_t run(kern_t *f) { return f(a, n, b); }
#endif
