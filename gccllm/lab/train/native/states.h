/* The input states of the quick check: arguments, arrays, strings and tables drawn by the kinds of a line.
 *
 * Kinds: p q arrays (:bits:signed, signed 2 for floats, 3 for residues of the first value, most of the time),
 * k array as long as the divisor, u the same of ints from 1 to 50 (mostly), o output array (may overlap p),
 * e end of p, z y strings, n count (of elements of p, q, o), N side of square matrices in p, q, o, d divisor,
 * m scalar count, x scalar bits, c scalar element, w int near the element range, g scalar float (:bits), t
 * table of 256 elements (:bits) that nothing overlaps, h output of 256 elements (:bits).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t u64;
enum { REGION = 8192, PATTERN = 2048, MAX_ARGS = 6 };

static u64 state;
static u64 rnd(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1DULL;
}

struct kind {
    char letter;
    int bits, is_signed;
    char type[4];
};
static struct kind kinds[MAX_ARGS];
static int kind_count, return_bytes, plain; /* of the line */
static long long values[16];
static int value_count;
static int element_bits = 8, element_signed, raw;
static uint8_t *region[3], *saved[3];
static int regions; /* in use: 1 for p and z, 2 with q, y or k, 3 with o */
enum { TABLE = 2048 };
static uint8_t table[2][TABLE], saved_table[2][TABLE], expected_table[2][TABLE];
static u64 integers[MAX_ARGS];
static double floats[4];

static u64 element(int mode) {
    switch (mode) {
    case 0:
        return rnd();
    case 1:
        return rnd() % 8;
    case 2:
        return value_count ? (u64)(values[rnd() % (unsigned)value_count] + (long long)(rnd() % 3) - 1)
                           : rnd() % 300;
    case 3:
        return (rnd() % 61) ? 77 : rnd() % 256;
    case 4:
        return "etaoin ETAOIN shrdlu,.09\n\t zZaA{[@`/:"[rnd() % 38];
    case 5:
        return (rnd() % 211) ? (u64)(rnd() % 120 + 1) : rnd();
    case 6:
        return (u64) - (long long)(rnd() % 200);
    case 7:
        return rnd() & 0x7fffffff;
    case 8:
        return value_count ? (u64)(values[0] + 40 + (long long)(rnd() % 20)) : rnd() % 9;
    case 9:
        return rnd() >> (rnd() % 64);
    default:
        return value_count ? (u64)values[0] : 7;
    }
}

static void put(uint8_t *at, u64 value) {
    if (element_signed == 2) {
        double d = (double)((long long)(value % 4001) - 2000) / 8;
        float f = (float)d;
        memcpy(at, element_bits == 32 ? (void *)&f : (void *)&d, (size_t)element_bits / 8);
        return;
    }
    if (element_signed == 3 && !raw)
        value %= (u64)values[0];
    memcpy(at, &value, (size_t)element_bits / 8);
}

enum { MODES = 14 }; /* from LEVEL on only for timing: states in which comparisons go the same way for long */
enum { LEVEL = 10, UNDER, UP, DOWN };

static void fill(int r, int mode) {
    int size = element_bits / 8;
    if (mode >= LEVEL) {
        for (int i = 0; i < REGION / size; i++)
            put(region[r] + i * size, mode == UP     ? (u64)i * (element_bits > 8) + 1
                                      : mode == DOWN ? (u64)(REGION / size - i) * (element_bits > 8) + 1
                                                     : (u64)((mode == LEVEL) == (r == 0) ? 3 : 9));
        return;
    }
    for (int i = 0; i < PATTERN; i += size)
        put(region[r] + i, element(mode));
    for (int i = PATTERN; i < REGION; i += PATTERN)
        memcpy(region[r] + i, region[r], PATTERN);
}

static u64 typed(const char *type, long long value) {
    u64 v = (u64)value;
    if (type[1] == '3')
        v = (v & 0xffffffffu) | (rnd() << 32);
    return v;
}

/* Where an array of `bytes` lies: against the end, against the start, or anywhere. */
static uint8_t *place(int r, long bytes) {
    long room = REGION - bytes, size = element_bits / 8;
    if (room < 0)
        room = 0;
    switch (rnd() % 4) {
    case 0:
    case 1:
        return region[r] + room;
    case 2:
        return region[r];
    default:
        return region[r] + (long)(rnd() % (u64)(room / size + 1)) * size;
    }
}

static void string(uint8_t *at, long length, int mode) {
    for (long i = 0; i < length; i++) {
        uint8_t c = (uint8_t)element(mode);
        at[i] = c ? c : 'q';
    }
    at[length] = 0;
}

