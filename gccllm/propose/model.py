"""The `model` proposer in this process: the built-in model, or any GGUF.

A GGUF with a `tokens.json` beside it speaks the built-in model's language (`builtin`): ids made by
`gccllm.propose.tokens`, answers that are the inside of a C function and nothing else. Any other GGUF is asked in words
(`prompt_text`), like a server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.base.core import Candidate
from gccllm.base.deadline import Deadline
from gccllm.base.reasons import Reason
from gccllm.propose import prompt_text
from gccllm.propose.answers import to_candidate
from gccllm.propose.builtin_model import BUILTIN, TOKENS, BuiltinProposer, load_tokens
from gccllm.propose.llama import Chat, ChatSampling, ModelError, PromptTooLong
from gccllm.propose.protocol import Failure, Prompt, Proposer

MAX_CHAT_TOKENS = 4096
"""Longest answer of a model that is asked in words, reasoning included."""
TEMPERATURE = 0.7

__all__ = ["BUILTIN", "TOKENS", "BuiltinProposer", "ChatProposer", "load_tokens", "model_proposer"]


def model_proposer(path: str = "", *, seed: int = 1, threads: int = 1) -> Proposer:
    """The proposer for a GGUF at `path`; the built-in model when `path` is empty. Loads nothing yet."""
    model = Path(path) if path else BUILTIN
    if not path or model.with_name(TOKENS).is_file():
        return BuiltinProposer(model, threads=threads)
    return ChatProposer(model, seed=seed, threads=threads)


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
        sampling = ChatSampling(temperature, self.seed + number, max_tokens, prompt_text.MAX_ANSWER)
        return self._model.answer(messages, sampling, deadline)
