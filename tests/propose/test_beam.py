"""The beam: the likeliest answers of a model small enough to list all of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gccllm.base.deadline import Deadline
from gccllm.propose.beam import Answer, Step, Wanted, likeliest

WORDS, END = 4, 3


class Toy:
    """A model whose next word depends on the two before it; it remembers an answer in each lane as llama.cpp does."""

    def __init__(self, seed: int, sharp: float = 1.5) -> None:
        self.logits = np.random.default_rng(seed).normal(size=(WORDS + 1, WORDS + 1, WORDS)) * sharp
        self.lanes: dict[int, tuple[int, ...]] = {0: ()}

    def after(self, ids: Sequence[int]) -> Any:
        one, two = (WORDS, WORDS, *ids)[-2:]
        return self.logits[one, two]

    def evaluate(self, steps: Sequence[Step], length: int) -> Any:
        origins = {step.origin: self.lanes[step.origin] for step in steps}
        assert len({step.lane for step in steps}) == len(steps)
        for step in steps:
            assert len(origins[step.origin]) == length
            self.lanes[step.lane] = (*origins[step.origin], step.token)
        return np.stack([self.after(self.lanes[step.lane]) for step in steps])

    def beam(self, width: int, length: int, **more: Any) -> list[Answer]:
        return likeliest(self.after(())[None], self.evaluate, Wanted(width, END, length, **more))

    def log(self, ids: Sequence[int]) -> float:
        """Of an answer that ends."""
        total = 0.0
        for i, token in enumerate((*ids, END)):
            row = self.after(ids[:i])
            total += float(row[token]) - math.log(float(np.exp(row).sum()))
        return total


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 20))
def test_wide_beam_finds_the_likeliest_answers_of_all(seed: int) -> None:
    toy = Toy(seed)
    every = [ids for length in range(5) for ids in itertools.product(range(END), repeat=length)]
    best = sorted((toy.log(ids), ids) for ids in every)[::-1][:12]
    found = [answer for answer in toy.beam(400, 5) if answer.complete][:12]
    assert [answer.ids for answer in found] == [ids for _, ids in best]
    assert [answer.log_likelihood for answer in found] == pytest.approx([log for log, _ in best])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 20), st.integers(1, 9))
def test_answers_differ_fall_in_likelihood_and_say_what_else_might_have_come(seed: int, width: int) -> None:
    toy = Toy(seed)
    found = toy.beam(width, 6)
    assert 0 < len(found) <= width
    assert len({(answer.ids, answer.complete) for answer in found}) == len(found)
    whole = [answer for answer in found if answer.complete]
    assert found[: len(whole)] == whole
    for answer in whole:
        assert answer.log_likelihood == pytest.approx(toy.log(answer.ids)) == pytest.approx(sum(answer.logs))
    assert [a.log_likelihood for a in whole] == sorted((a.log_likelihood for a in whole), reverse=True)
    for answer in found:
        assert len(answer.alternatives) == len(answer.ids) == len(answer.logs) - answer.complete
        for token, log, others in zip(answer.ids, answer.logs, answer.alternatives, strict=False):
            assert (token, log) in [(t, pytest.approx(other)) for t, other in others]


def test_beam_of_one_goes_on_with_the_likeliest_word() -> None:
    toy = Toy(3)
    (answer,) = toy.beam(1, 6)
    for i, token in enumerate(answer.ids):
        assert token == int(toy.after(answer.ids[:i]).argmax())


class NoTwice:
    """A word may not come twice; the answer may end after one word."""

    start: tuple[int, ...] = ()

    def row(self, state: tuple[int, ...]) -> Any:
        return np.array([i not in state if i != END else len(state) > 0 for i in range(WORDS)])

    def step(self, state: tuple[int, ...], token: int) -> tuple[int, ...]:
        return (*state, token)


def test_what_the_constraint_forbids_never_comes() -> None:
    found = Toy(5).beam(40, 9, constraint=NoTwice())
    assert sorted(answer.ids for answer in found) == sorted(
        ids for length in (1, 2, 3) for ids in itertools.permutations(range(END), length)
    )


def test_answer_of_its_own_is_given_alone_or_not_at_all() -> None:
    toy = Toy(1)
    share = float(np.exp(toy.after(())[1]) / np.exp(toy.after(())).sum())
    (only,) = toy.beam(6, 6, alone=(1, share * 0.99))
    assert only.ids == (1,)
    assert only.complete
    assert only.log_likelihood == pytest.approx(math.log(share))
    others = toy.beam(6, 6, alone=(1, share * 1.01))
    assert len(others) > 1
    assert all(answer.ids[:1] != (1,) for answer in others)


def test_no_time_gives_no_answer() -> None:
    assert Toy(1).beam(3, 5, deadline=Deadline(0)) == []
