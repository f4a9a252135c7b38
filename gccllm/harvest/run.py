"""A defined input and what the traced baseline did on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gccllm.assembly.cfg import Edge
from gccllm.base.core import Test
from gccllm.harvest.scene import Extent, Scene
from gccllm.sandbox.trace import Intervals

GIVE_UP = 10
"""Time-outs in one batch after which its rest is not run."""


@dataclass
class Run:
    """A defined input and what is known of it."""

    test: Test
    ticks: int
    edges: frozenset[Edge] = frozenset()
    work: int = 0
    """Entries in the log of the traced run: a deterministic measure of how much was done."""
    traced: bool = False
    fresh: bool = False
    """It covered an edge that no input before it covered."""
    why: str = ""
    """Why it could not be traced."""


@dataclass(kw_only=True)
class Ran(Run):
    """A defined generated input: its scene can be changed and placed elsewhere."""

    scene: Scene
    extents: list[Extent | None] = field(default_factory=list)
    wrote: list[Extent | None] = field(default_factory=list)
    """As `extents`, of stores alone."""
    symbols: dict[str, tuple[Extent, bool]] = field(default_factory=dict)
    """What is touched of each data symbol of the unit, and whether any of it is written."""


@dataclass(kw_only=True)
class State(Run):
    """A defined recorded input, or one derived from it: it stays where it is."""

    reads: Intervals = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    """What the baseline reads of it."""
    touched: Intervals = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    """What it reads or writes."""
