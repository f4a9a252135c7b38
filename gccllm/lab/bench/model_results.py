"""What suite `model` knows of each row and method, and the numbers made of it.

A row's answers are ranked by passing, then by speed in one timing; what is reported of the best one is a second timing,
which chose nothing. Where no answer passes, and where the answer is KEEP, nothing is changed and the ratio is 1.
Ratios are never clamped: a right answer that is slower than gcc counts as slower. The last of OVER is what a build
gets that has the recipes too: the answer where the choosing timing shows it faster than the best of them, else 1.

`samples` of a method are independent, so its figures for N answers are expectations over all ways to draw N of them
(for pass@N the unbiased estimator); for a `list` they are those of its first N, for a `set` those of the whole.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gccllm.lab.bench.model_check import Checker, Proposal, Verdict
from gccllm.lab.bench.model_methods import Drawn, Method, Row
from gccllm.lab.bench.numbers import best_weights, bootstrap_interval
from gccllm.lab.train.corpus import pair_of
from gccllm.propose.c_words import KEEP

LOSS, GAIN = 0.98, 1.05
MARGIN = 1.02
"""Least speed-up over the best recipe, in the choosing timing, for a build to take the answer."""
OVER = ("gcc -O3", "gcc native", "best recipe", "best recipe, as a build picks")
BEST, PICKED = 2, 3
"""What ratios are over, in the order of `Sample.ratios`."""


@dataclass(frozen=True)
class Sample:
    """One answer."""

    status: str
    rank: float = 0.0
    """Speed-up over gcc -O3 in the timing that chooses."""
    ratios: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Over each of OVER in the timing that is reported; ones unless it passes."""

    @property
    def is_pass(self) -> bool:
        return self.status == "pass"


@dataclass
class Outcome:
    """One row under one method."""

    key: str
    family: str
    split: str
    is_worth: bool
    """The corpus has an answer for it, not KEEP."""
    kind: str
    samples: list[Sample]
    first: Sample | None = None
    seconds: float = 0.0

    def best_of(self, n: int) -> list[tuple[float, Sample]]:
        """Probabilities of what is chosen from `n` answers; empty where the method cannot say."""
        if self.kind == "set":
            return [(1.0, max(self.samples, key=_order))] if self.samples else []
        if self.kind == "list":
            return [(1.0, max(self.samples[:n], key=_order))] if self.samples else []
        if n > len(self.samples):
            return []
        ranked = sorted(self.samples, key=_order)
        return list(zip(best_weights(len(ranked), n), ranked, strict=True))

    def expect(self, n: int, value: Callable[[Sample], float]) -> float | None:
        chosen = self.best_of(n)
        return sum(weight * value(sample) for weight, sample in chosen) if chosen else None


def _order(sample: Sample) -> tuple[bool, float]:
    return sample.is_pass, sample.rank


