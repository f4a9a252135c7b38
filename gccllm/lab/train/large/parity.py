"""A converted file against the folder it came from: the same ids for the same text, the same choice of next token.

Both sides compute in f32 on the CPU with f32 keys and values, so an f32 file agrees to rounding; f16 and q8_0 files
differ by their rounding, and the share of equal choices says how much.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = (
    "int f(const int *a, int n) {\n    return a[n - 1] + 0x1f;\n}\n",
    "\tvmovdqu\t(%rdi,%rax), %ymm1\n\tjne\t.L3\n",
    "don't  stop\r\n\n  12345 \u00fc\u4e2d",
)


@dataclass(frozen=True)
class Parity:
    """How far two computations of the same logits are apart."""

    tokens: int
    same_choice: float
    """Share of positions with the same most likely next token."""
    most_apart: float
    """Largest difference of a logit."""


class Loaded:
    """A GGUF in llama.cpp's plain interface. Raises ValueError when it cannot be loaded. Close it."""

    def __init__(self, path: Path, context: int = 512) -> None:
        import llama_cpp

        self._lib: Any = llama_cpp
        # Kept: llama.cpp calls it for as long as the process lives.
        global _quiet
        _quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(_quiet, ctypes.c_void_p(0))
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise ValueError(f"llama.cpp does not load {path}")
        wanted = llama_cpp.llama_context_default_params()
        wanted.n_ctx = wanted.n_batch = wanted.n_ubatch = context
        wanted.n_threads = wanted.n_threads_batch = 1
        wanted.type_k = wanted.type_v = 0
        wanted.flash_attn_type = 0
        self._context = llama_cpp.llama_init_from_model(self._model, wanted)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self.size = int(llama_cpp.llama_vocab_n_tokens(self._vocabulary))

    def tokenize(self, text: str) -> list[int]:
        raw = text.encode()
        room = (ctypes.c_int32 * (len(raw) + 8))()
        count = self._lib.llama_tokenize(self._vocabulary, raw, len(raw), room, len(room), False, True)
        return list(room[:count])

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """(T, V) after each of T ids."""
        lib = self._lib
        batch = lib.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
        try:
            lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
            if lib.llama_decode(self._context, batch) != 0:
                raise ValueError(f"llama.cpp does not decode {len(ids)} tokens")
            rows = [
                np.ctypeslib.as_array(lib.llama_get_logits_ith(self._context, i), (self.size,)).copy()
                for i in range(len(ids))
            ]
        finally:
            lib.llama_batch_free(batch)
        return np.stack(rows)

    def close(self) -> None:
        self._lib.llama_free(self._context)
        self._lib.llama_model_free(self._model)


_quiet: Any = None


def same_tokens(loaded: Loaded, folder: Path, texts: Sequence[str] = SAMPLES) -> list[str]:
    """The texts that llama.cpp cuts into other ids than tokenizer.json does; empty when all are the same."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return [text for text in texts if loaded.tokenize(text) != tokenizer.encode(text, add_special_tokens=False).ids]


def compare(loaded: Loaded, model: Any, ids: Sequence[int]) -> Parity:
    """`model` is a transformers causal LM in f32, in evaluation mode."""
    import torch

    with torch.no_grad():
        want = model(torch.tensor([list(ids)])).logits[0].float().numpy()
    got = loaded.logits(ids)
    same = float((want.argmax(-1) == got.argmax(-1)).mean())
    return Parity(len(ids), same, float(np.abs(want - got).max()))
