/*
 * BLAKE2b (RFC 7693) with a 32-byte digest and no key: names unit cache entries and checks their bytes.
 */
#ifndef GCCLLM_BLAKE2B_H
#define GCCLLM_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

enum { BLAKE2B_BYTES = 32, BLAKE2B_HEX = 2 * BLAKE2B_BYTES };

struct blake2b {
    uint64_t state[8];
    uint64_t counted[2];
    uint8_t block[128];
    size_t held; /* bytes in block; the last block is only compressed by the end */
};

void blake2b_start(struct blake2b *);
void blake2b_add(struct blake2b *, const void *data, size_t length);
void blake2b_end(struct blake2b *, char hex[BLAKE2B_HEX + 1]);

#endif
