"""What a clone (`f.constprop.0`, `f.isra.0`, `f.part.0`) is called with: gcc's own declaration of it.

A clone keeps the calling convention and changes the signature: constants that all its callers pass are gone, a pointer
may have become the values behind it, a result that nobody uses is not returned. Debugging information describes the
original, with the places of what is left of its parameters but neither their order nor new ones. gcc's last tree dump
(`side.DUMP_OPTION`) has the declaration that the code was expanded from:

    long int sum.isra (const int * const ISRA.115, const size_t ISRA.116, int k)

Parameters that kept their name have the original's type; a new one has the type that is printed, looked up by name.

Not covered: declarations inside of which gcc prints a line break; new parameters of a type without a name (`None`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gccllm.harvest.types import CType, Opaque, Pointer, Void

_QUALIFIED = re.compile(r"(.*?)\s*\b(const|restrict|volatile|__restrict|__restrict__)$")
_LEADING = re.compile(r"^((?:const|volatile)\b\s*)+")
_POINTS_TO_FUNCTION = re.compile(r"\(\*")


@dataclass(frozen=True, slots=True)
class Prototype:
    """A declaration as gcc prints it."""

    returns: str
    params: tuple[tuple[str, str], ...]
    """(type, name)"""


def prototype(dump: str, name: str) -> Prototype | None:
    """The declaration of the function whose assembler name is `name`; None when the dump has none that can be read."""
    head = re.search(rf"^;; Function (.*) \(\*?{re.escape(name)}, funcdef_no=.*$", dump, re.MULTILINE)
    end = dump.find("\n{\n", head.end()) if head else -1
    if head is None or end < 0:
        return None
    line = dump[dump.rfind("\n", 0, end) + 1 : end]
    returns, found, rest = line.partition(f" {head[1]} (")
    if not found or not rest.endswith(")"):
        return None
    params = [one.rpartition(" ") for one in _pieces(rest[:-1])]
    if any(not ctype for ctype, _, _ in params):
        return None
    return Prototype(returns.strip(), tuple((ctype.strip(), label) for ctype, _, label in params))


def _pieces(text: str) -> Iterator[str]:
    """What commas outside of all brackets separate."""
    depth = start = 0
    for at, sign in enumerate(text):
        depth += (sign in "([<{") - (sign in ")]>}")
        if sign == "," and depth == 0:
            yield text[start:at].strip()
            start = at + 1
    if text[start:].strip():
        yield text[start:].strip()


def type_of(text: str, named: Mapping[str, CType]) -> CType | None:
    """The type that gcc prints as `text`; None for a value whose type `named` does not know.

    named  `int`, `size_t`, `struct s` ... -> the type
    What a pointer points to may be unknown: any bytes then.
    """
    text = text.strip()
    if _POINTS_TO_FUNCTION.search(text):
        return Pointer(Opaque("subroutine"))
    if match := _QUALIFIED.fullmatch(text):
        inner = type_of(match[1], named) if match[1] else None
        if match[2] == "volatile":
            return Opaque("volatile")
        if match[2] != "const" and isinstance(inner, Pointer):
            return Pointer(inner.to, inner.const, restrict=True, nonnull=inner.nonnull)
        return inner
    if text.endswith(("*", "&")):
        to = type_of(text[:-1], named) or Void()
        return Pointer(to, _is_const(text[:-1]), nonnull=text.endswith("&"))
    if (words := _LEADING.match(text)) and "volatile" in words[0]:
        return Opaque("volatile")
    return named.get(_LEADING.sub("", text))


def _is_const(text: str) -> bool:
    """Whether a type is const itself: the word stands behind a pointer's star, and before anything else."""
    text = text.strip()
    return text.endswith(" const") or ("*" not in text and text.startswith("const "))
