"""Work that its time cuts off: nothing of it is remembered, and what was found before is not lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gccllm.attempt import attempt
from gccllm.base.core import Candidate
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.commands.oneshot import request_for
from gccllm.harvest.harvest import Harvest, harvest
from gccllm.propose.protocol import Prompt
from gccllm.store.entry import Entry
from gccllm.unit.plan import plan
from gccllm.unit.session import UnitSession
from tests.kit.bodies import PLAIN_SUM
from tests.kit.settings import LOOP, settings


class Speaker:
    """A proposer of one answer; `before` it, something happens."""

    name = "recompile"

    def __init__(self, answer: str, before: Callable[[Prompt], None] = lambda prompt: None) -> None:
        self.answer, self.before, self.failures = answer, before, []

    def propose(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        self.before(prompt)
        yield Candidate(self.answer, self.name, "by hand")

    def refine(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        return iter(())


def time_is_up(prompt: Prompt) -> None:
    assert prompt.quick_check is not None
    prompt.quick_check.bench.deadline = Deadline(0.0)


def worked_on(place: Path, monkeypatch: pytest.MonkeyPatch, *speakers: Speaker) -> Entry | Reason:
    """What becomes of `LOOP`, compiled without vectors, when these are asked."""
    (place / "t.c").write_text(LOOP)
    request = request_for(place / "t.c", ["-O3", "-fno-tree-vectorize", "-fno-unroll-loops"])
    session = UnitSession(plan(request, settings()), settings(), Log(place))
    monkeypatch.setattr(UnitSession, "proposers", list(speakers))
    monkeypatch.setattr("gccllm.attempt.quick_speed", lambda suite, candidate: 1.5)
    return attempt(session.target(session.unit.module.functions["f"]), Deadline(300.0))


def test_a_judge_that_is_cut_off_leaves_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert worked_on(tmp_path, monkeypatch, Speaker(PLAIN_SUM, time_is_up)) is Reason.BUDGET


def test_what_was_found_before_the_time_was_up_is_still_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[str] = []

    def is_equal_on(bench: object, body: object, found: object) -> bool:
        timed.append("yes")
        return True

    monkeypatch.setattr("gccllm.attempt.is_equal_on", is_equal_on)
    late = Speaker(
        PLAIN_SUM.replace("addl	(%rdi), %eax", "movl	(%rdi), %ecx\n	addl	%ecx, %eax"), time_is_up
    )
    found = worked_on(tmp_path, monkeypatch, Speaker(PLAIN_SUM), late)
    assert timed == ["yes"], "the first answer, and not the second"
    # It is as fast as the baseline, or nearly: taken, or not; but that nothing is faster was not found out.
    assert found is Reason.BUDGET or (isinstance(found, Entry) and found.outcome == "accepted") or found is Reason.NOISY


@pytest.mark.parametrize(("share", "is_starved"), [(0.1, True), (1.0, False)], ids=["starved", "a whole CPU"])
def test_a_search_for_inputs_that_others_starved_says_nothing_of_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, is_starved: bool
) -> None:
    def cut_short(*args: object, **words: object) -> Harvest:
        found = harvest(*args, **words)  # type: ignore[arg-type]
        found.cut_short, found.timing = True, {}
        return found

    monkeypatch.setattr("gccllm.verdict.suite.find_tests", cut_short)
    monkeypatch.setattr("gccllm.verdict.suite.cpu_seconds", lambda: share * time.monotonic())
    assert (worked_on(tmp_path, monkeypatch, Speaker(PLAIN_SUM)) is Reason.DEADLINE) == is_starved
