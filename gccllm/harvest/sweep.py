"""Early exits at every position: the element that ended one input is put everywhere into another that ran on.

Covers scans, searches and comparisons over buffers of scalars. Vector code with a wrong lane order or tail shows only
when the exit lies in that lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gccllm.harvest.probe import Ran
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
        usable = [ran for ran in pool if reach(ran, block)]
        early = [ran for ran in usable if ran.scene.size >= REACH.start and 2 * reach(ran, block) <= ran.scene.size]
        running = [ran for ran in usable if reach(ran, block) in REACH and reach(ran, block) <= ran.scene.size + 1]
        if not early or not running:
            continue
        enders = list(dict.fromkeys(last_element(ran, block) for ran in early))
        rng.shuffle(enders)
        running.sort(key=lambda ran: -ran.work)
        for number, ender in enumerate(enders[:ELEMENTS]):
            parent = running[number % len(running)]
            scenes += [with_element(parent, block, at, ender) for at in range(reach(parent, block) + 1)]
    return scenes if len(scenes) <= MOST else rng.sample(scenes, MOST)


def reach(ran: Ran, block: int) -> int:
    """Elements of a block that the input touched; 0 for untouched blocks and those without plain scalars."""
    if not ran.traced or block >= len(ran.extents) or ran.scene.blocks[block].refs:
        return 0
    extent, scalar = ran.extents[block], ran.scene.blocks[block].scalar
    if extent is None or scalar is None or extent[0] < 0 or extent[1] > len(ran.scene.blocks[block].data):
        return 0
    return (extent[1] - extent[0]) // scalar.size


def last_element(ran: Ran, block: int) -> bytes:
    extent, scalar = ran.extents[block], ran.scene.blocks[block].scalar
    assert extent is not None
    assert scalar is not None
    return bytes(ran.scene.blocks[block].data[extent[1] - scalar.size : extent[1]])


def with_element(ran: Ran, block: int, at: int, element: bytes) -> Scene:
    """A copy with `element` at position `at` of what was touched."""
    made = ran.scene.copy()
    made.label = "sweep"
    extent = ran.extents[block]
    assert extent is not None
    start = extent[0] + at * len(element)
    data = made.blocks[block].data
    data[start : start + len(element)] = element[: max(0, len(data) - start)]
    return made
