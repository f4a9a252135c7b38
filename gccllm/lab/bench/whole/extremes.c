/* Where the largest and the smallest number are, and how many lie between two bounds. */
#include "read.h"

HOT int largest(const int *a, int n) {
  int k = 0;
  for (int i = 1; i < n; i++)
    if (a[i] > a[k])
      k = i;
  return k;
}

HOT int smallest(const int *a, int n) {
  int k = 0;
  for (int i = 1; i < n; i++)
    if (a[i] < a[k])
      k = i;
  return k;
}

HOT int between(const int *a, int n, int low, int high) {
  int found = 0;
  for (int i = 0; i < n; i++)
    if (a[i] >= low && a[i] <= high)
      found++;
  return found;
}

int main(void) {
  int n;
  int *a = read_integers(&n);
  printf("%d %d %d\n", largest(a, n), smallest(a, n), between(a, n, 1000, 500000));
  return 0;
}
