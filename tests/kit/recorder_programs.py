"""C programs for the tests of the recorder."""

LIST = r"""
#include <stdio.h>
#include <stdlib.h>
struct node { struct node *next; long value; };
struct out { long sum; int count; };
long weights[16] = {1, 2, 3};
__attribute__((noipa)) double total(const struct node *n, struct out *o, double scale) {
    long s = 0;
    int c = 0;
    for (; n; n = n->next)
        s += n->value * weights[c++ & 15];
    o->sum = s, o->count = c, weights[3]++;
    return s * scale;
}
int main(int argc, char **argv) {
    struct node *head = NULL;
    struct out out;
    double sum = 0;
    for (int i = 0; i < 100; i++) {
        struct node *n = malloc(sizeof *n);
        n->next = head, n->value = i, head = n;
    }
    for (int i = 0; i < atoi(argv[1]); i++)
        sum += total(head, &out, 0.5 + i);
    printf("%f %ld %d\n", sum, out.sum, out.count);
    return 7;
}
"""

SHAPES = r"""
#include <stdio.h>
#include <setjmp.h>
#include <immintrin.h>
#include <stdlib.h>
struct big { long a[6]; };
__attribute__((noipa)) long many(long a, long b, long c, long d, long e, long f, long g, int h, struct big s) {
    long r = 0;
    for (long i = 0; i < a; i++)
        r += b * c - d + e * f + g * h + s.a[i % 6];
    return r;
}
__attribute__((noipa)) float floats(float *x, float k, double m, int n) {
    float s = 0;
    for (int i = 0; i < n; i++)
        s += x[i] * k + (float)m;
    return s;
}
__attribute__((noipa)) struct big made(long n) {
    struct big b = {{0}};
    for (long i = 0; i < n; i++)
        b.a[i % 6] += i * n;
    return b;
}
__attribute__((noipa, target("avx2"))) int wide(const int *a, int n) {
    __m256i s = _mm256_setzero_si256();
    for (int i = 0; i + 8 <= n; i += 8)
        s = _mm256_add_epi32(s, _mm256_loadu_si256((const __m256i *)(a + i)));
    int out[8], r = 0;
    _mm256_storeu_si256((__m256i *)out, s);
    for (int i = 0; i < 8; i++)
        r += out[i];
    return r;
}
__attribute__((noinline)) static long fib(long n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
__attribute__((noipa)) long deep(long n) {
    volatile char here[2000];
    here[n % 2000] = 1;
    return n == 0 ? 0 : 1 + deep(n - 1) + here[0] * 0;
}
static jmp_buf back;
__attribute__((noipa, hot)) void leaves(const int *a, int n) {
    for (int i = 0;; i++)
        if (a[i] == n * n)
            longjmp(back, n + 1);
}
int main(void) {
    float x[50];
    int a[64];
    struct big s = {{1, 2, 3, 4, 5, 6}};
    for (int i = 0; i < 50; i++)
        x[i] = i / 3.f;
    for (int i = 0; i < 64; i++)
        a[i] = i * i;
    for (int i = 0; i < 40; i++) {
        printf("%ld %g %ld %ld %ld\n", many(i, 2, 3, 4, 5, 6, 7, 8, s), floats(x, i, .25, 50), made(i).a[3], fib(i / 3),
               deep(i * 10));
        if (__builtin_cpu_supports("avx2"))
            printf("%d\n", wide(a, 64));
        int r = setjmp(back);
        if (!r)
            leaves(a, i);
        printf("%d\n", r);
    }
    return 0;
}
"""

