"""Answers from a GGUF file with llama.cpp, in this process: many for one evaluation of the prompt.

Token ids go in and come out; no text, no tokeniser. One sequence per answer: the prompt is evaluated once and shared,
then all unfinished answers take a step together (`beam`). A constraint may say which tokens can come next. Every
token carries its likeliest alternatives, which `repair` uses.

Not covered: models that need more than one thread to be of use (one by default: a build has its own), GPUs, and files
so damaged that llama.cpp aborts the process instead of refusing them; the shim then assembles gcc's own text.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from gccllm.base.deadline import Deadline
from gccllm.propose.beam import Answer, Step, Wanted, likeliest

CHAT_CONTEXT = 16384
"""Tokens of prompt and answer for a model that is asked in words."""
BATCH = 512
"""Tokens evaluated at a time."""


class ModelError(Exception):
    """llama.cpp is not there, refuses the file, or failed."""


class PromptTooLong(ModelError):
    """Prompt and shortest useful answer do not fit into the model's context."""


@cache
def library() -> Any:
    """llama_cpp's low-level module, silenced for good. Raises ModelError."""
    try:
        lib = _bindings()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise ModelError(f"no {missing}: {sys.executable} -m pip install llama-cpp-python") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelError(f"llama-cpp-python cannot be loaded: {error}") from error
    lib.llama_log_set(_quiet(lib), ctypes.c_void_p(0))
    lib.llama_backend_init()
    return lib


def _bindings() -> Any:
    """`llama_cpp.llama_cpp` without its package's own imports (chat templates, caches): a quarter of the time."""
    known = sys.modules.get("llama_cpp.llama_cpp")
    if known is not None:
        return known
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or "llama_cpp" in sys.modules:
        return importlib.import_module("llama_cpp.llama_cpp")
    bare = types.ModuleType("llama_cpp")
    bare.__path__, bare.__spec__ = list(spec.submodule_search_locations or ()), spec
    sys.modules["llama_cpp"] = bare
    try:
        return importlib.import_module("llama_cpp.llama_cpp")
    finally:
        del sys.modules["llama_cpp"]  # a later import gets the real package


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

    def likeliest(self, prompt: Sequence[int], wanted: Wanted) -> list[Answer]:
        """The likeliest answers that a beam finds, the likeliest first; incomplete ones come last (`beam`).

        Deterministic on one machine. Raises PromptTooLong, ModelError.
        """
        wanted = replace(wanted, max_tokens=min(wanted.max_tokens, self._room(prompt, wanted.end)))
        with _Context(self, len(prompt), wanted.width, wanted.max_tokens) as context:
            return context.beam(prompt, wanted)

    def _room(self, prompt: Sequence[int], end: int) -> int:
        """Tokens that an answer may have. Raises PromptTooLong, ModelError."""
        if any(not 0 <= token < self.vocabulary for token in prompt) or not 0 <= end < self.vocabulary:
            raise ModelError(f"a token id is outside the model's vocabulary of {self.vocabulary}")
        room = self.context - len(prompt)
        if not prompt or room < 16:
            raise PromptTooLong(f"{len(prompt)} tokens, the context holds {self.context}")
        return room


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
        self.model = model
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

    def beam(self, prompt: Sequence[int], wanted: Wanted) -> list[Answer]:
        """The likeliest answers (`beam`)."""
        logits = self._read(prompt, wanted.deadline)
        if logits is None:
            return []

        def evaluate(steps: Sequence[Step], length: int) -> Any:
            lib = library()
            # Copies first: an origin's own lane is longer by a token after the evaluation.
            for step in steps:
                if step.lane != step.origin:
                    lib.llama_memory_seq_rm(self.memory, step.lane, -1, -1)
                    lib.llama_memory_seq_cp(self.memory, step.origin, step.lane, -1, -1)
            return self._evaluate([(step.token, len(prompt) + length, step.lane, True) for step in steps])

        return likeliest(logits, evaluate, wanted)

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


@dataclass(frozen=True, slots=True)
class ChatSampling:
    """How an answer in words is drawn."""

    temperature: float
    seed: int
    max_tokens: int
    max_characters: int


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

    def answer(self, messages: Sequence[dict[str, str]], sampling: ChatSampling, deadline: Deadline) -> str:
        """One answer, cut at the limits and the deadline. Raises PromptTooLong, ModelError."""
        text = ""
        try:
            stream = self._model.create_chat_completion(
                messages=list(messages), temperature=sampling.temperature, max_tokens=sampling.max_tokens,
                seed=sampling.seed, stream=True,
            )  # fmt: skip
            for chunk in stream:
                text += chunk["choices"][0]["delta"].get("content") or ""
                if deadline.is_over or len(text) > sampling.max_characters:
                    break
        except ValueError as error:  # what llama-cpp-python raises for a prompt over the context
            raise PromptTooLong(str(error)) from error
        except Exception as error:  # a model's own chat template runs here, and may fail in any way
            raise ModelError(f"{type(error).__name__}: {error}") from error
        return text
