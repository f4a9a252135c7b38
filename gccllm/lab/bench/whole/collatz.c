/* Bits set in all numbers, and the total length of their Collatz sequences. */
#include "read.h"

HOT int bits(unsigned x) {
  int n = 0;
  while (x) {
    n += x & 1;
    x >>= 1;
  }
  return n;
}

HOT int steps(unsigned long x) {
  int n = 0;
  while (x > 1) {
    x = x % 2 ? 3 * x + 1 : x / 2;
    n++;
  }
  return n;
}

int main(void) {
  int n;
  int *a = read_integers(&n);
  long set = 0, length = 0;
  for (int i = 0; i < n; i++)
    set += bits((unsigned)a[i]);
  for (int i = 0; i < n; i += 4)
    length += steps((unsigned)a[i]);
  printf("%ld %ld\n", set, length);
  return 0;
}
