"""What answers are worth, when the alarms ring, and that a worker's death costs its own piece only."""

from __future__ import annotations

import math
import os
import sys
import time
import types

import pytest

from gccllm.lab.train.alarms import ALARMS, WINDOW, failures, ringing, summarise
from gccllm.lab.train.reward import COPY, REWARDS, STATUSES, UNBUILT, WRONG, Outcome
from gccllm.lab.train.workers import WorkerError, Workers


def alarms(outcomes, samples=(), before=()):
    """Names of those that ring for one iteration after the ones before."""
    return ringing([*before, summarise(outcomes, samples)])


def passing(over_best: float, **more) -> Outcome:
    return Outcome("pass", **{"passed_share": 1.0, "over_o3": over_best, "over_best": over_best} | more)


def test_the_papers_rewards():
    right, slower = Outcome("pass", 1.0, 1.5, 1.2), Outcome("pass", 1.0, 0.9, 0.8)
    cases = [
        (Outcome("build"), -1.0, 0.0), (Outcome("none"), -1.0, 0.0), (Outcome("fault", 0.5), -0.5, 0.0),
        (Outcome("timeout"), -0.5, 0.0), (Outcome("abi"), -0.5, 0.0), (Outcome("value", 0.25), 0.25, 0.0),
        (Outcome("memory"), 0.0, 0.0), (right, 16.0, 1.5), (slower, 10.0, 0.0),
        (Outcome("pass", 0.8, 2.0, 2.0), 0.8, 0.0),
    ]  # fmt: skip
    for outcome, first, second in cases:
        assert (REWARDS["correctness"](outcome), REWARDS["speedup"](outcome)) == (first, second), outcome


def test_our_reward_is_a_gate_and_a_logarithm():
    ours = REWARDS["ours"]
    assert ours(passing(1.0)) == pytest.approx(0.3)
    assert ours(passing(4.0)) == pytest.approx(0.3 + 0.5 * math.log(4))
    assert ours(passing(0.5)) == pytest.approx(0.3 + 0.5 * math.log(0.5))
    assert ours(passing(2.0)) - ours(passing(1.0)) == pytest.approx(ours(passing(1.0)) - ours(passing(0.5)))
    assert ours(passing(0.0)) == ours(passing(1.0))
    assert ours(Outcome("pass", 0.3, 9.0, 9.0)) == WRONG


def test_our_reward_ranks_as_users_would():
    ours = REWARDS["ours"]
    wrong = {ours(Outcome(status, 0.99, 9.0, 9.0)) for status in STATUSES - {"pass", "build", "none"}}
    assert wrong == {WRONG}
    ranking = [UNBUILT, WRONG, *(ours(passing(x)) for x in (1.0, 1.1, 3.0, 30.0, 199.0))]
    assert ranking == sorted(ranking)
    assert ours(passing(0.01)) > WRONG
    assert ours(passing(1.0, is_copy=True)) == ours(passing(3.0, is_copy=True)) == COPY
    assert ours(passing(1e9)) == ours(passing(200.0))


def test_a_status_of_no_name_is_refused():
    with pytest.raises(ValueError, match="asm"):
        Outcome("asm")


def test_summary():
    outcomes = [
        passing(4.0),
        passing(1.0),
        passing(1.0, is_copy=True),
        Outcome("value"),
        Outcome("none"),
        Outcome("died"),
    ]
    found = summarise(outcomes)
    assert found.speedup == pytest.approx(2.0)
    assert (found.passed, found.copies, found.faster) == (3 / 6, 1 / 6, 1 / 6)
    assert (found.built, found.undecided, found.same) == (5 / 6, 1 / 6, 0.0)
    assert failures(outcomes) == {"pass": 3, "value": 1, "none": 1, "died": 1}


GOOD = [passing(2.0)] * 40 + [Outcome("value")] * 40
EXAMPLES = {
    "absurd_speedup": ([*GOOD, passing(500.0)], ()),
    "same_answer": (GOOD[:20], [(i, (7, 7) if i < 6 else (i,)) for i in range(20)]),
    "undecided": ([*GOOD, Outcome("died"), Outcome("died")], ()),
    "untimed": ([*GOOD, *[passing(0.0)] * 4], ()),
}


