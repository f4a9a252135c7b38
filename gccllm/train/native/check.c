/* check REF.so V4.so CANDIDATE.so TESTS TIMING < lines
 *
 * The corpus's own quick check; it shares no code with the gates of the project. A line is
 *   INDEX RETURN-BYTES KINDS... ; VALUES...
 * and names the functions r<INDEX> (gcc -O3), v<INDEX> (gcc -O3 for AVX-512) and c<INDEX> (the expert or the model).
 * Each line runs in its own child: TESTS random states between unmapped pages, results and memory compared with r's;
 * states on which r faults are skipped. With TIMING the child also prints ticks of r, v and c on a medium state.
 * Output: INDEX STATUS DONE R-TICKS V-TICKS C-TICKS.
 *
 * Kinds: p q arrays (:bits:signed), k array as long as the divisor, o output array (may overlap p), e end of p,
 * z y strings, n count, d divisor, m scalar count, x scalar bits, c scalar element, w int near the element range.
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
enum { REGION = 8192, PATTERN = 2048, MAX_ARGS = 6 };

u64 guarded_call(void *function, const u64 *args, u64 *broken);
__asm__(".text\n.globl guarded_call\nguarded_call:\n"
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\npush %rdx\n"
        "mov %rdi, %rax\nmov %rsi, %r10\n"
        "mov (%r10), %rdi\nmov 8(%r10), %rsi\nmov 16(%r10), %rdx\nmov 24(%r10), %rcx\nmov 32(%r10), %r8\nmov 40(%r10), %r9\n"
        "mov $0x5a5a5a5a5a5a, %rbx\nmov %rbx, %r12\nmov %rbx, %r13\nmov %rbx, %r14\nmov %rbx, %r15\nmov %rsp, %rbp\n"
        "call *%rax\n"
        "mov $0x5a5a5a5a5a5a, %rcx\nxor %edx, %edx\n"
        "cmp %rsp, %rbp\nsetne %dl\nmov %rbp, %rsp\n"
        "cmp %rcx, %rbx\njne 1f\ncmp %rcx, %r12\njne 1f\ncmp %rcx, %r13\njne 1f\ncmp %rcx, %r14\njne 1f\ncmp %rcx, %r15\nje 2f\n"
        "1: or $1, %edx\n"
        "2: pop %rcx\nmov %rdx, (%rcx)\nvzeroupper\n"
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
static int kind_count, return_bytes;
static long long values[16];
static int value_count;
static int element_bits = 8, element_signed;
static uint8_t *region[3], *saved[3];
static int regions; /* in use: 1 for p and z, 2 with q, y or k, 3 with o */
static u64 spent; /* ticks of the last call */
static u64 args[MAX_ARGS];
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
  for (int r = 0; r < regions; r++)
    fill(r, mode);
  long size = element_bits / 8;
  if (n * size >= REGION)
    n = REGION / size - 1;
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
  for (int i = 0; i < kind_count; i++) {
    struct kind *k = &kinds[i];
    long long v;
    switch (k->letter) {
    case 'p':
    case 'z': args[i] = (u64)a; break;
    case 'q':
    case 'y':
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
  u64 broken = 0;
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
  *result = guarded_call(f, args, &broken);
  spent = __rdtscp(&core) - start;
  running = 0;
  return broken ? -1 : 0;
}

static void restore(void) {
  for (int r = 0; r < regions; r++)
    memcpy(region[r], saved[r], REGION);
}

static u64 ticks(void *f) {
  u64 result, best = ~0ull;
  for (int i = 0; i < 15; i++) {
    restore();
    if (run(f, &result))
      return ~0ull;
    best = spent < best ? spent : best;
  }
  return best > 30 ? best - 25 : best; /* less the cost of reading the counter */
}

static void one(int index, void *r, void *v, void *c, int tests, int timing) {
  static uint8_t expected[3][REGION];
  u64 mask = return_bytes == 0 ? 0 : return_bytes >= 8 ? ~0ull : (1ull << (8 * return_bytes)) - 1;
  int done = 0, slow = 0;
  const char *status = "pass";
  for (int t = 0; t < tests; t++) {
    u64 want = 0, got = 0;
    make(-1);
    for (int i = 0; i < regions; i++)
      memcpy(saved[i], region[i], REGION);
    int bad = run(r, &want);
    if (bad == SIGVTALRM && ++slow > 4) {
      status = "slowref";
      break;
    }
    if (bad)
      continue;
    for (int i = 0; i < regions; i++)
      memcpy(expected[i], region[i], REGION);
    restore();
    bad = run(c, &got);
    if (bad) {
      status = bad == SIGVTALRM ? "timeout" : bad < 0 ? "abi" : "fault";
      break;
    }
    if ((want ^ got) & mask) {
      status = "value";
      break;
    }
    for (int i = 0; i < regions; i++)
      if (memcmp(expected[i], region[i], REGION)) {
        status = "memory";
        break;
      }
    if (status[0] != 'p')
      break;
    done++;
  }
  u64 tr = 0, tv = 0, tc = 0;
  if (timing && !strcmp(status, "pass")) {
    u64 slowest = 0, seed = 0;
    int worst = -1;
    for (int m = 0; m < MODES; m++) {
      u64 result, before = state;
      make(m);
      for (int i = 0; i < regions; i++)
        memcpy(saved[i], region[i], REGION);
      u64 best = ~0ull;
      for (int i = 0; i < 2; i++) {
        restore();
        if (run(r, &result))
          spent = 0;
        best = spent < best ? spent : best;
      }
      if (best > slowest) {
        slowest = best;
        worst = m;
        seed = before;
      }
    }
    if (worst >= 0) {
      state = seed;
      make(worst);
      for (int i = 0; i < regions; i++)
        memcpy(saved[i], region[i], REGION);
      tr = ticks(r);
      tv = ticks(v);
      tc = ticks(c);
      u64 again = ticks(r);
      tr = again < tr ? again : tr;
      again = ticks(v);
      tv = again < tv ? again : tv;
      again = ticks(c);
      tc = again < tc ? again : tc;
    }
  }
  printf("%d %s %d %llu %llu %llu\n", index, status, done, (unsigned long long)tr, (unsigned long long)tv, (unsigned long long)tc);
  fflush(stdout);
}

static int parse(char *line) {
  char *word = strtok(line, " \n");
  if (!word)
    return -1;
  int index = atoi(word), after = 0;
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
      int needs = *word == 'o' ? 3 : strchr("qyk", *word) ? 2 : 1;
      regions = needs > regions ? needs : regions;
      if (strchr("ndm", *word))
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
  if (argc < 6)
    return 2;
  void *lib[3];
  for (int i = 0; i < 3; i++)
    if (!(lib[i] = dlopen(argv[1 + i], RTLD_NOW))) {
      fprintf(stderr, "%s\n", dlerror());
      return 2;
    }
  int tests = atoi(argv[4]), timing = atoi(argv[5]);
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
    void *f[3];
    for (int i = 0; i < 3; i++) {
      snprintf(name, sizeof name, "%c%d", "rvc"[i], index);
      f[i] = dlsym(lib[i], name);
    }
    if (!f[0] || !f[1] || !f[2]) {
      printf("%d missing 0 0 0 0\n", index);
      fflush(stdout);
      continue;
    }
    pid_t child = fork();
    if (child == 0) {
      struct rlimit seconds = {3, 4};
      setrlimit(RLIMIT_CPU, &seconds);
      for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        sigaction(caught[i], &action, 0);
      state = 0x9E3779B97F4A7C15ull * (u64)(index + 1) + (argc > 6 ? strtoull(argv[6], 0, 10) : 0);
      one(index, f[0], f[1], f[2], tests, timing);
      _exit(0);
    }
    int how = 0;
    waitpid(child, &how, 0);
    if (!WIFEXITED(how) || WEXITSTATUS(how)) {
      printf("%d died 0 0 0 0\n", index);
      fflush(stdout);
    }
  }
  return 0;
}
