"""Recorded programs: what is captured, and that the program goes on as if nothing had happened."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import struct
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from recorder_kit import GENEROUS, Ran, Workplace

from gccllm.record.capture import RecordedCall

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


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def alike(
    work: Workplace, source: str, *arguments: str, flags: tuple[str, ...] = (), link: tuple[str, ...] = ()
) -> Ran:
    """Run the program plain, with stubs, and recorded: all three end and say the same. What was recorded."""
    recorded, plain = work.program(source, *flags, link=link)
    want = work.run(plain, *arguments, record=False)
    unset = work.run(recorded, *arguments, record=False)
    ran = work.run(recorded, *arguments)
    assert (unset.code, unset.out, unset.err) == (want.code, want.out, want.err)
    assert (ran.code, ran.out, ran.err) == (want.code, want.out, want.err)
    assert not [name for name in ran.names if name.startswith(".")]
    return ran


def long_at(call: RecordedCall, address: int) -> int:
    raw = call.at(address, 8)
    assert raw is not None
    return struct.unpack("<q", raw)[0]


# --- what is captured -------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [("-fPIE",), ("-fno-pic", "-no-pie"), ("-fPIE", "-static-pie"), ("-static",)])
def test_a_capture_holds_the_state_before_and_after(work: Workplace, flags: tuple[str, ...]) -> None:
    link = tuple(f for f in flags if not f.startswith("-f"))
    ran = alike(work, LIST, "5", flags=tuple(f for f in flags if f.startswith("-f")), link=link)
    assert ran.counts["total"].calls == 5
    assert ran.counts["total"].captured == 5
    calls = ran.of("total")
    assert [call.number for call in calls] == [1, 2, 3, 4, 5]
    for number, call in enumerate(calls):
        assert struct.unpack("<d", call.before.xmm[0].to_bytes(16, "little")[:8]) == (0.5 + number,)
        assert call.ticks > 0
        # The list, from the pages alone.
        node, values = call.before.rdi, []
        while node:
            values.append(long_at(call, node + 8))
            node = long_at(call, node)
        assert values == list(range(99, -1, -1))
        # The global: what was there, and that its page was written.
        (address, size), *rest = call.symbols
        assert (size, rest) == (128, [])
        assert [long_at(call, address + 8 * i) for i in range(4)] == [1, 2, 3, number]
        page = next(p for p in call.pages if p.address == address & -4096)
        assert page.after is not None
        assert struct.unpack_from("<q", page.after, address + 24 - page.address) == (number + 1,)
        want = sum(v * [1, 2, 3, number, *[0] * 12][i % 16] for i, v in enumerate(values))
        got = struct.unpack("<d", call.after.xmm[0].to_bytes(16, "little")[:8])[0]
        assert got == want * (0.5 + number)
        out = next(p for p in call.pages if p.address == call.before.rsi & -4096)
        assert out.after is not None
        assert struct.unpack_from("<q", out.after, call.before.rsi - out.address) == (want,)
        # The program's own return address, not ours: the function was called from main's text.
        assert call.before.rsp + 8 == call.after.rsp
        assert abs(long_at(call, call.before.rsp) - call.resume) < 1 << 20


def test_without_a_directory_nothing_is_written_and_no_call_comes_twice(work: Workplace) -> None:
    recorded, _ = work.program(LIST)
    assert work.run(recorded, "1000", record=False).names == []


def test_the_reservoir_keeps_so_many_and_they_are_spread(work: Workplace) -> None:
    recorded, _ = work.program(LIST)
    ran = work.run(recorded, "20000", env={**GENEROUS, "GCCLLM_RECORD_CALLS": "8"})
    calls = ran.of("total")
    assert len(calls) == 8
    assert ran.counts["total"].calls == 20000
    assert ran.counts["total"].captured > 8
    # Eight of 20000 evenly drawn: that all come from the first quarter happens once in 65536.
    assert max(call.number for call in calls) > 5000


def test_limits_in_time_and_bytes_are_kept_and_counted(work: Workplace) -> None:
    recorded, _ = work.program(LIST)
    ran = work.run(recorded, "50000", env={"GCCLLM_RECORD_CPU": "0"}, name="time")
    assert ran.counts["total"].dropped["budget"] > 0
    assert ran.counts["total"].calls == 50000
    ran = work.run(recorded, "200", env={**GENEROUS, "GCCLLM_RECORD_BYTES": "200000"}, name="bytes")
    assert ran.counts["total"].dropped["bytes"] > 0
    assert sum(path.stat().st_size for path in (work.here / "bytes").iterdir()) < 210000


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


def test_stack_arguments_floats_vectors_recursion_and_longjmp(work: Workplace) -> None:
    ran = alike(work, SHAPES)
    for name in ("many", "floats", "made", "fib", "deep"):
        assert ran.counts[name].captured > 0, ran.counts[name]
    many = ran.of("many")[2]
    stack = [long_at(many, many.before.rsp + 8 + 8 * i) for i in range(8)]
    assert (stack[0], stack[1] & 0xFFFFFFFF, stack[2:]) == (7, 8, [1, 2, 3, 4, 5, 6])
    made = ran.of("made")[4]
    assert made.after.rax == made.before.rdi
    # What longjmp leaves is not a return; it goes on in the child until that asks the kernel for something.
    assert ran.counts["leaves"].captured == 0
    assert ran.counts["leaves"].dropped["syscall"] > 0


# --- what cannot be captured ------------------------------------------------------------------------

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
    char *far = calloc(2000, 4096);
    int s = 0;
    s += says(3) + grows(3) + shares(5) + looks(5) + lasts(600000000) + reaches(far, 2000);
    printf("%d\n", s);
    return 0;
}
"""


