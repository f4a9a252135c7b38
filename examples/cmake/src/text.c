#include "tally.h"

size_t tally_lines(const char *text, size_t length) {
    size_t lines = 0;

    for (size_t i = 0; i < length; i++)
        if (text[i] == '\n')
            lines++;
    return lines;
}

size_t tally_first_odd(const char *text, size_t length) {
    size_t i = 0;

    while (i < length && text[i] >= ' ' && text[i] <= '~')
        i++;
    return i;
}
