/* mandelbrot: Iterations of one point until it escapes. */
#include "kernel.h"

int kern(double cr, double ci, int m) {
    double x = 0, y = 0;
    int i;
    for (i = 0; i < m && x * x + y * y <= 4.0; i++) {
        double t = x * x - y * y + cr;
        y = 2 * x * y + ci;
        x = t;
    }
    return i;
}

#ifdef HARNESS
enum { SIZE = 200, LEAST = 0, MOST = 300 };
static int limit;
static double dx, dy;
static void setup(size_t size) {
    limit = size;
    dx = varied ? below(100) / 997.0 : 0;
    dy = varied ? below(100) / 991.0 : 0;
}
static uint64_t run(kern_t *f) {
    uint64_t s = 0;
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 10; j++)
            s = s * 3 + f(-2 + i * .3 + dx, -1 + j * .2 + dy, limit);
    return s;
}
#endif
