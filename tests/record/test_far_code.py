"""A function that calls another unit's: that one runs for real, and what it is asked is compared."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gccllm.assembly import Module, slice_text
from gccllm.base.core import (
    CalleeSpec,
    Decline,
    FarCode,
    Observation,
    Region,
    Returned,
    RunStatus,
    Slot,
    Test,
    arena_address,
)
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.far import with_code
from gccllm.harvest.types import Signature
from gccllm.sandbox.compare import same
from gccllm.sandbox.image import Image, build_image
from gccllm.sandbox.replay import Replayer
from tests.kit.recording import environment, gccllm

TOOLS = Toolchain.find()
OTHER = """
static const int steps[4] = {1, 5, 2, 9};
static int step(int i) { return steps[i & 3]; }
void push(int *to, int i) { to[0] += step(i); to[1] ^= i; }
"""
SPEC = CalleeSpec(ints=(8, 4), is_pure=False)
RAX = (Returned(Slot.RAX, 4),)
RIGHT = """
\t.text
\t.globl {name}
{name}:
\tpushq\t%rbx
\tmovq\t%rdi, %rbx
\tmovl\t{first}, %esi
\tcall\tpush
\tmovq\t%rbx, %rdi
\tmovl\t{second}, %esi
\tcall\tpush
\tmovl\t{result}, %eax
\tpopq\t%rbx
\tret
"""


def body(name: str, first: str = "$3", second: str = "$6", result: str = "(%rbx)") -> str:
    return RIGHT.format(name=name, first=first, second=second, result=result)


def code(source: str, name: str, where: Path) -> str:
    (where / "o.c").write_text(source)
    assert TOOLS.compile(["-O2", "-S", "-o", str(where / "o.s"), str(where / "o.c")]).ok
    return slice_text(Module.parse((where / "o.s").read_text()), name)


def image(where: Path, *bodies: str, source: str = OTHER, plain: bool = False) -> Image:
    where.mkdir(exist_ok=True)
    callees = {"push": FarCode(SPEC, code(source, "push", where))}
    return build_image(where, "".join(bodies), TOOLS, callees, plain=plain)


def seen(built: Image, *names: str) -> list[Observation]:
    data = Region(0, 0, (10).to_bytes(4, "little") + (7).to_bytes(4, "little"))
    test = Test(ints=(arena_address(0),), int_bytes=(8,), regions=(data,), arenas=1)
    with Replayer(built) as replayer:
        return [replayer.run(name, [test])[0] for name in names]


def test_the_function_runs_and_its_caller_gets_what_it_wrote(tmp_path: Path) -> None:
    for plain in (False, True):
        (one,) = seen(image(tmp_path / str(plain), body("f"), plain=plain), "f")
        assert one.status is RunStatus.OK
        assert int.from_bytes(one.returned[Slot.RAX][:4], "little") == 10 + 9 + 2


@pytest.mark.parametrize(
    ("candidate", "equal"),
    [
        (body("g"), True),
        (body("g", first="$7"), False),  # the same step, another argument: the callee's memory tells
        (body("g", first="$6", second="$3"), False),  # the other order, the same memory in the end
        (body("g", result="$21"), True),
        (body("g", second="$2"), False),
    ],
)
def test_what_it_is_asked_is_compared(tmp_path: Path, candidate: str, equal: bool) -> None:
    want, got = seen(image(tmp_path, body("f"), candidate), "f", "g")
    assert (same(want, got, RAX) is None) == equal


def with_local(name: str, at: int, first: str = "$3") -> str:
    """The callee gets a variable of the caller's frame, `at` bytes above its end."""
    return (
        f"\t.text\n\t.globl {name}\n{name}:\n\tsubq\t$40, %rsp\n\tmovq\t(%rdi), %rax\n\tmovq\t%rax, {at}(%rsp)\n"
        f"\tleaq\t{at}(%rsp), %rdi\n\tmovl\t{first}, %esi\n\tcall\tpush\n\tmovl\t{at}(%rsp), %eax\n"
        f"\txorl\t{at + 4}(%rsp), %eax\n\taddq\t$40, %rsp\n\tret\n"
    )


def test_a_variable_of_the_callers_frame_may_lie_anywhere_in_it(tmp_path: Path) -> None:
    names = image(tmp_path, with_local("f", 8), with_local("g", 24), with_local("h", 8, "$4"))
    want, alike, other = seen(names, "f", "g", "h")
    assert want.status is RunStatus.OK
    assert int.from_bytes(want.returned[Slot.RAX][:4], "little") == (10 + 9) ^ (7 ^ 3)
    assert same(want, alike, RAX) is None
    assert same(want, other, RAX) is not None


