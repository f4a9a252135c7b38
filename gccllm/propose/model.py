"""The `model` proposer in this process: the built-in model, or any GGUF.

A GGUF with a `tokens.json` beside it speaks the built-in model's language: ids made by `gccllm.propose.tokens`, answers
that are a body and nothing else. Any other GGUF is asked in words (`prompt_text`), like a server.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.core import Candidate
from gccllm.propose import prompt_text
from gccllm.propose.answers import to_candidate
from gccllm.propose.llama import Chat, Gguf, ModelError, PromptTooLong
from gccllm.propose.protocol import Deadline, Failure, Prompt, Proposer, Tokens
from gccllm.reasons import Reason

BUILTIN = Path(__file__).with_name("builtin") / "model.gguf"
TOKENS = "tokens.json"
MAX_TOKENS = 1024
"""Longest answer of the built-in model."""
MAX_CHAT_TOKENS = 4096
"""Longest answer of a model that is asked in words, reasoning included."""
TEMPERATURE = 0.7
REFINING_TEMPERATURE = 1.0
"""Hotter when the likeliest answers have been refused already."""


def model_proposer(path: str = "", *, seed: int = 1, threads: int = 1) -> Proposer:
    """The proposer for a GGUF at `path`; the built-in model when `path` is empty. Loads nothing yet."""
    model = Path(path) if path else BUILTIN
    if not path or model.with_name(TOKENS).is_file():
        return BuiltinProposer(model, seed=seed, threads=threads)
    return ChatProposer(model, seed=seed, threads=threads)


@dataclass
class BuiltinProposer:
    """A GGUF that speaks ids. The file loads with the first prompt and stays."""

    path: Path = BUILTIN
    seed: int = 1
    threads: int = 1
    name: str = "model"
    failures: list[Failure] = field(default_factory=list)
    _model: Gguf | None = field(default=None, repr=False)
    _tokens: Tokens | None = field(default=None, repr=False)

    def propose(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        yield from self._draw(prompt, n, deadline_s, TEMPERATURE, self.seed, greedy_first=True)

    def refine(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        """Other samples than those attempted: hotter, from another seed."""
        seed = self.seed + 7919 * (1 + len(prompt.attempts))
        yield from self._draw(prompt, n, deadline_s, REFINING_TEMPERATURE, seed, greedy_first=False)

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
        self._model = self._tokens = None

    def _draw(
        self, prompt: Prompt, n: int, deadline_s: float, temperature: float, seed: int, *, greedy_first: bool
    ) -> Iterator[Candidate]:
        deadline = Deadline(deadline_s)
        if n <= 0:
            return
        try:
            model, tokens = self._load()
            ids = tokens.encode_prompt(prompt)
            answers = model.sample(
                ids,
                n,
                end=tokens.end,
                max_tokens=MAX_TOKENS,
                temperature=temperature,
                seed=seed,
                deadline=deadline,
                greedy_first=greedy_first,
            )
        except PromptTooLong as error:
            self.failures.append(Failure(Reason.PROMPT_TOO_LONG, str(error)))
            return
        except ModelError as error:
            reason = Reason.MODEL_FAILED if self._model is not None else Reason.MODEL_ABSENT
            self.failures.append(Failure(reason, str(error)))
            return
        except (ValueError, LookupError) as error:
            self.failures.append(Failure(Reason.PROMPT_UNKNOWN, str(error)))
            return
        seen = {prompt.baseline, prompt.scalar, *(attempt.body for attempt in prompt.attempts)}
        for number, answer in enumerate(answers):
            if not answer.complete:
                self.failures.append(Failure(Reason.NO_CODE, f"sample {number} did not end"))
                continue
            try:
                body = tokens.decode_answer(list(answer.ids), prompt)
            except (ValueError, LookupError) as error:  # any sequence of ids can come
                self.failures.append(Failure(Reason.NO_CODE, f"sample {number} is no text: {error}"))
                continue
            if body not in seen:
                seen.add(body)
                yield Candidate(body, self.name, f"{self.path.name}, temperature {temperature}, seed {seed}, {number}")

    def _load(self) -> tuple[Gguf, Tokens]:
        if self._model is None or self._tokens is None:
            self._tokens = load_tokens(self.path.with_name(TOKENS))
            self._model = Gguf(self.path, self.threads)
        return self._model, self._tokens


def load_tokens(path: Path) -> Tokens:
    """The built-in model's tokens. Raises ModelError."""
    try:
        tokens = importlib.import_module("gccllm.propose.tokens")
        loaded: Tokens = tokens.load(path)
    except (ImportError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: {error}") from error
    return loaded


@dataclass
class ChatProposer:
    """A GGUF that is asked in words, in this process. A large one is better left to `gccllm serve`, loaded once."""

    path: Path
    seed: int = 1
    threads: int = 1
    name: str = "model"
    failures: list[Failure] = field(default_factory=list)
    _model: Chat | None = field(default=None, repr=False)

    def propose(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        deadline = Deadline(deadline_s)
        seen: set[str] = set()
        messages = prompt_text.messages(prompt)
        for number in range(n):
            if deadline.is_over:
                return
            try:
                text = self.answer(messages, TEMPERATURE if number else 0.0, MAX_CHAT_TOKENS, number, deadline)
            except PromptTooLong as error:
                self.failures.append(Failure(Reason.PROMPT_TOO_LONG, str(error)))
                return
            except ModelError as error:
                reason = Reason.MODEL_FAILED if self._model is not None else Reason.MODEL_ABSENT
                self.failures.append(Failure(reason, str(error)))
                return
            made = to_candidate(text, prompt, f"{self.path.name}, seed {self.seed}, sample {number}", deadline)
            if isinstance(made, Failure):
                self.failures.append(made)
            elif made.body not in seen:
                seen.add(made.body)
                yield made

    def refine(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        return self.propose(prompt, n, deadline_s)

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
        self._model = None

    def answer(
        self, messages: Sequence[dict[str, str]], temperature: float, max_tokens: int, number: int, deadline: Deadline
    ) -> str:
        """The model's own words for one sample. Loads it the first time. Raises ModelError."""
        if self._model is None:
            self._model = Chat(self.path, self.threads)
        return self._model.answer(
            messages,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=self.seed + number,
            deadline=deadline,
            max_characters=prompt_text.MAX_ANSWER,
        )
