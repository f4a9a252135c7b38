/* lcs_dp: Longest common subsequence by a full table. */
#include "kernel.h"

int kern(const char *a, int n, const char *b, int m, int dp[][201]) {
    for (int i = 0; i <= n; i++)
        for (int j = 0; j <= m; j++) {
            if (i == 0 || j == 0)
                dp[i][j] = 0;
            else if (a[i - 1] == b[j - 1])
                dp[i][j] = dp[i - 1][j - 1] + 1;
            else
                dp[i][j] = dp[i - 1][j] > dp[i][j - 1] ? dp[i - 1][j] : dp[i][j - 1];
        }
    return dp[n][m];
}

#ifdef HARNESS
enum { SIZE = 200, LEAST = 0, MOST = 80 };
static char *a, *b;
static int (*dp)[201], n, m;
static void setup(size_t size) {
    n = size;
    m = varied ? below(201) : 200;
    a = text(n);
    b = text(m);
    dp = output((n + 1) * sizeof *dp, 4);
}
static uint64_t run(kern_t *f) { return f(a, n, b, m, dp); }
#endif
