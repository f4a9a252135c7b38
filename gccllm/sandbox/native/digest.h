/*
 * Digests of memory and of call sequences: eight lanes of 64 bits, folded to 128.
 *
 * Each step is a permutation of its lane and injective in the word, so a single changed word is never lost.
 * Not meant to withstand somebody who searches for collisions.
 */
#pragma once

struct digest {
    uint64_t lane[8];
};
static inline uint64_t rotate(uint64_t x, int n) { return x << n | x >> (64 - n); }
static inline uint64_t step(uint64_t lane, uint64_t word) {
    return rotate((lane ^ word) * 0x9fb21c651e98df25u, 29);
}

static void digest_start(struct digest *d) {
    for (int i = 0; i < 8; i++)
        d->lane[i] = 0x243f6a8885a308d3u * (2 * i + 1);
}
/* n is a multiple of 64. */
static void digest_add(struct digest *d, const void *at, size_t n) {
    uint64_t a = d->lane[0], b = d->lane[1], c = d->lane[2], e = d->lane[3];
    uint64_t f = d->lane[4], g = d->lane[5], h = d->lane[6], k = d->lane[7];
    for (const uint64_t *w = at, *end = w + n / 8; w != end; w += 8) {
        a = step(a, w[0]), b = step(b, w[1]), c = step(c, w[2]), e = step(e, w[3]);
        f = step(f, w[4]), g = step(g, w[5]), h = step(h, w[6]), k = step(k, w[7]);
    }
    *d = (struct digest){{a, b, c, e, f, g, h, k}};
}
static void digest_end(const struct digest *d, uint64_t out[2]) {
    uint64_t x = 1, y = 2;
    for (int i = 0; i < 8; i++)
        x = step(x, d->lane[i]), y = step(y, rotate(d->lane[i], 17) + x);
    out[0] = x ^ x >> 32, out[1] = y ^ y >> 32;
}
static void digest_pages(struct digest *d, const struct test *t); /* pages.h */
static void digest_memory(uint64_t out[2]) {
    struct digest d;
    digest_start(&d);
    for (unsigned i = 0; i < arenas_in_use; i++)
        digest_add(&d, (void *)arena_address(i), ARENA_BYTES);
    digest_add(&d, image_data, image_data_bytes);
    digest_pages(&d, current);
    digest_end(&d, out);
}
