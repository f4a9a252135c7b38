/* For each number of the second half: whether, and where first, it is in the (short) first part. */
#include "read.h"

HOT int find(const int *a, int n, int x) {
  for (int i = 0; i < n; i++)
    if (a[i] == x)
      return i;
  return -1;
}

int main(void) {
  int n;
  int *a = read_integers(&n), few = n < 4000 ? n / 2 : 2000;
  long found = 0, places = 0;
  for (int i = few; i < n && i < few + 40000; i++) {
    int at = find(a, few, a[i]);
    found += at >= 0;
    places += at;
  }
  printf("%ld %ld\n", found, places);
  return 0;
}
