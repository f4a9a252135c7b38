/* Largest sum of a stretch of numbers less their mean, for many thresholds. */
#include "read.h"

HOT long stretch(const int *a, int n, int less) {
  long best = 0, sum = 0;
  for (int i = 0; i < n; i++) {
    sum += a[i] - less;
    if (sum < 0)
      sum = 0;
    if (sum > best)
      best = sum;
  }
  return best;
}

int main(void) {
  int n;
  int *a = read_integers(&n);
  long total = 0;
  for (int less = 100000; less < 900000; less += 50000)
    total ^= stretch(a, n, less);
  printf("%ld\n", total);
  return 0;
}
