/* caesar: Letters of a string shifted in place, modulo 26. */
#include "kernel.h"

void kern(char *s, int sh) {
    for (int i = 0; s[i] != '\0'; i++) {
        if (s[i] >= 'a' && s[i] <= 'z')
            s[i] = (s[i] - 'a' + sh) % 26 + 'a';
        else if (s[i] >= 'A' && s[i] <= 'Z')
            s[i] = (s[i] - 'A' + sh) % 26 + 'A';
    }
}

#ifdef HARNESS
enum { SIZE = 2048, LEAST = 0, MOST = 400 };
static char *s;
static int shift;
static void setup(size_t size) {
    s = text(size);
    shift = varied ? below(90) - 30 : 3;
}
static uint64_t run(kern_t *f) {
    f(s, shift);
    return 0;
}
#endif
