/* usage: tally-test PART       exit 0 when every check of that part holds; the others are printed. */
#include <stdio.h>
#include <string.h>

#include "tally.h"

static int failures;

static void check(const char *what, long long got, long long expected) {
    if (got == expected)
        return;
    printf("%s: %lld, not %lld\n", what, got, expected);
    failures++;
}

static void test_checksum(void) {
    static uint8_t bytes[70000];
    uint64_t words[] = {1, 2, 4, 0x8000000000000000};

    check("adler32 of nothing", tally_adler32(bytes, 0), 1);
    check("adler32 of RFC text", tally_adler32((const uint8_t *)"Wikipedia", 9), 0x11E60398);
    memset(bytes, 255, sizeof(bytes));
    /* 1 + 70000 * 255 modulo 65521, and the sum of 1 + 255 * i. */
    unsigned long long low = (1 + 70000ULL * 255) % 65521,
                       high = (70000 + 255ULL * 70000 * 70001 / 2) % 65521;
    check("adler32 of many large bytes", tally_adler32(bytes, sizeof(bytes)), (long long)(high << 16 | low));
    check("fold of nothing", (long long)tally_fold(words, 0), 0);
    check("fold", (long long)tally_fold(words, 3), 4);
    check("fold wraps", (long long)(tally_fold(words + 3, 1) >> 63), 1);
}

static void test_histogram(void) {
    uint8_t bytes[1000];
    uint32_t counts[256] = {0};

    for (int i = 0; i < 1000; i++)
        bytes[i] = (uint8_t)(i * i);
    tally_histogram(bytes, 0, counts);
    tally_histogram(bytes, 1000, counts);
    for (int value = 0; value < 256; value++) {
        uint32_t expected = 0;

        for (int i = 0; i < 1000; i++)
            expected += (i * i) % 256 == value;
        check("histogram", counts[value], expected);
    }
}

static void test_matrix(void) {
    uint32_t a[49], b[49], product[49];

    for (size_t n = 1; n <= 7; n++) {
        for (uint32_t i = 0; i < n * n; i++) {
            a[i] = i * 2654435761u;
            b[i] = i % (n + 1) == 0;
        }
        tally_multiply(a, b, product, n);
        check("product with the identity", memcmp(a, product, n * n * sizeof(a[0])), 0);
    }
    uint32_t left[] = {1, 2, 3, 4}, right[] = {5, 6, 7, 8};

    tally_multiply(left, right, product, 2);
    check("product 0", product[0], 19);
    check("product 1", product[1], 22);
    check("product 2", product[2], 43);
    check("product 3", product[3], 50);
}

static void test_samples(void) {
    uint8_t rising[200], falling[200];
    int16_t low[100], high[100];
    int32_t samples[50];

    for (int i = 0; i < 200; i++) {
        rising[i] = (uint8_t)i;
        falling[i] = (uint8_t)(199 - i);
    }
    check("distance", tally_distance(rising, falling, 200), 20000);
    check("distance of nothing", tally_distance(rising, falling, 0), 0);
    for (int i = 0; i < 100; i++) {
        low[i] = INT16_MIN;
        high[i] = (int16_t)(i - 50);
    }
    check("dot of extremes", tally_dot(low, low, 100), 100LL * INT16_MIN * INT16_MIN);
    check("dot", tally_dot(low, high, 100), -50LL * INT16_MIN);
    for (int i = 0; i < 50; i++)
        samples[i] = -(i - 30) * (i - 30) - 7;
    check("largest", tally_largest(samples, 50), -7);
    check("largest of nothing", tally_largest(samples, 0), INT32_MIN);
}

static void test_text(void) {
    char text[300];

    for (size_t length = 0; length <= sizeof(text); length++) {
        memset(text, 'x', sizeof(text));
        check("no lines", (long long)tally_lines(text, length), 0);
        check("nothing odd", (long long)tally_first_odd(text, length), (long long)length);
        if (length > 0) {
            text[length - 1] = '\n';
            check("a line at the end", (long long)tally_lines(text, length), 1);
            check("odd at the end", (long long)tally_first_odd(text, length), (long long)length - 1);
        }
        memset(text, '\n', length);
        check("only lines", (long long)tally_lines(text, length), (long long)length);
    }
    check("DEL is odd", (long long)tally_first_odd("ab\x7f", 3), 2);
    check("UTF-8 is odd", (long long)tally_first_odd("~ \xc3\xbc", 4), 2);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*test)(void);
    } parts[] = {
        {"checksum", test_checksum}, {"histogram", test_histogram}, {"matrix", test_matrix},
        {"samples", test_samples},   {"text", test_text},
    };

    for (size_t i = 0; argc == 2 && i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strcmp(argv[1], parts[i].name) == 0) {
            parts[i].test();
            return failures != 0;
        }
    fprintf(stderr, "usage: tally-test checksum|histogram|matrix|samples|text\n");
    return 2;
}
