"""What a call leaves besides results and memory: floating-point exception flags and errno; and whether one may look.

By default somebody may: gcc has -ftrapping-math and -fmath-errno. Options that say otherwise are the language's licence
to leave such things out, so they end the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Environment:
    """What is compared. The defaults are the strict ones."""

    fp_flags: bool = True
    """Sticky exception flags after the call, the five of the standard: invalid, division by zero, overflow, underflow,
    inexact."""
    errno: bool = True


STRICT = Environment()
UNSEEN = Environment(fp_flags=False, errno=False)
"""For another build of the same source, which is held to results and memory: gcc's own builds differ in flags."""


def environment_of(options: Sequence[str]) -> Environment:
    """What the caller of code made with these options may look at. In doubt, everything."""
    return Environment(
        fp_flags=_is_on(options, "trapping-math", ("fast-math", "unsafe-math-optimizations")),
        errno=_is_on(options, "math-errno", ("fast-math",)),
    )


def _is_on(options: Sequence[str], name: str, switched_off_by: Sequence[str]) -> bool:
    """Whether option `name` is in force, which is on by default. Said by name, it is so whatever implies otherwise."""
    if said := [one for one in options if one in (f"-f{name}", f"-fno-{name}")]:
        return said[-1] == f"-f{name}"
    implied = {f"-f{one}": False for one in switched_off_by} | {f"-fno-{one}": True for one in switched_off_by}
    levels = [one for one in options if one.startswith("-O")]
    if levels and levels[-1] == "-Ofast" and "-fno-fast-math" not in options:
        return False
    last = [implied[one] for one in options if one in implied]
    return not last or last[-1]
