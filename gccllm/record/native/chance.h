/*
 * When to sample next, in whole numbers: the program's floating-point state is not ours to use.
 *
 * With K of n calls kept, the next one to keep is call m with P(m > x) = (n/x)^K, which is what deciding "K in n" at
 * every call comes to (exactly for large n, and near enough for small). So m = n * U^(-1/K), U uniform.
 */
#pragma once

#include "system.h"

static u64 next_random(u64 *state) {
    u64 x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Dul;
}

/* log2 of a value above 0, times 2^32; exact to 24 bits of fraction. */
static u64 log2_of(u64 value) {
    u64 whole = 63 - (u64)__builtin_clzl(value), fraction = 0;
    u64 mantissa = value << (63 - whole); /* [1, 2) times 2^63 */

    for (int bit = 31; bit >= 8; bit--) {
        u128 square = (u128)mantissa * mantissa;

        if (square >> 127 != 0) {
            fraction |= 1ul << bit;
            mantissa = (u64)(square >> 64);
        } else {
            mantissa = (u64)(square >> 63);
        }
    }
    return whole << 32 | fraction;
}

/* value * 2^(exponent / 2^32), at most LATEST. */
static u64 scaled(u64 value, u64 exponent) {
    /* 2^(2^-i) - 1, times 2^32, for i = 1, 2, ... */
    static const u32 roots[24] = {
        0x6a09e668, 0x306fe0a3, 0x172b83c8, 0xb5586d0, 0x59b0d31, 0x2c9a3e7, 0x163daa0, 0xb1afa6,
        0x58c86e,   0x2c605e,   0x162f39,   0xb175f,   0x58ba0,   0x2c5cc,   0x162e5,   0xb172,
        0x58b9,     0x2c5d,     0x162e,     0xb17,     0x58c,     0x2c6,     0x163,     0xb1,
    };
    const u128 latest = 1ul << 61;
    u128 result = (u128)value << 32;

    for (int i = 0; i < 24; i++)
        if (exponent >> (31 - i) & 1)
            result += result >> 32 > latest ? 0 : (result * roots[i]) >> 32;
    for (u64 i = 0; i < exponent >> 32 && result >> 32 <= latest; i++)
        result <<= 1;
    return result >> 32 > latest ? (u64)latest : (u64)(result >> 32);
}

/* The next call to keep after call n, when `kept` calls are kept. */
static u64 next_kept(u64 n, u64 kept, u64 *random) {
    u64 next = scaled(n, ((64ul << 32) - log2_of(next_random(random) | 1)) / kept);

    return next > n ? next : n + 1;
}
