"""The key of a function's tests: they belong to its baseline, not to a build."""

from __future__ import annotations

import hashlib

from gccllm.assembly import Function, Module, baseline_key_text


def test_key(module: Module, function: Function) -> str:
    """BLAKE2b-256 (hex) of `assembly.baseline_key_text`. Raises BodyError as that does.

    Flags and the allowance of instruction sets, which are in the key of a rewrite, are not in this one.
    """
    text = baseline_key_text(module, function)
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=32).hexdigest()
