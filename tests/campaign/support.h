/* What every unit of a random project includes: the campaign's macros, and memory that bites. */
#pragma once
#ifdef FOLDED
#define FOLD(plain, folded) folded
#else
#define FOLD(plain, folded) plain
#endif
#ifndef KEEP
#define KEEP __attribute__((noinline))
#endif
#define KEEP_GLOBAL __attribute__((noinline))
#define TARGET __attribute__((noinline))

/* The sum of the bits of words that were written as something else. */
static inline unsigned bits_of(const unsigned *words, long n) {
    unsigned sum = 0, word;

    for (long i = 0; i <= n; i++) {
        __builtin_memcpy(&word, words + i, sizeof word);
        sum = sum * 5u + word;
    }
    return sum;
}

/* Two pages of numbers. Armed: the first touch of the second page changes the first. */
unsigned *two_pages(int armed);
