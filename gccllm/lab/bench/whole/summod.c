/* Sum of products of neighbours and sum of powers, modulo a prime. */
#include "read.h"

#define PRIME 1000000007

HOT long neighbours(const int *a, int n) {
  long s = 0;
  for (int i = 0; i + 1 < n; i++)
    s = (s + (long)a[i] * a[i + 1]) % PRIME;
  return s;
}

HOT long polynomial(const int *a, int n) {
  long h = 0;
  for (int i = 0; i < n; i++)
    h = (h * 31 + a[i]) % PRIME;
  return h;
}

int main(void) {
  int n;
  int *a = read_integers(&n);
  printf("%ld %ld\n", neighbours(a, n), polynomial(a, n));
  return 0;
}