@pytest.mark.parametrize("register", ["rcx", "rsi", "r8", "r9", "r10", "r11"])
def test_a_register_that_a_call_may_clobber_holds_nothing_afterwards(tmp_path: Path, register: str) -> None:
    kept = (
        f"\t.globl g\ng:\n\tpushq %rbx\n\tmovq %rdi, %rbx\n\tmovl $3, %esi\n\tmovl $5, %{register}d\n".replace(
            "%rcxd", "%ecx"
        ).replace("%rsid", "%esi")
        + f"\tcall push\n\tmovq %{register}, %rax\n\tmovq %rbx, %rdi\n\tmovl $6, %esi\n\tpushq %rax\n\tpushq %rax\n"
        "\tcall push\n\tpopq %rax\n\tpopq %rax\n\tpopq %rbx\n\tret\n"
    )
    (got,) = seen(image(tmp_path, body("f"), kept), "g")
    assert int.from_bytes(got.returned[Slot.RAX][:4], "little") != 5


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("static int n; void push(int *to, int i) { to[0] += ++n * i; }", "has data of its own"),
        ("int other(int); void push(int *to, int i) { to[0] += other(i); }", "needs other"),
    ],
)
def test_what_cannot_run_alone_is_refused_by_name(tmp_path: Path, source: str, why: str) -> None:
    with pytest.raises(Decline, match=why) as refused:
        image(tmp_path, body("f"), source=source)
    assert refused.value.reason is Reason.IMPURE_CALLEE


def test_what_it_calls_in_further_units_runs_too(tmp_path: Path) -> None:
    texts = {
        "push": "int twice(int); int step(int); void push(int *to, int i) { to[0] += twice(i) + step(i); }",
        # `step` is also a function of the unit under test; `twice` and `step` call each other.
        "twice": "int step(int); int twice(int i) { return i > 9 ? step(i) : 2 * i; }",
        "step": "int twice(int); int step(int i) { return i > 90 ? twice(i - 90) : i + 1; }",
    }
    slices = {name: code(source, name, tmp_path) for name, source in texts.items()}
    signature = with_code(Signature("f", (), None, (), {"push": SPEC}, {}), lambda name: slices.get(name, ""))
    one = signature.callees["push"]
    assert isinstance(one, FarCode)
    assert [name for name, _ in one.more] == ["step", "twice"]
    its_own = "\t.globl step\nstep:\n\tmovl $1000, %eax\n\tret\n"
    (got,) = seen(build_image(tmp_path, body("f") + its_own, TOOLS, signature.callees), "f")
    assert int.from_bytes(got.returned[Slot.RAX][:4], "little") == 10 + (6 + 4) + (12 + 7)
    without = FarCode(SPEC, one.text, one.more[:1])
    with pytest.raises(Decline, match="push needs twice"):
        build_image(tmp_path, body("f"), TOOLS, {"push": without})


USER = """
#include <stdio.h>
struct item { int key, count; long sum; };
void bump(struct item *at, long by);
__attribute__((noipa)) long tally(struct item *items, const int *keys, long n) {
    long found = 0;
    for (long i = 0; i < n; i++) {
        struct item *at = &items[keys[i] & 15];
        if (at->key == keys[i]) { bump(at, i); found += at->sum; } else at->key = keys[i];
    }
    return found; }
int main(void) { static struct item items[16]; static int keys[64]; long all = 0;
    for (int r = 0; r < 60; r++) {
        for (int i = 0; i < 64; i++) keys[i] = (i * (r + 3) + r) % 40;
        all += tally(items, keys, r); }
    printf("%ld %d\\n", all, items[3].count); return 0; }
"""
BUMP = "struct item { int key, count; long sum; }; void bump(struct item *at, long by) { at->count++; at->sum += by; }"


@pytest.mark.parametrize("first", ["user.c", "bump.c"])
def test_a_recorded_program_whose_units_call_each_other(prefix: Path, tmp_path: Path, first: str) -> None:
    (tmp_path / "user.c").write_text(USER)
    (tmp_path / "bump.c").write_text(BUMP)
    second = "bump.c" if first == "user.c" else "user.c"
    env = environment(tmp_path, GCCLLM_MODE="record", GCCLLM_ONLY="tally")
    compiler = str(prefix / "bin" / "gcc-llm")
    subprocess.run([compiler, "-O3", "-o", "program", first, second], cwd=tmp_path, env=env, check=True)
    subprocess.run(["gcc", "-O3", "-o", "plain", first, second], cwd=tmp_path, check=True)
    ran = gccllm(tmp_path, "record", "--", "./program")
    plain = subprocess.run(["./plain"], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, plain.stdout), ran.stderr
    shown = gccllm(tmp_path, "tests", "show", "tally", "--json")
    assert shown.returncode == 0, shown.stderr
    (one,) = json.loads(shown.stdout)["functions"]
    assert len(one["tests"]) > 5
    assert all(test["replays"] for test in one["tests"])
    worked = gccllm(
        tmp_path, "explain", "--work", "--json", "user.c", GCCLLM_PROPOSERS="recompile", GCCLLM_ONLY="tally"
    )
    found = {row["function"]: row for row in json.loads(worked.stdout)["functions"]}
    assert found["tally"]["reason"] in (None, "nothing_faster", "noisy"), found["tally"]
