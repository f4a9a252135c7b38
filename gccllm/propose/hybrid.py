"""Loop versioning: gcc's own body for short inputs and a wide one for long inputs, behind one test of a length.

Wide and unrolled code pays its set-up back on long inputs only. Where one integer parameter looks like the length, a
candidate may start with one comparison and keep gcc's own body for lengths up to a threshold, as a vectoriser
versions a loop. Both halves compute the same, so a wrong guess of the parameter costs speed and nothing else. What the
wide half does for short lengths only is removed (`prune`): no test could reach it.

Not covered: lengths inside structures, in memory, or given as an end pointer; arguments on the stack.
"""

from __future__ import annotations

import re

from gccllm.assembly import Body, Line
from gccllm.propose.prune import prune
from gccllm.x86.convention import INTEGER_ARGUMENTS
from gccllm.x86.registers import att

THRESHOLD = 112
"""Longest length, in elements, that takes gcc's own body."""

_WIDE_INTEGER = re.compile(r"\b(?:size_t|ssize_t|ptrdiff_t|u?int64_t|u?intptr_t|long)\b")
_INTEGER = re.compile(r"\b(?:int|unsigned|u?int32_t)\b")
_UNSIGNED = re.compile(r"\b(?:unsigned|size_t|uint\d+_t|uintptr_t)\b")
_LENGTH_NAME = re.compile(r"n|len|length|count|cnt|size|num|total|bytes|sz|nel\w*|n_?\w+|\w+_?(?:len|count|size)", re.I)
_FLOATING = re.compile(r"\b(?:float|double)\b")
_SMALL = re.compile(r"\b(?:char|short|u?int8_t|u?int16_t|bool|_Bool)\b")


def length_register(signature: str) -> tuple[str, bool, bool] | None:
    """(register, is 64 bits wide, is unsigned) of the parameter that looks like a length; None when none does.

    `signature` is a C declaration on one line. The last integer parameter with a name for lengths wins, else the only
    integer parameter.
    """
    match = re.search(r"\((.*)\)\s*(?:__attribute__.*)?$", signature)
    if match is None or "(" in match[1]:
        return None
    found: list[tuple[bool, str, bool, bool]] = []
    place = 0
    for text in match[1].split(","):
        if "*" in text or "[" in text:
            place += 1
            continue
        if _FLOATING.search(text) and "long double" not in text:
            continue
        name = re.search(r"(\w+)\s*$", text)
        is_wide, is_int = bool(_WIDE_INTEGER.search(text)), bool(_INTEGER.search(text))
        if name is None or not (is_wide or is_int or _SMALL.search(text)):
            return None  # a type of unknown class: the registers after it are not known
        if place >= len(INTEGER_ARGUMENTS):
            return None
        if (is_wide or is_int) and not _SMALL.search(text):
            register = att(INTEGER_ARGUMENTS[place], 8 if is_wide else 4)
            found.append((bool(_LENGTH_NAME.fullmatch(name[1])), register, is_wide, bool(_UNSIGNED.search(text))))
        place += 1
    named = [row for row in found if row[0]]
    chosen = named[-1] if named else found[0] if len(found) == 1 else None
    return chosen[1:] if chosen else None


def hybrid(wide: Body, own: Body, signature: str, threshold: int = THRESHOLD) -> Body | None:
    """`wide` for lengths above the threshold, `own` for the rest; None when no parameter looks like a length."""
    length = length_register(signature)
    if length is None:
        return None
    register, is_wide, is_unsigned = length
    wide = prune(wide, register, threshold + 1, is_signed=not is_unsigned).renamed("wide")
    own = own.renamed("own")
    entry = ".Lwide_entry"
    test = (
        Line("cmpq" if is_wide else "cmpl", (f"${threshold}", register)),
        Line("ja" if is_unsigned else "jg", (entry,)),
    )
    # The short half comes first: it is the one that a taken branch would cost a visible share.
    return Body((*test, *own.lines, Line(label=entry), *wide.lines), (*own.constants, *wide.constants))
