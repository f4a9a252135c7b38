/*
 * usage: words FILE       prints the number of words, of the letter e, and the sum of the bytes modulo 65521
 *
 * exit: 0; 1 when FILE cannot be read.
 */
#include <stdio.h>
#include <stdlib.h>

#include "count.h"

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    unsigned char *text = NULL;
    size_t length = 0, got;

    if (file == NULL) {
        fprintf(stderr, "usage: words FILE\n");
        return 1;
    }
    do {
        unsigned char *larger = realloc(text, length + 65536);

        if (larger == NULL)
            return 1;
        text = larger;
        got = fread(text + length, 1, 65536, file);
        length += got;
    } while (got > 0);
    printf("%zu %zu %u\n", count_words(text, length), count_letter(text, length, 'e'),
           sum_bytes(text, length));
    free(text);
    return ferror(file) || fclose(file) != 0;
}
