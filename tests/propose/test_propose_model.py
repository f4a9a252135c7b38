"""The model proposer with real, tiny GGUF files of random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gccllm.base.deadline import Deadline
from gccllm.base.reasons import Reason
from gccllm.propose import Attempt, Prompt, builtin_model, llama, model
from gccllm.propose.beam import Wanted
from gccllm.propose.llama import Gguf, ModelError, PromptTooLong
from gccllm.propose.model import BuiltinProposer, ChatProposer, model_proposer
from gccllm.propose.signature import CSignature
from tests.kit import tiny_gguf

TYPES = CSignature("i32", ("pu8", "i64"))
PROMPT = Prompt("f", "\tret\n", scalar="\tnop\n\tret\n", types=TYPES)


class Bytes:
    """Tokens for tests: every id is a word of its own."""

    words = tuple(f"<{i}>" for i in range(64))
    follows = None
    end = 7

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        return [8 + ord(c) % 40 for c in prompt.short]

    def decode_answer(self, ids: Sequence[int], prompt: Prompt) -> str:
        return "return " + " + ".join(["a[0]", *(str(i) for i in ids)]) + ";"


class Anything:
    """A constraint that allows everything."""

    start = 0

    def row(self, state: int) -> Any:
        return np.ones(64, np.bool_)

    def step(self, state: int, token: int) -> int:
        return 0

    def accepts(self, ids: Sequence[int]) -> bool:
        return True


@pytest.fixture(scope="module")
def gguf_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf", context=128)


@pytest.fixture
def tiny(gguf_path: Path) -> Gguf:
    return Gguf(gguf_path)


def draw(tiny: Gguf, n: int, *, prompt: Sequence[int] = (9, 10, 11), seconds: float = 30.0,
         max_tokens: int = 24) -> list[tuple[int, ...]]:  # fmt: skip
    answers = tiny.likeliest(prompt, Wanted(n, 7, max_tokens, Deadline(seconds)))
    return [answer.ids for answer in answers]


def test_answers_differ_and_come_again(tiny: Gguf) -> None:
    first = draw(tiny, 6)
    assert len(set(first)) == len(first) == 6
    assert draw(tiny, 6) == first


def alone(tiny: Gguf, prompt: Sequence[int], ids: Sequence[int]) -> list[float]:
    """The log-probability of each id when there is no other answer."""
    with llama._Context(tiny, len(prompt) + len(ids), 1, 64) as context:
        logs = []
        for i, token in enumerate(ids):
            library = llama.library()
            library.llama_memory_seq_rm(context.memory, 0, -1, -1)
            logits = context._read([*prompt, *ids[:i]], Deadline(30))[0].astype(np.float64)
            logs.append(float(logits[token] - logits.max() - np.log(np.exp(logits - logits.max()).sum())))
        return logs


def test_each_answer_is_as_likely_as_it_would_be_alone(tiny: Gguf) -> None:
    """No answer sees its neighbours' tokens, whatever lanes they were moved to."""
    prompt = range(8, 40)
    for answer in tiny.likeliest(prompt, Wanted(5, 7, 24, Deadline(30))):
        assert answer.logs[: len(answer.ids)] == pytest.approx(alone(tiny, prompt, answer.ids), abs=0.02)


def test_prompt_longer_than_a_batch_is_read_whole(tmp_path: Path) -> None:
    large = Gguf(tiny_gguf.write(tmp_path / "large.gguf", context=2048))
    prompt = [8 + i * i % 50 for i in range(1200)]
    assert draw(large, 1, prompt=prompt) == draw(large, 1, prompt=prompt)
    assert draw(large, 1, prompt=prompt) != draw(large, 1, prompt=prompt[:600])
    large.close()


def test_answers_end_at_the_limit(tiny: Gguf) -> None:
    assert all(len(ids) <= 5 for ids in draw(tiny, 4, max_tokens=5))


def test_prompt_that_does_not_fit_is_refused(tiny: Gguf) -> None:
    with pytest.raises(PromptTooLong):
        draw(tiny, 1, prompt=[9] * 120)


@pytest.mark.parametrize("token", [-1, 64, 1 << 40])
def test_token_outside_the_vocabulary_is_refused(tiny: Gguf, token: int) -> None:
    with pytest.raises(ModelError):
        draw(tiny, 1, prompt=[9, token])


def test_no_time_gives_no_complete_answer(tiny: Gguf) -> None:
    answers = tiny.likeliest([9], Wanted(3, 7, 50, Deadline(0)))
    assert not any(answer.complete for answer in answers)


def test_llama_cpp_is_silent(gguf_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    draw(Gguf(gguf_path), 2)
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelError):
        Gguf(tmp_path / "bad.gguf")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [None, b"", b"not a model", b"GGUF\x03\0\0\0" + b"\xff" * 64])
def test_file_that_is_no_model_is_a_named_failure(tmp_path: Path, content: bytes | None,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(builtin_model, "load_tokens", lambda path: Bytes())
    path = tmp_path / "m.gguf"
    if content is not None:
        path.write_bytes(content)
    for proposer in (BuiltinProposer(path), ChatProposer(path)):
        assert list(proposer.propose(PROMPT, 2, 5)) == []
        assert [failure.reason for failure in proposer.failures] == [Reason.MODEL_ABSENT]


def test_truncated_model_is_a_named_failure(tmp_path: Path, gguf_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin_model, "load_tokens", lambda path: Bytes())
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_path.read_bytes()[:-1000])
    proposer = BuiltinProposer(path)
    assert list(proposer.propose(PROMPT, 2, 5)) == []
    assert [failure.reason for failure in proposer.failures] == [Reason.MODEL_ABSENT]


