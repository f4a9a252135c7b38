"""One iteration's outcomes in numbers, and alarms for when the reward is gamed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gccllm.lab.train.reward import ABSURD, NO_CODE, Outcome


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


def ringing(history: Sequence[Summary]) -> list[str]:
    """Names of the alarms that ring for the newest iteration."""
    return [alarm.name for alarm in ALARMS if alarm.rings(history)]


def failures(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many answers ended in each status, the most frequent first."""
    return dict(Counter(o.status for o in outcomes).most_common())
