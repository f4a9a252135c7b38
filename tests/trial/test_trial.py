"""A trial of a command that is not run: its cost and output are made of the choices."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gccllm.base.limits import LIMITS
from gccllm.trial.contests import PLACEBO, Contender, KnownContest
from gccllm.trial.design import Choices
from gccllm.trial.journal import Journal
from gccllm.trial.running import Command, Seen, TrialError
from gccllm.trial.trial import LEAST_RUNS, Trial, Verdicts

RECIPES = (PLACEBO, "O2", "v3", "unrolled")
SLOW, FAST, FASTEST = 2, 3, 4
"""Bodies, where the cost below says so."""
SPEEDS = {("scan", SLOW): 0.9, ("scan", FAST): 1.03, ("scan", FASTEST): 1.08, ("fold", FAST): 1.04}
Output = Callable[[set[tuple[str, int]], int], tuple[int, str]]
"""What is printed: of the choices by function, and the number of the run: status and output."""


def says_the_same(chosen: set[tuple[str, int]], number: int) -> tuple[int, str]:
    return 0, "result"


def contest(function: str) -> KnownContest:
    key = hashlib.blake2b(function.encode(), digest_size=32).hexdigest()
    contenders = tuple(Contender(recipe=recipe, isa_level=0) for recipe in RECIPES)
    return KnownContest(
        key=key, situation={}, function=function, source="a.c", compiler="gcc 12", cwd="/", contenders=contenders
    )


CONTESTS = {one.identity: one for one in map(contest, ("scan", "fold", "still"))}


@dataclass(frozen=True)
class Fake(Command):
    """Deterministic: what a run costs is made of its choices, with a ripple of half a percent."""

    argv: tuple[str, ...] = ("fake",)
    speeds: Mapping[tuple[str, int], float] = field(default_factory=lambda: SPEEDS)
    says: Output = says_the_same
    ran: list[Choices] = field(default_factory=list)
    seconds: float = 1.0
    most: int = 100_000
    """Runs after which the user interrupts."""

    def run(self, choices: Choices) -> Seen:
        if len(self.ran) == self.most:
            raise KeyboardInterrupt
        self.ran.append(dict(choices))
        chosen = {(CONTESTS[identity].function, body) for identity, body in choices.items() if body}
        seconds = self.seconds * (1 + 0.005 * ((len(self.ran) * 7919) % 101 / 101 - 0.5))
        for one in chosen:
            seconds /= self.speeds.get(one, 1.0)
        status, output = self.says(chosen, len(self.ran))
        return Seen(status, output, seconds, seconds)


def hold(tmp_path: Path, fake: Fake, *, resumed: bool = False) -> Verdicts:
    """No budget: every stage makes its least runs."""
    journal = Journal(tmp_path, list(fake.argv), CONTESTS)
    assert (journal.resume() > 0) == resumed
    return Trial(fake, CONTESTS, journal, budget_s=0.0, seed=7, say=lambda line: None).hold()


def won(verdicts: Verdicts) -> dict[str, int]:
    return {winner.contest.function: winner.body for winner in verdicts.winners}


def convicted(verdicts: Verdicts) -> set[tuple[str, int]]:
    return {(CONTESTS[identity].function, body) for identity, body in verdicts.guilty}


def test_the_fastest_body_of_each_function_wins(tmp_path: Path) -> None:
    verdicts = hold(tmp_path, Fake())
    assert won(verdicts) == {"scan": FASTEST, "fold": FAST}
    assert verdicts.winners[0].recipe == "unrolled"  # the one that gains most comes first
    assert verdicts.whole is not None
    assert verdicts.whole.low < 1.08 * 1.04 < verdicts.whole.high
    assert verdicts.placebo is not None
    assert verdicts.placebo.low < 1 < verdicts.placebo.high


def test_a_placebo_does_not_win_even_where_it_looks_faster(tmp_path: Path) -> None:
    verdicts = hold(tmp_path, Fake(speeds={("scan", 1): 1.05}))
    assert won(verdicts) == {}
    assert verdicts.placebo is not None
    assert verdicts.placebo.low > 1.03


def test_nothing_faster_gives_no_winner(tmp_path: Path) -> None:
    verdicts = hold(tmp_path, fake := Fake(speeds={("scan", SLOW): 0.9, ("fold", FAST): 1 + LIMITS.trial_gain / 4}))
    assert won(verdicts) == {}
    assert verdicts.whole is None  # there is nothing to be had together
    assert verdicts.placebo is not None
    assert len(fake.ran) <= 2 + LEAST_RUNS * (len(RECIPES) + 1 + 2 + 2)


def test_what_was_lucky_in_the_screen_has_to_win_again(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Lucky(Fake):
        def run(self, choices: Choices) -> Seen:
            seen = super().run(choices)
            is_screen = len(self.ran) <= 2 + LEAST_RUNS * (len(RECIPES) + 1)
            is_fast = choices.get(contest("still").identity) == FAST and is_screen
            return Seen(0, seen.output, seen.cpu_s * (0.9 if is_fast else 1.0), 1.0)

    verdicts = hold(tmp_path, Lucky(speeds={}))
    assert verdicts.screened[contest("still").identity, FAST].low > 1.05
    assert (contest("still").identity, FAST) in verdicts.confirmed
    assert won(verdicts) == {}


@pytest.mark.parametrize("what", [(1, "result"), (0, "other"), (-11, "")], ids=["status", "output", "crash"])
def test_a_body_that_changes_what_the_program_does_is_convicted_and_never_wins(
    tmp_path: Path, what: tuple[int, str]
) -> None:
    def says(chosen: set[tuple[str, int]], number: int) -> tuple[int, str]:
        return what if ("scan", FASTEST) in chosen else (0, "result")

    verdicts = hold(tmp_path, Fake(says=says))
    assert convicted(verdicts) == {("scan", FASTEST)}
    assert won(verdicts) == {"scan": FAST, "fold": FAST}


def test_two_guilty_bodies_are_both_found(tmp_path: Path) -> None:
    def says(chosen: set[tuple[str, int]], number: int) -> tuple[int, str]:
        return 0, "other" if chosen & {("scan", FASTEST), ("fold", FAST)} else "result"

    verdicts = hold(tmp_path, Fake(says=says))
    assert convicted(verdicts) == {("scan", FASTEST), ("fold", FAST)}
    assert won(verdicts) == {"scan": FAST}


def test_a_placebo_can_be_convicted_too(tmp_path: Path) -> None:
    """Code whose own place shows in what it prints."""

    def says(chosen: set[tuple[str, int]], number: int) -> tuple[int, str]:
        return 0, "other" if ("still", 1) in chosen else "result"

    verdicts = hold(tmp_path, Fake(says=says))
    assert convicted(verdicts) == {("still", 1)}
    assert won(verdicts) == {"scan": FASTEST, "fold": FAST}


def test_bodies_that_only_together_change_the_output_end_the_trial(tmp_path: Path) -> None:
    def says(chosen: set[tuple[str, int]], number: int) -> tuple[int, str]:
        return 0, "other" if {("scan", FASTEST), ("fold", FAST)} <= chosen else "result"

    with pytest.raises(TrialError, match="no single body does it"):
        hold(tmp_path, Fake(says=says))


def test_a_command_that_prints_otherwise_by_itself_compares_its_status_only(tmp_path: Path) -> None:
    def says(chosen: set[tuple[str, int]], number: int) -> tuple[int, str]:
        return 3 if ("scan", FASTEST) in chosen else 0, f"run {number}"

    verdicts = hold(tmp_path, Fake(says=says))
    assert not verdicts.compares_output
    assert convicted(verdicts) == {("scan", FASTEST)}
    assert won(verdicts) == {"scan": FAST, "fold": FAST}


def test_a_command_that_now_and_then_prints_otherwise_is_said_to(tmp_path: Path) -> None:
    def says(chosen: set[tuple[str, int]], number: int) -> tuple[int, str]:
        return 0, "late" if number == 9 else "result"

    with pytest.raises(TrialError, match="is the program's result always the same"):
        hold(tmp_path, Fake(says=says))


def test_a_failing_command_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match=r"^the command ends with status 2 by itself$"):
        hold(tmp_path, Fake(says=lambda chosen, number: (2, "")))


def test_a_run_too_short_to_compare_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match=r"^a run takes 0\.001 s of CPU time, too little .*0\.05 s at least"):
        hold(tmp_path, Fake(seconds=0.001))


# --- interrupted -------------------------------------------------------------------------------------


def test_an_interrupted_trial_needs_only_the_rest(tmp_path: Path) -> None:
    whole = Fake()
    hold(tmp_path / "whole", whole)
    first, second = Fake(most=70), Fake()
    with pytest.raises(KeyboardInterrupt):
        hold(tmp_path, first)
    assert won(hold(tmp_path, second, resumed=True)) == {"scan": FASTEST, "fold": FAST}
    assert len(second.ran) == len(whole.ran) - len(first.ran) + 2  # what gcc's own bodies do is asked again


def test_a_journal_whose_last_line_was_cut_off_is_taken_up(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        hold(tmp_path, Fake(most=30))
    (path,) = tmp_path.glob("journal-*")
    rows = path.read_bytes()
    path.write_bytes(rows[:-9])
    whole, rest = Fake(), Fake(most=25)
    with pytest.raises(KeyboardInterrupt):
        hold(tmp_path, rest, resumed=True)
    hold(tmp_path, again := Fake(), resumed=True)
    hold(tmp_path / "whole", whole)
    assert len(again.ran) == len(whole.ran) - (30 - 2 - 1) - (25 - 2)


def test_convictions_outlive_an_interruption(tmp_path: Path) -> None:
    def says(chosen: set[tuple[str, int]], number: int) -> tuple[int, str]:
        return 0, "other" if ("scan", FASTEST) in chosen else "result"

    with pytest.raises(KeyboardInterrupt):
        hold(tmp_path, Fake(says=says, most=40))
    verdicts = hold(tmp_path, second := Fake(says=says), resumed=True)
    assert convicted(verdicts) == {("scan", FASTEST)}
    assert not any(choices.get(contest("scan").identity) == FASTEST for choices in second.ran)


@pytest.mark.parametrize("argv", [("fake", "--other"), ("other",)])
def test_the_journal_of_another_command_is_not_used(tmp_path: Path, argv: tuple[str, ...]) -> None:
    with pytest.raises(KeyboardInterrupt):
        hold(tmp_path, Fake(most=30))
    hold(tmp_path, Fake(argv=argv), resumed=False)


def test_the_journal_of_another_build_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        hold(tmp_path, Fake(most=30))
    fewer = dict(list(CONTESTS.items())[:2])
    assert Journal(tmp_path, ["fake"], fewer).resume() == 0


def test_a_finished_trial_leaves_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ["fake"], CONTESTS)
    journal.add_guilty("x", 1)
    journal.forget()
    assert list(tmp_path.iterdir()) == []
    assert journal.guilty == []


def test_a_winner_that_only_the_last_runs_convict_is_dropped_and_the_rest_measured_again(tmp_path: Path) -> None:
    """Its fault needs that every other function runs gcc's own body."""

    def says(chosen: set[tuple[str, int]], number: int) -> tuple[int, str]:
        return 0, "other" if chosen in ({("scan", FASTEST), ("fold", FAST)}, {("scan", FASTEST)}) else "result"

    verdicts = hold(tmp_path, Fake(says=says))
    assert convicted(verdicts) == {("scan", FASTEST)}
    assert "scan" not in won(verdicts) or won(verdicts)["scan"] == FAST


def test_a_stage_that_had_enough_is_not_prolonged_by_an_interruption_after_it(tmp_path: Path) -> None:
    screen = LEAST_RUNS * (len(RECIPES) + 1)
    with pytest.raises(KeyboardInterrupt):
        hold(tmp_path, Fake(most=2 + screen + 3))
    journal = Journal(tmp_path, ["fake"], CONTESTS)
    journal.resume()
    assert journal.is_done("screen")
    assert not journal.is_done("confirm")
    with pytest.raises(KeyboardInterrupt):
        Trial(Fake(most=2 + 3), CONTESTS, journal, budget_s=1000.0, seed=1, say=lambda line: None).hold()
    assert (len(journal.runs("screen")), len(journal.runs("confirm"))) == (screen, 3 + 3)
