/* fib_mod: Fibonacci numbers with a modulus at every step. */
#include "kernel.h"

int kern(int n) {
    int a = 0, b = 1;
    for (int i = 0; i < n; i++) {
        int t = (a + b) % 1000000007;
        a = b;
        b = t;
    }
    return a;
}

#ifdef HARNESS
enum { SIZE = 2000, LEAST = 0, MOST = 600 };
static int n;
static void setup(size_t size) { n = varied ? (int)size - 3 : (int)size; }
static uint64_t run(kern_t *f) { return f(n); }
#endif
