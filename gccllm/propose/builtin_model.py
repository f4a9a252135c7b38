"""The built-in model as a proposer: the likeliest answers under a constraint, one compile for all, then repair.

    propose   one prefill, the `n` likeliest answers that a beam finds, each compiled for every ISA level that makes a
              difference; none where the model is confident that a recipe is as good
    refine    the failing answers of the last `propose`, edited where the model was least sure (`repair`), tried on the
              caller's tests; without a quick check in the prompt: the next likeliest answers

Covered: functions whose types and scalar text have words. A model that is not there, not ours, damaged or of another
vocabulary is a named failure, and the build goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.base.core import Candidate, Decline
from gccllm.base.deadline import Deadline
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.propose import c_bodies
from gccllm.propose import tokens as vocabulary
from gccllm.propose.beam import Answer, Wanted
from gccllm.propose.c_words import KEEP
from gccllm.propose.constrain import Constraint, Table
from gccllm.propose.facts import Facts, facts_of
from gccllm.propose.llama import Gguf, ModelError, PromptTooLong
from gccllm.propose.protocol import Failure, Prompt, QuickCheck, Tokens
from gccllm.propose.repair import Checks, Tally, repair, search, siblings
from gccllm.propose.slots import Slots

BUILTIN = Path(__file__).with_name("builtin") / "model.gguf"
TOKENS = "tokens.json"
MAX_TOKENS = 256
"""Longest answer."""
WIDEST = 64
"""Answers of one beam."""
KEEP_FROM = 0.98
"""Share from which the answer KEEP is accepted: a wrong one forgoes the whole gain, a right one saves a second."""
REPAIR_S = 8.0
"""Most seconds of a search for a repaired answer."""
REPAIR_LIMIT = 3000
"""Most edited answers that it may try."""
Tried = Callable[[str, Sequence[str]], Sequence[bool]]


@dataclass
class _Asked:
    """The last prompt and what the model said to it."""

    function: str
    baseline: str
    answers: list[tuple[Answer, str]]
    constraint: Constraint

    def is_of(self, prompt: Prompt) -> bool:
        return (self.function, self.baseline) == (prompt.function, prompt.baseline)


@dataclass
class BuiltinProposer:
    """A GGUF with ids of our own vocabulary. The file loads with the first prompt and stays."""

    path: Path = BUILTIN
    threads: int = 1
    name: str = "model"
    failures: list[Failure] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    """What the last search of `refine` did."""
    _model: Gguf | None = field(default=None, repr=False)
    _tokens: Tokens | None = field(default=None, repr=False)
    _table: Table | None = field(default=None, repr=False)
    _kin: dict[int, tuple[int, ...]] = field(default_factory=dict, repr=False)
    _last: _Asked | None = field(default=None, repr=False)

    def propose(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        """Candidates of up to `n` distinct answers: each gives one for every ISA level that makes a difference."""
        deadline = Deadline(deadline_s)
        answers = self._draw(prompt, n, deadline)
        yield from self._candidates(answers, prompt, f"beam of {n}", deadline)

    def refine(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        """Repaired answers; without a quick check, those of a wider beam that were not attempted."""
        deadline = Deadline(deadline_s)
        if prompt.quick_check is not None and self._last is not None and self._last.is_of(prompt):
            texts = self._repaired(prompt, prompt.quick_check, n, deadline)
            yield from self._compiled(texts, prompt, [f"mended {i}" for i in range(len(texts))], deadline)
            return
        tried = {attempt.body for attempt in prompt.attempts}
        width = min(WIDEST, n + len(tried))
        answers = [(answer, text) for answer, text in self._draw(prompt, width, deadline) if text not in tried][:n]
        for candidate in self._candidates(answers, prompt, f"beam of {width}", deadline):
            if candidate.body not in tried:
                yield candidate

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
        self._model = self._tokens = self._last = None

    def load(self) -> tuple[Gguf, Tokens]:
        """The model and its vocabulary. Raises ModelError when one cannot be used, or they do not belong together."""
        if self._model is None or self._tokens is None:
            tokens = load_tokens(self.path.with_name(TOKENS))
            try:
                table, kin = Table(tokens), siblings(tokens.words)
            except (TypeError, ValueError, LookupError, AttributeError) as error:
                raise ModelError(f"{TOKENS} beside {self.path} is damaged: {error}") from error
            model = Gguf(self.path, self.threads)
            if model.vocabulary != len(tokens.words):
                model.close()
                raise ModelError(
                    f"{self.path} has {model.vocabulary} tokens and {TOKENS} beside it {len(tokens.words)}: "
                    "they are not of one model"
                )
            self._model, self._tokens, self._table, self._kin = model, tokens, table, kin
        return self._model, self._tokens

    # --- sampling ---------------------------------------------------------------------------------

    def _draw(self, prompt: Prompt, n: int, deadline: Deadline) -> list[tuple[Answer, str]]:
        """Complete answers with their C text, likeliest first."""
        if n <= 0:
            return []
        try:
            model, tokens = self.load()
            assert self._table is not None
            ids = tokens.encode_prompt(prompt)
            constraint = Constraint(
                self._table, prompt.types, len(Slots.of(prompt.short).values), facts_of_prompt(prompt)
            )
            alone = keep_alone(tokens.words)
            drawn = model.likeliest(ids, Wanted(min(n, WIDEST), tokens.end, MAX_TOKENS, deadline, constraint, alone))
        except PromptTooLong as error:
            self.failures.append(Failure(Reason.PROMPT_TOO_LONG, str(error)))
            return []
        except ModelError as error:
            reason = Reason.MODEL_FAILED if self._model is not None else Reason.MODEL_ABSENT
            self.failures.append(Failure(reason, str(error)))
            return []
        except (ValueError, LookupError) as error:
            self.failures.append(Failure(Reason.PROMPT_UNKNOWN, str(error)))
            return []
        answers: list[tuple[Answer, str]] = []
        for number, answer in enumerate(drawn):
            if not answer.complete:
                self.failures.append(Failure(Reason.NO_CODE, f"sample {number} did not end"))
                continue
            try:
                text = tokens.decode_answer(list(answer.ids), prompt)
            except (ValueError, LookupError) as error:  # any sequence of ids can come
                self.failures.append(Failure(Reason.NO_CODE, f"sample {number} is no text: {error}"))
                continue
            answers.append((answer, text))
        self._last = _Asked(prompt.function, prompt.baseline, answers, constraint)
        return answers

    def _candidates(
        self, answers: Sequence[tuple[Answer, str]], prompt: Prompt, words: str, deadline: Deadline
    ) -> Iterator[Candidate]:
        texts = [text for _, text in answers if text.strip() != KEEP]
        yield from self._compiled(texts, prompt, [f"{words}, {i}" for i in range(len(texts))], deadline)

    def _compiled(
        self, texts: Sequence[str], prompt: Prompt, words: Sequence[str], deadline: Deadline
    ) -> Iterator[Candidate]:
        if texts and prompt.types is not None:
            origin = [f"{self.path.name}, {one}" for one in words]
            yield from c_bodies.candidates(texts, prompt, origin, self.failures, deadline)

    # --- repair -----------------------------------------------------------------------------------

    def _repaired(self, prompt: Prompt, check: QuickCheck, n: int, deadline: Deadline) -> list[str]:
        """Texts of up to `n` repaired answers, likeliest first."""
        types, last, tokens = prompt.types, self._last, self._tokens
        if types is None or last is None or tokens is None:
            return []
        tools = prompt.unit.tools if prompt.unit is not None else Toolchain.find()
        level = c_bodies.levels(prompt)[0]
        deadline = Deadline(min(REPAIR_S, deadline.left))

        def decode(ids: Sequence[int]) -> str | None:
            try:
                text = tokens.decode_answer(ids, prompt)
            except (ValueError, LookupError):
                return None
            return text if text.strip() != KEEP else None

        def verdicts(texts: Sequence[str], draft: bool, try_out: Tried) -> list[bool]:
            how = c_bodies.Setting(types, tools, prompt.unit, level, draft)
            made = c_bodies.compile_text(texts, how, max(1.0, deadline.left))
            there = [i for i in range(len(texts)) if i not in made.failures]
            passes = dict(zip(there, try_out(made.text, [f"fn{i}" for i in there]), strict=True))
            return [passes.get(i, False) for i in range(len(texts))]

        # What was right but not faster is no better for an edit.
        slow = {attempt.body for attempt in prompt.attempts if attempt.reason == Reason.NOT_FASTER.label}
        seeds = [answer for answer, text in last.answers if text not in slow and text.strip() != KEEP]
        self.tally = Tally()
        try:
            checks = Checks(
                lambda texts: verdicts(texts, True, check.quick), lambda texts: verdicts(texts, False, check.fresh)
            )
            edited = search(seeds, self._kin, last.constraint.accepts, decode, REPAIR_LIMIT)
            repaired = repair(edited, checks, deadline, tally=self.tally)
        except Decline as decline:
            self.failures.append(Failure(decline.reason, decline.detail))
            return []
        return [one.text for one in repaired[:n]]


def keep_alone(words: Sequence[str]) -> tuple[int, float] | None:
    """KEEP as `beam.Wanted.alone`."""
    return (words.index(" " + KEEP), KEEP_FROM) if " " + KEEP in words else None


def facts_of_prompt(prompt: Prompt) -> Facts:
    if prompt.types is None:
        return Facts()
    return facts_of(prompt.short, prompt.types, prompt.unit.tools if prompt.unit is not None else Toolchain.find())


def load_tokens(path: Path) -> Tokens:
    """The built-in model's tokens. Raises ModelError."""
    try:
        return vocabulary.load(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no vocabulary: {error}") from error