/* One input state; `medium` >= 0 asks for a long one with that mode of values. */
static void make(int medium) {
    static const int lengths[] = {0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129};
    int mode = medium >= 0 ? medium : (int)(rnd() % 10);
    long n = rnd() % 3 ? (long)(rnd() % 200) : lengths[rnd() % 16];
    if (medium < 0 && rnd() % 10 == 0)
        n = (long)(rnd() % 1500);
    if (medium >= 0)
        n = 1000;
    raw = medium < 0 && rnd() % 4 == 0;
    for (int r = 0; r < regions; r++)
        fill(r, mode);
    long size = element_bits / 8;
    if (n * size >= REGION)
        n = REGION / size - 1;
    long side = 0;
    for (int i = 0; i < kind_count; i++)
        if (kinds[i].letter == 'N') {
            side = medium >= 0 ? 24 : (long)(rnd() % 4 ? rnd() % 25 : rnd() % 4);
            while (side * side * size > REGION)
                side--;
            n = side * side;
        }
    long divisor = 1 + (long)(rnd() % (medium >= 0 ? 50 : 20));
    if (medium >= 0)
        divisor = 13;
    uint8_t *a = place(0, n * size), *b = place(1, n * size), *o = place(2, n * size);
    for (int i = 0; i < kind_count; i++) {
        char k = kinds[i].letter;
        if (k == 'z') {
            a = place(0, n + 1);
            string(a, n, mode);
        } else if (k == 'y') {
            b = place(1, n + 1);
            string(b, n, mode);
        } else if (k == 'k') {
            b = place(1, divisor * size);
        } else if (k == 'u') {
            b = place(1, divisor * (size > 4 ? size : 4));
            for (long j = 0; j < divisor; j++)
                ((int32_t *)b)[j] = rnd() % 64 ? 1 + (int32_t)(rnd() % 50) : (int32_t)(rnd() % 8) - 4;
        }
    }
    for (int i = 0; i < kind_count; i++)
        if ((kinds[i].letter == 'q' || kinds[i].letter == 'y') && mode < LEVEL &&
            (medium >= 0 || rnd() % 3)) { /* much in common */
            long extent = kinds[i].letter == 'y' ? n + 1 : n * size;
            memcpy(b, a, (size_t)extent);
            if (n && (rnd() % 2 || medium >= 0)) {
                long at = medium >= 0 ? n - 1 : (long)(rnd() % (u64)n);
                put(b + at * size, kinds[i].letter == 'y' ? element(mode) | 1 : element(mode));
            }
            if (kinds[i].letter == 'q' && rnd() % 8 == 0 && medium < 0)
                b = a;
        } else if (kinds[i].letter == 'o' && medium < 0 && rnd() % 3 == 0) {
            long shift = (long)(rnd() % 9) - 4;
            o = a + shift * size;
            if (o < region[0] || o + n * size > region[0] + REGION)
                o = a;
        } else if (kinds[i].letter == 'k' && medium < 0 && rnd() % 6 == 0 && divisor <= n)
            b = a;
    int float_count = 0, float_slots = 0;
    memset(floats, 0, sizeof floats);
    for (int which = 0; which < 2; which++)
        for (int i = 0; i < TABLE; i++)
            table[which][i] = (uint8_t)rnd();
    for (int i = 0; i < kind_count; i++) {
        struct kind *k = &kinds[i];
        long long v;
        u64 *args = integers - float_slots;
        switch (k->letter) {
        case 'p':
        case 'z':
            args[i] = (u64)a;
            break;
        case 'q':
        case 'y':
        case 'u':
        case 'k':
            args[i] = (u64)b;
            break;
        case 'o':
            args[i] = (u64)o;
            break;
        case 'e':
            args[i] = (u64)(a + n * size);
            break;
        case 'n':
            v = n;
            if (medium < 0 && rnd() % 12 == 0) {
                if (k->type[0] == 'i')
                    v = rnd() % 2 ? -(long long)(rnd() % 9) : k->type[1] == '3' ? INT32_MIN : INT64_MIN;
                else
                    v = rnd() % 2 ? -1 : k->type[1] == '3' ? 0x80000000ll : INT64_MIN;
            }
            args[i] = typed(k->type, v);
            break;
        case 'N':
            v = side;
            if (medium < 0 && rnd() % 16 == 0 && k->type[0] == 'i')
                v = -(long long)(rnd() % 5);
            args[i] = typed(k->type, v);
            break;
        case 'g': {
            double d = (double)((long long)(rnd() % 4001) - 2000) / 8;
            float f = (float)d;
            if (k->bits == 32)
                memcpy(&floats[float_count++], &f, 4);
            else
                floats[float_count++] = d;
            float_slots++;
            break;
        }
        case 't':
        case 'h':
            args[i] = (u64)table[k->letter == 'h'];
            break;
        case 'd':
            args[i] = typed(k->type, k->type[0] == 'i' && medium < 0 && rnd() % 6 == 0 ? -divisor : divisor);
            break;
        case 'm':
            v = medium >= 0 ? 1000 : (long long)(rnd() % 400) - 3;
            if (k->type[0] == 'u' && v < 0)
                v = 0;
            args[i] = typed(k->type, v);
            break;
        case 'x': {
            u64 x = medium >= 0 ? rnd() >> (64 - k->bits) : rnd() >> (rnd() % 64);
            if (rnd() % 16 == 0)
                x = 0;
            if (k->bits == 64 && rnd() % 4 == 0)
                x <<= rnd() % 64;
            args[i] = k->bits == 32 ? (x & 0xffffffffu) | (rnd() << 32) : x;
            break;
        }
        case 'w':
            args[i] = (uint32_t)(rnd() % 4 ? (long)(n ? a[rnd() % (u64)n] : 3) : (long)(rnd() % 800) - 400) |
                      (rnd() << 32);
            break;
        default: /* c: an element of the array, or anything */
            v = (long long)(n > 0 && rnd() % 2 ? a[(n - 1) * size] : element(mode));
            if (medium >= 0)
                v = (long long)element(mode == 0 ? 0 : 5) + (k->bits == 32 ? 7 : 0);
            if (k->bits == 64)
                args[i] = (u64)v;
            else {
                u64 low = (u64)v & ((1ull << k->bits) - 1);
                if (k->bits < 32) { /* as gcc's callers do: extended to 32 bits */
                    if (k->is_signed && low >> (k->bits - 1))
                        low |= 0xffffffffull & ~((1ull << k->bits) - 1);
                }
                args[i] = low | (rnd() << 32);
            }
        }
    }
}
