/*
 * replay: call functions of a linked image on given inputs, confined, and report what they did.
 *
 * usage: replay IMAGE        requests on descriptor 0, replies on descriptor 1 (formats: layout.py)
 *        replay --imports    the names of the library functions an image may import, one a line
 *
 * IMAGE is a static ELF executable without start-up code, linked to the address map of layout.py. Its code is untrusted:
 * it runs in a forked child under seccomp (no system call but leaving), rlimits, a CPU-time limit per test, on a stack
 * of its own between unmapped pages. The expected result of a test never enters this program: it reports states and
 * digests, and another process compares.
 *
 * Not covered: code that seeks out and overwrites this program's own memory can falsify what is reported about it (the
 * static screen and the checked build refuse such stores); timing channels; the contents of memory below rsp.
 *
 * exit codes: 0 end of input; 2 usage; 3 the confinement is refused by the kernel; 4 the image cannot be loaded;
 * 5 the request pipe broke.
 */
#define _GNU_SOURCE
#include "layout.h"

#include "cpu.h"
#include "traced.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

struct request { uint32_t magic, kind; uint64_t entry; uint32_t flags, deadline_ms, give_up_after, x87_results; uint64_t bytes; };
struct reply { uint32_t magic, error, observations, zero; uint64_t log_bytes; };
struct test {
  uint32_t bytes, arenas, stack_slots, patches;
  uint64_t fill, ints[6];
  uint8_t int_bytes[8], vector_bytes[8];
  uint64_t vectors[8][2];
};
struct patch { uint64_t address, bytes; };
struct callee { uint32_t stack_args; uint8_t ints[6], vectors[8], stack[16], rax, rdx, xmm0, xmm1, is_float, zero; };
struct observation {
  uint32_t status, signal;
  uint64_t fault;
  uint32_t abi, calls_made;
  uint64_t rax, rdx, xmm0[2], xmm1[2], st0[2], st1[2], memory[2], calls[2], ticks, log_start, log_end;
};
_Static_assert(sizeof(struct request) == REQUEST_BYTES && sizeof(struct reply) == REPLY_BYTES, "layout");
_Static_assert(sizeof(struct test) == TEST_BYTES && sizeof(struct callee) == CALLEE_BYTES, "layout");
_Static_assert(sizeof(struct observation) == OBSERVATION_BYTES, "layout");
_Static_assert(sizeof(struct log_entry) == LOG_ENTRY_BYTES, "layout");

#define PENDING 0xffffffffu
#define STACK_END (STACK_BASE + STACK_BYTES)
#define LOG_END ((uint64_t)LOG_BASE + LOG_BYTES)

/* Shared between this process and the child that runs tests. */
static struct shared {
  uint64_t log_used;
  uint32_t timeouts, sandbox_failed;
  struct observation seen[MAX_TESTS];
} *shared;
static uint8_t *payload;
static const struct test *tests[MAX_TESTS];
static unsigned n_tests;
static struct callee callees[MAX_CALLEES];
static struct request now;

static uint8_t *image_data, *pristine;
static size_t image_data_bytes;
static uint64_t junk[(ARENA_BYTES * 2) / 8];

/* State of the running test; the signal handler reads it. */
static sigjmp_buf back;
static volatile sig_atomic_t running, ticks_used, ticks_allowed, caught;
static volatile uint64_t fault_address;
static uint32_t call_abi, calls_made;
static uint64_t calls_digest[2];
static unsigned arenas_in_use;

static uint64_t arena_address(unsigned arena) { return ARENA_BASE + arena * (uint64_t)ARENA_STRIDE; }

/* --- digests: eight lanes, each step a permutation of the lane and injective in the word, so no single change is lost */

struct digest { uint64_t lane[8]; };
static inline uint64_t rotate(uint64_t x, int n) { return x << n | x >> (64 - n); }
static inline uint64_t step(uint64_t lane, uint64_t word) { return rotate((lane ^ word) * 0x9fb21c651e98df25u, 29); }

