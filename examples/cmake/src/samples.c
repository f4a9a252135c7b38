#include "tally.h"

uint32_t tally_distance(const uint8_t *a, const uint8_t *b, size_t length) {
    uint32_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum += (uint32_t)(a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
    return sum;
}

int64_t tally_dot(const int16_t *a, const int16_t *b, size_t length) {
    int64_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum += (int32_t)a[i] * b[i];
    return sum;
}

int32_t tally_largest(const int32_t *samples, size_t length) {
    int32_t largest = INT32_MIN;

    for (size_t i = 0; i < length; i++)
        if (samples[i] > largest)
            largest = samples[i];
    return largest;
}
