"""Sampling from a GGUF file with llama.cpp, in this process: many answers from one reading of the prompt.

Token ids go in and come out; no text, no tokeniser. One sequence per answer: the prompt is evaluated once and shared,
then all unfinished answers take a step together. A constraint may say which tokens can come next; what it forbids is
never drawn. With every token come the likeliest others in its place, for those who mend answers (`repair`).

Not covered: models that need more than one thread to be of use (one by default: a build has its own), GPUs, and files
so damaged that llama.cpp aborts the process instead of refusing them; the shim then assembles gcc's own text.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from gccllm.propose.protocol import Deadline

CHAT_CONTEXT = 16384
"""Tokens of prompt and answer for a model that is asked in words."""
BATCH = 512
"""Tokens evaluated at a time."""
MIN_P = 0.02
"""Tokens less likely than this share of the likeliest are never drawn."""
ALTERNATIVES = 6
"""Tokens remembered for each place of an answer."""
REPEATS = 3
"""Answers in a row that say what an earlier one said, after which the rest is not waited for."""


class Constraint(Protocol):
    """Which tokens may come next (`gccllm.propose.constrain`)."""

    @property
    def start(self) -> Any: ...

    def row(self, state: Any) -> Any:
        """(V,) bool, True on what may come; the end token included."""
        ...

    def step(self, state: Any, token: int) -> Any:
        """The state after a token that may come."""
        ...


class ModelError(Exception):
    """llama.cpp is not there, refuses the file, or failed."""


class PromptTooLong(ModelError):
    """Prompt and shortest useful answer do not fit into the model's context."""


@dataclass(frozen=True, slots=True)
class Answer:
    ids: tuple[int, ...]
    """Without the end token."""
    log_likelihood: float
    """Nats, under the model itself (temperature 1)."""
    complete: bool
    """It ended by itself, not at a limit."""
    logs: tuple[float, ...] = ()
    """Log-probability of each id, under the model itself, and of the end token if complete."""
    alternatives: tuple[tuple[tuple[int, float], ...], ...] = ()
    """For each id: the likeliest tokens in its place that may come there, itself perhaps included, and their
    log-probabilities."""


@cache
def library() -> Any:
    """llama_cpp's low-level module, silenced for good. Raises ModelError."""
    try:
        from llama_cpp import llama_cpp as lib
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelError(f"llama-cpp-python cannot be loaded: {error}") from error
    lib.llama_log_set(_quiet(lib), ctypes.c_void_p(0))
    lib.llama_backend_init()
    return lib


@cache
def _quiet(lib: Any) -> Any:
    """A log callback that says nothing; cached because C keeps the pointer."""
    return lib.llama_log_callback(lambda level, text, data: None)


