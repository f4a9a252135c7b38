"""The macros that an answer in the `c` dialect of the built-in model may use, and how such an answer is compiled.

The headers are one text, put in front of the answer: the compiler needs no include path, and the text is the same
wherever the package is installed.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ORDER = ("core", "fold", "find", "pairs", "move", "text", "scalar", "hash", "nested")
"""Headers in the order of their needs."""

FLAGS = (
    "-O2", "-fno-tree-vectorize", "-fno-tree-slp-vectorize", "-fno-tree-loop-distribute-patterns", "-fwrapv",
    "-fno-strict-aliasing", "-ffp-contract=off", "-fno-math-errno", "-fcf-protection=none",
    "-fno-asynchronous-unwind-tables", "-fno-stack-protector", "-w",
)  # fmt: skip
"""The vectors are in the answer; the optimiser is not asked to find more, nor to make calls of loops."""


@cache
def text() -> str:
    folder = Path(__file__).parent
    return "".join((folder / f"{name}.h").read_text() for name in ORDER if (folder / f"{name}.h").exists())


@cache
def plain() -> str:
    """The headers with the loops that the macros stand for: the same answers, compiled several times faster.

    For answers that are only tried; what passes is compiled with `text`.
    """
    return text() + (Path(__file__).parent / "plain.h").read_text()


def macros() -> tuple[str, ...]:
    """Names of the macros that an answer may call; those that end in an underscore are the prelude's own."""
    names = re.findall(r"^#define ([A-Z][A-Z0-9]*)\(", text(), re.MULTILINE)
    return tuple(sorted(set(names) - {"VECTOR", "ELEMENT", "IOTA4", "IOTA16"}))
