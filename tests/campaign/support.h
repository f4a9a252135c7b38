/* What every unit of a random project includes: the campaign's macros, and memory that bites. */
#pragma once
#ifdef FOLDED
#define FOLD(plain, folded) folded
#else
#define FOLD(plain, folded) plain
#endif
/* In a candidate every function keeps its name and its parameters, as it has them in the user's build. */
#ifdef CANDIDATE
#define APART __attribute__((noinline, used))
#else
#define APART __attribute__((noinline))
#endif
#ifndef KEEP
#define KEEP APART
#endif
#define KEEP_GLOBAL __attribute__((noinline))
#define TARGET APART

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