static void digest_start(struct digest *d) {
  for (int i = 0; i < 8; i++)
    d->lane[i] = 0x243f6a8885a308d3u * (2 * i + 1);
}
/* n is a multiple of 64. */
static void digest_add(struct digest *d, const void *at, size_t n) {
  uint64_t a = d->lane[0], b = d->lane[1], c = d->lane[2], e = d->lane[3];
  uint64_t f = d->lane[4], g = d->lane[5], h = d->lane[6], k = d->lane[7];
  for (const uint64_t *w = at, *end = w + n / 8; w != end; w += 8) {
    a = step(a, w[0]), b = step(b, w[1]), c = step(c, w[2]), e = step(e, w[3]);
    f = step(f, w[4]), g = step(g, w[5]), h = step(h, w[6]), k = step(k, w[7]);
  }
  *d = (struct digest){{a, b, c, e, f, g, h, k}};
}
static void digest_end(const struct digest *d, uint64_t out[2]) {
  uint64_t x = 1, y = 2;
  for (int i = 0; i < 8; i++)
    x = step(x, d->lane[i]), y = step(y, rotate(d->lane[i], 17) + x);
  out[0] = x ^ x >> 32, out[1] = y ^ y >> 32;
}
static void digest_memory(uint64_t out[2]) {
  struct digest d;
  digest_start(&d);
  for (unsigned i = 0; i < arenas_in_use; i++)
    digest_add(&d, (void *)arena_address(i), ARENA_BYTES);
  digest_add(&d, image_data, image_data_bytes);
  digest_end(&d, out);
}

/* --- calls that leave the image ------------------------------------------------------------------------------------ */

static uint64_t answer; /* made from this call's arguments and number only, the same in timed runs */

static void absorb(uint64_t word) {
  answer = step(answer, word);
  calls_digest[0] = step(calls_digest[0], word);
  calls_digest[1] = step(calls_digest[1], rotate(word, 31) + calls_digest[0]);
}
static uint64_t low_bytes(uint64_t word, unsigned n) { return n >= 8 ? word : word & ((1ul << 8 * n) - 1); }
static void leave_test(int why) {
  caught = why;
  siglongjmp(back, 1);
}
/* A pointer into the caller's own frame means nothing to a comparison: such calls cannot be stood in for. */
static uint64_t argument(uint64_t word, unsigned bytes) {
  if (bytes >= 8 && word >= STACK_BASE && word < STACK_END)
    leave_test(SIGSYS);
  return low_bytes(word, bytes);
}
/* Ints are often compared with 0 or -1 or used as small counts: answer with such values most of the time. */
static uint64_t int_answer(uint64_t h) {
  switch (h & 7) {
  case 0: case 1: return 0;
  case 2: case 3: return h >> 8 & 15;
  case 4: return (uint64_t)-1;
  case 5: return h >> 8 & 255;
  default: return h >> 3;
  }
}
static void float_answer(uint64_t out[2], uint64_t h, unsigned bytes, int is_float) {
  double value = (double)(int64_t)(h >> 40) / 1024.0 - 4096.0;
  float low = (float)value, high = (float)(value * 0.5 + 1);
  out[0] = out[1] = 0;
  if (!bytes)
    out[0] = cpu_junk_word, out[1] = cpu_junk_word;
  else if (is_float)
    memcpy(out, &low, 4), memcpy((char *)out + 4, &high, bytes > 4 ? 4 : 0);
  else
    memcpy(out, &value, 8);
}
void record_call(void) {
  struct call *c = &call_frame;
  const uint64_t *stack = (const uint64_t *)c->rsp;
  const struct callee *spec = &callees[stack[0] % MAX_CALLEES];
  if (++calls_made > MAX_CALLS)
    leave_test(SIGPROF);
  if (c->rsp % 16 || c->flags & 0x400)
    call_abi |= ABI_CALL_ALIGNMENT;
  answer = calls_made;
  absorb(stack[0] + 0x100);
  for (int i = 0; i < 6; i++)
    if (spec->ints[i])
      absorb(argument(c->ints[i], spec->ints[i]));
  for (int i = 0; i < 8; i++)
    if (spec->vectors[i]) {
      absorb(low_bytes(c->xmm[i][0], spec->vectors[i]));
      if (spec->vectors[i] > 8)
        absorb(c->xmm[i][1]);
    }
  for (unsigned i = 0; i < spec->stack_args; i++)
    absorb(argument(stack[2 + i], spec->stack[i]));
  uint64_t h = step(answer, 1) ^ answer >> 32;
  if (!cpu_plain_calls) {
    uint64_t memory[2];
    digest_memory(memory);
    absorb(memory[0]), absorb(memory[1]);
  }
  c->rax = spec->rax ? low_bytes(int_answer(h), spec->rax) | (cpu_junk_word & ~low_bytes(~0ul, spec->rax))
                     : cpu_junk_word;
  c->rdx = spec->rdx ? int_answer(rotate(h, 23)) : cpu_junk_word;
  float_answer(c->xmm0, h, spec->xmm0, spec->is_float);
  float_answer(c->xmm1, rotate(h, 19), spec->xmm1, spec->is_float);
}

