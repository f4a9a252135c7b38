/*
 * tally-time: how long each function takes.
 *
 * usage: tally-time [REPEATS]      prints `name TAB microseconds` per function, and their sum
 *
 * The time is the fastest of REPEATS (15). The buffers are the same in every run, so two builds can be
 * compared: `result` lines must be equal between them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tally.h"

enum { BYTES = 1 << 20, SIDE = 96, REPEATS = 15, MOST_REPEATS = 100000 };

static union {
    uint8_t bytes[BYTES];
    char text[BYTES];
    int16_t shorts[BYTES / 2];
    int32_t ints[BYTES / 4];
    uint32_t matrix[BYTES / 4];
    uint64_t words[BYTES / 8];
} buffers[2];
static uint32_t product[SIDE * SIDE];
static uint32_t counts[256];

static uint64_t run_adler32(void) { return tally_adler32(buffers[0].bytes, BYTES); }
static uint64_t run_fold(void) { return tally_fold(buffers[0].words, BYTES / 8); }
static uint64_t run_lines(void) { return tally_lines(buffers[0].text, BYTES); }
static uint64_t run_first_odd(void) { return tally_first_odd(buffers[1].text, BYTES); }
static uint64_t run_distance(void) { return tally_distance(buffers[0].bytes, buffers[1].bytes, BYTES); }
static uint64_t run_dot(void) { return (uint64_t)tally_dot(buffers[0].shorts, buffers[1].shorts, BYTES / 2); }
static uint64_t run_largest(void) { return (uint64_t)tally_largest(buffers[0].ints, BYTES / 4); }

static uint64_t run_histogram(void) {
    for (int i = 0; i < 256; i++)
        counts[i] = 0;
    tally_histogram(buffers[0].bytes, BYTES, counts);
    return counts[17];
}

static uint64_t run_multiply(void) {
    tally_multiply(buffers[0].matrix, buffers[1].matrix, product, SIDE);
    return product[SIDE + 1];
}

static const struct {
    const char *name;
    uint64_t (*run)(void);
} functions[] = {
    {"adler32", run_adler32}, {"fold", run_fold},           {"histogram", run_histogram},
    {"lines", run_lines},     {"first_odd", run_first_odd}, {"distance", run_distance},
    {"dot", run_dot},         {"largest", run_largest},     {"multiply", run_multiply},
};

static double microseconds(void) {
    struct timespec now;

    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
    int repeats = argc > 1 ? atoi(argv[1]) : REPEATS;
    uint32_t state = 1;
    double all = 0;

    if (repeats < 1 || repeats > MOST_REPEATS) {
        fprintf(stderr, "usage: tally-time [REPEATS]\n");
        return 2;
    }
    for (size_t i = 0; i < BYTES; i++) {
        state = state * 1664525 + 1013904223;
        buffers[0].bytes[i] = (uint8_t)(state >> 24);
        buffers[1].bytes[i] = (uint8_t)(' ' + (state >> 20) % 95);
    }
    for (size_t f = 0; f < sizeof(functions) / sizeof(functions[0]); f++) {
        double best = 1e30;
        uint64_t result = 0;

        for (int i = 0; i < repeats; i++) {
            double start = microseconds();

            result = functions[f].run();
            double took = microseconds() - start;

            if (took < best)
                best = took;
        }
        printf("%s\t%.1f\nresult\t%llu\n", functions[f].name, best, (unsigned long long)result);
        all += best;
    }
    printf("all\t%.1f\n", all);
    return 0;
}
