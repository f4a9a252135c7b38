"""What is captured of a recorded program's calls, what is not, and that the program does not see it."""

from __future__ import annotations

import signal
import struct
from pathlib import Path

import pytest

from gccllm.record.capture import RecordedCall
from tests.kit.recorder import GENEROUS, Workplace, alike
from tests.kit.recorder_programs import CRASHES, IMPURE, LIST, PROCESSES, SHAPES, THREADS


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


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


def test_a_function_that_runs_later_has_its_turn(work: Workplace) -> None:
    fold = "__attribute__((noipa)) long {}(const int *a, long n) {{ long s = 0; for (; n--;) s {} a[n]; return s; }}"
    calls = (
        "for (long i = 0; i < 300000; i++) s += first(a, i % 64); for (long i = 0; i < 8; i++) s += later(a, 9 + i);"
    )
    main = f"int main(void) {{ static int a[64]; long s = 0; {calls} return s != 0; }}"
    recorded, _ = work.program("\n".join((fold.format("first", "+="), fold.format("later", "^="), main)) + "\n")
    ran = work.run(recorded, env={"GCCLLM_RECORD_CPU": "0", "GCCLLM_RECORD_CALLS": "64"})
    assert ran.counts["first"].dropped["budget"] > 0
    assert ran.counts["later"].captured > 0


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


def test_what_is_impure_too_long_or_too_large_is_named_and_not_captured(work: Workplace) -> None:
    ran = alike(work, IMPURE)
    why = {name: dict(ran.counts[name].dropped) for name in ("says", "grows", "shares", "lasts", "reaches")}
    assert why == {
        "says": {"syscall": 1}, "grows": {"syscall": 1}, "shares": {"shared": 1}, "lasts": {"timer": 1},
        "reaches": {"pages": 1},
    }  # fmt: skip
    assert ran.counts["looks"].captured == 1


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