/* --- confinement --------------------------------------------------------------------------------------------------- */

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)context;
  if (number == SIGPROF && (!running || ++ticks_used <= ticks_allowed))
    return;
  if (!running)
    replay_exit(70);
  fault_address = (uint64_t)info->si_addr;
  leave_test(number);
}

static int is_confined(unsigned cpu_seconds, int tick_ms) {
  static uint8_t signal_stack[1 << 16];
  static const int watched[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPROF};
  uint64_t leave = (uint64_t)replay_exit_done;
  struct sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 8),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 5, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)leave, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(leave >> 32), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
  stack_t alternate = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  struct itimerval tick = {{0, tick_ms * 1000}, {0, tick_ms * 1000}};
  const struct { int what; rlim_t limit; } limits[] = {
      {RLIMIT_AS, 1ul << 30}, {RLIMIT_FSIZE, 0}, {RLIMIT_NPROC, 0}, {RLIMIT_CORE, 0}, {RLIMIT_NOFILE, 0},
      {RLIMIT_CPU, cpu_seconds},
  };
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_DUMPABLE, 0) || syscall(SYS_close_range, 0, ~0u, 0))
    return 0;
  for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++)
    if (setrlimit(limits[i].what, &(struct rlimit){limits[i].limit, limits[i].limit}))
      return 0;
  if (sigaltstack(&alternate, 0))
    return 0;
  for (unsigned i = 0; i < sizeof watched / sizeof *watched; i++)
    if (sigaction(watched[i], &action, 0))
      return 0;
  if (mprotect(payload, PAYLOAD_BYTES, PROT_READ) || setitimer(ITIMER_PROF, &tick, 0))
    return 0;
  for (unsigned i = arenas_in_use; i < ARENAS; i++)
    if (mprotect((void *)arena_address(i), ARENA_BYTES, PROT_NONE))
      return 0;
  return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* --- one test ------------------------------------------------------------------------------------------------------ */

