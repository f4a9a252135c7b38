"""Which bodies each run uses, and what the runs say of each body, on runs whose truth is known."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.trial.design import Decks, Run, effects

SPEEDS = {("a", 1): 1.0, ("a", 2): 1.05, ("b", 1): 0.97, ("b", 2): 1.02, ("c", 1): 1.0}
BODIES = {"a": [0, 1, 2], "b": [0, 1, 2], "c": [0, 1]}
PLACEBO = ("c", 1)


def runs_of(
    number: int, seed: int, *, noise: float = 0.01, drift: float = 0.0, outliers: float = 0.0,
    speeds: Mapping[tuple[str, int], float] = SPEEDS,
) -> list[Run]:  # fmt: skip
    """A program whose time is a product of what each body does, noise, a drift and slow runs in between."""
    chance, decks = random.Random(seed), Decks(BODIES, seed)
    out = []
    for at in range(number):
        choices = decks.draw()
        cost = math.exp(chance.gauss(0, noise) + drift * at / number)
        for row in choices.items():
            cost /= speeds.get(row, 1.0)
        out.append(Run(choices, cost * (1.5 if chance.random() < outliers else 1.0)))
    return out


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 9), min_size=1, max_size=5),
    st.integers(0, 1000), st.integers(1, 60),
)  # fmt: skip
def test_every_body_occurs_as_often_as_any_other(sizes: dict[str, int], seed: int, draws: int) -> None:
    decks = Decks({name: range(size) for name, size in sizes.items()}, seed)
    drawn = [decks.draw() for _ in range(draws)]
    for name, size in sizes.items():
        counts = Counter(choices[name] for choices in drawn)
        assert max(counts.values()) - min(counts[body] for body in range(size)) <= 1


def test_a_function_whose_only_body_is_gccs_draws_that() -> None:
    assert Decks({"a": [0]}, 1).draw() == {"a": 0}


def test_decks_of_two_functions_are_independent() -> None:
    decks = Decks({"a": [0, 1], "b": [0, 1]}, 5)
    pairs = Counter((choices["a"], choices["b"]) for choices in (decks.draw() for _ in range(400)))
    assert len(pairs) == 4
    assert min(pairs.values()) > 60


@pytest.mark.parametrize(
    "how",
    [{}, {"drift": 0.2}, {"outliers": 0.1}, {"drift": -0.1, "outliers": 0.1, "noise": 0.02}],
    ids=["quiet", "drift", "outliers", "all of it"],
)
def test_effects_lie_in_their_intervals(how: dict[str, float]) -> None:
    held = [
        all(
            effect.low <= SPEEDS[row] <= effect.high for row, effect in effects(runs_of(240, seed, **how), 0.95).items()
        )
        for seed in range(20)
    ]
    assert sum(held) >= 17  # 95% of the trials, each with all its intervals


def test_a_gain_is_told_from_a_placebo() -> None:
    found = effects(runs_of(300, 1), 0.95)
    assert found.keys() == SPEEDS.keys()
    assert found["a", 2].low > 1.03
    assert found["b", 1].high < 0.99
    assert found[PLACEBO].low < 1.0 < found[PLACEBO].high
    assert abs(found[PLACEBO].speed - 1) < 0.005


def test_noise_free_runs_give_the_effects_themselves() -> None:
    found = effects(runs_of(60, 2, noise=1e-6), 0.95)
    assert {row: round(effect.speed, 4) for row, effect in found.items()} == SPEEDS


def test_few_runs_say_nothing() -> None:
    columns = len(SPEEDS)
    assert effects(runs_of(columns + 3, 1), 0.95) == {}


def test_no_runs_and_runs_of_gccs_bodies_alone_say_nothing() -> None:
    assert effects([], 0.95) == {}
    assert effects([Run({"a": 0}, 1.0)] * 20, 0.95) == {}


def test_two_bodies_that_always_occur_together_are_not_told_apart() -> None:
    together = [Run({"a": at % 2, "b": at % 2}, 1.0 + at % 3) for at in range(40)]
    assert effects(together, 0.95) == {}
    apart = [*together, Run({"a": 1, "b": 0}, 1.0)]
    assert effects(apart, 0.95).keys() == {("a", 1), ("b", 1)}


def test_intervals_are_wider_the_more_there_are_and_the_surer_they_are() -> None:
    """Bonferroni: with more effects at one confidence, each gets less of what may be missed."""
    chance = random.Random(3)
    runs = [Run({"a": at % 2}, math.exp(chance.gauss(0, 0.01))) for at in range(200)]
    other = set(chance.sample(range(200), 100))
    more = [Run({**run.choices, "b": int(at in other)}, run.measure) for at, run in enumerate(runs)]
    alone, shared = effects(runs, 0.95), effects(more, 0.95)
    assert shared["a", 1].half_width > alone["a", 1].half_width * 1.1
    assert effects(runs, 0.99)["a", 1].half_width > alone["a", 1].half_width * 1.2