class Gguf:
    """A loaded model. Raises ModelError when it cannot be."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        lib = library()
        if not path.is_file():
            raise ModelError(f"{path} is not there")
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self._model = lib.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise ModelError(f"{path} is not a model that llama.cpp can load")
        self.path = path
        self.threads = threads
        self.vocabulary = int(lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self._model)))
        self.context = int(lib.llama_model_n_ctx_train(self._model))

    def close(self) -> None:
        if self._model:
            library().llama_model_free(self._model)
            self._model = None

    def sample(
        self,
        prompt: Sequence[int],
        n: int,
        *,
        end: int,
        max_tokens: int,
        temperature: float,
        seed: int,
        deadline: Deadline,
        greedy_first: bool = True,
        constraint: Constraint | None = None,
        distinct: bool = True,
    ) -> list[Answer]:
        """`n` answers, the greedy one first (if asked for), the rest by falling likelihood; equal ones once.

        Without `distinct` all `n` in the order drawn, for estimates from independent samples. Fewer, or incomplete
        ones, when the deadline or `max_tokens` comes first, a prefix has no continuation, or (if distinct) `REPEATS`
        answers in a row said nothing new. Deterministic by seed on one machine.
        Raises PromptTooLong, ModelError.
        """
        if any(not 0 <= token < self.vocabulary for token in prompt) or not 0 <= end < self.vocabulary:
            raise ModelError(f"a token id is outside the model's vocabulary of {self.vocabulary}")
        room = self.context - len(prompt)
        if not prompt or room < 16:
            raise PromptTooLong(f"{len(prompt)} tokens, the context holds {self.context}")
        with _Context(self, len(prompt), n, min(max_tokens, room)) as context:
            enough = REPEATS if distinct else n + 1
            drawn = context.run(prompt, end, temperature, seed, deadline, greedy_first, constraint, enough)
        if not distinct:
            return drawn
        first, rest = (drawn[:1], drawn[1:]) if greedy_first else ([], drawn)
        ordered = first + sorted(rest, key=lambda answer: -answer.log_likelihood)
        return list({answer.ids: answer for answer in reversed(ordered)}.values())[::-1]


class _Context:
    """llama.cpp's evaluation state for one prompt and `n` answers of at most `max_tokens`."""

    def __init__(self, model: Gguf, prompt: int, n: int, max_tokens: int) -> None:
        lib = library()
        parameters = lib.llama_context_default_params()
        parameters.n_ctx = prompt + n * max_tokens + 64
        parameters.n_batch = parameters.n_ubatch = BATCH
        parameters.n_seq_max = n
        parameters.n_threads = parameters.n_threads_batch = model.threads
        parameters.kv_unified = True
        parameters.flash_attn_type = 0
        parameters.no_perf = True
        self.model, self.n, self.max_tokens = model, n, max_tokens
        self.handle = lib.llama_init_from_model(model._model, parameters)
        if not self.handle:
            raise ModelError("llama.cpp could not make a context (memory?)")
        self.memory = lib.llama_get_memory(self.handle)
        self.batch = lib.llama_batch_init(BATCH, 0, 1)

    def __enter__(self) -> _Context:
        return self

    def __exit__(self, *exception: object) -> None:
        library().llama_batch_free(self.batch)
        library().llama_free(self.handle)

    def run(
        self, prompt: Sequence[int], end: int, temperature: float, seed: int, deadline: Deadline, greedy_first: bool,
        constraint: Constraint | None = None, enough: int = REPEATS,
    ) -> list[Answer]:  # fmt: skip
        import numpy as np

        generator = np.random.default_rng(seed)
        logits = self._read(prompt, deadline)
        if logits is None:
            return []
        for sequence in range(1, self.n):
            library().llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)
        logits = np.repeat(logits, self.n, axis=0)
        answers = [_Growing(constraint.start if constraint else None) for _ in range(self.n)]
        alive, finished, repeats = list(range(self.n)), set[tuple[int, ...]](), 0
        for step in range(self.max_tokens):
            rows = [constraint.row(answers[i].state) for i in alive] if constraint else None
            drawn = _draw(np, logits, temperature, generator, greedy_first and alive[0] == 0, rows)
            still: list[tuple[int, int]] = []
            for sequence, (token, log, others) in zip(alive, drawn, strict=True):
                answer = answers[sequence]
                if token == end:
                    answer.logs.append(log)
                    answer.complete = True
                    repeats = repeats + 1 if tuple(answer.ids) in finished else 0
                    finished.add(tuple(answer.ids))
                elif token >= 0:
                    answer.add(token, log, others)
                    answer.state = constraint.step(answer.state, token) if constraint else None
                    still.append((sequence, token))
            alive = [sequence for sequence, _ in still]
            if not alive or step == self.max_tokens - 1 or deadline.is_over or repeats >= enough:
                break
            position = len(prompt) + step
            logits = self._evaluate([(token, position, sequence, True) for sequence, token in still])
        return [answer.done() for answer in answers]

    def _read(self, prompt: Sequence[int], deadline: Deadline) -> Any:
        """Logits (1, V) after the prompt, or None at the deadline."""
        logits = None
        for start in range(0, len(prompt), BATCH):
            if deadline.is_over:
                return None
            chunk = prompt[start : start + BATCH]
            last = len(prompt) - 1
            rows = [(token, start + i, 0, start + i == last) for i, token in enumerate(chunk)]
            logits = self._evaluate(rows)
        return logits

    def _evaluate(self, rows: Sequence[tuple[int, int, int, bool]]) -> Any:
        """Evaluate (token, position, sequence, wants logits) rows; logits (wanted, V) float32, a copy."""
        import numpy as np

        lib, batch = library(), self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = wanted
        code = lib.llama_decode(self.handle, batch)
        if code != 0:
            raise ModelError(f"llama_decode: {code}")
        wanted_rows = sum(row[3] for row in rows)
        if not wanted_rows:
            return None
        shape = (wanted_rows, self.model.vocabulary)
        logits = np.ctypeslib.as_array(lib.llama_get_logits(self.handle), shape).copy()
        if not np.isfinite(logits).all():
            raise ModelError(f"{self.model.path}: the model's output is not a number (NaN weights, a damaged file?)")
        return logits


