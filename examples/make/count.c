#include "count.h"

size_t count_words(const unsigned char *text, size_t length) {
    size_t words = 0;
    int in_word = 0;

    for (size_t i = 0; i < length; i++) {
        int is_word = text[i] > ' ';

        words += is_word && !in_word;
        in_word = is_word;
    }
    return words;
}

size_t count_letter(const unsigned char *text, size_t length, char letter) {
    size_t count = 0;

    for (size_t i = 0; i < length; i++)
        if ((text[i] | 32) == letter)
            count++;
    return count;
}

unsigned sum_bytes(const unsigned char *text, size_t length) {
    unsigned sum = 0;

    for (size_t i = 0; i < length; i++)
        sum = (sum + text[i]) % 65521;
    return sum;
}
