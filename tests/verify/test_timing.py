"""The timing rule on made-up samples, where the truth is known, and the machinery on real code."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from gccllm.assembly import Body, Module, slice_text
from gccllm.base.core import Decline, Outcome, Region, Test, arena_address
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.sandbox import layout
from gccllm.sandbox.image import CalleeSpec
from gccllm.unit.policy import gain_asked
from gccllm.verify import sampling, timing
from gccllm.verify.sampling import Effort, Pair
from tests.kit.replay import INT, compiled
from tests.kit.timed import SORT, Bench


def rows(rng: np.random.Generator, gain: float, noise: float = 0.004, spikes: float = 0.0) -> timing.Raw:
    out = np.zeros(LIMITS.timing_rounds, layout.SAMPLE)
    out["calls"], out["empty"] = 10, 40
    for side, ratio in (("first", 1.0), ("second", gain), ("control", 1.0)):
        ticks = 20_000 / ratio * np.exp(rng.normal(0, noise, LIMITS.timing_rounds))
        ticks *= np.where(rng.random(LIMITS.timing_rounds) < spikes, 3.0, 1.0)
        out[side] = ticks + 400
    return out


def runs(gains: dict[str, float], seed: int = 1, **how: float) -> list[dict[str, timing.Raw]]:
    rng = np.random.default_rng(seed)
    return [{label: rows(rng, gain, **how) for label, gain in gains.items()} for _ in range(3)]


@pytest.mark.parametrize(
    ("gains", "reason"),
    [
        ({"small": 1.10, "large": 1.30}, None),
        ({"small": 1.00, "large": 1.08}, None),
        ({"small": 1.00, "large": 1.00}, Reason.NOT_FASTER),
        ({"small": 1.01, "large": 1.01}, Reason.NOT_FASTER),
        ({"small": 0.97, "large": 1.60}, Reason.CLASS_SLOWER),
        ({"small": 0.50, "large": 0.50}, Reason.NOT_FASTER),
    ],
)
def test_the_rule_decides_as_the_truth_is(gains: dict[str, float], reason: Reason | None) -> None:
    verdict, measured = timing.decide(runs(gains), tried=4)
    assert verdict.reason is reason
    assert measured.classes["small"] == pytest.approx(gains["small"], rel=0.01)
    assert measured.low <= measured.speedup <= measured.high


def test_generated_inputs_ask_for_a_larger_gain() -> None:
    small = runs({"a": 1.06})
    assert timing.decide(small, 1, LIMITS.recorded_gain)[0].is_accepted
    assert timing.decide(small, 1, LIMITS.generated_gain)[0].reason is Reason.NOT_FASTER
    assert timing.decide(runs({"a": 1.2}), 1, LIMITS.generated_gain)[0].is_accepted


@pytest.mark.parametrize(
    ("labels", "asked"),
    [
        (("recorded-short", "recorded-long"), LIMITS.recorded_gain),
        (("small", "large"), LIMITS.generated_gain),
        (("recorded-short", "typical"), LIMITS.generated_gain),
    ],
)
def test_recorded_calls_ask_for_less(labels: tuple[str, ...], asked: float) -> None:
    assert gain_asked(labels) == asked


def test_preempted_rounds_do_not_change_the_decision() -> None:
    assert timing.decide(runs({"a": 1.2}, spikes=0.1), 1)[0].is_accepted
    assert not timing.decide(runs({"a": 1.0}, spikes=0.1), 1)[0].is_accepted


def test_beside_a_noisy_control_only_a_gain_far_outside_the_noise_is_accepted() -> None:
    """Samples that vary by 5% spread the control's ratios by about 9%, so that the margin is above 1.25."""
    verdict, _ = timing.decide(runs({"a": 1.15}, noise=0.05), 1)
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, Reason.NOISY)
    assert timing.decide(runs({"a": 3.0}, noise=0.05), 1)[0].is_accepted


def test_a_control_beyond_all_measure_accepts_nothing() -> None:
    assert timing.decide(runs({"a": 3.0}, noise=0.3), 1)[0].reason is Reason.NOISY


def test_a_control_that_is_biased_accepts_nothing() -> None:
    biased = runs({"a": 1.5})
    for run in biased:
        run["a"]["control"] = run["a"]["control"] * 9 // 10
    assert timing.decide(biased, 1)[0].reason is Reason.NOISY


def test_one_process_that_disagrees_is_enough_to_refuse() -> None:
    mixed = [*runs({"a": 1.3})[:2], runs({"a": 1.0})[0]]
    assert timing.decide(mixed, 1)[0].reason is Reason.NOT_FASTER


