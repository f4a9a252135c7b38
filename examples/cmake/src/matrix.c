#include "tally.h"

void tally_multiply(const uint32_t *a, const uint32_t *b, uint32_t *restrict product, size_t n) {
    for (size_t row = 0; row < n; row++)
        for (size_t column = 0; column < n; column++) {
            uint32_t sum = 0;

            for (size_t k = 0; k < n; k++)
                sum += a[row * n + k] * b[k * n + column];
            product[row * n + column] = sum;
        }
}
