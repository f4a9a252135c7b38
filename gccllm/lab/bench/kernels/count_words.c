/* count_words: Words in a string, by a two-state machine. */
#include "kernel.h"

int kern(const char *s) {
    int in = 0, n = 0;
    while (*s) {
        if (*s == ' ' || *s == '\n' || *s == '\t')
            in = 0;
        else if (!in) {
            in = 1;
            n++;
        }
        s++;
    }
    return n;
}

#ifdef HARNESS
enum { SIZE = 16384, LEAST = 0, MOST = 1000 };
static char *s;
static void setup(size_t size) { s = text(size); }
static uint64_t run(kern_t *f) { return f(s); }
#endif
