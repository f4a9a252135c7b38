"""The built-in model with words of its own: answers at every level, damage, and answers that are repaired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gccllm.assembly import Body, Module, canonical
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.propose import Attempt, Isa, Prompt, builtin_model
from gccllm.propose.builtin_model import BuiltinProposer
from gccllm.propose.c_bodies import Setting, compile_answers
from gccllm.propose.llama import Gguf
from gccllm.propose.signature import CSignature
from tests.kit import tiny_gguf, tiny_words

TYPES = CSignature("i32", ("pu8", "i64"))
WORDS = Prompt("f", "\tret\n", scalar=tiny_words.SCALAR, isa=Isa(0, 3), types=TYPES)
RIGHT, WRONG = "return COUNT(b, a, x == 57);", "return COUNT(b, a, x <= 57);"


def test_weights_that_are_no_numbers_are_a_named_failure(tmp_path: Path) -> None:
    tokens = tiny_words.vocabulary()
    path = tiny_words.write_model(tmp_path, tokens, nan=True)
    proposer = BuiltinProposer(path)
    assert list(proposer.propose(WORDS, 2, 30)) == []
    assert [failure.reason for failure in proposer.failures] == [Reason.MODEL_FAILED]
    assert "NaN" in proposer.failures[0].detail


def test_vocabulary_of_another_model_is_a_named_failure(tmp_path: Path) -> None:
    tiny_words.write_model(tmp_path, tiny_words.vocabulary())
    tiny_gguf.write(tmp_path / "model.gguf", vocabulary=64)
    proposer = BuiltinProposer(tmp_path / "model.gguf")
    assert list(proposer.propose(WORDS, 2, 30)) == []
    assert [failure.reason for failure in proposer.failures] == [Reason.MODEL_ABSENT]
    assert "not of one model" in proposer.failures[0].detail


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"schema": 2, "words": [1]}',
        '{"schema": 2, "words": ["a"], "follows": {"99": [7]}}',
        '{"schema": 2}',
        '{"schema": 2, "words": 3}',
        "\0",
    ],
)
def test_vocabulary_that_is_none_is_a_named_failure(tmp_path: Path, content: str) -> None:
    path = tiny_words.write_model(tmp_path, tiny_words.vocabulary())
    (tmp_path / "tokens.json").write_text(content)
    proposer = BuiltinProposer(path)
    assert list(proposer.propose(WORDS, 2, 30)) == []
    assert [failure.reason for failure in proposer.failures] == [Reason.MODEL_ABSENT]


@pytest.fixture
def speaker(tmp_path: Path) -> BuiltinProposer:
    tokens = tiny_words.vocabulary()
    return BuiltinProposer(tiny_words.write_model(tmp_path, tokens))


def test_random_weights_under_the_constraint_give_answers_that_balance(speaker: BuiltinProposer) -> None:
    list(speaker.propose(WORDS, 12, 30))
    assert speaker._last is not None
    assert all(text.count("(") == text.count(")") for _, text in speaker._last.answers)
    assert {failure.reason for failure in speaker.failures} <= {Reason.NO_CODE, Reason.DOES_NOT_COMPILE,
                                                                Reason.UNKNOWN_SYMBOL, Reason.FORBIDDEN_C}  # fmt: skip


def told(speaker: BuiltinProposer, monkeypatch: pytest.MonkeyPatch, *texts: str) -> BuiltinProposer:
    """The proposer, with a model that says these answers."""
    _, tokens = speaker.load()
    answers = [tiny_words.answer_of(tokens, text) for text in texts]  # type: ignore[arg-type]
    monkeypatch.setattr(Gguf, "likeliest", lambda self, ids, wanted: answers)
    return speaker


def test_answer_comes_at_every_level_that_makes_a_difference(speaker: BuiltinProposer,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    made = list(told(speaker, monkeypatch, RIGHT, "return b ? a[0] : 0;").propose(WORDS, 8, 30))
    assert [c.recipe.rpartition(", ")[2] for c in made] == ["level 3", "level 0", "level 3"]
    assert all(c.dialect == "c" and "model.gguf" in c.recipe and "beam of 8" in c.recipe for c in made)


def test_keep_is_no_candidate_and_no_failure(speaker: BuiltinProposer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(told(speaker, monkeypatch, "KEEP").propose(WORDS, 8, 30)) == []
    assert speaker.failures == []


class Wanted:
    """A trial that lets the code of one answer pass."""

    def __init__(self, *bodies: Body, fresh: bool = True) -> None:
        self.wanted, self.is_fresh, self.batches = {canonical(body) for body in bodies}, fresh, list[int]()

    def quick(self, text: str, names: Sequence[str]) -> list[bool]:
        self.batches.append(len(names))
        functions = Module.parse(text).functions
        return [canonical(functions[name].body) in self.wanted for name in names]

    def fresh(self, text: str, names: Sequence[str]) -> list[bool]:
        return [self.is_fresh] * len(names)


def code(text: str, *, draft: bool = False) -> Body:
    (body,) = compile_answers([text], "f", Setting(TYPES, Toolchain.find(), level=3, draft=draft))
    assert isinstance(body, Body)
    return body


def test_failing_answer_is_repaired(speaker: BuiltinProposer, monkeypatch: pytest.MonkeyPatch) -> None:
    told(speaker, monkeypatch, WRONG)
    assert list(speaker.propose(WORDS, 8, 30))
    trial = Wanted(code(RIGHT, draft=True))
    attempts = [Attempt(WRONG, "wrong_value", dialect="c")]
    made = list(speaker.refine(replace(WORDS.with_attempts(attempts), quick_check=trial), 8, 30))
    assert made
    assert {" ".join(c.answer.split()) for c in made} == {"return COUNT( b , a , x == 57 ) ;"}
    assert all("mended" in c.recipe for c in made)
    assert speaker.tally.repaired == 1
    assert max(trial.batches) > 10  # many in one compile


def test_mended_answer_that_fails_on_fresh_tests_is_not_proposed(speaker: BuiltinProposer,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(builtin_model, "REPAIR_LIMIT", 80)
    list(told(speaker, monkeypatch, WRONG).propose(WORDS, 8, 30))
    trial = Wanted(code(RIGHT, draft=True), fresh=False)
    assert list(speaker.refine(replace(WORDS, quick_check=trial), 8, 30)) == []
    assert speaker.tally.passed >= 1


def test_answers_that_were_right_but_slow_are_not_repaired(speaker: BuiltinProposer,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    (candidate, *_) = list(told(speaker, monkeypatch, WRONG).propose(WORDS, 8, 30))
    slow = WORDS.with_attempts([Attempt(candidate.answer, "not_faster", dialect="c")])
    trial = Wanted()
    assert list(speaker.refine(replace(slow, quick_check=trial), 8, 30)) == []
    assert trial.batches == []


def test_answers_to_another_prompt_are_not_repaired(speaker: BuiltinProposer, monkeypatch: pytest.MonkeyPatch) -> None:
    list(told(speaker, monkeypatch, WRONG).propose(WORDS, 8, 30))
    trial = Wanted()
    list(speaker.refine(replace(WORDS, function="g", quick_check=trial), 8, 30))
    assert trial.batches == []
