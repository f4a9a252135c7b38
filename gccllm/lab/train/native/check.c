/* check REF.so CANDIDATE.so TESTS TIMING SEED [RECIPE.so ...] < lines
 *
 * The corpus's own quick check; it shares no code with the gates of the project. A line is
 *   INDEX:PLAIN RETURN-BYTES KINDS... ; VALUES...
 * and names fn<INDEX> of CANDIDATE and fn<PLAIN> of the others: the plain side by gcc -O3 and by other recipes. RETURN-BYTES is negative for floats. Each line runs in its own child: TESTS random states between unmapped
 * pages, results and memory compared with REF's; states on which REF faults are skipped. With TIMING the child also
 * prints ticks on a medium state: REF's, the best recipe's, the candidate's.
 * Output: INDEX STATUS DONE REF-TICKS BEST-TICKS CANDIDATE-TICKS BEST-RECIPE, and with TIMING 2 the ticks of each recipe.
 *
 * Kinds: p q arrays (:bits:signed, signed 2 for floats, 3 for residues of the first value, most of the time), k array as long as the divisor, u the same of ints
 * from 1 to 50 (mostly), o output array (may overlap p),
 * e end of p, z y strings, n count (of elements of p, q, o), N side of square matrices in p, q, o, d divisor, m scalar
 * count, x scalar bits, c scalar element, w int near the element range, g scalar float (:bits), t table of 256 elements
 * (:bits) that nothing overlaps, h output of 256 elements (:bits).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

typedef uint64_t u64;
enum { REGION = 8192, PATTERN = 2048, MAX_ARGS = 6, MAX_LIBS = 12 };

/* out: whether the convention was broken, and the low half of xmm0 */
u64 guarded_call(void *function, const u64 *args, u64 *out, const double *floats);
__asm__(".text\n.globl guarded_call\nguarded_call:\n"
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\npush %rdx\n"
        "mov %rdi, %rax\nmov %rsi, %r10\n"
        "movsd (%rcx), %xmm0\nmovsd 8(%rcx), %xmm1\nmovsd 16(%rcx), %xmm2\n"
        "mov (%r10), %rdi\nmov 8(%r10), %rsi\nmov 16(%r10), %rdx\nmov 24(%r10), %rcx\nmov 32(%r10), %r8\nmov 40(%r10), %r9\n"
        "mov $0x5a5a5a5a5a5a, %rbx\nmov %rbx, %r12\nmov %rbx, %r13\nmov %rbx, %r14\nmov %rbx, %r15\nmov %rsp, %rbp\n"
        "call *%rax\n"
        "mov $0x5a5a5a5a5a5a, %rcx\nxor %edx, %edx\n"
        "cmp %rsp, %rbp\nsetne %dl\nmov %rbp, %rsp\n"
        "cmp %rcx, %rbx\njne 1f\ncmp %rcx, %r12\njne 1f\ncmp %rcx, %r13\njne 1f\ncmp %rcx, %r14\njne 1f\ncmp %rcx, %r15\nje 2f\n"
        "1: or $1, %edx\n"
        "2: pop %rcx\nmov %rdx, (%rcx)\nmovq %xmm0, 8(%rcx)\nvzeroupper\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

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
static u64 spent; /* ticks of the last call */
static u64 integers[MAX_ARGS];
static double floats[4];
static sigjmp_buf jump;
static volatile sig_atomic_t running;

static void on_signal(int number) {
  if (!running)
    _exit(3);
  siglongjmp(jump, number);
}

static u64 element(int mode) {
  switch (mode) {
  case 0: return rnd();
  case 1: return rnd() % 8;
  case 2: return value_count ? (u64)(values[rnd() % (unsigned)value_count] + (long long)(rnd() % 3) - 1) : rnd() % 300;
  case 3: return (rnd() % 61) ? 77 : rnd() % 256;
  case 4: return "etaoin ETAOIN shrdlu,.09\n\t zZaA{[@`/:"[rnd() % 38];
  case 5: return (rnd() % 211) ? (u64)(rnd() % 120 + 1) : rnd();
  case 6: return (u64)-(long long)(rnd() % 200);
  case 7: return rnd() & 0x7fffffff;
  case 8: return value_count ? (u64)(values[0] + 40 + (long long)(rnd() % 20)) : rnd() % 9;
  case 9: return rnd() >> (rnd() % 64);
  default: return value_count ? (u64)values[0] : 7;
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
  case 1: return region[r] + room;
  case 2: return region[r];
  default: return region[r] + (long)(rnd() % (u64)(room / size + 1)) * size;
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
    if ((kinds[i].letter == 'q' || kinds[i].letter == 'y') && mode < LEVEL && (medium >= 0 || rnd() % 3)) { /* much in common */
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
    case 'z': args[i] = (u64)a; break;
    case 'q':
    case 'y':
    case 'u':
    case 'k': args[i] = (u64)b; break;
    case 'o': args[i] = (u64)o; break;
    case 'e': args[i] = (u64)(a + n * size); break;
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
    case 'h': args[i] = (u64)table[k->letter == 'h']; break;
    case 'd': args[i] = typed(k->type, k->type[0] == 'i' && medium < 0 && rnd() % 6 == 0 ? -divisor : divisor); break;
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
      args[i] = (uint32_t)(rnd() % 4 ? (long)(n ? a[rnd() % (u64)n] : 3) : (long)(rnd() % 800) - 400) | (rnd() << 32);
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

/* 0, or the signal that ended the call, or -1 when it broke the calling convention. 50 ms of CPU time at most. */
static int run(void *f, u64 *result) {
  static const struct itimerval limit = {{0, 0}, {0, 50000}};
  u64 out[2] = {0, 0};
  setitimer(ITIMER_VIRTUAL, &limit, 0);
  int number = sigsetjmp(jump, 1);
  if (number) {
    running = 0;
    return number;
  }
  unsigned core;
  running = 1;
  _mm_lfence();
  u64 start = __rdtsc();
  _mm_lfence();
  *result = guarded_call(f, integers, out, floats);
  spent = __rdtscp(&core) - start;
  running = 0;
  if (return_bytes < 0)
    *result = out[1];
  return out[0] ? -1 : 0;
}

static void restore(void) {
  for (int r = 0; r < regions; r++)
    memcpy(region[r], saved[r], REGION);
  memcpy(table, saved_table, sizeof table);
}

static void keep(void) {
  for (int r = 0; r < regions; r++)
    memcpy(saved[r], region[r], REGION);
  memcpy(saved_table, table, sizeof table);
}

/* Functions of scalars alone, and searches for a key, end too soon for the counter, and a branch that goes the same way
 * every time costs them nothing: their time is that of a call for each of these. */
enum { WORDS = 128, KEYS = 2048, SHORT = 700 };
static u64 batch[KEYS][MAX_ARGS];
static int batched; /* how many of them are in use; 0: none, the function is timed by itself */
static int words_only(void) {
  for (int i = 0; i < kind_count; i++)
    if (!strchr("xcwgmd", kinds[i].letter))
      return 0;
  return kind_count > 0;
}
static u64 batch_ticks(void *f) {
  static const struct itimerval none;
  u64 best = ~0ull, out[2];
  setitimer(ITIMER_VIRTUAL, &none, 0);
  unsigned core;
  for (int i = 0; i < 15; i++) {
    _mm_lfence();
    u64 start = __rdtsc();
    _mm_lfence();
    for (int j = 0; j < batched; j++)
      guarded_call(f, batch[j], out, floats);
    u64 took = __rdtscp(&core) - start;
    best = took < best ? took : best;
  }
  return best;
}

/* Whether the last call was short, has a key among its arguments, and has left memory alone. */
static int key_only(void) {
  int keys = 0;
  for (int i = 0; i < kind_count; i++) {
    if (!strchr("pnecw", kinds[i].letter))
      return 0;
    keys += kinds[i].letter == 'c' && kinds[i].bits == element_bits;
  }
  return keys == 1 && element_signed != 2 && spent < SHORT && !memcmp(region[0], saved[0], REGION);
}

static u64 ticks(void *f) {
  u64 result, best = ~0ull;
  if (batched)
    return batch_ticks(f);
  for (int i = 0; i < 15; i++) {
    restore();
    if (run(f, &result))
      return ~0ull;
    best = spent < best ? spent : best;
  }
  return best > 30 ? best - 25 : best; /* less the cost of reading the counter */
}

static u64 least(u64 p, u64 q) {
  return p < q ? p : q;
}

/* Scalars of many medium states; or keys that are in a rising array, or next to one that is. */
static void make_batch(int mode, int count) {
  int p = 0;
  while (p < kind_count && kinds[p].letter != 'p')
    p++;
  for (int i = 0; i < count; i++) {
    if (p == kind_count)
      make(mode);
    memcpy(batch[i], integers, sizeof integers);
    for (int j = 0; j < kind_count && p < kind_count; j++) {
      struct kind *k = &kinds[j];
      u64 v = 0, top = 64 - (u64)k->bits;
      if (k->letter != 'c' || k->bits != element_bits)
        continue;
      memcpy(&v, (const void *)(integers[p] + rnd() % 900 * (u64)(k->bits / 8)), (size_t)k->bits / 8);
      v += rnd() % 3 - 1;
      batch[i][j] = k->is_signed ? (u64)((long long)(v << top) >> top) : v << top >> top;
    }
  }
  batched = count;
}

/* The medium state on which REF takes longest is made; 0 when there is none. */
static int slowest_state(void *r) {
  u64 slowest = 0, seed = 0, result;
  int worst = -1;
  for (int m = 0; m < MODES; m++) {
    u64 before = state, best = ~0ull;
    make(m);
    keep();
    for (int i = 0; i < 2; i++) {
      restore();
      if (run(r, &result))
        spent = 0;
      best = least(spent, best);
    }
    if (best > slowest) {
      slowest = best;
      worst = m;
      seed = before;
    }
  }
  if (worst < 0)
    return 0;
  state = seed;
  make(worst);
  keep();
  batched = 0;
  if (run(r, &result) || run(r, &result))
    return 1;
  if (words_only() && spent < SHORT)
    make_batch(worst, WORDS);
  else if (key_only()) {
    make(UP);
    make_batch(UP, KEYS);
  } else
    restore();
  return 1;
}

static void one(int index, void **f, int libs, int tests, int timing) {
  static uint8_t expected[3][REGION];
  int bytes = return_bytes < 0 ? -return_bytes : return_bytes;
  u64 mask = bytes == 0 ? 0 : bytes >= 8 ? ~0ull : (1ull << (8 * bytes)) - 1;
  int done = 0, slow = 0;
  const char *status = "pass";
  for (int t = 0; t < tests && status[0] == 'p'; t++) {
    u64 want = 0, got = 0;
    make(-1);
    keep();
    int bad = run(f[0], &want);
    if (bad == SIGVTALRM && ++slow > 4) {
      status = "slowref";
      break;
    }
    if (bad)
      continue;
    for (int i = 0; i < regions; i++)
      memcpy(expected[i], region[i], REGION);
    memcpy(expected_table, table, sizeof table);
    restore();
    bad = run(f[1], &got);
    if (bad)
      status = bad == SIGVTALRM ? "timeout" : bad < 0 ? "abi" : "fault";
    else if ((want ^ got) & mask)
      status = "value";
    else if (memcmp(expected_table, table, sizeof table))
      status = "memory";
    for (int i = 0; i < regions && status[0] == 'p'; i++)
      if (memcmp(expected[i], region[i], REGION))
        status = "memory";
    done += status[0] == 'p';
  }
  u64 took[MAX_LIBS], best = 0;
  int which = 0;
  memset(took, 0, sizeof took);
  if (timing && status[0] == 'p' && slowest_state(f[0])) {
    for (int i = 0; i < libs; i++)
      took[i] = ~0ull;
    for (int round = 0; round < 2; round++)
      for (int i = 0; i < libs; i++)
        took[i] = least(took[i], ticks(f[i]));
    best = took[0];
    for (int i = 2; i < libs; i++)
      if (took[i] < best) {
        best = took[i];
        which = i - 1;
      }
  }
  printf("%d %s %d %llu %llu %llu %d", index, status, done, (unsigned long long)took[0], (unsigned long long)best,
         (unsigned long long)took[1], which);
  for (int i = 2; timing > 1 && i < libs; i++)
    printf(" %llu", (unsigned long long)took[i]);
  printf("\n");
  fflush(stdout);
}

static int parse(char *line) {
  char *word = strtok(line, " \n");
  if (!word)
    return -1;
  int index = atoi(word), after = 0;
  plain = strchr(word, ':') ? atoi(strchr(word, ':') + 1) : index;
  return_bytes = atoi(strtok(0, " \n"));
  kind_count = value_count = 0;
  element_bits = 8;
  regions = 1;
  element_signed = 0;
  while ((word = strtok(0, " \n"))) {
    if (*word == ';')
      after = 1;
    else if (after) {
      if (value_count < 16)
        values[value_count++] = atoll(word);
    } else if (kind_count < MAX_ARGS) {
      struct kind *k = &kinds[kind_count++];
      memset(k, 0, sizeof *k);
      k->letter = *word;
      int needs = *word == 'o' ? 3 : strchr("qyku", *word) ? 2 : 1;
      regions = needs > regions ? needs : regions;
      if (strchr("nNdm", *word))
        memcpy(k->type, word + 2, 3);
      else if (word[1] == ':')
        sscanf(word + 2, "%d:%d", &k->bits, &k->is_signed);
      if (*word == 'p') {
        element_bits = k->bits;
        element_signed = k->is_signed;
      }
    }
  }
  return index;
}

int main(int argc, char **argv) {
  if (argc < 6 || argc - 4 > MAX_LIBS)
    return 2;
  int tests = atoi(argv[3]), timing = atoi(argv[4]), libs = argc - 4;
  void *lib[MAX_LIBS];
  for (int i = 0; i < libs; i++)
    if (!(lib[i] = dlopen(argv[i < 2 ? 1 + i : 4 + i], RTLD_NOW))) {
      fprintf(stderr, "%s\n", dlerror());
      return 2;
    }
  for (int i = 0; i < 3; i++) {
    uint8_t *at = mmap(0, REGION + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    region[i] = at + 4096;
    mprotect(region[i], REGION, PROT_READ | PROT_WRITE);
    saved[i] = malloc(REGION);
  }
  stack_t stack = {malloc(1 << 16), 0, 1 << 16};
  sigaltstack(&stack, 0);
  struct sigaction action = {0};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  int caught[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGVTALRM};
  static char line[4096];
  while (fgets(line, sizeof line, stdin)) {
    int index = parse(line);
    if (index < 0)
      continue;
    char name[32];
    void *f[MAX_LIBS];
    int found = 1;
    for (int i = 0; i < libs; i++) {
      snprintf(name, sizeof name, "fn%d", i == 1 ? index : plain);
      found &= (f[i] = dlsym(lib[i], name)) != 0;
    }
    if (!found) {
      printf("%d missing 0 0 0 0 0\n", index);
      fflush(stdout);
      continue;
    }
    pid_t child = fork();
    if (child == 0) {
      struct rlimit seconds = {3, 4};
      setrlimit(RLIMIT_CPU, &seconds);
      for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        sigaction(caught[i], &action, 0);
      state = 0x9E3779B97F4A7C15ull * (u64)(index + 1) + strtoull(argv[5], 0, 10);
      one(index, f, libs, tests, timing);
      _exit(0);
    }
    int how = 0;
    waitpid(child, &how, 0);
    if (!WIFEXITED(how) || WEXITSTATUS(how)) {
      printf("%d died 0 0 0 0 0\n", index);
      fflush(stdout);
    }
  }
  return 0;
}