@dataclass
class Findings:
    """All rows of one method."""

    method: str
    kind: str
    identity: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    proposals: list[tuple[Row, Proposal]] = field(default_factory=list)
    """Those that build, with their rows: what the screen is shown some of. Not stored."""
    screened: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Split -> bodies that pass the screen, bodies shown to it."""

    def of(self, split: str, *, worth: bool = False) -> list[Outcome]:
        return [o for o in self.outcomes if o.split == split and (o.is_worth or not worth)]


def evaluate(
    method: Method, rows: Sequence[Row], checker: Checker, n: int, *, tests: int, seed: int,
    tick: Callable[[Row], object] = lambda row: None,
) -> Findings:  # fmt: skip
    """Ask the method about every row, test every distinct answer, time those that pass, twice."""
    drawn: list[Drawn] = []
    for i, row in enumerate(rows):
        drawn.append(method.propose(row, n, seed + i))
        tick(row)
    pairs = [pair_of(row) for row in rows]
    jobs = [(pair, p) for pair, d in zip(pairs, drawn, strict=True) for p in _all(d)]
    verdicts = dict(zip(jobs, checker(jobs, tests=tests, seed=seed), strict=True))
    passing = [job for job, verdict in verdicts.items() if verdict.is_pass]
    choose, report = (
        dict(zip(passing, checker(passing, tests=0, seed=seed + turn, timing=True), strict=True)) for turn in (1, 2)
    )
    found = Findings(method.name, method.kind, method.identity)
    for row, pair, one in zip(rows, pairs, drawn, strict=True):

        def sample(proposal: Proposal, pair: Any = pair) -> Sample:
            job = (pair, proposal)
            return _sample(verdicts[job], choose.get(job), report.get(job))

        found.outcomes.append(Outcome(
            row["key"], row["family"], row["split"], row["answer"] != KEEP, method.kind,
            [sample(p) for p in one.proposals], sample(one.first) if one.first is not None else None, one.seconds,
        ))  # fmt: skip
        found.proposals += [(row, p) for p in dict.fromkeys(one.proposals) if verdicts[pair, p].builds]
    return found


def _all(drawn: Drawn) -> Iterator[Proposal]:
    yield from drawn.proposals
    if drawn.first is not None:
        yield drawn.first


def _sample(verdict: Verdict, choose: Verdict | None, report: Verdict | None) -> Sample:
    if not verdict.is_pass or choose is None or report is None:
        return Sample(verdict.status)
    # A death under timing (a limit of time) is no pass: nobody would link it.
    for timed in (choose, report):
        if not timed.is_pass:
            return Sample(timed.status)
    over_o3, over_native, over_best = report.ratios()
    picked = over_best if choose.ratios()[BEST] > MARGIN else 1.0
    return Sample("pass", choose.ratios()[0], (over_o3, over_native, over_best, picked))


# --- numbers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Speed:
    """Speed-ups over one thing, unclamped, 1.0 where nothing passes."""

    geomean: float
    low: float
    high: float
    median: float


def shares(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Of the answers: KEEP, and of the others those that build. Seconds a row."""
    samples = [s for o in outcomes for s in o.samples]
    asked = [s for s in samples if s.status != "keep"]
    return {
        "keep": _mean([s.status == "keep" for s in samples]),
        "builds": _mean([s.status not in ("build", "none") for s in asked]),
        "seconds": _mean([o.seconds for o in outcomes]),
    }


def pass_share(outcomes: Sequence[Outcome], n: int) -> tuple[float, float, float] | None:
    """pass@n with its interval; None where the method has no such figure."""
    values = [v for o in outcomes if (v := o.expect(n, lambda s: float(s.is_pass))) is not None]
    return (_mean(values), *bootstrap_interval(values)) if values else None


def greedy_share(outcomes: Sequence[Outcome]) -> float | None:
    found = [o.first.is_pass for o in outcomes if o.first is not None]
    return _mean(found) if found else None


def speed(outcomes: Sequence[Outcome], n: int, over: int) -> Speed | None:
    """Of the best of `n` over OVER[over]."""
    logs = [v for o in outcomes if (v := o.expect(n, lambda s: math.log(s.ratios[over]))) is not None]
    if not logs:
        return None
    low, high = bootstrap_interval(logs)
    return Speed(*(math.exp(v) for v in (statistics.fmean(logs), low, high, statistics.median(logs))))


def gains_and_losses(outcomes: Sequence[Outcome], n: int) -> tuple[float, float, float] | None:
    """Shares of rows above GAIN and below LOSS over the best recipe, and below LOSS of what a build picks."""
    made = []
    for is_so in (
        lambda s: s.ratios[BEST] > GAIN, lambda s: s.ratios[BEST] < LOSS, lambda s: s.ratios[PICKED] < LOSS
    ):  # fmt: skip
        values = [v for o in outcomes if (v := o.expect(n, is_so)) is not None]
        if not values:
            return None
        made.append(_mean(values))
    return made[0], made[1], made[2]


def curve(outcomes: Sequence[Outcome], n: int, over: int = PICKED) -> list[tuple[int, float]]:
    """(k, geometric mean of the best of k) for k = 1, 2, 4 ... n; one point for what is only there as a whole."""
    ks = sorted({*(2**i for i in range(n.bit_length()) if 2**i <= n), n})
    points = [(k, found.geomean) for k in ks if (found := speed(outcomes, k, over)) is not None]
    return points[-1:] if outcomes and outcomes[0].kind == "set" else points


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else 0.0
