"""Record a program, build it again: its calls are the tests of a function that no input can be made for."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from gccllm.base import events
from gccllm.base.core import Candidate, Timing
from gccllm.base.deadline import Deadline
from gccllm.base.reasons import Reason
from gccllm.base.scratch import scratch
from gccllm.commands import report, show
from gccllm.pipeline import Decision
from gccllm.record.recordings import Recordings
from gccllm.store.entry import Entry
from gccllm.unit import hotness
from gccllm.unit.plan import Unit, plan
from gccllm.unit.session import Target, UnitSession
from gccllm.unit.situation import Situation
from gccllm.verdict.outcome import Judgement, Judgements, accepted, nothing
from gccllm.verdict.recheck import recheck
from gccllm.verdict.suite import Suite, set_up
from gccllm.verify.judge import judge
from tests.kit.program import UNIT, Program
from tests.kit.targets import target_of

QUICK = {"only": "weigh", "isa": "baseline"}
"""Fewer recipes to try."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """First built without a recording, then recorded."""
    made = Program(tmp_path_factory.mktemp("program"))
    before = decision(made, "weigh", **QUICK)
    assert (before.word, before.reason) == ("declined", Reason.UNSUPPORTED_TYPE)
    recorded = made.record()
    assert {d.function for d in recorded.decisions if d.word == "recording"} == {"weigh", "idle"}
    # The shim's cache of whole units knows nothing of the recording: from here on it does not answer.
    assert (made.where / "store" / "epoch").read_bytes()
    return made


def decision(program: Program, name: str, **values: object) -> Decision:
    return next(d for d in program.build(**values).decisions if d.function == name)


def session_of(program: Program) -> tuple[UnitSession, Unit]:
    settings = program.settings()
    unit = plan(program.request, settings)
    return UnitSession(unit, settings, program.log), unit


@pytest.fixture(scope="module")
def worked(program: Program, tmp_path_factory: pytest.TempPathFactory) -> tuple[UnitSession, Unit, Suite]:
    session, unit = session_of(program)
    suite = set_up(session.target(unit.module.functions["weigh"]), tmp_path_factory.mktemp("suite"), Deadline(3600))
    return session, unit, suite


def other(source: str, level: str = "-O2") -> Candidate:
    with scratch() as directory:
        file = directory / "unit.c"
        file.write_text(source)
        return Candidate(target_of(file, "weigh", [level], directory).body.text(), "model", "by hand")


def test_recorded_calls_are_the_tests(program: Program, worked: tuple[UnitSession, Unit, Suite]) -> None:
    _, _, suite = worked
    labels = [test.label for test in suite.bench.tests]
    assert suite.recorded is not None
    assert suite.recorded.calls == 3000
    assert labels.count("recorded") > 20
    assert set(labels) <= {"recorded", "mutated"}
    assert suite.harvest.edges_taken == suite.harvest.edges_all
    assert suite.adequacy.is_adequate
    assert all(label.startswith("recorded") for label in suite.harvest.timing)


def test_the_log_says_how_good_the_tests_are(program: Program, worked: tuple[UnitSession, Unit, Suite]) -> None:
    line = next(event for event in events.read(program.where / "store") if event["event"] == "tests")
    assert line["made"] == 0
    assert line["recorded"] > 20
    assert line["edges"][0] == line["edges"][1] > 0
    assert line["mutants"][0] >= 0.95 * line["mutants"][1] > 0


def test_wrong_answers_that_the_recorded_states_reveal_are_refuted(worked: tuple[UnitSession, Unit, Suite]) -> None:
    _, _, suite = worked
    first = "for (int i = t->buckets[key & t->mask]; i >= 0; i = t->slots[i].next)"
    assert first in UNIT
    for wrong in (
        UNIT.replace(first, f"int left = 20; {first.replace('i >= 0', 'i >= 0 && left--')}"),
        UNIT.replace("scale[i & 3]", "scale[i & 1]"),
        UNIT.replace("found += ", "found = "),
    ):
        verdict = judge(other(wrong), suite.bench).verdict
        assert verdict.reason is Reason.WRONG_VALUE, verdict


SITUATION = Situation({"schema": "2"}, {})


def entry_of(session: UnitSession, unit: Unit, suite: Suite) -> Entry:
    """As if a right candidate had been timed and found faster."""
    case = judge(other(UNIT, "-O1"), suite.bench)
    assert case.verdict.is_accepted, case.verdict
    measured = Timing(1.5, 1.4, 1.6, {"recorded": 1.5}, 100.0, 1.0, 123, 3)
    function = unit.module.functions["weigh"]
    winner = Judgement(case)
    return accepted(Target(session, function, SITUATION), Judgements(suite), winner, measured)


def test_an_entry_names_its_recording_and_stands_only_where_that_is(
    program: Program, worked: tuple[UnitSession, Unit, Suite], tmp_path: Path
) -> None:
    session, unit, suite = worked
    entry = Entry.load(entry_of(session, unit, suite).dump())
    assert entry.recording is not None
    assert entry.recording.recorded > 20
    assert entry.evidence is not None
    assert entry.evidence.tests >= entry.recording.recorded + entry.recording.mutated
    elsewhere = program.settings(cache_dir=str(tmp_path / "empty"))
    assert str(recheck(entry, elsewhere)).startswith(Reason.TESTS_ABSENT.label)
    assert recheck(entry, program.settings()) is None
    wrong = entry.model_copy(update={"body": other(UNIT.replace("scale[i & 3]", "scale[i & 1]")).body})
    assert str(recheck(wrong, program.settings())).startswith(Reason.WRONG_VALUE.label)


def test_a_person_is_told_of_the_recorded_tests(worked: tuple[UnitSession, Unit, Suite]) -> None:
    entry = entry_of(*worked)
    console = Console(width=200)
    with console.capture() as said:
        report.print_decisions(console, [Decision("weigh", "admitted", None, "", entry)], verbose=True)
        show.print_entry(console, entry)
    assert said.get().count("are recorded calls, of 3000 in all") == 2


def test_the_time_that_was_recorded_ranks_and_what_was_never_called_is_cold(program: Program) -> None:
    session, unit = session_of(program)
    heat = session.recordings.heat(unit.module)
    assert heat == {"weigh": 1.0, "idle": 0.0}
    warm, left = hotness.rank(unit.module, program.settings(), None, heat)
    assert [one.function.name for one in warm] == ["weigh"]
    assert [(one.function.name, one.reason) for one in left] == [("idle", Reason.NOT_HOT)]
    assert Recordings(program.where / "nowhere").heat(unit.module) is None


def test_a_failure_from_before_the_recording_is_looked_at_again(program: Program) -> None:
    after = decision(program, "weigh", **QUICK)
    assert after.word == "admitted" or after.reason in (Reason.NOTHING_FASTER, Reason.NO_CANDIDATE, Reason.NOISY), after
    seen = [event.get("reason") for event in events.read(program.where / "store") if event["event"] == "store"]
    assert seen == [Reason.RECORDED_SINCE.label]


def test_an_answer_holds_until_more_is_recorded(program: Program, worked: tuple[UnitSession, Unit, Suite]) -> None:
    session, unit, suite = worked
    function = unit.module.functions["weigh"]
    entry = nothing(Target(session, function, SITUATION), Judgements(suite), Reason.NOTHING_FASTER, "")
    assert not session.is_outdated(function, entry)
    assert not session.is_outdated(function, nothing(Target(session, function, SITUATION), None, Reason.NO_INPUTS, ""))
    assert session.is_outdated(function, entry.model_copy(update={"recording": None}))
    program.record(calls=10)
    assert session.is_outdated(function, entry)
