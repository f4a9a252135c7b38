/* The text in capitals. */
#include "read.h"

HOT void to_upper(char *s, int n) {
  for (int i = 0; i < n; i++)
    if (s[i] >= 'a' && s[i] <= 'z')
      s[i] -= 32;
}

int main(void) {
  size_t n;
  char *text = read_all(&n);
  to_upper(text, (int)n);
  fwrite(text, 1, n, stdout);
  return 0;
}
