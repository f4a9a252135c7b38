"""Answers made of the prelude's macros against the project's own gates, on kernels of the benchmark.

Covered: a few kernels of different ideas, where right answers are accepted at every ISA level, and answers that break
the contract, refused with the reason. Not covered: mutants, timing, and the answers of the table that take longer.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gccllm.base import config
from gccllm.base.core import Verdict
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log
from gccllm.commands import oneshot
from gccllm.harvest.abi import convention_of
from gccllm.harvest.harvest import QUICK, harvest
from gccllm.harvest.target import Builds, HarvestTarget
from gccllm.harvest.wire import Subject
from gccllm.lab import bench
from gccllm.propose import c_bodies
from gccllm.propose.protocol import Failure
from gccllm.unit.plan import plan
from gccllm.unit.session import UnitSession
from gccllm.verdict.suite import workbench
from gccllm.verify.judge import judge_many
from gccllm.verify.screen import Context
from tests.kit.prelude_answers import ANSWERS, REFUSED

KERNELS = Path(bench.__file__).parent / "kernels"
FAST = ("all_positive", "clamp_i32", "count_byte_n", "fib_mod", "json_skip_ws", "reverse_array")


def verdicts(kernel: str, answer: str, workdir: Path) -> list[Verdict]:
    """What the gates say of an answer, once for each ISA level that gives other code; nothing is timed."""
    settings = config.load(workdir)
    flags = ("-O3", f"-I{KERNELS}", "-include", "kernel.h")
    unit = plan(oneshot.request_for(KERNELS / f"{kernel}.c", flags), settings)
    session = UnitSession(unit, settings, Log(workdir / "log"))
    signature = session.signature("kern")
    target = HarvestTarget.of(Builds(unit.module, unit.tools, session.known.trapping), "kern", signature, workdir)
    found = harvest(target, deadline_s=600.0, budget=QUICK)
    registers = convention_of(signature).live_in
    context = Context("kern", unit.march, arguments=registers)
    desk = workbench(Subject(target, context), found.tests, 1)
    prompt = session.prompt(unit.module.functions["kern"], signature)
    failures: list[Failure] = []
    candidates = list(c_bodies.candidates([answer], prompt, ["hand"], failures, Deadline(600.0)))
    assert not failures
    return [one.verdict for one in judge_many(candidates, desk)]


@pytest.mark.parametrize("kernel", FAST)
def test_right_answers_pass_every_gate(kernel: str, tmp_path: Path) -> None:
    said = verdicts(kernel, ANSWERS[kernel], tmp_path)
    assert said
    assert all(verdict.is_accepted for verdict in said), [(v.stage, v.detail) for v in said]


@pytest.mark.parametrize("kernel", REFUSED)
def test_answers_that_break_the_contract_are_refused(kernel: str, tmp_path: Path) -> None:
    answer, reasons = REFUSED[kernel]
    said = verdicts(kernel, answer, tmp_path)
    assert said
    assert {verdict.reason.label if verdict.reason else "accepted" for verdict in said} <= set(reasons)
