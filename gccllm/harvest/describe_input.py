"""An input in words: the counterexample in the feedback to a model.

Only generated inputs: recorded ones are copies of a program's memory, and what is said here may reach a server.
"""

from __future__ import annotations

import struct

from gccllm.base.core import Test, arena_address
from gccllm.harvest.long import SHORTENED
from gccllm.harvest.recorded import MUTATED, RECORDED
from gccllm.harvest.types import CType, Floating, Integer, Pointer, Signature

ELEMENTS = 12
"""Of what a pointer points to."""


def input_words(test: Test, signature: Signature) -> str:
    """`a = [3, -1, 4], n = 3`; empty for what was recorded."""
    if test.pages or test.label in (RECORDED, SHORTENED, MUTATED):
        return ""
    files = {"int": test.ints, "vector": test.vectors, "stack": test.stack}
    said = []
    for param in signature.params:
        words = [files[place.file][place.index] for place in param.places if place.index < len(files[place.file])]
        if words and not param.is_result:
            raw = b"".join(word.to_bytes(16 if word >> 64 else 8, "little") for word in words)
            said.append(f"{param.name} = {_value(param.type, raw, test)}")
    return ", ".join(said)


def _value(ctype: CType, raw: bytes, test: Test) -> str:
    if isinstance(ctype, Pointer):
        address = int.from_bytes(raw[:8], "little")
        return "NULL" if not address else _elements(ctype.to, address, test)
    return _scalar(ctype, raw[: ctype.size or 8])


def _scalar(ctype: CType, raw: bytes) -> str:
    if isinstance(ctype, Floating) and len(raw) in (4, 8):
        return repr(struct.unpack("<f" if len(raw) == 4 else "<d", raw)[0])
    if isinstance(ctype, Integer):
        return str(int.from_bytes(raw, "little", signed=ctype.signed))
    return raw.hex(" ")


def _elements(of: CType, address: int, test: Test) -> str:
    """What lies there, as far as the input has it."""
    for region in test.regions:
        start = arena_address(region.arena) + region.offset
        if start <= address < start + len(region.data):
            data = region.data[address - start :]
            size = of.size or 1
            parts = [_scalar(of, data[at : at + size]) for at in range(0, min(len(data), ELEMENTS * size), size)]
            return f"[{', '.join(parts)}{', ...' if len(data) > ELEMENTS * size else ''}]"
    return "an address with nothing behind it"
