/* digit_sum: Decimal digits by repeated division. */
#include "kernel.h"

int kern(unsigned n) {
    int s = 0;
    while (n > 0) {
        s += n % 10;
        n /= 10;
    }
    return s;
}

#ifdef HARNESS
enum { SIZE = 1024, LEAST = 1, MOST = 60 };
static uint32_t *a;
static int n;
static void setup(size_t size) {
    n = size;
    a = words32(n);
    for (int i = 0; varied && i < n; i++)
        a[i] >>= below(32);
}
static uint64_t run(kern_t *f) {
    uint64_t s = 0;
    for (int i = 0; i < n; i++)
        s = s * 3 + f(a[i]);
    return s;
}
#endif