def test_what_is_impure_too_long_or_too_large_is_named_and_not_captured(work: Workplace) -> None:
    ran = alike(work, IMPURE)
    why = {name: dict(ran.counts[name].dropped) for name in ("says", "grows", "shares", "lasts", "reaches")}
    assert why == {
        "says": {"syscall": 1}, "grows": {"syscall": 1}, "shares": {"shared": 1}, "lasts": {"timer": 1},
        "reaches": {"pages": 1},
    }  # fmt: skip
    assert ran.counts["looks"].captured == 1


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


def test_a_function_that_faults_is_not_captured_and_the_program_handles_it(work: Workplace) -> None:
    ran = alike(work, CRASHES)
    for name in ("reads", "divides"):
        assert (ran.counts[name].captured, dict(ran.counts[name].dropped)) == (5, {"fault": 5})


def test_a_program_that_crashes_leaves_what_was_recorded(work: Workplace) -> None:
    ran = alike(work, CRASHES, "crash")
    assert ran.code == -signal.SIGSEGV
    assert ran.counts["reads"].captured >= 4  # as of the last power of two
    assert len(ran.of("reads")) == 5


# --- what the program sees --------------------------------------------------------------------------

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


def test_descriptors_errno_signals_and_children_are_the_programs_own(work: Workplace) -> None:
    ran = alike(work, PROCESSES)
    assert ran.out.split()[1:] == ["1", "300", "3", "1"]
    assert ran.counts["hash"].captured > 0


def test_a_forked_process_records_for_itself(work: Workplace) -> None:
    """It notices when the count that it took over from its parent is up."""
    source = PROCESSES.replace("_exit((int)(h % 100))", "exit((int)(h % 100))").replace("CALLS 50", "CALLS 3000")
    ran = alike(work, source)
    counts = [count for count in ran.every_count if count.name == "hash"]
    assert len(counts) >= 2
    processes = {name.split("-")[0] for name in ran.names if name.endswith(".cap")}
    assert len(processes) >= 2
    assert sum(count.captured for count in counts) >= len([n for n in ran.names if n.endswith(".cap")])


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


def test_threads(work: Workplace) -> None:
    ran = alike(work, THREADS, link=("-pthread",))
    assert ran.counts["hash"].captured > 0
    assert 40000 < ran.counts["hash"].calls < 120000  # not exact: no thread waits for another to count


