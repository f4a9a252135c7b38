/*
 * BLAKE2b as RFC 7693 section 3 describes it, unkeyed, 32-byte digest.
 *
 * The message words are read with memcpy: little-endian machines only, which is all that we build for.
 */
#include "blake2b.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "blake2b.c reads words in the machine's byte order"
#endif

enum { ROUNDS = 12, BLOCK_BYTES = 128 };

/* Section 2.6: the initialisation vector. */
static const uint64_t iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* Section 2.7: the message schedule; rounds 10 and 11 use rows 0 and 1 again. */
static const uint8_t sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t rotate(uint64_t word, int right) { return (word >> right) | (word << (64 - right)); }

/* Section 3.1: the mixing function G. */
static void mix(uint64_t v[16], int a, int b, int c, int d, uint64_t x, uint64_t y) {
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 63);
}

/* Section 3.2: the compression function F. */
static void compress(struct blake2b *h, int is_last) {
    uint64_t v[16], m[16];

    memcpy(m, h->block, sizeof(m));
    for (int i = 0; i < 8; i++) {
        v[i] = h->state[i];
        v[i + 8] = iv[i];
    }
    v[12] ^= h->counted[0];
    v[13] ^= h->counted[1];
    if (is_last)
        v[14] = ~v[14];
    for (int round = 0; round < ROUNDS; round++) {
        const uint8_t *s = sigma[round % 10];

        mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++)
        h->state[i] ^= v[i] ^ v[i + 8];
}

static void count(struct blake2b *h, size_t bytes) {
    h->counted[0] += bytes;
    if (h->counted[0] < bytes)
        h->counted[1]++;
}

void blake2b_start(struct blake2b *h) {
    memset(h, 0, sizeof(*h));
    memcpy(h->state, iv, sizeof(iv));
    h->state[0] ^= 0x01010000 ^ BLAKE2B_BYTES; /* section 2.5: fanout, depth, no key, digest size */
}

void blake2b_add(struct blake2b *h, const void *data, size_t length) {
    const uint8_t *next = data;

    while (length > 0) {
        size_t take;

        /* A full block waits until more comes: only the last one is compressed as last. */
        if (h->held == BLOCK_BYTES) {
            count(h, BLOCK_BYTES);
            compress(h, 0);
            h->held = 0;
        }
        take = BLOCK_BYTES - h->held;
        if (take > length)
            take = length;
        memcpy(h->block + h->held, next, take);
        h->held += take;
        next += take;
        length -= take;
    }
}

void blake2b_end(struct blake2b *h, char hex[BLAKE2B_HEX + 1]) {
    static const char digits[] = "0123456789abcdef";

    memset(h->block + h->held, 0, BLOCK_BYTES - h->held);
    count(h, h->held);
    compress(h, 1);
    for (int i = 0; i < BLAKE2B_BYTES; i++) {
        uint8_t byte = (uint8_t)(h->state[i / 8] >> (8 * (i % 8)));

        hex[2 * i] = digits[byte >> 4];
        hex[2 * i + 1] = digits[byte & 15];
    }
    hex[BLAKE2B_HEX] = '\0';
}
