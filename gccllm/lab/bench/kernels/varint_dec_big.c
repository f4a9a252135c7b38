/* varint_dec_big: Variable-length integers decoded from a long stream. */
#include "kernel.h"

int kern(const uint8_t *p, const uint8_t *e, uint32_t *o) {
    int k = 0;
    while (p < e) {
        uint32_t v = 0;
        int s = 0;
        while (*p & 0x80) {
            v |= (uint32_t)(*p++ & 0x7f) << s;
            s += 7;
        }
        v |= (uint32_t)*p++ << s;
        o[k++] = v;
    }
    return k;
}

#ifdef HARNESS
enum { SIZE = 60000, LEAST = 0, MOST = 300 };
static uint8_t *a, *e;
static uint32_t *o;
static void setup(size_t size) {
    uint32_t *values = plain(size * sizeof *values);
    size_t length = 0;
    for (size_t i = 0; i < size; i++) {
        values[i] = (random64() & 0xfffffff) >> below(28);
        for (uint32_t v = values[i]; length++, v >= 128;)
            v >>= 7;
    }
    e = a = output(length, 1);
    o = output(size * sizeof *o, 4);
    for (size_t i = 0; i < size; i++) {
        for (; values[i] >= 128; values[i] >>= 7)
            *e++ = values[i] | 128;
        *e++ = values[i];
    }
}
static uint64_t run(kern_t *f) { return f(a, e, o); }
#endif
