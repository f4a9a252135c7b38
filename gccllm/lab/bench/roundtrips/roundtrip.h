/*
 * What the drivers of suite `programs` share: all of stdin in, results out, a reason on failure.
 *
 * A driver packs its input, unpacks that again, compares, and writes every packed byte (or hash) to stdout,
 * so that two builds can be compared by their output. exit: 0 all came back, 1 something did not.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t *data;
    size_t size;
} input;

static inline void require(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "failed: %s\n", what);
        exit(1);
    }
}

static inline input read_input(void) {
    enum { MOST = 1 << 24 };
    input in = {malloc(MOST), 0};
    require(in.data != 0, "memory");
    in.size = fread(in.data, 1, MOST, stdin);
    return in;
}

static inline void *buffer(size_t size) {
    void *p = calloc(size + 1, 1);
    require(p != 0, "memory");
    return p;
}

static inline void write_result(const void *data, size_t size) {
    require(fwrite(data, 1, size, stdout) == size, "stdout");
}

static inline void require_same(input in, const void *data, size_t size, const char *what) {
    require(size == in.size && !memcmp(in.data, data, size), what);
}
