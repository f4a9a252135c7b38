/* tally: numbers about bytes. Every function is defined for a length of 0. */
#ifndef TALLY_H
#define TALLY_H

#include <stddef.h>
#include <stdint.h>

/* Adler-32 of RFC 1950. */
uint32_t tally_adler32(const uint8_t *data, size_t length);

/* Exclusive or of all 64-bit words, rotated by one before each. */
uint64_t tally_fold(const uint64_t *words, size_t count);

/* Add the number of times each byte value occurs to counts[256]. */
void tally_histogram(const uint8_t *data, size_t length, uint32_t *counts);

/* Number of lines: newline characters. */
size_t tally_lines(const char *text, size_t length);

/* Offset of the first byte that is no printable ASCII, or length. */
size_t tally_first_odd(const char *text, size_t length);

/* Sum of the absolute differences of two rows of samples. */
uint32_t tally_distance(const uint8_t *a, const uint8_t *b, size_t length);

/* Sum of the products of two rows of samples. */
int64_t tally_dot(const int16_t *a, const int16_t *b, size_t length);

/* Largest sample; INT32_MIN for none. */
int32_t tally_largest(const int32_t *samples, size_t length);

/* product = a * b for n x n matrices in row order, modulo 2^32; product is neither a nor b. */
void tally_multiply(const uint32_t *a, const uint32_t *b, uint32_t *restrict product, size_t n);

#endif