/* Neither pattern nor its complement is a canonical address. */
static uint64_t poison_word(unsigned n) {
  uint64_t word = (0x9e3779b97f4a7c15u * (n + 1) & 0x00ffffffffffffff) | 0xa500000000000000;
  return now.flags & FLAG_POISON ? ~word : word;
}
static void poison_bytes(void *at, size_t n) {
  for (size_t i = 0; i < n / 8; i++)
    ((uint64_t *)at)[i] = poison_word((unsigned)i + 64);
}
static void fill_memory(const struct test *t) {
  for (unsigned i = 0; i < t->arenas; i++) {
    uint64_t start = step(step(t->fill, i + 1), 7) >> 32 & (ARENA_BYTES - 8);
    memcpy((void *)arena_address(i), (uint8_t *)junk + start, ARENA_BYTES);
  }
  memcpy(image_data, pristine, image_data_bytes);
  const uint8_t *at = (const uint8_t *)(t + 1) + 8 * (size_t)t->stack_slots;
  for (unsigned i = 0; i < t->patches; i++) {
    const struct patch *p = (const struct patch *)at;
    memcpy((void *)p->address, p + 1, p->bytes);
    at += sizeof *p + (p->bytes + 7) / 8 * 8;
  }
}
/* Bits above the defined bytes: as given, or flipped under the second poison. */
static uint64_t defined(uint64_t word, unsigned bytes) {
  return now.flags & FLAG_POISON && bytes < 8 ? word ^ ~((1ul << 8 * bytes) - 1) : word;
}
static void fill_registers(const struct test *t) {
  uint64_t *ints[] = {&cpu_in.rdi, &cpu_in.rsi, &cpu_in.rdx, &cpu_in.rcx, &cpu_in.r8, &cpu_in.r9};
  uint64_t *dead[] = {&cpu_in.rax, &cpu_in.r10, &cpu_in.r11, &cpu_in.rbx, &cpu_in.rbp,
                      &cpu_in.r12, &cpu_in.r13, &cpu_in.r14, &cpu_in.r15};
  for (unsigned i = 0; i < 6; i++)
    *ints[i] = t->int_bytes[i] ? defined(t->ints[i], t->int_bytes[i]) : poison_word(i);
  for (unsigned i = 0; i < 9; i++)
    *dead[i] = poison_word(i + 6);
  memcpy(cpu_vectors, cpu_junk, sizeof cpu_vectors);
  for (unsigned i = 0; i < 8; i++)
    if (t->vector_bytes[i]) {
      uint64_t low = defined(t->vectors[i][0], t->vector_bytes[i]);
      uint64_t high = t->vectors[i][1] ^ (now.flags & FLAG_POISON && t->vector_bytes[i] < 16 ? ~0ul : 0);
      memcpy(cpu_vectors[i], &low, 8), memcpy(cpu_vectors[i] + 8, &high, 8);
    }
  cpu_in.flags = now.flags & FLAG_POISON ? 0x202 : 0xad7;
  cpu_in.mxcsr = 0x1f80;
  cpu_in.rsp = STACK_ENTRY;
  cpu_in.entry = now.entry;
  uint64_t *stack = (uint64_t *)STACK_ENTRY;
  poison_bytes((void *)(STACK_ENTRY - 4096), 4096);
  poison_bytes(stack, STACK_END - STACK_ENTRY);
  stack[0] = (uint64_t)replay_landing;
  memcpy(stack + 1, t + 1, 8 * (size_t)t->stack_slots);
}
static uint32_t broken_rules(const struct test *t) {
  uint32_t bits = call_abi;
  bits |= cpu_out.rsp != STACK_ENTRY + 8 ? ABI_RSP : 0;
  bits |= cpu_out.rbx != cpu_in.rbx ? ABI_RBX : 0;
  bits |= cpu_out.rbp != cpu_in.rbp ? ABI_RBP : 0;
  bits |= cpu_out.r12 != cpu_in.r12 ? ABI_R12 : 0;
  bits |= cpu_out.r13 != cpu_in.r13 ? ABI_R13 : 0;
  bits |= cpu_out.r14 != cpu_in.r14 ? ABI_R14 : 0;
  bits |= cpu_out.r15 != cpu_in.r15 ? ABI_R15 : 0;
  bits |= cpu_out.flags & 0x400 ? ABI_DF : 0;
  bits |= (cpu_out.mxcsr ^ cpu_in.mxcsr) & ~0x3fu ? ABI_MXCSR : 0;
  bits |= (cpu_out.x87[0] & 0xffff) != 0x37f ? ABI_X87_CONTROL : 0;
  unsigned occupied = 0;
  for (unsigned i = 0; i < 8; i++)
    occupied += (cpu_out.x87[2] >> 2 * i & 3) != 3;
  bits |= occupied != cpu_x87_results ? ABI_X87_STACK : 0;
  const uint64_t *frame = (const uint64_t *)STACK_ENTRY;
  for (size_t i = 1 + t->stack_slots; i < (STACK_END - STACK_ENTRY) / 8; i++)
    if (frame[i] != poison_word((unsigned)i + 64))
      bits |= ABI_CALLER_FRAME;
  return bits;
}
static uint32_t status_of(int number) {
  return number == SIGPROF ? STATUS_TIMEOUT : number == SIGSYS ? STATUS_SYSCALL : STATUS_FAULT;
}
static void run_test(unsigned index) {
  const struct test *t = tests[index];
  struct observation *o = &shared->seen[index];
  if (now.give_up_after && shared->timeouts >= now.give_up_after) {
    o->status = STATUS_SKIPPED;
    return;
  }
  fill_memory(t);
  fill_registers(t);
  calls_digest[0] = calls_digest[1] = call_abi = calls_made = 0;
  fault_address = 0;
  *(uint64_t *)SLOT_LOG = LOG_BASE + shared->log_used;
  o->log_start = o->log_end = shared->log_used;
  ticks_used = 0;
  if (sigsetjmp(back, 0) == 0) {
    running = 1;
    replay_enter();
    running = 0;
    o->abi = broken_rules(t);
    o->rax = cpu_out.rax, o->rdx = cpu_out.rdx;
    memcpy(o->xmm0, cpu_out.xmm0, 64);
    digest_memory(o->memory);
    memcpy(o->calls, calls_digest, sizeof o->calls);
    o->ticks = cpu_out.ended - cpu_out.started;
    o->status = o->abi ? STATUS_ABI : STATUS_OK;
  } else {
    running = 0;
    o->signal = (uint32_t)caught;
    o->fault = fault_address;
    o->status = status_of(caught);
    shared->timeouts += o->status == STATUS_TIMEOUT;
  }
  o->calls_made = calls_made;
  uint64_t end = *(uint64_t *)SLOT_LOG - LOG_BASE;
  if (now.flags & FLAG_TRACE && end > shared->log_used && end <= LOG_BYTES)
    o->log_end = shared->log_used = end;
}

