"""A function's types, as DWARF has them, in the words that the built-in model reads."""

from __future__ import annotations

from gccllm.harvest.types import CType, Floating, Integer, Pointer, Signature, flat
from gccllm.propose.signature import MAX_PARAMETERS, CSignature


def words_of(signature: Signature) -> CSignature | None:
    """None for types that have no words (`CSignature`): structures by value, too many parameters."""
    if any(param.is_result for param in signature.params) or len(signature.params) > MAX_PARAMETERS:
        return None
    returns = "v" if signature.returns is None else _word(signature.returns)
    params = [_word(param.type) for param in signature.params]
    if returns is None or None in params:
        return None
    return CSignature(returns, tuple(p for p in params if p is not None))


def _word(ctype: CType) -> str | None:
    if isinstance(ctype, Integer) and ctype.size <= 8:
        return f"{'i' if ctype.signed else 'u'}{8 * ctype.size}"
    if isinstance(ctype, Floating) and ctype.size <= 8:
        return f"f{8 * ctype.size}"
    if isinstance(ctype, Pointer):
        to = flat(ctype.to)
        inner = _word(to) if isinstance(to, Integer | Floating) else None
        return f"p{inner}" if inner else "pv"
    return None
