"""Many functions tried at once: what passes, and what a search that knows the tests cannot pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gccllm.base.core import Region, Test
from gccllm.base.deadline import Deadline
from gccllm.base.toolchain import Toolchain
from gccllm.propose.c_bodies import Setting, compile_text
from gccllm.propose.signature import CSignature
from gccllm.verify.quick_check import ASKED, QuickCheck
from gccllm.verify.workbench import Workbench
from tests.kit.bench import SUM, array_tests, bench
from tests.kit.replay import compiled


def variant(name: str, old: str = "", new: str = "") -> str:
    return SUM.replace("target", name).replace(old, new) if old else SUM.replace("target", name)


def text(*variants: str) -> str:
    return compiled("\n".join(variants), "-Og", "-fcf-protection=none")


@pytest.fixture
def summing(tmp_path: Path) -> Workbench:
    return bench(tmp_path)


def test_right_ones_pass_and_wrong_ones_do_not(summing: Workbench) -> None:
    made = text(
        variant("fn0"), variant("fn1", "> 3", ">= 3"), variant("fn2", "i < n", "i <= n"),
        variant("fn3", "int s = 0", "int s = 1"),
        variant("fn4", "s += p[i]", "for (;;) *(volatile int *)p = 1"), "int fn5(int *p, int n) { return *(int *)8; }",
        variant("fn6", "p[i] > 3", "3 < p[i]"),
    )  # fmt: skip
    names = [f"fn{i}" for i in range(7)]
    assert QuickCheck(summing).quick(made, names) == [True, False, False, False, False, False, True]
    assert QuickCheck(summing).fresh(made, names) == [True, False, False, False, False, False, True]


def test_drafts_of_answers_pass_and_fail_as_the_answers_do(summing: Workbench) -> None:
    """What repair does: answers compiled with the macros' plain loops, and what passes with the wide ones."""
    answers = [
        "return SUM(i32, b, a, SEL(x > 3, x, 0));", "return SUM(i32, b, a, SEL(x >= 3, x, 0));",
        "return SUM(i32, b, a, x & (x > 3));", "return SUM(i32, b + 1, a, SEL(x > 3, x, 0));", "return SUM(;",
    ]  # fmt: skip
    types, tools = CSignature("i32", ("pi32", "i32")), Toolchain.find()
    found = []
    for draft in (True, False):
        made = compile_text(answers, Setting(types, tools, level=3, draft=draft))
        assert list(made.failures) == [4]
        found.append(QuickCheck(summing).quick(made.text, [f"fn{i}" for i in range(4)]))
    assert found == [[True, False, True, False]] * 2


def test_labels_and_names_of_the_slice_do_not_clash(summing: Workbench) -> None:
    made = text(variant("target"), variant("fn1"))
    assert QuickCheck(summing).quick(made, ["target", "fn1"]) == [True, True]


def test_text_that_does_not_link_passes_nothing(summing: Workbench) -> None:
    made = text("int nope(int *); int fn0(int *p, int n) { return nope(p) + 1; }", variant("fn1"))
    assert QuickCheck(summing).quick(made, ["fn0", "fn1"]) == [False, False]
    assert QuickCheck(summing).quick("\tthis is no assembly\n", ["fn0"]) == [False]
    assert QuickCheck(summing).quick("", []) == []


def test_hole_of_the_quick_tests_is_found_by_fresh_ones(tmp_path: Path) -> None:
    """The known tests never hold 1000; the harvest, asked, does."""
    asked: list[int] = []

    def more(near: Sequence[Test], _: Deadline) -> list[Test]:
        asked.append(len(near))
        base = array_tests(4, sizes=[3])[3]
        data = (1000).to_bytes(4, "little") * 3
        return [replace(base, regions=(Region(0, base.regions[0].offset, data),))]

    small = [
        test for test in array_tests(40) if (1000).to_bytes(4, "little") not in b"".join(r.data for r in test.regions)
    ]
    hole = bench(tmp_path, tests=small)
    hole.more = more
    made = text(variant("fn0"), variant("fn1", "p[i] > 3", "p[i] > 3 && p[i] != 1000"))
    trial = QuickCheck(hole)
    assert trial.quick(made, ["fn0", "fn1"]) == [True, True]
    assert trial.fresh(made, ["fn0", "fn1"]) == [True, False]
    assert trial.quick(made, ["fn0", "fn1"]) == [True, True]  # the tests that lead the search stay the same
    for _ in range(4):
        trial.fresh(made, ["fn0"])
    assert len(asked) == ASKED
