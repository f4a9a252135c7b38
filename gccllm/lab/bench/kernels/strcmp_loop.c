/* strcmp_loop: Two strings compared up to the first difference. */
#include "kernel.h"

int kern(const char *a, const char *b) {
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *(unsigned char *)a - *(unsigned char *)b;
}

#ifdef HARNESS
enum { SIZE = 1000, LEAST = 0, MOST = 600 };
static char *a, *b;
static size_t n;
static void setup(size_t size) {
    n = size;
    a = text(n);
    b = copy(a, n + 1, 1);
    if (!varied)
        b[950] = '~';
    else if (n && below(4))
        b[below(n)] = coin() ? 0 : '~';
}
static uint64_t run(kern_t *f) {
    size_t late = varied ? 0 : 900;
    return (unsigned)f(a, b) + 7ull * (unsigned)f(a + late, b + late);
}
#endif
