/* matmul_mod: A product of small matrices with a modulus at every step. */
#include "kernel.h"

#define MOD 1000000007LL
void kern(int n, long long A[8][8], long long B[8][8], long long C[8][8]) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            C[i][j] = 0;
            for (int k = 0; k < n; k++)
                C[i][j] = (C[i][j] + A[i][k] * B[k][j]) % MOD;
        }
}

#ifdef HARNESS
#define BOUNDED
enum { SIZE = 8, LEAST = 0, MOST = 8 };
static long long *a, *b, *c;
static int n;
static long long *residues(void) {
    long long *p = output(64 * sizeof *p, 8);
    for (int i = 0; i < 64; i++)
        p[i] = varied && one_in(8) ? 1000000006 : random64() % 1000000007;
    return p;
}
static void setup(size_t size) {
    n = size;
    a = residues();
    b = residues();
    c = varied && one_in(8) ? a : output(64 * sizeof *c, 8);
}
static uint64_t run(kern_t *f) {
    f(n, (void *)a, (void *)b, (void *)c);
    return 0;
}
#endif
