/* blur3x3_u8: The mean of nine neighbours in an 8-bit image. */
#include "kernel.h"

void kern(int h, int w, const uint8_t *a, uint8_t *b) {
    for (int y = 1; y < h - 1; y++)
        for (int x = 1; x < w - 1; x++) {
            int s = 0;
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++)
                    s += a[(y + dy) * w + x + dx];
            b[y * w + x] = s / 9;
        }
}

#ifdef HARNESS
enum { SIZE = 64, LEAST = 0, MOST = 50 };
static uint8_t *a, *b;
static int w, h;
static void setup(size_t size) {
    w = size;
    h = varied ? below(30) : w;
    a = bytes(w * h);
    b = output(w * h, 1);
}
static uint64_t run(kern_t *f) {
    f(h, w, a, b);
    return 0;
}
#endif
