"""What `gccllm tune` says of the time left, and what it shows."""

from __future__ import annotations

import io

from rich.console import Console

from gccllm.base.deadline import NEVER, Deadline
from gccllm.commands.progress import Board, Pace

WORKED = [{"event": "worked", "seconds": seconds} for seconds in (10.0, 30.0)]


def test_the_time_left_is_shared_by_the_workers() -> None:
    pace = Pace.of([*WORKED, {"event": "unit", "seconds": 1000.0}])
    assert pace.left_s(waiting=[1, 2], at_work=[(1, 5.0)], jobs=1) == 20.0 + 40.0 + 15.0
    assert pace.left_s(waiting=[1, 1], at_work=[], jobs=2) == 20.0


def test_a_unit_is_worked_on_by_one_worker() -> None:
    assert Pace.of(WORKED).left_s(waiting=[4], at_work=[], jobs=8) == 80.0


def test_work_that_takes_longer_than_thought_is_not_less_than_nothing() -> None:
    assert Pace.of(WORKED).left_s(waiting=[], at_work=[(1, 500.0)], jobs=1) == 0.0


def test_without_earlier_work_nothing_is_foretold() -> None:
    pace = Pace()
    assert pace.left_s(waiting=[1], at_work=[], jobs=1) is None
    pace.took(functions=2, seconds=8.0)
    assert pace.left_s(waiting=[1], at_work=[], jobs=1) == 4.0


def shown(deadline: Deadline, is_terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=is_terminal, width=80, _environ={})
    with Board(console, Pace.of(WORKED), deadline) as board:
        board.expect([1, 3], jobs=2)
        board.begin("one", "a.c", 1)
        board.begin("two", "a.c", 3)
        board.step("two", "deep: mutants")
        board.draw()
    return file.getvalue()


def test_a_terminal_gets_a_line_a_worker_and_a_bar() -> None:
    said = shown(NEVER, is_terminal=True)
    assert "a.c: begun" in said
    assert "a.c: deep: mutants" in said
    assert "0/2 units" in said
    assert "about 60 s left" in said


def test_no_more_time_is_foretold_than_the_budget_has() -> None:
    assert "about 0 s left" in shown(Deadline(0.0), is_terminal=True)


def test_a_pipe_gets_nothing_of_it() -> None:
    assert shown(NEVER, is_terminal=False) == ""
