/* check REF.so CANDIDATE.so TESTS TIMING SEED [RECIPE.so ...] < lines
 *
 * The corpus's own quick check; it shares no code with the gates of the project. A line is
 *   INDEX:PLAIN RETURN-BYTES KINDS... ; VALUES...
 * and names fn<INDEX> of CANDIDATE and fn<PLAIN> of the others: the plain side by gcc -O3 and by other
 * recipes. RETURN-BYTES is negative for floats; KINDS are those of states.h. Each line runs in its own child:
 * TESTS random states between unmapped pages, results and memory compared with REF's; states on which REF
 * faults are skipped. With TIMING the child also prints ticks on a medium state: REF's, the best recipe's,
 * the candidate's. Output: INDEX STATUS DONE REF-TICKS BEST-TICKS CANDIDATE-TICKS BEST-RECIPE, and with
 * TIMING 2 the ticks of each recipe.
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

#include "states.h"

enum { MAX_LIBS = 12 };

/* out: whether the convention was broken, and the low half of xmm0 */
u64 guarded_call(void *function, const u64 *args, u64 *out, const double *floats);
__asm__(".text\n.globl guarded_call\nguarded_call:\n"
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\npush %rdx\n"
        "mov %rdi, %rax\nmov %rsi, %r10\n"
        "movsd (%rcx), %xmm0\nmovsd 8(%rcx), %xmm1\nmovsd 16(%rcx), %xmm2\n"
        "mov (%r10), %rdi\nmov 8(%r10), %rsi\nmov 16(%r10), %rdx\nmov 24(%r10), %rcx\nmov 32(%r10), %r8\nmov "
        "40(%r10), %r9\n"
        "mov $0x5a5a5a5a5a5a, %rbx\nmov %rbx, %r12\nmov %rbx, %r13\nmov %rbx, %r14\nmov %rbx, %r15\nmov "
        "%rsp, %rbp\n"
        "call *%rax\n"
        "mov $0x5a5a5a5a5a5a, %rcx\nxor %edx, %edx\n"
        "cmp %rsp, %rbp\nsetne %dl\nmov %rbp, %rsp\n"
        "cmp %rcx, %rbx\njne 1f\ncmp %rcx, %r12\njne 1f\ncmp %rcx, %r13\njne 1f\ncmp %rcx, %r14\njne 1f\ncmp "
        "%rcx, %r15\nje 2f\n"
        "1: or $1, %edx\n"
        "2: pop %rcx\nmov %rdx, (%rcx)\nmovq %xmm0, 8(%rcx)\nvzeroupper\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

static u64 spent; /* ticks of the last call */
static sigjmp_buf jump;
static volatile sig_atomic_t running;

static void on_signal(int number) {
    if (!running)
        _exit(3);
    siglongjmp(jump, number);
}

/* 0, or the signal that ended the call, or -1 when it broke the calling convention. 50 ms of CPU time at
 * most. */
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

/* Functions of scalars alone, and searches for a key, end too soon for the counter, and a branch that goes
 * the same way every time costs them nothing: their time is that of a call for each of these. */
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

static u64 least(u64 p, u64 q) { return p < q ? p : q; }

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
    printf("%d %s %d %llu %llu %llu %d", index, status, done, (unsigned long long)took[0],
           (unsigned long long)best, (unsigned long long)took[1], which);
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