def test_more_candidates_tried_need_stronger_evidence() -> None:
    weak = runs({"a": 1.5})
    for run in weak:
        run["a"]["second"][:10] = run["a"]["first"][:10]
    p = timing.sign_test(np.array([0.0] * 10 + [1.0] * 31), 0.5)
    assert timing.decide(weak, 1)[0].is_accepted
    assert timing.decide(weak, int(LIMITS.significance / p) + 2)[0].reason is Reason.NOT_FASTER


def test_false_accepts_on_made_up_equal_code_are_as_rare_as_the_rule_says() -> None:
    assert not any(timing.decide(runs({"a": 1.0}, seed=s, noise=0.01), 1)[0].is_accepted for s in range(200))
    assert not any(timing.decide(runs({"a": 1.02}, seed=s)[:1] * 3, 1)[0].is_accepted for s in range(10, 60))


@given(st.integers(1, 60), st.data())
def test_the_sign_test_is_the_binomial_tail(n: int, data: st.DataObject) -> None:
    above = data.draw(st.integers(0, n))
    values = np.array([1.0] * above + [-1.0] * (n - above))
    p = timing.sign_test(values, 0.0)
    assert 0 < p <= 1
    if above:
        fewer = np.array([1.0] * (above - 1) + [-1.0] * (n - above + 1))
        assert timing.sign_test(fewer, 0.0) - p == pytest.approx(math.comb(n, above - 1) / 2**n)
    else:
        assert p == 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80))
def test_the_interval_holds_the_median(values: list[float]) -> None:
    low, high = timing.median_interval(np.array(values))
    assert low <= float(np.median(values)) <= high


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(2000):
        low, high = timing.median_interval(rng.exponential(1.0, 41))
        inside += low <= math.log(2) <= high
    assert inside / 2000 > 0.94


# --- the machinery --------------------------------------------------------------------------------


TWICE = SORT.replace("int f(int *p, int n) {", "int f(int *p, int n) { for (int k = 0; k < 20; k++)", 1)[:-2] + "}\n"
SWITCH = """
int ext(int); int f(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) switch (p[i] & 7) { case 0: s += 3; break;
  case 1: s ^= p[i]; break; case 2: s -= 9; break; case 3: s *= 5; break; case 4: s = ext(s); break; case 5: s <<= 1;
  break; default: return s; } return s; }
"""
FAULTS = "int f(int *p, int n) { return p[1 << 24]; }"


def bench(where: Path, source: str, *flags: str) -> tuple[Bench, Body]:
    module = Module.parse(compiled(source, *flags))
    return Bench("f", slice_text(module, "f"), where), module.functions["f"].body


def inputs(n: int, seed: int = 0, count: int = 6) -> list[Test]:
    rng = np.random.default_rng(seed)
    return [
        Test(ints=(arena_address(0), n), int_bytes=(8, 4), regions=(Region(0, 0, rng.bytes(4 * n)),), arenas=1, fill=i)
        for i in range(count)
    ]


@pytest.mark.serial
def test_samples_have_every_round_and_put_modified_inputs_back(tmp_path: Path) -> None:
    target, body = bench(tmp_path, SORT)
    classes = {"small": inputs(20), "medium": inputs(80)}
    taken = sampling.sample(Pair(target, body), classes, 3, Effort(7))
    assert {label: len(r) for label, r in taken.items()} == {"small": 7, "medium": 7}
    for r in taken.values():
        assert (r["first"] > r["calls"] * r["empty"]).all()
    # Sorting what is sorted already would be far cheaper than one pass a call.
    per_call = [float(np.median(r["first"] / r["calls"] - r["empty"])) for r in taken.values()]
    assert per_call[1] > 4 * per_call[0]


@pytest.mark.serial
def test_a_function_against_itself_is_not_accepted(tmp_path: Path) -> None:
    target, body = bench(tmp_path, SORT)
    classes, fresh, rule = {"small": inputs(30)}, {"small": inputs(30, 9)}, timing.Rule(tried=1000)
    verdict, measured = timing.measure(Pair(target, body), classes, fresh, rule, lock_path=tmp_path / "lock")
    assert not verdict.is_accepted
    assert measured is None or 0.5 < measured.speedup < 2


