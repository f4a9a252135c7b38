/* How many vowels a text has, and the longest stretch without one. */
#include "read.h"

HOT int count_vowels(const char *s, int n) {
  int found = 0;
  for (int i = 0; i < n; i++)
    if (s[i] == 'a' || s[i] == 'e' || s[i] == 'i' || s[i] == 'o' || s[i] == 'u')
      found++;
  return found;
}

HOT int longest_without(const char *s, int n) {
  int best = 0, length = 0;
  for (int i = 0; i < n; i++) {
    if (s[i] == 'a' || s[i] == 'e' || s[i] == 'i' || s[i] == 'o' || s[i] == 'u')
      length = 0;
    else
      length++;
    if (length > best)
      best = length;
  }
  return best;
}

int main(void) {
  size_t n;
  char *text = read_all(&n);
  printf("%d %d\n", count_vowels(text, (int)n), longest_without(text, (int)n));
  return 0;
}