def test_ordinary_outcomes_ring_no_alarm():
    assert alarms(GOOD, [(i, (i % 60,)) for i in range(80)]) == []
    assert alarms([]) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_alarms_ring_alone(name):
    outcomes, samples = EXAMPLES[name]
    assert alarms(outcomes, samples) == [name]


def test_trends_ring_over_windows():
    early, late = summarise(GOOD), [passing(3.0)] * 30 + [Outcome("value")] * 50
    before = [early] * WINDOW + [summarise(late)] * (WINDOW - 1)
    assert alarms(late, before=before) == ["faster_but_wrong"]
    assert alarms(late, before=before[1:]) == []
    copied = [*GOOD, *[passing(1.0, is_copy=True)] * 20]
    assert alarms(copied, before=[early] * WINDOW + [summarise(copied)] * (WINDOW - 1)) == ["copies_rise"]
    few = [*GOOD, *[passing(2.0, passed_share=0.6)] * 40]
    assert alarms(few, before=[early] * WINDOW + [summarise(few)] * (WINDOW - 1)) == ["few_tests"]
    assert alarms(few, before=[summarise(few)] * (2 * WINDOW - 1)) == [], "it was so from the start"


def test_alarms_table():
    names = [alarm.name for alarm in ALARMS]
    assert names == sorted(set(names))
    assert set(names) == set(EXAMPLES) | {"copies_rise", "faster_but_wrong", "few_tests"}


def work(items: list[int]) -> list[Outcome]:
    for item in items:
        if item == 13:
            os._exit(3)
        if item == 17:
            time.sleep(60)
        if item == 19:
            raise KeyError("nineteen")
    return [Outcome("pass", 1.0, float(item), float(item)) for item in items]


def died(item: int) -> Outcome:
    return Outcome("died")


def test_in_this_process():
    with Workers(work, died, piece=2) as score:
        assert [o.over_o3 for o in score([1, 2, 3])] == [1, 2, 3]
        assert score([]) == []


def test_a_dead_and_a_silent_worker_cost_their_own_piece():
    with Workers(work, died, count=2, piece=2) as score:
        score.deadline_s = 3.0
        assert [o.over_o3 for o in score(range(6))] == list(range(6))  # also: imports are over, the deadline is work's
        found = score([1, 2, 13, 4, 17, 6, 7, 8, 9])
        assert [o.status for o in found] == ["pass"] * 2 + ["died"] * 4 + ["pass"] * 3
        assert score.deaths == 2
        assert [o.status for o in score([5, 6, 7])] == ["pass"] * 3


def test_an_exception_in_a_worker_is_raised_here():
    with Workers(work, died, count=1) as score, pytest.raises(WorkerError, match="nineteen"):
        score([19])


def test_a_missing_ray_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(WorkerError, match="pip install ray"):
        Workers(work, died, address="auto")


def test_ray_gets_the_pieces_and_its_dead_workers_are_undecided(monkeypatch):
    """A stand-in with Ray's interface; `test_a_missing_ray...` is the neighbour."""
    ray = types.ModuleType("ray")
    names = ("RayTaskError", "GetTimeoutError", "RayError")
    ray.exceptions = types.SimpleNamespace(**{name: type(name, (Exception,), {}) for name in names})
    seen = []

    def get(task, timeout):
        if 13 in task:
            raise ray.exceptions.RayError
        if 19 in task:
            raise ray.exceptions.RayTaskError("nineteen")
        return work(task)

    ray.is_initialized = lambda: bool(seen)
    ray.init = lambda **options: seen.append(options["address"])
    ray.remote = lambda **options: lambda function: types.SimpleNamespace(remote=lambda piece: piece)
    ray.get = get
    monkeypatch.setitem(sys.modules, "ray", ray)
    with Workers(work, died, address="here:6379", piece=2) as score:
        assert [o.status for o in score([1, 2, 13, 4, 5])] == ["pass", "pass", "died", "died", "pass"]
        assert (seen, score.deaths) == (["here:6379"], 1)
        with pytest.raises(WorkerError, match="nineteen"):
            score([19])