def test_a_signal_storm_loses_no_signal_and_no_capture(work: Workplace) -> None:
    source = r"""
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
static volatile sig_atomic_t ticks;
static volatile unsigned sink;
__attribute__((noipa)) unsigned hash(unsigned n) {
    unsigned h = 1;
    for (unsigned i = 0; i < n; i++)
        h = h * 31 + i;
    return h;
}
static void tick(int s) { ticks++, sink += hash(50); }
int main(void) {
    struct itimerval every = {{0, 500}, {0, 500}};
    unsigned long h = 0;
    signal(SIGALRM, tick);
    setitimer(ITIMER_REAL, &every, 0);
    while (ticks < 200)
        h = hash(1000);
    printf("%lu\n", h);
    return 0;
}
"""
    ran = alike(work, source)
    assert ran.counts["hash"].captured > 0
    assert set(ran.counts["hash"].dropped) <= {"busy"}


# --- faults -----------------------------------------------------------------------------------------


def test_limits_of_processes_descriptors_and_memory(work: Workplace) -> None:
    recorded, plain = work.program(LIST)
    want = work.run(plain, "100", record=False)

    def limited(what: int, soft: int, name: str) -> Ran:
        ran = work.run(recorded, "100", before=lambda: resource.setrlimit(what, (soft, soft)), name=name)
        assert (ran.code, ran.out, ran.err) == (want.code, want.out, want.err)
        return ran

    # Enough for the program's own start only: standard descriptors and its libraries.
    assert limited(resource.RLIMIT_NOFILE, 4, "descriptors").counts["total"].captured > 0
    assert limited(resource.RLIMIT_FSIZE, 20000, "sizes").counts["total"].dropped["file"] > 0
    small = limited(resource.RLIMIT_AS, 6 << 20, "memory")
    assert not small.captures
    assert not small.counts or small.counts["total"].dropped["memory"] > 0
    if os.geteuid() != 0:  # root may have any number of processes
        limited(resource.RLIMIT_NPROC, 1, "processes")