static void time_pairs(void);

/* --- the supervising process --------------------------------------------------------------------------------------- */

/* Runs tests first .. last-1 in one child; returns the first one that is not finished (last: all are). */
static unsigned run_group(unsigned first, unsigned last, unsigned arenas) {
  arenas_in_use = arenas;
  pid_t child = fork();
  if (child < 0)
    return first;
  if (child == 0) {
    int is_timing = now.kind == KIND_TIME;
    if (!is_confined(10 + (last - first) * (now.deadline_ms / 1000 + 1) / 4, is_timing ? TIMING_TICK_MS : TICK_MS)) {
      shared->sandbox_failed = 1;
      _exit(3);
    }
    if (is_timing)
      time_pairs();
    else
      for (unsigned i = first; i < last; i++)
        run_test(i);
    replay_exit(0);
  }
  /* The child limits itself; this is for one that runs wild in a way it cannot see. */
  sigset_t ended;
  sigemptyset(&ended);
  sigaddset(&ended, SIGCHLD);
  unsigned at = first, idle = 0;
  while (waitpid(child, 0, WNOHANG) == 0) {
    sigtimedwait(&ended, 0, &(struct timespec){1, 0});
    unsigned was = at;
    while (at < last && shared->seen[at].status != PENDING)
      at++;
    idle = was == at ? idle + 1 : 0;
    if (idle > 10 + now.deadline_ms / 50)
      kill(child, SIGKILL);
  }
  while (at < last && shared->seen[at].status != PENDING)
    at++;
  return at;
}
static void run_all(void) {
  for (unsigned i = 0; i < n_tests; i++)
    shared->seen[i] = (struct observation){.status = PENDING};
  shared->log_used = shared->timeouts = 0;
  for (unsigned first = 0; first < n_tests && !shared->sandbox_failed;) {
    unsigned last = first + 1;
    while (!(now.flags & FLAG_FORK_EACH) && last < n_tests && tests[last]->arenas == tests[first]->arenas)
      last++;
    first = run_group(first, last, tests[first]->arenas);
    if (first < last)
      shared->seen[first++] = (struct observation){.status = STATUS_DIED};
  }
}

