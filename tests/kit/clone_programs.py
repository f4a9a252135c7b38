"""C programs in which gcc clones the hot function: a unit, the same with one mistake, and a program that prints."""

from __future__ import annotations

from typing import NamedTuple


class Cloned(NamedTuple):
    clone: str
    unit: str
    mistake: tuple[str, str]
    """What of the unit is written otherwise in the wrong one."""
    main: str
    passes: str
    """How the clone is called, in `types.describe`'s words."""


CONSTANT = Cloned(
    "weigh.constprop.0",
    """
struct image { const unsigned char *pixels; long count; int stride; double gamma; };
static __attribute__((noinline)) long weigh(int mode, const struct image *image, const int *table, long n) {
    long sum = 0;
    for (long i = 0; i < n; i++)
        sum += mode == 2 ? table[image->pixels[i]] * 3 : table[image->pixels[i]] - 1;
    return sum;
}
long whole(const struct image *image, const int *table) { return weigh(2, image, table, image->count); }
long half(const struct image *image, const int *table) { return weigh(2, image, table, image->count / 2); }
""",
    ("* 3", "* 5"),
    r"""
#include <stdio.h>
struct image { const unsigned char *pixels; long count; int stride; double gamma; };
long whole(const struct image *, const int *);
long half(const struct image *, const int *);
int main(void) {
    static unsigned char pixels[4000];
    static int table[256];
    for (int i = 0; i < 4000; i++) pixels[i] = (unsigned char)(i * 37 >> 2);
    for (int i = 0; i < 256; i++) table[i] = i * i - 1000;
    struct image image = {pixels, 4000, 1, 0.5};
    printf("%ld %ld\n", whole(&image, table), half(&image, table));
    return 0;
}
""",
    "i64 (const struct image* image, const i32* table, i64 n)",
)
"""All callers pass one mode."""

SPLIT = Cloned(
    "amplify.constprop.0.isra.0",
    """
struct wave { float *samples; unsigned length; float level; int id; };
static __attribute__((noinline)) long amplify(struct wave *w, float gain, int channel, float offset) {
    long done = 0;
    for (unsigned i = 0; i < w->length; i++) {
        w->samples[i] = w->samples[i] * gain + offset;
        done += i ^ channel;
    }
    return done;
}
void loud(struct wave *w, float gain) { amplify(w, gain, 3, 0.25f); }
void louder(struct wave *w, float gain) { amplify(w, gain * 2, 3, 0.25f), amplify(w, gain, 3, 0.25f); }
""",
    ("+ offset", "- offset"),
    r"""
#include <stdio.h>
struct wave { float *samples; unsigned length; float level; int id; };
void loud(struct wave *, float);
void louder(struct wave *, float);
int main(void) {
    static float s[777];
    for (int i = 0; i < 777; i++) s[i] = (float)(i % 50) - 20;
    struct wave w = {s, 777, 1, 2};
    loud(&w, 1.5f), louder(&w, 0.75f);
    double sum = 0;
    for (int i = 0; i < 777; i++) sum += s[i] * i;
    printf("%a %a\n", sum, s[776]);
    return 0;
}
""",
    "void (f32* value0, u32 value1, f32 gain)",
)
"""What the record holds is passed in place of its address, two constants not at all, and nothing is returned."""

PART = Cloned(
    "shift.part.0",
    """
struct list { short *values; int count; int limit; };
void shift(struct list *l, int by) {
    if (by == 0) return;
    for (int i = 0; i < l->count; i++) l->values[i] = (short)(l->values[i] * by + i);
    for (int i = 0; i < l->count; i++)
        if (l->values[i] > by * 3) l->values[i] -= by;
        else if (l->values[i] < -by) l->values[i] = (short)(l->values[i] / 2 + by % 7);
    for (int i = 1; i < l->limit; i++) l->values[i] ^= l->values[i - 1] >> 1;
}
void first(struct list *l, int b) { shift(l, b), l->count--; }
void second(struct list *l, int b) { for (int i = 0; i < 3; i++) shift(l + i, b + i); }
void third(struct list *l, int b) { shift(l, b * 2), shift(l + 1, b); }
""",
    (">> 1", ">> 2"),
    r"""
#include <stdio.h>
struct list { short *values; int count; int limit; };
void shift(struct list *, int);
void first(struct list *, int);
void second(struct list *, int);
void third(struct list *, int);
int main(void) {
    static short v[600];
    for (int i = 0; i < 600; i++) v[i] = (short)(i * 97 % 1000);
    struct list l[3] = {{v, 600, 100}, {v + 10, 0, 20}, {v + 20, 400, 0}};
    first(l, 5), second(l, -1), third(l, 3), shift(l, 0);
    long sum = 0;
    for (int i = 0; i < 600; i++) sum = sum * 31 + v[i];
    printf("%ld\n", sum);
    return 0;
}
""",
    "void (struct list* l, i32 by)",
)
"""The loops lie apart from the test in front of them, which is inlined."""

PROGRAMS = {"constant": CONSTANT, "split": SPLIT, "part": PART}
