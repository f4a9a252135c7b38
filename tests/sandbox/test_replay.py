"""The replayer: a baseline equals itself, planted faults have their right names, hostile code harms nobody."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gccllm.base.core import Decline, GlobalBytes, Region, Returned, RunStatus, Slot, Test, arena_address
from gccllm.base.reasons import Reason
from gccllm.sandbox import layout
from gccllm.sandbox.compare import difference, differs, same
from gccllm.sandbox.image import AssembleError, CalleeSpec, build_image
from gccllm.sandbox.layout import AbiBit
from gccllm.sandbox.program import replayer_path
from gccllm.sandbox.replay import Replayer
from tests.kit.replay import INT, TOOLS, function, image, on_array

NATIVE = Path(layout.__file__).parent / "native"

SOURCE = """
#include <string.h>
#include <math.h>
int counter; const int table[4] = {3, 1, 4, 1};
int sum(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i]; return s; }
int sum_down(int *p, int n) { int s = 0; while (n-- > 0) s += p[n]; return s; }
int sum_over(int *p, int n) { int s = 0; for (int i = 0; i <= n; i++) s += p[i]; return s; }
int count(int *p, int n) { counter += n; return table[n & 3]; }
int count_twice(int *p, int n) { counter += 2 * n; return table[n & 3]; }
int bump(int *p, int n) { p[0]++; return 0; }
int move(char *p, int n) { memmove(p + 1, p, n); return (int)strlen(p); }
double root(double x) { return sqrt(fabs(x)) + sin(x); }
long double longer(long double x) { return x * 3; }
float narrow(float x) { return x * 3; }
int fifth(int a, int b, int c, int d, int e, int f, int g, int h) { return h * 10 + g; }
int spill(int *p, int n) { volatile int a[64]; for (int i = 0; i < 64; i++) a[i] = p[i & 7]; return a[n & 63]; }
extern int ext(int, int *);
int asks(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) { p[0] = i; s += ext(i, p); } return s; }
int asks_late(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += ext(i, p); p[0] = n - 1; return s; }
int asks_frame(int *p, int n) { int x = n; return ext(n, &x) + x; }
int spins(int *p, int n) { for (;;) __asm__ volatile(""); }
int recurses(int *p, int n) { volatile int x[100]; x[n & 7] = n; return recurses(p, n + 1) + x[3]; }
void abort(void); int aborts(int *p, int n) { if (n > 2) abort(); return n; }
"""
EXTRA = "".join((
    function("breaks_rbx", "xorl %ebx, %ebx", "ret"),
    function("breaks_r15", "xorl %r15d, %r15d", "ret"),
    function("sets_df", "std", "ret"),
    function("sets_mxcsr", "pushq $0x9fc0", "ldmxcsr (%rsp)", "addq $8, %rsp", "ret"),
    function("sets_x87", "pushq $0x27f", "fldcw (%rsp)", "addq $8, %rsp", "ret"),
    function("leaves_x87", "fld1", "ret"),
    function("writes_above", "movq $1, 72(%rsp)", "ret"),
    function("pops_return", "popq %rcx", "addq $8, %rsp", "jmp *%rcx"),
    function("smashes", "movq $0, (%rsp)", "ret"),
    function("reads_rax", "ret"),
    function("reads_below", "movl -64(%rsp), %eax", "ret"),
    function("reads_upper", "movq %rsi, %rax", "shrq $32, %rax", "ret"),
    function("asks_kernel", "movl $39, %eax", "syscall", "ret"),
    function("leaves_process", "movl $231, %eax", "xorl %edi, %edi", "syscall", "ret"),
    function("old_kernel_gate", "movl $20, %eax", "int $0x80", "ret"),
    function("jumps_to_zero", "xorl %eax, %eax", "jmp *%rax"),
    function("wild_store", "movabsq $0x123456789000, %rax", "movq $1, (%rax)", "ret"),
    function("control_page", *(f"movq $-1, {layout.CONTROL + i:#x}" for i in range(0, 64, 8)), "ret"),
    function("own_code", "movb $0xc3, own_code(%rip)", "ret"),
    function("next_arena", f"movabsq ${arena_address(1):#x}, %rax", "movl (%rax), %eax", "ret"),
    function("divides", "xorl %ecx, %ecx", "xorl %edx, %edx", "divl %ecx", "ret"),
    function("undefined", "ud2"),
    function("breakpoint", "int3", "ret"),
    function("loses_stack", "xorl %esp, %esp", "pushq %rax", "ret"),
    function("breaks_fs", "xorl %eax, %eax", "wrfsbase %rax", "movl (%rax), %eax", "ret"),
    function("misaligned_call", "subq $16, %rsp", "call strlen", "addq $16, %rsp", "ret"),
    function("keeps_rcx", "pushq %rbx", "movl $5, %ecx", "call strlen", "movl %ecx, %eax", "popq %rbx", "ret"),
))  # fmt: skip
EXT = {"ext": CalleeSpec(ints=(4, 8), returns=INT)}


@pytest.fixture(scope="module")
def replayer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayer]:
    with Replayer(image(tmp_path_factory.mktemp("image"), SOURCE, EXTRA, EXT), INT) as running:
        yield running


TESTS = [on_array(n) for n in range(12)]


def test_the_generated_headers_are_those_of_the_layout() -> None:
    assert (NATIVE / "layout.h").read_text() == layout.header()
    assert (NATIVE / "imports.h").read_text() == layout.imports_header()


def test_the_program_knows_every_import_of_the_layout() -> None:
    known = set(subprocess.run([replayer_path(), "--imports"], capture_output=True, text=True).stdout.split())
    assert known == {*layout.IMPORTS, *(layout.TRACED_PREFIX + n for n in layout.TRACED_IMPORTS), *layout.HOOKS}


@pytest.mark.parametrize("entry", ["sum", "count", "move", "spill", "asks", "bump"])
@pytest.mark.parametrize("poison", [0, 1])
def test_a_baseline_equals_itself_in_every_way_of_running(replayer: Replayer, entry: str, poison: int) -> None:
    first = replayer.run(entry, TESTS, poison=poison)
    again = replayer.run(entry, TESTS, poison=poison)
    alone = replayer.run(entry, TESTS, poison=poison, fork_each=True)
    for one, two, three in zip(first, again, alone, strict=True):
        assert one.status is RunStatus.OK
        assert same(one, two, INT) is None
        assert same(one, three, INT) is None


@pytest.mark.parametrize("entry", ["sum", "count", "move", "spill", "asks"])
def test_a_defined_result_does_not_depend_on_the_poison(replayer: Replayer, entry: str) -> None:
    for one, two in zip(replayer.run(entry, TESTS), replayer.run(entry, TESTS, poison=1), strict=True):
        assert one.returned[Slot.RAX][:4] == two.returned[Slot.RAX][:4]
        assert one.memory == two.memory


@pytest.mark.parametrize("entry", ["reads_rax", "reads_below", "reads_upper"])
def test_what_is_not_defined_at_entry_differs_between_poisons(replayer: Replayer, entry: str) -> None:
    one, two = (replayer.run(entry, TESTS[:1], poison=p)[0] for p in (0, 1))
    assert same(one, two, INT) is not None


def test_equal_functions_agree_and_wrong_ones_differ_by_value(replayer: Replayer) -> None:
    want = replayer.run_raw("sum", TESTS)
    assert not differs(want, replayer.run_raw("sum_down", TESTS), INT).any()
    assert differs(want, replayer.run_raw("sum_over", TESTS), INT)[1:].all()


@pytest.mark.parametrize(
    ("baseline", "candidate", "reason"),
    [
        ("sum", "sum_over", Reason.WRONG_VALUE),
        ("count", "count_twice", Reason.WRONG_MEMORY),
        ("asks", "asks_late", Reason.WRONG_CALLS),
        ("sum", "undefined", Reason.FAULTED),
        ("sum", "spins", Reason.TIMED_OUT),
        ("sum", "asks_kernel", Reason.SYSTEM_CALL),
        ("sum", "sets_df", Reason.ABI_BROKEN),
    ],
)
def test_a_difference_has_its_named_reason(replayer: Replayer, baseline: str, candidate: str, reason: Reason) -> None:
    (one,), (two,) = replayer.run(baseline, TESTS[7:8]), replayer.run(candidate, TESTS[7:8])
    found = difference(one, two, INT)
    assert found is not None
    assert found[0] is reason


@pytest.mark.parametrize(
    ("entry", "bit"),
    [
        ("breaks_rbx", AbiBit.RBX),
        ("breaks_r15", AbiBit.R15),
        ("sets_df", AbiBit.DF),
        ("sets_mxcsr", AbiBit.MXCSR),
        ("sets_x87", AbiBit.X87_CONTROL),
        ("leaves_x87", AbiBit.X87_STACK),
        ("writes_above", AbiBit.CALLER_FRAME),
        ("pops_return", AbiBit.RSP),
    ],
)
def test_a_broken_calling_convention_is_named(replayer: Replayer, entry: str, bit: AbiBit) -> None:
    (seen,) = replayer.run(entry, TESTS[:1])
    assert (seen.status, seen.abi) == (RunStatus.ABI, bit)


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ("spins", RunStatus.TIMEOUT),
        ("recurses", RunStatus.FAULT),
        ("smashes", RunStatus.FAULT),
        ("asks_kernel", RunStatus.SYSCALL),
        ("leaves_process", RunStatus.SYSCALL),
        ("old_kernel_gate", RunStatus.SYSCALL),
        ("jumps_to_zero", RunStatus.FAULT),
        ("wild_store", RunStatus.FAULT),
        ("own_code", RunStatus.FAULT),
        ("next_arena", RunStatus.FAULT),
        ("divides", RunStatus.FAULT),
        ("undefined", RunStatus.FAULT),
        ("breakpoint", RunStatus.FAULT),
        ("loses_stack", RunStatus.FAULT),
        ("misaligned_call", RunStatus.FAULT),
        ("control_page", RunStatus.OK),
    ],
)
def test_hostile_code_ends_its_test_and_nothing_else(replayer: Replayer, entry: str, status: RunStatus) -> None:
    before = replayer.run("sum", TESTS)
    assert {o.status for o in replayer.run(entry, TESTS[:3])} == {status}
    assert [same(a, b, INT) for a, b in zip(before, replayer.run("sum", TESTS), strict=True)] == [None] * len(TESTS)


def test_a_process_that_cannot_go_on_is_an_observation(replayer: Replayer) -> None:
    statuses = [o.status for o in replayer.run("breaks_fs", TESTS[:2])]
    assert all(s in (RunStatus.DIED, RunStatus.FAULT) for s in statuses)
    assert replayer.run("sum", TESTS[:1])[0].status is RunStatus.OK


def test_a_library_call_leaves_junk_in_registers_it_may_clobber(replayer: Replayer) -> None:
    (seen,) = replayer.run("keeps_rcx", TESTS[:1])
    assert seen.returned[Slot.RAX][:4] != b"\5\0\0\0"


def test_memory_is_the_same_before_every_test(replayer: Replayer) -> None:
    assert len({o.memory for o in replayer.run("bump", [TESTS[3]] * 5)}) == 1


def test_unused_arenas_are_not_there(replayer: Replayer) -> None:
    with_second = Test(ints=(arena_address(1), 1), int_bytes=(8, 4), arenas=2)
    without = Test(ints=(arena_address(1), 1), int_bytes=(8, 4), arenas=1)
    seen = replayer.run("sum", [with_second, without, with_second])
    assert [o.status for o in seen] == [RunStatus.OK, RunStatus.FAULT, RunStatus.OK]
    assert seen[1].fault_address == arena_address(1)


def test_an_access_just_outside_an_arena_faults_on_both_sides(replayer: Replayer) -> None:
    for start in (arena_address(0) - 4, arena_address(0) + layout.ARENA_BYTES):
        (seen,) = replayer.run("sum", [Test(ints=(start, 1), int_bytes=(8, 4), arenas=1)])
        assert (seen.status, seen.fault_address) == (RunStatus.FAULT, start)


def test_globals_are_set_before_the_call_and_read_only_data_cannot_be(replayer: Replayer) -> None:
    plain, patched = (
        Test(ints=(0, 3), int_bytes=(8, 4), globals=g) for g in ((), (GlobalBytes("counter", 0, b"\7\0\0\0"),))
    )
    one, two = replayer.run("count", [plain, patched])
    assert one.memory != two.memory
    with pytest.raises(ValueError):
        replayer.run("count", [Test(globals=(GlobalBytes("table", 0, b"1"),))])
    with pytest.raises(ValueError):
        replayer.run("count", [Test(arenas=1, regions=(Region(0, layout.ARENA_BYTES - 1, b"12"),))])


def test_stack_arguments_and_vectors_arrive(tmp_path: Path) -> None:
    built = image(tmp_path, SOURCE, EXTRA, EXT)
    with Replayer(built, INT) as running:
        (seen,) = running.run("fifth", [Test(ints=(1,) * 6, int_bytes=(4,) * 6, stack=(7, 9))])
        assert int.from_bytes(seen.returned[Slot.RAX][:4], "little") == 97
        (seen,) = running.run("narrow", [Test(vectors=(0x4000_0000,), vector_bytes=(4,))])
        assert seen.returned[Slot.XMM0][:4] == (0x40C0_0000).to_bytes(4, "little")
    with Replayer(built, (Returned(Slot.ST0, 10),)) as running:
        three = bytes.fromhex("00000000000000c00040")
        one = 0x3FFF << 64 | 1 << 63
        words = (one & (1 << 64) - 1, one >> 64)
        (seen,) = running.run("longer", [Test(stack=words)])
        assert (seen.status, seen.returned[Slot.ST0]) == (RunStatus.OK, three)


def test_a_call_with_a_pointer_into_the_own_frame_cannot_be_stood_in_for(replayer: Replayer) -> None:
    assert replayer.run("asks_frame", TESTS[2:3])[0].status is RunStatus.SYSCALL


def test_a_call_that_ends_the_program_is_a_fault(replayer: Replayer) -> None:
    seen = replayer.run("aborts", [on_array(2), on_array(3)])
    assert [o.status for o in seen] == [RunStatus.OK, RunStatus.FAULT]


def test_giving_up_skips_the_rest_after_time_outs(replayer: Replayer) -> None:
    with replayer.within(8):
        seen = replayer.run("spins", TESTS, give_up_after=1)
    assert {o.status for o in seen} == {RunStatus.TIMEOUT}
    assert sum(o.signal != 0 for o in seen) == 1


def test_undefined_symbols_that_cannot_be_stood_in_for_have_reasons(tmp_path: Path) -> None:
    for source, reason in (
        ("int f(int); int g(void) { return f(1); }", Reason.CALLEE_UNKNOWN),
        ("extern int x; int g(void) { return x; }", Reason.FAR_DATA),
        ("extern __thread int x; int g(void) { return x; }", Reason.FAR_DATA),
    ):
        with pytest.raises(Decline) as decline:
            image(tmp_path, source)
        assert decline.value.reason is reason
    with pytest.raises(AssembleError):
        build_image(tmp_path, "\tnot an instruction\n", TOOLS)
    weak = image(tmp_path, "__attribute__((weak)) int w(void); int g(void) { return w ? w() : 4; }")
    with Replayer(weak, INT) as running:
        assert running.run("g", [Test()])[0].returned[Slot.RAX][:4] == b"\4\0\0\0"


def test_a_library_name_with_other_types_is_somebody_elses_function(tmp_path: Path) -> None:
    source = "void log(char *); double exp(double); double g(char *s, double x) { log(s); return exp(x); }"
    built = image(tmp_path, source, "", {"log": CalleeSpec(ints=(8,)), "exp": CalleeSpec(vectors=(8,))})
    assert len(built.callees) == 1


def test_data_keeps_its_address_whatever_code_lies_beside_it(tmp_path: Path) -> None:
    small = image(tmp_path / "a", SOURCE, "", EXT)
    large = image(tmp_path / "b", SOURCE, EXTRA + function("pad", *["nop"] * 9999), EXT)
    assert all(large.symbols[name] == at for name, at in small.symbols.items())


# --- when the replayer itself is gone -------------------------------------------------------------

REFUSES = r"""
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {  /* a kernel that lets nobody install another filter */
  struct sock_filter rules[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {6, rules};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 9;
  execv(REPLAY, argv);
  return 9;
}
"""


def test_without_confinement_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "refusing"
    flags = [f'-DREPLAY="{replayer_path()}"', "-xc", "-", "-o", str(refusing)]
    subprocess.run([TOOLS.gcc, *flags], input=REFUSES, text=True, check=True)
    built = image(tmp_path, SOURCE, EXTRA, EXT)
    monkeypatch.setattr("gccllm.sandbox.replay.replayer_path", lambda: refusing)
    with Replayer(built, INT) as running, pytest.raises(Decline) as decline:
        running.run("sum", TESTS)
    assert decline.value.reason is Reason.SANDBOX_UNAVAILABLE


def test_without_a_replayer_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gccllm.sandbox.replay.replayer_path", lambda: tmp_path / "none")
    with Replayer(image(tmp_path, SOURCE, EXTRA, EXT), INT) as running, pytest.raises(Decline) as decline:
        running.run("sum", TESTS)
    assert decline.value.reason is Reason.SANDBOX_UNAVAILABLE


def test_a_killed_replayer_is_an_observation_and_the_next_run_starts_another(tmp_path: Path) -> None:
    with Replayer(image(tmp_path, SOURCE, EXTRA, EXT), INT) as running:
        assert running.run("sum", TESTS)[0].status is RunStatus.OK
        assert running._child is not None
        killer = threading.Timer(0.3, running._child.process.kill)
        killer.start()
        with running.within(4000):
            assert {o.status for o in running.run("spins", TESTS)} == {RunStatus.DIED}
        killer.join()
        assert {o.status for o in running.run("sum", TESTS)} == {RunStatus.OK}
