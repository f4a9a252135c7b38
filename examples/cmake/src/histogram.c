#include "tally.h"

void tally_histogram(const uint8_t *data, size_t length, uint32_t *counts) {
    for (size_t i = 0; i < length; i++)
        counts[data[i]]++;
}
