"""What an answer is worth: the verifier's and the timer's findings as one number, and alarms for when that is gamed.

Three rewards, a row of REWARDS each. `correctness` and `speedup` are those of SuperCoder (arXiv 2505.11480, section 3),
whose speed-up is over gcc -O3; `ours` is the default and is over the best recipe, which is what a rewrite has to beat
to be admitted. Needs neither torch nor a compiler: reward workers import it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class Summary:
    """One iteration's outcomes in numbers. Shares are of all answers if nothing else is said."""

    answers: int
    built: float
    """Share that is code."""
    passed: float
    """Share that passes, copies included."""
    copies: float
    faster: float
    """Share that passes and is at least 5% faster than the best recipe, copies left out."""
    speedup: float
    """Geometric mean over the best recipe, of timed passes that are no copies; 1 when there is none."""
    absurd: float
    """Share above ABSURD."""
    undecided: float
    """Share whose checker died."""
    few_tests: float
    """Share of the passes that ran fewer tests than were asked for."""
    untimed: float
    """Share of the passes without a time."""
    same: float
    """Share of the prompts that were given the answer that most prompts were given; 0 below 16 prompts."""


def summarise(outcomes: Sequence[Outcome], samples: Sequence[tuple[int, Sequence[int]]] = ()) -> Summary:
    """Numbers of one iteration. `samples`: the prompt's index and the answer's ids of each outcome, for `same`."""

    def share(found: Sequence[bool]) -> float:
        return sum(found) / max(1, len(found))

    passes = [o for o in outcomes if o.is_pass]
    real = [o.over_best for o in passes if o.over_best > 0 and not o.is_copy]
    prompts: dict[tuple[int, ...], set[int]] = defaultdict(set)
    for prompt, ids in samples:
        prompts[tuple(ids)].add(prompt)
    asked = len({prompt for prompt, _ in samples})
    return Summary(
        answers=len(outcomes),
        built=share([o.status not in NO_CODE for o in outcomes]),
        passed=share([o.is_pass for o in outcomes]),
        copies=share([o.is_copy for o in outcomes]),
        faster=share([o.is_pass and o.over_best >= 1.05 and not o.is_copy for o in outcomes]),
        speedup=math.exp(sum(map(math.log, real)) / len(real)) if real else 1.0,
        absurd=share([o.over_best > ABSURD for o in outcomes]),
        undecided=share([o.status == "died" for o in outcomes]),
        few_tests=share([o.passed_share < 1 for o in passes]),
        untimed=share([o.over_best <= 0 for o in passes]),
        same=max((len(p) for p in prompts.values()), default=0) / asked if asked >= 16 else 0.0,
    )


WINDOW = 5
"""Iterations in each of the two means that a trend compares."""


def _change(history: Sequence[Summary], value: Callable[[Summary], float]) -> float:
    """Mean of the last WINDOW iterations minus that of the WINDOW before; 0 while there are too few."""
    if len(history) < 2 * WINDOW:
        return 0.0
    late, early = history[-WINDOW:], history[-2 * WINDOW : -WINDOW]
    return (sum(map(value, late)) - sum(map(value, early))) / WINDOW


@dataclass(frozen=True)
class Alarm:
    name: str
    says: str
    """Finding, likely cause, next step."""
    rings: Callable[[Sequence[Summary]], bool]
    """Given all iterations, the newest last."""


ALARMS = (
    Alarm(
        "absurd_speedup",
        f"more than 0.5% of the answers are over {ABSURD:.0f}x: the timer or the tests are fooled; read such answers",
        lambda history: history[-1].absurd > 0.005,
    ),
    Alarm(
        "copies_rise",
        "copies of the baseline grow by 10% of all answers: the penalty for them is too low; lower COPY",
        lambda history: _change(history, lambda s: s.copies) > 0.10,
    ),
    Alarm(
        "faster_but_wrong",
        "passes get 10% faster while 5% fewer pass: speed outweighs correctness; lower LOG_WEIGHT",
        lambda history: (
            _change(history, lambda s: math.log(s.speedup)) > 0.10 and _change(history, lambda s: s.passed) < -0.05
        ),
    ),
    Alarm(
        "few_tests",
        "passes on fewer tests than asked grow by 10% of the passes: answers that avoid the tests are preferred; read"
        " them (some prompts always have fewer: states on which the plain side faults are skipped)",
        lambda history: _change(history, lambda s: s.few_tests) > 0.10,
    ),
    Alarm(
        "same_answer",
        "one answer is given to more than 25% of the prompts: collapse, or a hole in the tests; read that answer",
        lambda history: history[-1].same > 0.25,
    ),
    Alarm(
        "undecided",
        "the checker died on more than 2% of the answers: their reward is noise; find out what kills it",
        lambda history: history[-1].undecided > 0.02,
    ),
    Alarm(
        "untimed",
        "more than 5% of the passes have no time: their gain counts as 1; look at the timer",
        lambda history: history[-1].untimed > 0.05,
    ),
)  # fmt: skip


def alarms(
    outcomes: Sequence[Outcome], samples: Sequence[tuple[int, Sequence[int]]] = (), before: Sequence[Summary] = ()
) -> list[str]:
    """Names of the alarms that ring for one iteration; `before`: summaries of the earlier ones, for the trends."""
    return ringing([*before, summarise(outcomes, samples)])


def ringing(history: Sequence[Summary]) -> list[str]:
    return [alarm.name for alarm in ALARMS if alarm.rings(history)]


def failures(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many answers ended in each status, the most frequent first."""
    return dict(Counter(o.status for o in outcomes).most_common())