def test_a_full_disk_leaves_no_file_and_is_counted(work: Workplace) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    _, plain = work.program(LIST)
    want = work.run(plain, "100", record=False)
    (work.here / "small").mkdir()
    script = (
        "mount -t tmpfs -o size=64k none small || exit 77; GCCLLM_RECORD_DIR=$PWD/small ./recorded 100; code=$?; "
        "ls -A small >listing; cp small/*.counts . ; exit $code"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=work.here, env={**os.environ, **GENEROUS}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("the kernel allows no mount here")
    assert (done.returncode, done.stdout) == (want.code, want.out)
    names = (work.here / "listing").read_text().split()
    assert len([name for name in names if name.endswith(".cap")]) == 1
    assert not [name for name in names if name.startswith(".")]


def test_a_directory_that_is_not_there_or_not_ours(work: Workplace) -> None:
    recorded, plain = work.program(LIST)
    want = work.run(plain, "50", record=False)
    for place in ("/nowhere/at/all", "relative", "/dev/null", "/" + "x" * 2000):
        env = {**os.environ, **GENEROUS, "GCCLLM_RECORD_DIR": place}
        done = subprocess.run([recorded, "50"], cwd=work.here, env=env, capture_output=True, text=True, timeout=100)
        assert (done.returncode, done.stdout, done.stderr) == (want.code, want.out, want.err)


def test_killed_at_any_moment_every_file_is_whole(work: Workplace) -> None:
    recorded, _ = work.program(LIST)
    directory = work.here / "recording"
    directory.mkdir()
    env = {**os.environ, **GENEROUS, "GCCLLM_RECORD_CALLS": "24", "GCCLLM_RECORD_DIR": str(directory)}
    for turn in range(6):
        child = subprocess.Popen([recorded, "100000000"], cwd=work.here, env=env, stdout=subprocess.PIPE)
        while len(list(directory.glob(f"{child.pid}-*.cap"))) < 3 * turn + 1:
            assert child.poll() is None
        child.kill()
        child.communicate()
    ran = work.read(subprocess.CompletedProcess([], 0, "", ""), directory)  # reads all, or raises
    per_process = Counter(name.split("-")[0] for name in ran.names if name.endswith(".cap"))
    assert len(per_process) == 6
    assert len([count for count in ran.every_count if count.name == "total"]) == 6


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


@pytest.mark.parametrize(
    ("number", "first", "word"),
    [(157, 22, "seccomp"), (157, 38, "seccomp"), (10, 0, ""), (13, 11, "killed"), (28, 0, ""), (131, 0, "")],
    ids=[
        "prctl-seccomp",
        "prctl-privileges",
        "mprotect-nothing",
        "sigaction",
        "madvise-nothing",
        "sigaltstack-nothing",
    ],
)
def test_a_kernel_that_refuses(work: Workplace, number: int, first: int, word: str) -> None:
    recorded, plain = work.program(LIST)
    want = work.run(plain, "60", record=False)
    (work.here / "filtered.c").write_text(FILTERED)
    filtered = work.link("filtered.c", output="filtered")
    ran = work.run(filtered, str(number), str(first), recorded, "60")
    assert (ran.code, ran.out, ran.err) == (want.code, want.out, want.err)
    if word:
        assert not ran.captures
        assert ran.counts["total"].dropped[word] > 0
    else:
        assert ran.counts["total"].captured > 0


def test_no_child_and_no_library_of_proc(work: Workplace) -> None:
    """clone with the flags of a capture is refused; then one with those of a child that borrows memory."""
    recorded, plain = work.program(LIST)
    want = work.run(plain, "60", record=False)
    (work.here / "filtered.c").write_text(FILTERED)
    filtered = work.link("filtered.c", output="filtered")
    ran = work.run(filtered, "56", str(0x800000), recorded, "60", name="capture")
    assert (ran.code, ran.out) == (want.code, want.out)
    assert ran.counts["total"].dropped["clone"] > 0
    ran = work.run(filtered, "56", str(0x804100), recorded, "60", name="borrow")
    assert (ran.code, ran.out) == (want.code, want.out)
    assert ran.names == []


def test_set_user_id_programs_are_not_recorded(work: Workplace) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a set-user-id program")
    recorded, _ = work.program(LIST)
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        directory = Path(place) / "recording"
        directory.mkdir()
        os.chmod(directory, 0o777)
        program = Path(shutil.copy(recorded, place))

        def run_as_nobody(mode: int) -> int:
            os.chmod(program, mode)
            done = subprocess.run(
                [program, "60"], env={**os.environ, **GENEROUS, "GCCLLM_RECORD_DIR": str(directory)},
                cwd="/", capture_output=True, text=True, timeout=100, user=65534, group=65534, extra_groups=[],
            )  # fmt: skip
            assert done.returncode == 7
            return len(list(directory.iterdir()))

        assert run_as_nobody(0o4755) == 0
        assert run_as_nobody(0o755) > 0


def test_exec_and_two_images_record_apart(work: Workplace) -> None:
    library = r"""
unsigned twice(const unsigned char *p, int n) {
    unsigned h = 1;
    for (int i = 0; i < n; i++)
        h = h * 31 + p[i];
    return h;
}
"""
    main = r"""
#include <stdio.h>
#include <unistd.h>
unsigned twice(const unsigned char *, int);
__attribute__((noipa)) unsigned once(const unsigned char *p, int n) {
    unsigned h = 7;
    for (int i = 0; i < n; i++)
        h = h * 33 + p[i];
    return h;
}
int main(int argc, char **argv) {
    unsigned char text[40] = {1, 2, 3};
    printf("%u %u\n", once(text, 40), twice(text, 30));
    fflush(stdout);
    return argc > 1 ? execl(argv[0], argv[0], (char *)0) : 0;
}
"""
    work.link("-shared", work.compile(library, "-fPIC", name="library"), output="libtwice.so")
    program = work.link(work.compile(main, name="main"), "libtwice.so", "-Wl,-rpath,.")
    ran = work.run(program, "again")
    assert ran.code == 0
    assert ran.out.split()[:2] == ran.out.split()[2:]
    assert len([name for name in ran.names if name.endswith(".counts")]) == 4
    assert Counter(count.name for count in ran.every_count if count.captured)["twice"] >= 1
    assert len({name.split(".")[0] for name in ran.names}) == 4  # two images, twice
