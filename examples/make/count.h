#ifndef COUNT_H
#define COUNT_H

#include <stddef.h>

/* Words: runs of bytes above the blank. */
size_t count_words(const unsigned char *text, size_t length);

/* How often one of the 26 letters occurs, in either case. */
size_t count_letter(const unsigned char *text, size_t length, char letter);

/* The sum of all bytes, modulo 65521. */
unsigned sum_bytes(const unsigned char *text, size_t length);

#endif
