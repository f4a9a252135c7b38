"""gcc's last tree dump: which functions it lists, and how each is declared.

The declaration is of what the code was expanded from, after all changes of parameters:

    ;; Function sum.isra (sum.isra.0, funcdef_no=3, ...)

    long int sum.isra (const int * const ISRA.115, const size_t ISRA.116, int k)
    {

Not covered: declarations inside of which gcc prints a line break; they are not listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

DUMP_OPTION = "-fdump-tree-optimized-lineno"
"""With a file name behind `=`, or `stderr`."""
HEAD = re.compile(r"^;; Function (.*) \(\*?([^\s,()]+), funcdef_no=", re.MULTILINE)
"""A function: its name as people write it, and its assembler name."""
NUMBERS = re.compile(r"(?<=\w)\.[0-9]+\b")
"""Of clones, and of names that gcc makes up: counted through the unit."""


@dataclass(frozen=True, slots=True)
class Prototype:
    """A declaration as gcc prints it."""

    spoken: str
    """The function's name; of a clone with its suffix, without numbers: `sum.isra`."""
    returns: str
    params: tuple[tuple[str, str], ...]
    """(type, name): `ISRA` for `ISRA.115`."""

    @property
    def text(self) -> str:
        """Equal for functions that are called alike."""
        return f"{self.returns} {self.spoken}({', '.join(' '.join(param) for param in self.params)})"


def prototypes(dump: str) -> dict[str, Prototype]:
    """By assembler name, of the functions whose declaration can be read."""
    found = {}
    for head in HEAD.finditer(dump):
        end = dump.find("\n{\n", head.end())
        line = dump[dump.rfind("\n", 0, end) + 1 : end] if end > 0 else ""
        if (declared := _read(line, head[1])) is not None:
            found[head[2]] = declared
    return found


def _read(line: str, spoken: str) -> Prototype | None:
    returns, is_it, rest = line.partition(f" {spoken} (")
    if not is_it or not rest.endswith(")"):
        return None
    params = [one.rpartition(" ") for one in _pieces(rest[:-1])]
    if any(not ctype for ctype, _, _ in params):
        return None
    named = tuple((ctype.strip(), NUMBERS.sub("", name)) for ctype, _, name in params)
    return Prototype(NUMBERS.sub("", spoken), returns.strip(), named)


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
