#include "tally.h"

uint32_t tally_adler32(const uint8_t *data, size_t length) {
    uint32_t low = 1, high = 0;

    for (size_t i = 0; i < length; i++) {
        low = (low + data[i]) % 65521;
        high = (high + low) % 65521;
    }
    return high << 16 | low;
}

uint64_t tally_fold(const uint64_t *words, size_t count) {
    uint64_t all = 0;

    for (size_t i = 0; i < count; i++)
        all = (all << 1 | all >> 63) ^ words[i];
    return all;
}
