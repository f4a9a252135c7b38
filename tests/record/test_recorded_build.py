"""Record a program, build it again: its calls are the tests of a function that no input can be made for."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from gccllm import events, hotness, report, show
from gccllm.core import Candidate, Timing
from gccllm.deadline import Deadline
from gccllm.harvest.__main__ import target_of
from gccllm.job import Attempted, Job, recheck, scratch
from gccllm.pipeline import Decision
from gccllm.plan import Unit, plan
from gccllm.reasons import Reason
from gccllm.record.recordings import Recordings
from gccllm.situation import Situation
from gccllm.store.entry import Entry
from gccllm.verify.judge import judge
from gccllm.work import Shop
from tests.kit.program import UNIT, Program

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


def shop_of(program: Program) -> tuple[Shop, Unit]:
    settings = program.settings()
    unit = plan(program.request, settings)
    return Shop(unit, settings, program.log), unit


@pytest.fixture(scope="module")
def worked(program: Program, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Unit, Job]:
    shop, unit = shop_of(program)
    job = shop.set_up(unit.module.functions["weigh"], tmp_path_factory.mktemp("job"), Deadline(3600))
    return shop, unit, job


def other(source: str, level: str = "-O2") -> Candidate:
    with scratch() as directory:
        file = directory / "unit.c"
        file.write_text(source)
        return Candidate(target_of(file, "weigh", [level], directory).body.text(), "model", "by hand")


def test_recorded_calls_are_the_tests(program: Program, worked: tuple[Shop, Unit, Job]) -> None:
    _, _, job = worked
    labels = [test.label for test in job.bench.tests]
    assert job.recorded is not None
    assert job.recorded.calls == 3000
    assert labels.count("recorded") > 20
    assert set(labels) <= {"recorded", "mutated"}
    assert job.harvest.edges_taken == job.harvest.edges_all
    assert job.adequacy.is_adequate
    assert all(label.startswith("recorded") for label in job.harvest.timing)


def test_the_log_says_how_good_the_tests_are(program: Program, worked: tuple[Shop, Unit, Job]) -> None:
    line = next(event for event in events.read(program.where / "store") if event["event"] == "tests")
    assert line["made"] == 0
    assert line["recorded"] > 20
    assert line["edges"][0] == line["edges"][1] > 0
    assert line["mutants"][0] >= 0.95 * line["mutants"][1] > 0


def test_wrong_answers_that_the_recorded_states_reveal_are_refuted(worked: tuple[Shop, Unit, Job]) -> None:
    _, _, job = worked
    first = "for (int i = t->buckets[key & t->mask]; i >= 0; i = t->slots[i].next)"
    assert first in UNIT
    for wrong in (
        UNIT.replace(first, f"int left = 20; {first.replace('i >= 0', 'i >= 0 && left--')}"),
        UNIT.replace("scale[i & 3]", "scale[i & 1]"),
        UNIT.replace("found += ", "found = "),
    ):
        verdict = judge(other(wrong), job.bench).verdict
        assert verdict is not None
        assert verdict.reason is Reason.WRONG_VALUE, verdict


SITUATION = Situation({"schema": "2"}, {})


def entry_of(shop: Shop, unit: Unit, job: Job) -> Entry:
    """As if a right candidate had been timed and found faster."""
    case = judge(other(UNIT, "-O1"), job.bench)
    assert case.verdict is not None
    assert case.verdict.is_accepted, case.verdict
    measured = Timing(1.5, 1.4, 1.6, {"recorded": 1.5}, 100.0, 1.0, 123, 3)
    function = unit.module.functions["weigh"]
    return shop.entry(function, SITUATION, job, Attempted(case.candidate, case.verdict, case), measured)


def test_an_entry_names_its_recording_and_stands_only_where_that_is(
    program: Program, worked: tuple[Shop, Unit, Job], tmp_path: Path
) -> None:
    shop, unit, job = worked
    entry = Entry.load(entry_of(shop, unit, job).dump())
    assert entry.recording is not None
    assert entry.recording.recorded > 20
    assert entry.evidence is not None
    assert entry.evidence.tests >= entry.recording.recorded + entry.recording.mutated
    elsewhere = program.settings(cache_dir=str(tmp_path / "empty"))
    assert str(recheck(entry, elsewhere)).startswith(Reason.TESTS_ABSENT.label)
    assert recheck(entry, program.settings()) is None
    wrong = entry.model_copy(update={"body": other(UNIT.replace("scale[i & 3]", "scale[i & 1]")).body})
    assert str(recheck(wrong, program.settings())).startswith(Reason.WRONG_VALUE.label)


def test_a_person_is_told_of_the_recorded_tests(worked: tuple[Shop, Unit, Job]) -> None:
    entry = entry_of(*worked)
    console = Console(width=200)
    with console.capture() as said:
        report.print_decisions(console, [Decision("weigh", "admitted", None, "", entry)], verbose=True)
        show.print_entry(console, entry)
    assert said.get().count("are recorded calls, of 3000 in all") == 2


def test_the_time_that_was_recorded_ranks_and_what_was_never_called_is_cold(program: Program) -> None:
    shop, unit = shop_of(program)
    heat = shop.recordings.heat(unit.module)
    assert heat == {"weigh": 1.0, "idle": 0.0}
    warm, left = hotness.rank(unit.module, program.settings(), None, heat)
    assert [one.function.name for one in warm] == ["weigh"]
    assert [(function.name, reason) for function, reason in left] == [("idle", Reason.NOT_HOT)]
    assert Recordings(program.where / "nowhere").heat(unit.module) is None


def test_a_failure_from_before_the_recording_is_looked_at_again(program: Program) -> None:
    after = decision(program, "weigh", **QUICK)
    assert after.word == "admitted" or after.reason in (Reason.NOTHING_FASTER, Reason.NO_CANDIDATE, Reason.NOISY), after
    seen = [event.get("reason") for event in events.read(program.where / "store") if event["event"] == "store"]
    assert seen == [Reason.RECORDED_SINCE.label]


def test_an_answer_holds_until_more_is_recorded(program: Program, worked: tuple[Shop, Unit, Job]) -> None:
    shop, unit, job = worked
    function = unit.module.functions["weigh"]
    entry = shop.failure(function, SITUATION, job, Reason.NOTHING_FASTER, "")
    assert not shop.is_outdated(function, entry)
    assert not shop.is_outdated(function, shop.failure(function, SITUATION, None, Reason.NO_INPUTS, ""))
    assert shop.is_outdated(function, entry.model_copy(update={"recording": None}))
    program.record(calls=10)
    assert shop.is_outdated(function, entry)
