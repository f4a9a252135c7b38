"""Thread-local data in recorded calls: its address in the recording thread, and its content before the call."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from gccllm.record.capture import RecordedCall
from tests.kit.recorder import Ran, Workplace, alike

UNIT = r"""
static __thread unsigned state = 7;
static __thread unsigned histogram[16];
__thread unsigned long turns;
__attribute__((noipa)) unsigned mix(unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        histogram[state >> 28]++;
    }
    turns++;
    return state;
}
__attribute__((noipa)) double scaled(double by, unsigned n) {
    double sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += by * histogram[i & 15];
    return sum;
}
__attribute__((noipa)) unsigned seen(unsigned which) { return which ? histogram[which & 15] : state; }
"""
THREADS = r"""
#include <pthread.h>
#include <stdio.h>
unsigned mix(unsigned), seen(unsigned);
double scaled(double, unsigned);
static void *work(void *of) {
    unsigned long sum = 0;
    for (unsigned i = 0; i < 40; i++)
        sum = sum * 31 + mix(i + (unsigned)(long)of);
    for (unsigned i = 0; i < 16; i++)
        sum = sum * 31 + seen(i);
    return (void *)sum;
}
int main(void) {
    unsigned long all = (unsigned long)work((void *)0);
    for (long t = 1; t < 4; t++) {
        pthread_t one;
        void *sum;
        pthread_create(&one, 0, work, (void *)t);
        pthread_join(one, &sum);
        all = all * 7 + (unsigned long)sum;
    }
    printf("%lu %f\n", all, scaled(0.5, 16));
    return 0;
}
"""
LOADER = r"""
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
static unsigned (*mix)(unsigned), (*seen)(unsigned);
static double (*scaled)(double, unsigned);
static void *work(void *of) {
    unsigned long sum = 0;
    for (unsigned i = 0; i < 40; i++)
        sum = sum * 31 + mix(i + (unsigned)(long)of);
    for (unsigned i = 0; i < 16; i++)
        sum = sum * 31 + seen(i);
    return (void *)sum;
}
int main(int argc, char **argv) {
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 2;
    *(void **)&mix = dlsym(library, "mix"), *(void **)&seen = dlsym(library, "seen");
    unsigned long all = (unsigned long)work((void *)0);
    for (long t = 1; t < 4; t++) {
        pthread_t one;
        void *sum;
        pthread_create(&one, 0, work, (void *)t);
        pthread_join(one, &sum);
        all = all * 7 + (unsigned long)sum;
    }
    *(void **)&scaled = dlsym(library, "scaled");
    printf("%lu %f\n", all, scaled(0.5, 16));
    return 0;
}
"""


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def word(call: RecordedCall, address: int) -> int | None:
    raw = call.at(address, 4)
    return None if raw is None else struct.unpack("<I", raw)[0]


def mixed(state: int, n: int) -> int:
    for _ in range(n):
        state = (state * 1664525 + 1013904223) & 0xFFFF_FFFF
    return state


def check(calls: list[RecordedCall]) -> None:
    """Every capture knows the thread's own state before the call, from which the result follows."""
    assert len(calls) > 3
    for call in calls:
        by_size = {size: address for address, size in call.symbols}
        assert set(by_size) == {4, 8, 64}
        assert all(by_size.values()), "an address is unknown"
        state = word(call, by_size[4])
        assert state is not None
        assert call.after.rax & 0xFFFF_FFFF == mixed(state, call.before.rdi & 0xFFFF_FFFF)


def check_vectors(ran: Ran) -> None:
    """Asking for an address leaves the arguments in vector registers alone."""
    (call,) = ran.of("scaled")
    said = float(ran.out.split()[1])
    assert struct.unpack("<d", call.before.xmm[0].to_bytes(16, "little")[:8]) == (0.5,)
    assert struct.unpack("<d", call.after.xmm[0].to_bytes(16, "little")[:8]) == (said,)
    assert said > 0


@pytest.mark.parametrize(
    "flags",
    [("-fPIE",), ("-fno-pic", "-no-pie"), ("-static",), ("-fPIC", "-ftls-model=initial-exec")],
    ids=" ".join,
)
def test_a_program_with_threads(work: Workplace, flags: tuple[str, ...]) -> None:
    link = tuple(f for f in flags if not f.startswith("-f"))
    ran = alike(work, UNIT + THREADS, flags=tuple(f for f in flags if f.startswith("-f")), link=(*link, "-lpthread"))
    check(ran.of("mix"))
    check_vectors(ran)
    assert not any(ran.counts["mix"].dropped.values())


@pytest.mark.parametrize("flags", [(), ("-fno-plt",)], ids=["plt", "no plt"])
@pytest.mark.parametrize("model", ["tlsld", "tlsgd"])
def test_a_library_that_is_loaded_when_the_program_runs(work: Workplace, flags: tuple[str, ...], model: str) -> None:
    unit = UNIT if model == "tlsld" else UNIT.replace("static __thread", "__thread")
    library = work.link(work.compile(unit, "-fPIC", *flags), "-shared", output="lib.so")
    plain = work.here / "loader.c"
    plain.write_text(LOADER)
    program = work.link(plain, "-ldl", "-lpthread")
    want = work.run(program, library, record=False)
    ran = work.run(program, library)
    assert (ran.code, ran.out, ran.err) == (want.code, want.out, want.err)
    assert ran.code == 0, ran.err
    check(ran.of("mix"))
    check_vectors(ran)