@pytest.mark.serial
def test_a_far_slower_baseline_is_beaten_and_never_the_other_way_round(tmp_path: Path) -> None:
    slow, slow_body = bench(tmp_path, TWICE)
    fast, fast_body = bench(tmp_path, SORT)
    classes, fresh = {"small": inputs(30)}, {"small": inputs(30, 9)}
    assert timing.screen_speed(Pair(slow, fast_body), classes, lock_path=tmp_path / "lock") > 1.5
    verdict, measured = timing.measure(Pair(slow, fast_body), classes, fresh, lock_path=tmp_path / "lock")
    assert verdict.is_accepted or verdict.reason is Reason.NOISY
    assert measured is not None
    assert measured.speedup > 1.5
    verdict, _ = timing.measure(Pair(fast, slow_body), classes, fresh, lock_path=tmp_path / "lock")
    assert not verdict.is_accepted


def test_jump_tables_and_stand_ins_can_be_timed(tmp_path: Path) -> None:
    target, body = bench(tmp_path, SWITCH, "-fPIC")
    target.callees["ext"] = CalleeSpec(ints=(4,), returns=INT)
    data = bytes(b for i in range(100) for b in (i % 6, 0, 0, 0))
    tests = [Test(ints=(arena_address(0), 100), int_bytes=(8, 4), regions=(Region(0, 0, data),), arenas=1)]
    assert len(sampling.sample(Pair(target, body), {"a": tests}, 1, Effort(5))["a"]) == 5


def test_a_guarded_candidate_is_timed_with_its_guard(tmp_path: Path) -> None:
    target, body = bench(tmp_path, SORT)
    assert "cmpb\t$3, " in sampling.candidate_copy(Pair(target, body, 3), "twin")
    assert len(sampling.sample(Pair(target, body, 3), {"a": inputs(20)}, 1, Effort(5))["a"]) == 5


def test_what_cannot_be_timed_is_undecided(tmp_path: Path) -> None:
    target, body = bench(tmp_path, FAULTS)
    verdict, measured = timing.measure(Pair(target, body), {"a": inputs(4)}, {}, lock_path=tmp_path / "lock")
    assert (verdict.outcome, verdict.reason, measured) == (Outcome.UNDECIDED, Reason.NO_TIMING_INPUT, None)
    verdict, _ = timing.measure(Pair(target, body), {}, {}, lock_path=tmp_path / "lock")
    assert verdict.reason is Reason.NO_TIMING_INPUT
    assert timing.screen_speed(Pair(target, body), {"a": inputs(4)}, lock_path=tmp_path / "lock") == 0.0


def test_to_wait_for_others_in_vain_says_nothing_of_the_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, body = bench(tmp_path, SORT)
    monkeypatch.setattr(timing, "LIMITS", replace(LIMITS, timing_lock_s=0.1))
    with FileLock(tmp_path / "lock"):
        with pytest.raises(Decline, match="deadline"):
            timing.screen_speed(Pair(target, body), {"a": inputs(4)}, lock_path=tmp_path / "lock")
        with pytest.raises(Decline, match="deadline"):
            timing.measure(Pair(target, body), {"a": inputs(4)}, {}, lock_path=tmp_path / "lock")


def test_a_candidate_that_leaves_other_memory_is_not_timed(tmp_path: Path) -> None:
    target, _ = bench(tmp_path, "int f(int *p, int n) { return p[0]; }")
    _, other = bench(tmp_path, "int f(int *p, int n) { p[5000] = n; return p[0]; }")
    assert timing.screen_speed(Pair(target, other), {"a": inputs(4)}, lock_path=tmp_path / "lock") == 0.0


@pytest.mark.serial
def test_a_quick_look_at_what_takes_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call ends well, and in time."""
    target, body = bench(tmp_path, "unsigned f(unsigned *p, int n) { return p[0]; }")
    slow = "unsigned f(unsigned *p, int n) { unsigned x = n; for (int i = 0; i < 9999999; i++) x = x * 77 + 1;"
    _, other = bench(tmp_path, slow + " return p[0] + (x == 1); }")
    monkeypatch.setattr(timing, "QUICK", replace(sampling.QUICK, limit_s=0.3))
    assert timing.screen_speed(Pair(target, body), {"a": inputs(4)}, lock_path=tmp_path / "lock") > 0.0
    assert timing.screen_speed(Pair(target, other), {"a": inputs(4)}, lock_path=tmp_path / "lock") == 0.0


def test_the_copy_of_the_baseline_keeps_its_loop_alignment(tmp_path: Path) -> None:
    target, body = bench(tmp_path, SORT, "-O2")
    copy = sampling.baseline_copy(target.text, "f", "twin")
    assert copy.count(".p2align\t4") >= 1
    assert "\t.p2align 6\n" in copy
    assert sum(not line.is_label for line in body.lines) == sum(
        row.startswith("\t") and not row.startswith("\t.") for row in copy.splitlines()
    )
