/* coin_change: Ways to pay an amount: one-dimensional dynamic programming with a modulus. */
#include "kernel.h"

long kern(const int *coins, int n, int amt, long *ways) {
    for (int i = 0; i <= amt; i++)
        ways[i] = 0;
    ways[0] = 1;
    for (int i = 0; i < n; i++)
        for (int j = coins[i]; j <= amt; j++) {
            ways[j] += ways[j - coins[i]];
            ways[j] %= 1000000007;
        }
    return ways[amt];
}

#ifdef HARNESS
enum { SIZE = 1000, LEAST = 0, MOST = 400 };
static int *coins, kinds, amount;
static long *ways;
static void setup(size_t size) {
    amount = size;
    kinds = varied ? below(8) : 10;
    coins = ints(kinds, 1, 51);
    ways = output((amount + 1) * sizeof *ways, 8);
}
static uint64_t run(kern_t *f) { return f(coins, kinds, amount, ways); }
#endif
