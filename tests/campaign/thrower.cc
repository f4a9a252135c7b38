/*
 * Exceptions through a C function that calls out: `visit` throws at a given call; what the catcher kept in registers
 * over the call, and what the function had stored, must be as it was. One line a throw.
 */
#include <cstdint>
#include <cstdio>

extern "C" unsigned target_0(const unsigned *p, unsigned *d, long n);
static long calls, at;

extern "C" __attribute__((noinline)) void visit(unsigned x) {
    if (++calls == at)
        throw x;
}

static __attribute__((noinline)) uint64_t guarded(const unsigned *p, unsigned *d, long n, uint64_t a, uint64_t b,
                                                  uint64_t c, uint64_t e, double x) {
    uint64_t got = 0, k = a * 3, l = b * 5, m = c * 7, o = e * 11;

    try {
        got = target_0(p, d, n);
    } catch (unsigned thrown) {
        got = thrown ^ 0x5a5a5a5au;
    }
    return got + k * 3 + l * 5 + m * 7 + o * 9 + (uint64_t)(x * 2);
}

int main() {
    unsigned p[200], d[200], seed = 1;

    for (unsigned &one : p)
        one = seed = seed * 1664525u + 1013904223u;
    for (at = 0; at < 60; at++) {
        uint64_t sum = 0;
        calls = 0;
        for (unsigned &one : d)
            one = 7;
        uint64_t got = guarded(p, d, 200, p[0], p[1], p[2], p[3], p[4]);
        for (unsigned one : d)
            sum = sum * 31 + one;
        std::printf("%ld: %lu %lu %ld\n", at, got, sum, calls);
    }
}