static int is_writable_range(const struct test *t, uint64_t at, uint64_t n) {
  uint64_t data = (uint64_t)image_data;
  if (at >= data && n <= image_data_bytes && at - data <= image_data_bytes - n)
    return 1;
  for (unsigned i = 0; i < t->arenas; i++)
    if (at >= arena_address(i) && n <= ARENA_BYTES && at - arena_address(i) <= ARENA_BYTES - n)
      return 1;
  return 0;
}
/* Checks the loaded records once, so that running them need not. */
static int load_tests(size_t bytes) {
  n_tests = 0;
  for (size_t at = 0; at < bytes;) {
    const struct test *t = (const struct test *)(payload + at);
    if (bytes - at < sizeof *t || t->bytes > bytes - at || n_tests == MAX_TESTS || t->arenas > ARENAS ||
        t->stack_slots > 128 || t->bytes % 8)
      return ERROR_BAD_REQUEST;
    size_t inner = sizeof *t + 8 * (size_t)t->stack_slots;
    for (unsigned i = 0; i < t->patches; i++) {
      if (inner + sizeof(struct patch) > t->bytes)
        return ERROR_BAD_REQUEST;
      const struct patch *p = (const struct patch *)(payload + at + inner);
      inner += sizeof *p + (p->bytes + 7) / 8 * 8;
      if (inner > t->bytes || !is_writable_range(t, p->address, p->bytes))
        return ERROR_BAD_REQUEST;
    }
    if (inner != t->bytes)
      return ERROR_BAD_REQUEST;
    tests[n_tests++] = t;
    at += t->bytes;
  }
  return ERROR_NONE;
}

static void read_all(void *at, size_t n) {
  for (ssize_t got; n; at = (char *)at + got, n -= (size_t)got)
    if ((got = read(0, at, n)) <= 0) {
      if (got < 0 && errno == EINTR)
        got = 0;
      else
        _exit(got ? 5 : 0);
    }
}
static void write_all(const void *at, size_t n) {
  for (ssize_t put; n; at = (const char *)at + put, n -= (size_t)put)
    if ((put = write(1, at, n)) < 0) {
      if (errno != EINTR)
        _exit(5);
      put = 0;
    }
}
#include "timing.h"

static int answer_request(struct reply *reply) {
  if (now.magic != REQUEST_MAGIC || now.bytes > PAYLOAD_BYTES)
    return ERROR_BAD_REQUEST;
  if (now.kind == KIND_CALLEES) {
    if (now.bytes > sizeof callees)
      return ERROR_BAD_REQUEST;
    read_all(callees, now.bytes);
    return ERROR_NONE;
  }
  if (now.kind == KIND_LOAD) {
    madvise(payload, PAYLOAD_BYTES, MADV_REMOVE);
    read_all(payload, now.bytes);
    return load_tests(now.bytes);
  }
  cpu_x87_results = now.x87_results;
  ticks_allowed = (int)(now.deadline_ms / (now.kind == KIND_TIME ? TIMING_TICK_MS : TICK_MS) + 1);
  poison_bytes(cpu_junk, sizeof cpu_junk);
  cpu_junk_word = poison_word(40);
  cpu_plain_calls = now.kind == KIND_TIME;
  if (now.kind == KIND_RUN)
    run_all();
  else if (now.kind == KIND_TIME)
    return time_request(reply);
  else
    return ERROR_BAD_REQUEST;
  reply->observations = n_tests;
  reply->log_bytes = now.flags & FLAG_TRACE ? shared->log_used : 0;
  return shared->sandbox_failed ? ERROR_SANDBOX : ERROR_NONE;
}

