/* anagram: Two counting passes over strings into one table on the stack. */
#include "kernel.h"

int kern(const char *a, const char *b) {
    int c[256] = {0};
    while (*a)
        c[(unsigned char)*a++]++;
    while (*b)
        c[(unsigned char)*b++]--;
    for (int i = 0; i < 256; i++)
        if (c[i])
            return 0;
    return 1;
}

#ifdef HARNESS
enum { SIZE = 64, LEAST = 0, MOST = 400 };
static char *a, *b;
static void setup(size_t size) {
    a = text(size);
    b = copy(a, size + 1, 1);
    if (size)
        swap_bytes(b, b + size - 1);
    for (size_t i = 0; varied && i < size; i++)
        swap_bytes(b + i, b + below(size));
    if (varied && size && coin())
        b[below(size)] = 'q';
}
static uint64_t run(kern_t *f) { return f(a, b); }
#endif
