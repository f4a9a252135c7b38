/* Lines, words and bytes of a text. */
#include "read.h"

HOT int count_lines(const char *s, int n) {
  int lines = 0;
  for (int i = 0; i < n; i++)
    if (s[i] == '\n')
      lines++;
  return lines;
}

HOT int count_words(const char *s, int n) {
  int words = 0, inside = 0;
  for (int i = 0; i < n; i++) {
    int blank = s[i] == ' ' || s[i] == '\n' || s[i] == '\t';
    if (!blank && !inside)
      words++;
    inside = !blank;
  }
  return words;
}

int main(void) {
  size_t n;
  char *text = read_all(&n);
  printf("%d %d %zu\n", count_lines(text, (int)n), count_words(text, (int)n), n);
  return 0;
}
