"""Early exits at every position: the element that ended one input is put at each position of another that ran on.

Covers scans, searches and comparisons over buffers of scalars. Vector code with a wrong lane order or tail shows only
when the exit lies in that lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from gccllm.harvest.run import Ran
from gccllm.harvest.scene import Scene

BLOCKS = 3
"""Blocks looked at: more buffers than this are rarely scanned."""
ELEMENTS = 3
"""Different ending elements a block."""
REACH = range(16, 50)
"""Elements that an input to be ended runs over."""
MOST = 160
"""Scenes in all."""


def swept(pool: Sequence[Ran], rng: Random) -> list[Scene]:
    """Scenes with an exit at each position; empty when no input ends early."""
    scenes = []
    for block in range(BLOCKS):
        usable = [(ran, at) for ran in pool if (at := touched(ran, block)) is not None and at.elements]
        early = [(ran, at) for ran, at in usable if ran.scene.size >= REACH.start and 2 * at.elements <= ran.scene.size]
        running = [(ran, at) for ran, at in usable if at.elements in REACH and at.elements <= ran.scene.size + 1]
        if not early or not running:
            continue
        enders = list(dict.fromkeys(last_element(ran, block, at) for ran, at in early))
        rng.shuffle(enders)
        running.sort(key=lambda one: -one[0].work)
        for number, ender in enumerate(enders[:ELEMENTS]):
            parent, at = running[number % len(running)]
            scenes += [with_element(parent, block, at.start + i * len(ender), ender) for i in range(at.elements + 1)]
    return scenes if len(scenes) <= MOST else rng.sample(scenes, MOST)


class Touched(NamedTuple):
    """The elements of a block that an input touched."""

    start: int
    end: int
    size: int
    """Of an element."""

    @property
    def elements(self) -> int:
        return (self.end - self.start) // self.size


def touched(ran: Ran, block: int) -> Touched | None:
    """None for untouched blocks and those without plain scalars."""
    if not ran.traced or block >= len(ran.extents) or ran.scene.blocks[block].refs:
        return None
    extent, scalar = ran.extents[block], ran.scene.blocks[block].scalar
    if extent is None or scalar is None or extent[0] < 0 or extent[1] > len(ran.scene.blocks[block].data):
        return None
    return Touched(*extent, scalar.size)


def reach(ran: Ran, block: int) -> int:
    """How many elements of a block the input touched."""
    at = touched(ran, block)
    return at.elements if at is not None else 0


def last_element(ran: Ran, block: int, at: Touched) -> bytes:
    return bytes(ran.scene.blocks[block].data[at.end - at.size : at.end])


def with_element(ran: Ran, block: int, start: int, element: bytes) -> Scene:
    """A copy with `element` at offset `start` of a block."""
    made = ran.scene.copy()
    made.label = "sweep"
    data = made.blocks[block].data
    data[start : start + len(element)] = element[: max(0, len(data) - start)]
    return made
