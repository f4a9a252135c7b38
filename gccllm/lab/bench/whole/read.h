/* All of standard input, as text or as integers. */
#include <stdio.h>
#include <stdlib.h>

/* A function by itself, in both builds: gcc would put most of these into main, which reads input and is never rewritten.
 */
#define HOT __attribute__((noinline, noclone))

static char *read_all(size_t *length) {
  size_t room = 1 << 20, used = 0, got;
  char *text = malloc(room + 1);
  while ((got = fread(text + used, 1, room - used, stdin)) > 0) {
    used += got;
    if (used == room)
      text = realloc(text, (room *= 2) + 1);
  }
  text[used] = 0;
  *length = used;
  return text;
}

static int *read_integers(int *count) {
  size_t length;
  char *text = read_all(&length), *at = text;
  int *values = malloc((length / 2 + 1) * sizeof *values), n = 0;
  for (char *end; values[n] = (int)strtol(at, &end, 10), end != at; at = end)
    n++;
  free(text);
  *count = n;
  return values;
}