/* --- start --------------------------------------------------------------------------------------------------------- */

static void *map_at(uint64_t at, size_t n, int protection, int sharing) {
  void *got = mmap((void *)at, n, protection, sharing | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);
  if (got == MAP_FAILED || (at && got != (void *)at))
    _exit(4);
  return got;
}
static int load_image(const char *path) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  Elf64_Ehdr head;
  Elf64_Phdr part[16];
  if (file < 0 || read(file, &head, sizeof head) != sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) ||
      head.e_phnum > 16 || pread(file, part, head.e_phnum * sizeof *part, (off_t)head.e_phoff) != head.e_phnum * (ssize_t)sizeof *part)
    return 0;
  for (unsigned i = 0; i < head.e_phnum; i++) {
    const Elf64_Phdr *p = &part[i];
    if (p->p_type != PT_LOAD || p->p_memsz == 0)
      continue;
    uint64_t start = p->p_vaddr & ~(uint64_t)(PAGE - 1);
    size_t bytes = (p->p_vaddr + p->p_memsz - start + PAGE - 1) & ~(size_t)(PAGE - 1);
    if (start < IMAGE_TEXT || start + bytes > IMAGE_END || p->p_filesz > p->p_memsz || (p->p_flags & PF_W && p->p_flags & PF_X))
      return 0;
    map_at(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    if (pread(file, (void *)p->p_vaddr, p->p_filesz, (off_t)p->p_offset) != (ssize_t)p->p_filesz)
      return 0;
    if (start == IMAGE_IMPORTS)
      for (uint64_t *slot = (uint64_t *)start; *slot; slot++) {
        const char *name = (const char *)*slot;
        *slot = 0;
        for (unsigned k = 0; k < sizeof imports / sizeof *imports; k++)
          if (!strcmp(name, imports[k].name))
            *slot = (uint64_t)imports[k].address;
        if (!*slot)
          return 0;
      }
    if (start == IMAGE_DATA) {
      image_data = (void *)start;
      image_data_bytes = (p->p_memsz + 63) & ~(size_t)63;
      pristine = map_at(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE);
      memcpy(pristine, image_data, bytes);
    } else
      mprotect((void *)start, bytes, PROT_READ | (p->p_flags & PF_X ? PROT_EXEC : 0));
  }
  close(file);
  return image_data_bytes <= MAX_IMAGE_DATA;
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "--imports")) {
    for (unsigned i = 0; i < sizeof imports / sizeof *imports; i++)
      puts(imports[i].name);
    return 0;
  }
  if (argc != 2)
    return 2;
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, 0);
  cpu_vector_level = __builtin_cpu_supports("avx512bw") ? 2 : __builtin_cpu_supports("avx") ? 1 : 0;
  /* A slot holds its name's address before the import segment is reached, so names must be mapped first: they are. */
  if (!load_image(argv[1]))
    return 4;
  map_at(CONTROL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
  map_at(LOG_BASE, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED);
  map_at(STACK_BASE, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED);
  for (unsigned i = 0; i < ARENAS; i++)
    map_at(arena_address(i), ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED);
  payload = map_at(0, PAYLOAD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED);
  shared = map_at(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED);
  uint64_t seed = 1;
  for (size_t i = 0; i < sizeof junk / 8; i++)
    seed = step(seed, i + 1), junk[i] = seed ^ seed >> 31;
  for (;;) {
    struct reply reply = {.magic = REPLY_MAGIC};
    read_all(&now, sizeof now);
    reply.error = (uint32_t)answer_request(&reply);
    if (reply.error)
      reply.observations = 0, reply.log_bytes = 0;
    write_all(&reply, sizeof reply);
    write_all(shared->seen, reply.observations * sizeof *shared->seen);
    write_all((void *)LOG_BASE, reply.log_bytes);
    shared->sandbox_failed = 0;
  }
}
