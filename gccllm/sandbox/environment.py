"""What a call leaves besides results and memory (floating-point exception flags, errno), and whether callers may look.

By default they may: gcc has -ftrapping-math and -fmath-errno. Options that say otherwise are the language's licence
to leave such things out, so they end the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gccllm.base import options as gcc_options


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
    return Environment(fp_flags=gcc_options.traps_floats(options), errno=gcc_options.sets_errno(options))
