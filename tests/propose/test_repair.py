"""The search: likeliest edits first, nothing twice, and only what stands on fresh tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from gccllm.base.deadline import Deadline
from gccllm.propose import repair
from gccllm.propose.beam import Answer
from gccllm.propose.constrain import Constraint
from gccllm.propose.repair import Edited, Tally, search, siblings
from gccllm.propose.signature import CSignature
from gccllm.propose.slots import Slots
from tests.kit import tiny_words

TOKENS = tiny_words.vocabulary()
KIN = siblings(TOKENS.words)
CONSTRAINT = Constraint.of(TOKENS, CSignature("i64", ("pu8", "i32")), len(Slots.of(tiny_words.SCALAR).values))


def plain(text: str) -> str:
    """As decoding spells it."""
    return TOKENS.decode_c(TOKENS.encode_c(text, tiny_words.SCALAR), tiny_words.SCALAR)


def decode(ids: Sequence[int]) -> str | None:
    try:
        return TOKENS.decode_c(ids, tiny_words.SCALAR)
    except ValueError:
        return None


def found(*seeds: Answer, limit: int = 400, accepts: Callable[[Sequence[int]], bool] = CONSTRAINT.accepts,
          kin: dict[int, tuple[int, ...]] = KIN) -> list[Edited]:  # fmt: skip
    return list(search(seeds, kin, accepts, decode, limit))


def with_alternative(answer: Answer, word: str, other: str, log: float) -> Answer:
    """The answer, at its first `word` unsure whether `other` would have been better."""
    at = [TOKENS.words[i] for i in answer.ids].index(" " + word)
    alternatives = list(answer.alternatives)
    alternatives[at] = (*alternatives[at], (TOKENS.ids[" " + other], log))
    return Answer(answer.ids, answer.log_likelihood, True, answer.logs, tuple(alternatives))


def test_the_models_own_alternative_comes_first() -> None:
    seed = tiny_words.answer_of(TOKENS, "return COUNT(b, a, x == 57);")
    first = found(with_alternative(seed, "==", "!=", -1.0))[0]
    assert first.text == plain("return COUNT(b, a, x != 57);")
    assert first.edits == 1
    assert first.cost == pytest.approx(-0.05 + 1.0 + repair.PER_EDIT)


def test_costs_rise_and_no_text_comes_twice() -> None:
    seeds = [tiny_words.answer_of(TOKENS, text) for text in tiny_words.ANSWERS[:3]]
    edited = found(*seeds, limit=1500)
    costs = [one.cost for one in edited]
    assert costs == sorted(costs)
    texts = [one.text for one in edited]
    assert len(set(texts)) == len(texts) == 1500
    assert not set(texts) & {plain(text) for text in tiny_words.ANSWERS[:3]}


def test_single_edits_come_before_pairs_and_pairs_before_triples_of_equal_edits() -> None:
    edited = found(tiny_words.answer_of(TOKENS, "return COUNT(b, a, (x == 57) | (x <= 200));"), limit=100_000)
    kinds = [one.edits for one in edited]
    assert kinds == sorted(kinds)
    assert set(kinds) == {1, 2, 3}


def test_two_wrong_words_are_reached() -> None:
    seed = tiny_words.answer_of(TOKENS, "return COUNT(b, a, x <= 57);")
    assert plain("return COUNT(b, a, x < 200);") in [one.text for one in found(seed, limit=5000)]


def test_neighbours_and_other_slots_are_tried() -> None:
    texts = [one.text for one in found(tiny_words.answer_of(TOKENS, "return COUNT(b, a, x == 57);"))]
    for number in (58, 56, 200):
        assert plain(f"return COUNT(b, a, x == {number});") in texts


def test_edit_that_the_constraint_refuses_is_not_tried() -> None:
    seed = with_alternative(tiny_words.answer_of(TOKENS, "return COUNT(b, a, x == 57);"), "==", ")", -0.1)
    assert all("x )" not in one.text and CONSTRAINT.accepts(one.ids) for one in found(seed))
    assert found(seed, accepts=lambda ids: False) == []


def test_likelier_answers_are_edited_first() -> None:
    sure = tiny_words.answer_of(TOKENS, "return COUNT(b, a, x == 57);", log=-0.01)
    unsure = tiny_words.answer_of(TOKENS, "return SUM(u64, b, a, x + 1);", log=-2.0)
    assert all("COUNT" in one.text for one in found(unsure, sure, limit=10))


def test_search_without_seeds_or_alternatives_ends() -> None:
    assert found() == []
    assert found(tiny_words.answer_of(TOKENS, "return COUNT(b, a, x == 57);"), kin={}) == []


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "BATCH", 8)


def run(passes: str, stands: Callable[[str], bool] = lambda text: True, *, seconds: float = 30.0, wanted: int = 1,
        tally: Tally | None = None) -> list[str]:  # fmt: skip
    seed = tiny_words.answer_of(TOKENS, "return COUNT(b, a, x <= 57);")
    edited = search([seed], KIN, CONSTRAINT.accepts, decode, 3000)
    checks = repair.Checks(
        lambda texts: [passes in text for text in texts], lambda texts: [stands(text) for text in texts]
    )
    made = repair.repair(edited, checks, Deadline(seconds), tally, wanted)
    return [one.text for one in made]


def test_what_passes_is_given() -> None:
    tally = Tally()
    assert plain("return COUNT(b, a, x < 57);") in run("x < 57", tally=tally)
    assert tally.tried >= tally.passed >= tally.repaired >= 1


def test_what_fails_on_fresh_tests_does_not_count() -> None:
    tally = Tally()
    assert run("<", lambda text: False, tally=tally) == []
    assert tally.tried > 16
    assert tally.passed > tally.repaired == 0


def test_search_goes_on_after_a_find_that_did_not_stand() -> None:
    mended = run("x < ", lambda text: "< 200" in text)
    assert mended
    assert all("< 200" in text for text in mended)


def test_no_time_tries_nothing() -> None:
    tally = Tally()
    assert run("x", seconds=0, tally=tally) == []
    assert tally.tried == 0
