/* xxHash: vectors of its specification for the empty input, then every variant over prefixes of stdin, whole
 * and piecewise. */
#include "xxhash.h"
#include "roundtrip.h"

static void show(const char *name, size_t length, uint64_t high, uint64_t low) {
    printf("%s %zu %016lx%016lx\n", name, length, high, low);
}

int main(void) {
    input in = read_input();
    require(XXH32("", 0, 0) == 0x02cc5d05, "XXH32 of nothing");
    require(XXH64("", 0, 0) == 0xef46db3751d8e999, "XXH64 of nothing");
    require(XXH3_64bits("", 0) == 0x2d06800538d394c2, "XXH3 of nothing");
    for (size_t n = 0; n <= in.size; n += n < 300 ? 1 : n / 7) {
        const uint8_t *p = in.data + (in.size - n) % 64;
        size_t length = n - (in.size - n) % 64 * (n > 64);
        XXH128_hash_t wide = XXH3_128bits_withSeed(p, length, n);
        show("xxh32", length, 0, XXH32(p, length, n));
        show("xxh64", length, 0, XXH64(p, length, n));
        show("xxh3", length, 0, XXH3_64bits_withSeed(p, length, n));
        show("xxh128", length, wide.high64, wide.low64);

        XXH64_state_t *old = XXH64_createState();
        XXH3_state_t *state = XXH3_createState();
        XXH64_reset(old, n);
        XXH3_64bits_reset_withSeed(state, n);
        for (size_t at = 0, piece = 1; at < length; at += piece, piece = piece * 3 % 1000 + 1) {
            piece = piece < length - at ? piece : length - at;
            XXH64_update(old, p + at, piece);
            XXH3_64bits_update(state, p + at, piece);
        }
        require(XXH64_digest(old) == XXH64(p, length, n), "XXH64 in pieces");
        require(XXH3_64bits_digest(state) == XXH3_64bits_withSeed(p, length, n), "XXH3 in pieces");
        XXH64_freeState(old);
        XXH3_freeState(state);
    }
    return 0;
}