@dataclass
class _Growing:
    """An answer while it is drawn."""

    state: Any
    ids: list[int] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)
    alternatives: list[tuple[tuple[int, float], ...]] = field(default_factory=list)
    complete: bool = False

    def add(self, token: int, log: float, others: tuple[tuple[int, float], ...]) -> None:
        self.ids.append(token)
        self.logs.append(log)
        self.alternatives.append(others)

    def done(self) -> Answer:
        return Answer(tuple(self.ids), sum(self.logs), self.complete, tuple(self.logs), tuple(self.alternatives))


_Drawn = tuple[int, float, tuple[tuple[int, float], ...]]


def _draw(np: Any, logits: Any, temperature: float, generator: Any, greedy: bool, rows: Any) -> list[_Drawn]:
    """For each row of `logits` (n, V): a token, its log-probability, and the likeliest tokens with theirs.

    Row 0 by argmax when `greedy`. `rows`: what may come in each row, or None. The token is -1 where nothing may.
    """
    logits = logits.astype(np.float64)
    logs = logits - logits.max(axis=1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    allowed = logs if rows is None else np.where(np.stack(rows), logs, -np.inf)
    top = allowed.max(axis=1, keepdims=True)
    dead = np.isneginf(top[:, 0])
    scaled = (allowed - np.where(np.isneginf(top), 0.0, top)) / max(temperature, 1e-6)
    # The Gumbel-max trick draws from all rows at once.
    scaled = np.where(scaled >= np.log(MIN_P), scaled + generator.gumbel(size=scaled.shape), -np.inf)
    if greedy:
        scaled[0] = allowed[0]
    tokens = scaled.argmax(axis=1)
    count = min(ALTERNATIVES, logs.shape[1])
    likely = np.argpartition(-allowed, count - 1, axis=1)[:, :count]
    out: list[_Drawn] = []
    for i, token in enumerate(tokens):
        others = sorted(((int(t), float(allowed[i, t])) for t in likely[i]), key=lambda other: -other[1])
        kept = tuple(other for other in others if other[1] > -np.inf)
        out.append((-1 if dead[i] else int(token), float(logs[i, token]), kept))
    return out


class Chat:
    """Any chat model, asked in words. Raises ModelError when it cannot be loaded."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        library()
        import llama_cpp

        if not path.is_file():
            raise ModelError(f"{path} is not there")
        try:
            self._model = llama_cpp.Llama(
                str(path),
                n_ctx=CHAT_CONTEXT,
                n_threads=threads,
                n_threads_batch=threads,
                flash_attn=False,
                verbose=False,
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise ModelError(f"{path}: {error}") from error
        library().llama_log_set(_quiet(library()), ctypes.c_void_p(0))

    def close(self) -> None:
        self._model.close()

    def answer(
        self,
        messages: Sequence[dict[str, str]],
        *,
        temperature: float,
        max_tokens: int,
        seed: int,
        deadline: Deadline,
        max_characters: int,
    ) -> str:
        """One answer, cut at the limits and the deadline. Raises PromptTooLong, ModelError."""
        text = ""
        try:
            stream = self._model.create_chat_completion(
                messages=list(messages), temperature=temperature, max_tokens=max_tokens, seed=seed, stream=True
            )
            for chunk in stream:
                text += chunk["choices"][0]["delta"].get("content") or ""
                if deadline.is_over or len(text) > max_characters:
                    break
        except ValueError as error:  # what llama-cpp-python raises for a prompt over the context
            raise PromptTooLong(str(error)) from error
        except Exception as error:  # a model's own chat template runs here, and may fail in any way
            raise ModelError(f"{type(error).__name__}: {error}") from error
        return text
