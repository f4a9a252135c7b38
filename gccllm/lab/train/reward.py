"""The reward: what the verifier and the timer found about an answer, as one number. `alarms` warns when it is gamed.

Three rewards, a row of REWARDS each. `correctness` and `speedup` are those of SuperCoder (arXiv 2505.11480, section 3),
whose speed-up is over gcc -O3; `ours` is the default and is over the best recipe, which is what a rewrite has to beat
to be admitted. Needs neither torch nor a compiler: reward workers import it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

CRASHED = frozenset(("fault", "timeout", "died", "abi"))
NO_CODE = frozenset(("build", "none"))
STATUSES = frozenset(("pass", "value", "memory")) | CRASHED | NO_CODE


@dataclass(frozen=True)
class Outcome:
    """What the verifier and the timer found about one answer."""

    status: str
    """`pass`, or the way it failed: value, memory, fault, timeout, abi; died (its checker did: undecided); build (no
    text, or it does not assemble or compile); none (it did not end)."""
    passed_share: float = 0.0
    """Tests passed of the tests asked for, 0..1. Below 1 on a pass: fewer tests ran than were asked for."""
    over_o3: float = 0.0
    """time(gcc -O3) / time(answer), medians, not clamped; 0 when not timed."""
    over_best: float = 0.0
    """time(best recipe) / time(answer), likewise."""
    is_copy: bool = False
    """It compiles to the baseline's own body, or is the `keep` answer."""
    reason: str = ""
    """The label of the gate's reason, where the gates of a build judged."""
    detail: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"{self.status} is no status")

    @property
    def is_pass(self) -> bool:
        return self.status == "pass"


def correctness(outcome: Outcome) -> float:
    """The paper's first: -1 does not build, -0.5 crashes, the share of tests passed below 1, else 1 + 10 * speed-up."""
    if outcome.status in NO_CODE:
        return -1.0
    if outcome.status in CRASHED:
        return -0.5
    if not outcome.is_pass or outcome.passed_share < 1:
        return min(outcome.passed_share, 1.0)
    return 1 + 10 * outcome.over_o3


def speedup(outcome: Outcome) -> float:
    """The paper's second: the speed-up when all tests pass and it is above 1, else 0."""
    is_right = outcome.is_pass and outcome.passed_share >= 1
    return outcome.over_o3 if is_right and outcome.over_o3 > 1 else 0.0


UNBUILT, WRONG, COPY = -1.0, -0.6, -1.0
RIGHT, LOG_WEIGHT = 0.3, 0.5
ENOUGH_TESTS = 0.5
"""Least share of the tests asked for; a pass on fewer shows too little and is worth what a wrong answer is."""
ABSURD = 200.0
"""A speed-up no rewrite of the corpus has: the timer or the verifier was fooled."""
SLOWEST = 1 / 5
"""Slower passes are all worth the same: still more than a wrong answer."""


def ours(outcome: Outcome) -> float:
    """The default: correctness is a gate, behind it the logarithm of the speed-up over the best recipe.

        -1.0   no code, or a copy of the baseline        -0.6   wrong in any way
        0.3 + 0.5 * log(over_best)   right: 0.3 at 1x, 0.65 at 2x, 1.1 at 5x, 1.8 at 20x; -0.5 at 1/5x and below

    No credit for tests passed: nearly right is not linked either, and partial credit scored lower in the paper. A
    copy is worth no more than no code: PPO's prompts are functions that can be made faster, a build has gcc's text
    anyway, and at -0.2, and again at -0.6, the policy learnt to say KEEP where it was unsure
    (docs/internals/log.md). Slower than gcc is not clamped to 1, or noise would count as speed. The
    length of an answer is worth nothing either way. Over ABSURD the value stays, and `alarms` says so.
    """
    if outcome.status in NO_CODE:
        return UNBUILT
    if not outcome.is_pass or outcome.passed_share < ENOUGH_TESTS:
        return WRONG
    if outcome.is_copy:
        return COPY
    ratio = outcome.over_best if outcome.over_best > 0 else 1.0  # not timed: no gain was shown
    return RIGHT + LOG_WEIGHT * math.log(min(max(ratio, SLOWEST), ABSURD))


REWARDS: dict[str, Callable[[Outcome], float]] = {"correctness": correctness, "ours": ours, "speedup": speedup}
