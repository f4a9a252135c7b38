"""Which bodies each run uses, and what the runs say of each body.

Every run draws a body for every function, from a deck of the function's own that is shuffled anew when it is used up:
each body occurs equally often, and the choices of two functions are independent. So every run tells something about
every function, and as many runs as one function would need serve all of them.

The logarithm of a run's measure is fitted as a sum: a level, a drift with time, and an effect of each body against
gcc's own (Box, Hunter and Hunter, Statistics for Experimenters, chapters 5 and 10). A body that saves a share of the
program's time saves it whatever the others do, up to products of small shares. The fit is robust (Huber's M-estimate,
`statsmodels.RLM`): on a shared machine single runs take half as long again. Intervals are normal ones, of the fit.

Not covered: two bodies that help or hurt only together. The last runs, all winners against none, see those.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Choices = Mapping[str, int]
"""Identity of a function on trial -> body; a function that is not named runs gcc's own."""


@dataclass(frozen=True, slots=True)
class Run:
    choices: Choices
    measure: float
    """Less is better, and above 0."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Speed of the program with a body, relative to gcc's own in its place: above 1 is better."""

    speed: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


class Decks:
    """An endless, balanced, random sequence of choices."""

    def __init__(self, bodies: Mapping[str, Sequence[int]], seed: int) -> None:
        self._bodies = {identity: list(numbers) for identity, numbers in bodies.items()}
        self._random = random.Random(seed)
        self._left: dict[str, list[int]] = {identity: [] for identity in bodies}

    def draw(self) -> dict[str, int]:
        out: dict[str, int] = {}
        for identity, numbers in self._bodies.items():
            if not self._left[identity]:
                self._left[identity] = self._random.sample(numbers, len(numbers))
            out[identity] = self._left[identity].pop()
        return out


def effects(runs: Sequence[Run], confidence: float) -> dict[tuple[str, int], Effect]:
    """The effect of each (function, body other than gcc's) that the runs determine, with its two-sided interval.

    `confidence` is shared by all of them (Bonferroni). Empty where there are fewer runs than unknowns.
    """
    import statsmodels.api as sm

    columns = sorted({(identity, body) for run in runs for identity, body in run.choices.items() if body != 0})
    place = {column: at for at, column in enumerate(columns, 2)}
    if len(runs) < len(columns) + 4 or not columns:
        return {}
    matrix: npt.NDArray[np.float64] = np.zeros((len(runs), len(columns) + 2))
    matrix[:, 0] = 1.0
    matrix[:, 1] = np.linspace(-0.5, 0.5, len(runs))
    for row, run in enumerate(runs):
        for identity, body in run.choices.items():
            if body != 0:
                matrix[row, place[identity, body]] = 1.0
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        return {}
    fit = sm.RLM(np.log([run.measure for run in runs]), matrix, M=sm.robust.norms.HuberT()).fit()
    width = NormalDist().inv_cdf(1 - (1 - confidence) / (2 * len(columns)))
    out: dict[tuple[str, int], Effect] = {}
    for column, at in place.items():
        saved, error = -float(fit.params[at]), width * float(fit.bse[at])
        out[column] = Effect(math.exp(saved), math.exp(saved - error), math.exp(saved + error))
    return out
