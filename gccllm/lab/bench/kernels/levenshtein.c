/* levenshtein: Edit distance with one row of the table. */
#include "kernel.h"

static int mn(int a, int b) { return a < b ? a : b; }
int kern(const char *a, int n, const char *b, int m, int *row) {
    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (int i = 1; i <= n; i++) {
        int prev = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int t = row[j];
            row[j] = mn(mn(row[j] + 1, row[j - 1] + 1), prev + (a[i - 1] != b[j - 1]));
            prev = t;
        }
    }
    return row[m];
}

#ifdef HARNESS
enum { SIZE = 100, LEAST = 0, MOST = 80 };
static char *a, *b;
static int *row, n, m;
static void setup(size_t size) {
    n = size;
    m = varied ? below(100) : 120;
    a = text(n);
    b = text(m);
    for (int i = 0; i < 60 && i < n && i + 5 < m; i++)
        b[i + 5] = a[i];
    row = output((m + 1) * sizeof *row, 4);
}
static uint64_t run(kern_t *f) { return f(a, n, b, m, row); }
#endif