def test_missing_or_broken_tokens_are_a_named_failure(tmp_path: Path, gguf_path: Path) -> None:
    (tmp_path / "tokens.json").write_text("{")
    (tmp_path / "m.gguf").write_bytes(gguf_path.read_bytes())
    proposer = model_proposer(str(tmp_path / "m.gguf"))
    assert isinstance(proposer, BuiltinProposer)
    assert list(proposer.propose(PROMPT, 2, 5)) == []
    assert [failure.reason for failure in proposer.failures] == [Reason.MODEL_ABSENT]


@pytest.fixture
def proposer(gguf_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuiltinProposer:
    monkeypatch.setattr(builtin_model, "load_tokens", lambda path: Bytes())
    monkeypatch.setattr(builtin_model, "Constraint", lambda *about: Anything())
    return BuiltinProposer(gguf_path)


def test_candidates_are_distinct_texts_and_say_where_they_come_from(proposer: BuiltinProposer) -> None:
    candidates = list(proposer.propose(PROMPT, 16, 30))
    assert candidates
    assert len({candidate.body for candidate in candidates}) == len(candidates)
    assert all(c.proposer == "model" and "tiny.gguf" in c.recipe and "beam of 16" in c.recipe for c in candidates)


def test_refinement_gives_none_of_the_attempts(proposer: BuiltinProposer) -> None:
    tried = [candidate.answer for candidate in proposer.propose(PROMPT, 16, 30)]
    prompt = PROMPT.with_attempts([Attempt(body, "wrong_value", dialect="c") for body in tried])
    assert not {c.answer for c in proposer.refine(prompt, 16, 30)} & set(tried)


def test_prompt_over_the_context_is_a_named_failure(proposer: BuiltinProposer) -> None:
    assert list(proposer.propose(Prompt("f", "\tnop\n" * 100, types=TYPES), 2, 30)) == []
    assert [failure.reason for failure in proposer.failures] == [Reason.PROMPT_TOO_LONG]


def test_answer_that_ids_do_not_spell_is_a_named_failure(proposer: BuiltinProposer,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def refuse(self: Bytes, ids: Sequence[int], prompt: Prompt) -> str:
        raise ValueError("no such word")

    monkeypatch.setattr(Bytes, "decode_answer", refuse)
    assert list(proposer.propose(PROMPT, 8, 30)) == []
    assert {failure.reason for failure in proposer.failures} == {Reason.NO_CODE}


def test_model_stays_loaded_and_can_be_closed_twice(proposer: BuiltinProposer) -> None:
    first = [c.body for c in proposer.propose(PROMPT, 4, 30)]
    loaded = proposer._model
    assert [c.body for c in proposer.propose(PROMPT, 4, 30)] == first
    assert proposer._model is loaded
    proposer.close()
    proposer.close()
    assert [c.body for c in proposer.propose(PROMPT, 4, 30)] == first


def test_any_other_gguf_is_asked_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "MAX_CHAT_TOKENS", 40)
    path = tiny_gguf.write(tmp_path / "chat.gguf", vocabulary=300, context=4096, chat=True)
    proposer = model_proposer(str(path))
    assert isinstance(proposer, ChatProposer)
    assert list(proposer.propose(PROMPT, 2, 60)) == []  # random weights write no code
    assert [failure.reason for failure in proposer.failures] == [Reason.NO_CODE] * 2
    proposer.close()


# --- constraint, alternatives, damage ---------------------------------------------------------------


class Even:
    """Only even tokens may come, and an answer may end (7) once its last token is over 40."""

    start = 0

    def row(self, state: int) -> Any:
        row = np.arange(64) % 2 == 0
        row[7] = state > 40
        return row

    def step(self, state: int, token: int) -> int:
        return token


def constrained(tiny: Gguf, constraint: Any, n: int = 6) -> Any:
    return tiny.likeliest([9, 10], Wanted(n, 7, 24, Deadline(30), constraint))


def test_what_the_constraint_forbids_is_not_drawn(tiny: Gguf) -> None:
    answers = constrained(tiny, Even())
    assert all(token % 2 == 0 for answer in answers for token in answer.ids)
    assert all(answer.ids[-1] > 40 for answer in answers if answer.complete)


def test_prefix_without_continuation_is_given_up(tiny: Gguf) -> None:
    class Dead(Even):
        def row(self, state: int) -> Any:
            return np.zeros(64, np.bool_) if state else super().row(state) & (np.arange(64) > 0)

    assert constrained(tiny, Dead()) == []


def test_every_token_comes_with_its_likelihood_and_what_else_might_have_come(tiny: Gguf) -> None:
    for answer in constrained(tiny, Even()):
        assert len(answer.alternatives) == len(answer.ids) == len(answer.logs) - answer.complete
        assert answer.log_likelihood == pytest.approx(sum(answer.logs))
        for others in answer.alternatives:
            assert [log for _, log in others] == sorted((log for _, log in others), reverse=True)
            assert 1 <= len(others) <= 6
            assert all(token % 2 == 0 or token == 7 for token, _ in others)
    greedy = constrained(tiny, Even(), 1)[0]
    assert all(others[0] == (token, log) for token, log, others in
               zip(greedy.ids, greedy.logs, greedy.alternatives, strict=False))  # fmt: skip
