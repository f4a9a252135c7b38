"""Exception flags, errno and floating-point modes are part of what a call does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gccllm.base.core import Returned, RunStatus, Slot, Test
from gccllm.base.reasons import Reason
from gccllm.sandbox import layout
from gccllm.sandbox.compare import difference, differs
from gccllm.sandbox.environment import Environment, environment_of
from gccllm.sandbox.image import CalleeSpec
from gccllm.sandbox.layout import AbiBit
from gccllm.sandbox.replay import Replayer
from tests.kit.replay import function, image, needs

SOURCE = """
#include <math.h>
double root(double x) { return sqrt(x); }
double third(double x) { return x / 3; }
int below(double x) { return x < 1; }
int ask(double);
int asks(double x) { return ask(x / 3) * 0; }
long double longer(double x) { return (long double)x / 3; }
"""
EXTRA = "".join((
    function("root_only", "sqrtsd %xmm0, %xmm0", "ret"),
    function("below_quietly", "movl $0x3ff00000, %eax", "movd %eax, %xmm1", "psllq $32, %xmm1",
             "vcmplt_oqsd %xmm1, %xmm0, %xmm0", "movq %xmm0, %rax", "negl %eax", "ret"),
    function("sets_rounding", "subq $8, %rsp", "movl $0x3f80, (%rsp)", "ldmxcsr (%rsp)", "addq $8, %rsp", "ret"),
    function("sets_x87_rounding", "subq $8, %rsp", "movw $0x77f, (%rsp)", "fldcw (%rsp)", "addq $8, %rsp", "ret"),
))  # fmt: skip
DOUBLE, INT = (Returned(Slot.XMM0, 8),), (Returned(Slot.RAX, 4),)
NEGATIVE, NAN, ONE, TINY = 0xBFF0 << 48, 0x7FF8 << 48, 0x3FF0 << 48, 1
UP, DOWN, NO_DENORMALS = 0x5F80, 0x3F80, 0x9FC0


@pytest.fixture(scope="module")
def replayer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayer]:
    callees = {"ask": CalleeSpec(vectors=(8,), returns=INT)}
    with Replayer(image(tmp_path_factory.mktemp("image"), SOURCE, EXTRA, callees), DOUBLE) as running:
        yield running


def on(x: int, mode: int = layout.MXCSR_DEFAULT) -> Test:
    return Test(vectors=(x,), vector_bytes=(8,), mxcsr=mode)


def test_a_call_that_sets_errno_cannot_be_left_out(replayer: Replayer) -> None:
    with_call, without = (replayer.run(name, [on(NEGATIVE)])[0] for name in ("root", "root_only"))
    assert with_call.errno == 33  # EDOM
    assert without.errno == layout.ERRNO_BEFORE
    found = difference(with_call, without, ())
    assert found == (Reason.WRONG_ERRNO, "want Numerical argument out of domain, got errno as it was")
    assert difference(with_call, without, (), Environment(errno=False)) is None
    assert difference(*(replayer.run(name, [on(ONE)])[0] for name in ("root", "root_only")), DOUBLE) is None


@needs(3)
def test_a_comparison_that_is_silent_about_a_nan_differs_from_one_that_is_not(replayer: Replayer) -> None:
    loud, quiet = (replayer.run_raw(name, [on(NAN), on(ONE)]) for name in ("below", "below_quietly"))
    assert list(differs(loud, quiet, INT)) == [True, False]
    assert not differs(loud, quiet, INT, Environment(fp_flags=False)).any()


def test_flags_are_those_of_the_call_alone(replayer: Replayer) -> None:
    """Neither a call before, nor what a stub computes in this program, leaves any."""
    inexact, exact = replayer.run("third", [on(ONE), on(0)])
    assert (inexact.fp_flags, exact.fp_flags) == (32, 0)
    assert [one.fp_flags for one in replayer.run("asks", [on(0)])] == [0]


def test_x87_code_has_flags_and_roundings_too(replayer: Replayer) -> None:
    with Replayer(replayer.image, (Returned(Slot.ST0, 10),)) as other:
        results = other.run("longer", [on(ONE), on(ONE, UP), on(ONE, DOWN), on(0)])
    assert [one.fp_flags for one in results] == [32, 32, 32, 0]
    assert results[1].returned[Slot.ST0] != results[2].returned[Slot.ST0]
    assert all(one.status is RunStatus.OK for one in results)


def test_a_test_runs_in_the_mode_it_asks_for_and_the_next_one_in_its_own(replayer: Replayer) -> None:
    tests = [on(ONE), on(ONE, UP), on(ONE, DOWN), on(TINY), on(TINY, NO_DENORMALS), on(ONE)]
    usual, up, down, small, flushed, again = (one.returned[Slot.XMM0][:8] for one in replayer.run("third", tests))
    assert (usual == down) != (usual == up)
    assert up != down
    assert small == bytes(8)  # a third of the smallest number
    assert flushed == bytes(8)
    assert again == usual
    assert replayer.run("root_only", [on(TINY, NO_DENORMALS)])[0].returned[Slot.XMM0][:8] == bytes(8)


@pytest.mark.parametrize(("entry", "bit"), [("sets_rounding", AbiBit.MXCSR), ("sets_x87_rounding", AbiBit.X87_CONTROL)])
@pytest.mark.parametrize("mode", [layout.MXCSR_DEFAULT, UP])
def test_a_mode_must_be_left_as_it_was_found(replayer: Replayer, entry: str, bit: AbiBit, mode: int) -> None:
    seen = replayer.run(entry, [on(ONE, mode)])[0]
    assert seen.status is RunStatus.ABI
    assert seen.abi == bit


def test_no_test_can_unmask_an_exception(replayer: Replayer) -> None:
    with pytest.raises(ValueError, match="BAD_REQUEST"):
        replayer.run("third", [on(ONE, 0x1F00)])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), Environment()),
        (("-O3", "-fno-trapping-math"), Environment(fp_flags=False)),
        (("-fno-math-errno",), Environment(errno=False)),
        (("-ffast-math",), Environment(fp_flags=False, errno=False)),
        (("-Ofast",), Environment(fp_flags=False, errno=False)),
        (("-Ofast", "-O2"), Environment()),
        (("-ffast-math", "-fno-fast-math"), Environment()),
        (("-ftrapping-math", "-ffast-math"), Environment(errno=False)),
        (("-funsafe-math-optimizations",), Environment(fp_flags=False)),
        (("-fno-trapping-math", "-ftrapping-math"), Environment()),
    ],
)
def test_options_say_what_a_caller_may_look_at(options: tuple[str, ...], expected: Environment) -> None:
    assert environment_of(options) == expected


def test_the_modes_of_the_harvest_are_modes_of_the_replayer(tmp_path: Path) -> None:
    from gccllm.harvest.modes import MODES, has_floats

    assert all(mode & ~layout.MXCSR_MODES == layout.MXCSR_DEFAULT for mode in MODES.values())
    for text in ("\taddsd\t%xmm0, %xmm1\n", "\tvfmadd213ps\t%ymm0, %ymm1, %ymm2\n", "\tcvtsi2sdl\t%eax, %xmm0\n",
                 "\tfldt\t8(%rsp)\n", "\tcall\tpow@PLT\n"):  # fmt: skip
        assert has_floats(text), text
    for text in ("\tmovaps\t%xmm0, %xmm1\n", "\tshufps\t$1, %xmm0, %xmm1\n", "\taddl\t%eax, %ecx\n",
                 "\tvpmaxsd\t%ymm0, %ymm1, %ymm2\n", "\tcall\tstrlen\n"):  # fmt: skip
        assert not has_floats(text), text
