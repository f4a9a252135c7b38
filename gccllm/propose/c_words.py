"""C answers as words and back: one word a lexeme, each after a blank, so that none is a word of the assembly side."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gccllm.propose.signature import SCALARS
from gccllm.propose.slots import COMPLEMENTED, COMPLEMENTS, SLOTS, Slots

KEEP = "KEEP"
"""The answer that leaves a function to the compilers."""

_C = re.compile(
    r"(?P<macro>[A-Z][A-Z0-9_]*\()|(?P<name>[A-Za-z_]\w*)|(?P<number>0[xX][0-9a-fA-F]+|\d+)(?:[uUlL]*)"
    r"|(?P<sign><<=|>>=|\+\+|--|<<|>>|[-+*/%&|^=!<>]=|&&|\|\||[-+*/%&|^~!<>=?:;,.(){}\[\]])|(?P<space>\s+)"
)


def c_words(text: str, slots: Slots) -> list[str]:
    """Words of C text, each after a blank so that none is a word of the assembly side. Raises ValueError."""
    words: list[str] = []
    position = 0
    while position < len(text):
        match = _C.match(text, position)
        if match is None:
            raise ValueError(f"no lexeme at {text[position : position + 12]!r}")
        position = match.end()
        if match["number"]:
            words += _c_number(int(match["number"], 0), slots)
        elif not match["space"]:
            words.append(" " + match.group())
    return words


def _c_number(number: int, slots: Slots) -> list[str]:
    reference = slots.name(number, answer=True)
    if reference is not None and (reference[-1] not in COMPLEMENTS or int(reference[2:-1]) < COMPLEMENTED):
        return [" " + reference]
    if number < 256:
        return [f" {number}"]
    digits = str(number)
    return [" #", *[f" #{digits[i : i + 2]}" for i in range(0, len(digits), 2)]]


def c_text(words: Sequence[str], slots: Slots) -> str:
    """The inverse: lexemes with blanks between them. Raises ValueError for a slot that the prompt does not have."""
    parts: list[str] = []
    digits = False
    for word in words:
        if not word.startswith(" "):
            raise ValueError(f"{word!r} in C")
        bare = word[1:]
        if bare == "#":
            parts.append("")
            digits = True
            continue
        if bare.startswith("#"):
            if not digits:
                raise ValueError(f"{word!r} outside a number")
            parts[-1] += bare[1:]
            continue
        digits = False
        parts.append(str(slots.number(bare)) if bare.startswith("kk") else bare)
    if any(not part for part in parts):
        raise ValueError("a number without digits")
    return " ".join(parts)


_SIGNS = """
    return if else for do while ( ) [ ] { } , ; = == != < <= > >= + - * / % & | ^ ~ ! ? : << >> ++ -- += -= *= ^= |= &=
    && || <<= >>=
"""
C_CLOSED = (
    *(f" {n}" for n in range(256)), *(f" kk{i}{x}" for i in range(SLOTS) for x in ("", "p", "m")),
    *(f" kk{i}{x}" for i in range(COMPLEMENTED) for x in COMPLEMENTS), " #", *(f" #{n:02d}" for n in range(100)),
    *(f" #{n}" for n in range(10)), *(f" {name}" for name in "abcdefkmstrijxy"), " " + KEEP,
    *(f" {name}" for name in SCALARS), *(f" {sign}" for sign in _SIGNS.split()),
)  # fmt: skip
"""C words that every vocabulary has."""