IMPURE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int *shared;
volatile int *nowhere;
__attribute__((noipa)) int says(int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        s += (int)write(1, "x", 1);
    return s;
}
__attribute__((noipa)) int grows(int n) {
    int s = 0;
    for (int i = 0; i < n; i++) {
        volatile char *p = malloc(1 << 20);
        p[i] = 1, s += p[i];
        free((void *)p);
    }
    return s;
}
__attribute__((noipa)) int shares(int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        s += shared[i]++;
    return s;
}
__attribute__((noipa)) int looks(int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        s += shared[i];
    return s;
}
__attribute__((noipa)) int lasts(int n) {
    unsigned s = 1;
    for (int i = 0; i < n; i++)
        s = s * 1664525 + 1013904223;
    return (int)(s & 255);
}
__attribute__((noipa)) int reaches(char *p, int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        s += p[(long)i << 12]++;
    return s;
}
int main(void) {
    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *far = calloc(17000, 4096);
    int s = 0;
    s += says(3) + grows(3) + shares(5) + looks(5) + lasts(600000000) + reaches(far, 17000);
    printf("%d\n", s);
    return 0;
}
"""

CRASHES = r"""
#include <stdio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
static sigjmp_buf back;
static void caught(int s) { siglongjmp(back, s); }
__attribute__((noipa)) long reads(volatile long *p, int n) {
    long s = 0;
    for (int i = 0; i < n; i++)
        s += p[i];
    return s;
}
__attribute__((noipa)) long divides(long *p, int n) {
    long s = 1;
    for (int i = 0; i < n; i++)
        s += 100 / p[i];
    return s;
}
int main(int argc, char **argv) {
    long a[8] = {1, 2, 3, 4, 5, 6, 7, 0}, sum = 0;
    volatile long *guarded = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect((char *)guarded + 4096, 4096, PROT_NONE);
    signal(SIGSEGV, caught), signal(SIGFPE, caught);
    for (int i = 0; i < 20; i++) {
        int r = sigsetjmp(back, 1);
        if (!r)
            sum += i % 2 ? divides(a, 7 + i % 4 / 2) : reads(guarded + 500, i % 4 ? 20 : 12);
        else
            sum += r;
    }
    printf("%ld\n", sum);
    fflush(stdout);
    if (argc > 1)
        signal(SIGSEGV, SIG_DFL), reads(guarded + 500, 20);
    return 0;
}
"""

PROCESSES = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#define CALLS 50
static volatile sig_atomic_t children, alarms;
static void count(int s) { s == SIGCHLD ? children++ : alarms++; }
__attribute__((noipa)) unsigned hash(const char *p, int n) {
    unsigned h = 1;
    for (int i = 0; i < n; i++)
        h = h * 31 + p[i];
    return h;
}
int main(void) {
    struct sigaction act = {.sa_handler = count};
    char text[200];
    unsigned h = 0;
    int status, ended = 0, lowest = dup(0), same = 1;
    sigset_t before, after;

    sigaction(SIGCHLD, &act, 0), sigaction(SIGUSR1, &act, 0);
    sigemptyset(&before), sigaddset(&before, SIGUSR2), sigprocmask(SIG_SETMASK, &before, 0);
    memset(text, 'x', sizeof text), close(lowest);
    for (int i = 0; i < 300; i++) {
        errno = 77;
        h += hash(text, i % 200);
        same &= errno == 77;
        int fd = dup(0);
        same &= fd == lowest, close(fd);
        same &= waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD;
        raise(SIGUSR1);
    }
    fflush(stdout);
    for (int i = 0; i < 5; i++)
        if (fork() == 0) {
            for (int k = 0; k < CALLS; k++)
                h += hash(text, k % 200);
            _exit((int)(h % 100));
        }
    while (waitpid(-1, &status, 0) > 0 || errno == EINTR)
        ended++;
    if (vfork() == 0) {
        h += hash(text, 3);
        _exit(3);
    }
    waitpid(-1, &status, 0);
    sigprocmask(0, 0, &after);
    same &= sigismember(&after, SIGUSR2) && !sigismember(&after, SIGALRM);
    printf("%u %d %d %d\n", h, same, alarms, WEXITSTATUS(status));
    printf("%d\n", children >= 1 && children <= 6);
    return 0;
}
"""

THREADS = r"""
#include <pthread.h>
#include <stdio.h>
__attribute__((noipa)) unsigned hash(const unsigned char *p, int n) {
    unsigned h = 1;
    for (int i = 0; i < n; i++)
        h = h * 31 + p[i];
    return h;
}
static void *work(void *p) {
    unsigned char text[64] = {(unsigned char)(long)p};
    unsigned long h = 0;
    for (int i = 0; i < 20000; i++)
        text[i % 64]++, h += hash(text, 64);
    return (void *)h;
}
int main(void) {
    pthread_t t[4];
    unsigned long sum = 0;
    void *r;
    for (long i = 0; i < 4; i++)
        pthread_create(&t[i], 0, work, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], &r), sum += (unsigned long)r;
    printf("%lu\n", sum);
    return 0;
}
"""

FILTERED = r"""
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int number = atoi(argv[1]), first = atoi(argv[2]);
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)first, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return 99;
    execv(argv[3], argv + 3);
    return 98;
}
"""
