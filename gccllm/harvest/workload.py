"""Inputs for timing: many different ones a class, of typical content, that do much work.

Classes by work, which is counted in log entries of the traced baseline (about one a memory access and block):

    small     48 to 100 elements, fewer when the function's work grows fast
    medium    about 1,000, or what keeps the work within MEDIUM_WORK
    large     as many as fit an arena and LARGE_WORK
    typical   for functions without sizes: whatever inputs of the harvest work most
    wide      those of one of the classes above with large numbers in place of integers that are no sizes: hardware
              divides and multiplies small numbers faster, and compilers test for them

Times would not be reproducible, so no clock decides here but the limit for slow tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import log
from random import Random

from gccllm.base.core import Test
from gccllm.harvest.generate import Generator
from gccllm.harvest.probe import Probe
from gccllm.harvest.run import Ran
from gccllm.harvest.scene import Scene, integer_value, lower, trimmed
from gccllm.harvest.types import Integer
from gccllm.harvest.values import PLAIN

FEWEST = 16
"""Inputs that a class must have before more are made."""
WANTED, MOST_WANTED = 48, 512
"""Inputs a class: half decide, half are held out. More than the fewest where calls are short:"""
WHOLE_WORK = 600_000
"""work of all inputs of a class together. A branch predictor memorises some ten thousand branches."""
MADE_BYTES = 1_500_000
"""Fresh contents generated for more inputs of one class; beyond that, arguments change places between inputs."""
ATTEMPTS = 4
"""Rounds of 40 scenes for one class, as long as it looks reachable."""
SMALL_WORK, MEDIUM_WORK, LARGE_WORK = 5_000, 16_000, 50_000
TICKS_OF_WORK = 8
"""Most ticks of a log entry: anything slower is not short."""

Tests = dict[str, list[Test]]

_LADDERS = {
    "small": ((48, 100), (32, 64), (16, 32), (8, 16), (4, 8)),
    "medium": ((900, 1100), (450, 600), (200, 300), (100, 150), (50, 70), (20, 30), (13, 16)),
    "large": (
        (12000, 16000), (6000, 8000), (3500, 4000), (1800, 2000), (900, 1000), (400, 500), (200, 240), (110, 120),
        (48, 60), (24, 30),
    ),
}  # fmt: skip
_LIMITS = {"small": SMALL_WORK, "medium": MEDIUM_WORK, "large": LARGE_WORK}


def classes(
    probe: Probe, generator: Generator, pool: Sequence[Ran], is_over: Callable[[], bool], *, decide: bool = True
) -> tuple[Tests, Tests]:
    """(deciding, held-out) tests a class. Unless they are to `decide` something, a few dozen of them do."""
    deciding: Tests = {}
    confirming: Tests = {}
    kept: list[Ran] = []
    base = ("", 0, 0)
    if grows(pool):
        before = 0.0
        for label, ladder in _LADDERS.items():
            found: list[Ran] = []
            for low, high in ladder:
                if is_over():
                    break
                if high <= before:
                    break  # the class below is already that large
                if expected(pool, low) > 2.5 * _LIMITS[label]:
                    continue
                found = rung(probe, generator, label, low, high)
                if len(found) >= FEWEST:
                    if decide and not is_over():
                        found = more(probe, found, _LIMITS[label], partial(_drawn, generator, label, low, high))
                    before = max(before, 1.5 * high)
                    if len(found) >= len(kept) // 2:
                        kept, base = found, (label, low, high)
                    break
            if len(found) >= FEWEST:
                split(probe, label, found, deciding, confirming)
    if not deciding and not is_over():
        found = typical(probe, generator, pool)
        if decide and found and not is_over():
            found = more(probe, found, LARGE_WORK, partial(_drawn, generator, "typical", 4, 63))
        split(probe, "typical", found, deciding, confirming)
        kept, base = found, ("typical", 4, 63)
    if decide and kept and not is_over():
        split(probe, "wide", wide(probe, generator, kept, base, max(_LIMITS.values())), deciding, confirming)
    return deciding, confirming


def wide(probe: Probe, generator: Generator, found: list[Ran], base: tuple[str, int, int], limit: int) -> list[Ran]:
    """Inputs like `found` with large integer arguments wherever those do not change the work much.

    Empty when no argument is free, or only a few inputs stay defined.
    """
    params = generator.signature.params
    integers = [(i, p.type) for i, p in enumerate(params) if isinstance(p.type, Integer) and p.type.size >= 4]
    few = found[:: max(1, len(found) // 12)][:12]
    usual = sorted(ran.work for ran in few)[len(few) // 2]
    free: list[tuple[int, Integer]] = []
    for position in integers:
        rans = [ran for ran in probe.defined([_large(ran.scene, [position], generator.rng) for ran in few]) if ran]
        probe.trace(rans)
        if sum(ran.traced and usual <= 2 * ran.work <= 8 * usual for ran in rans) > len(few) // 2:
            free.append(position)
    if not free:
        return []

    def draw(count: int) -> list[Scene]:
        return [_large(scene, free, generator.rng) for scene in _drawn(generator, *base, count)]

    start = [ran for ran in probe.defined(draw(40), TICKS_OF_WORK * limit) if ran is not None]
    probe.trace(start)
    start = far([ran for ran in start if ran.traced and ran.work <= limit])
    return more(probe, start, limit, draw) if len(start) >= FEWEST else []


def _large(scene: Scene, positions: Sequence[tuple[int, Integer]], rng: Random) -> Scene:
    """A copy with numbers of 20 to 30 bits as the arguments at `positions`: their products fit 64 bits.

    In two of five one of them is of 7 to 19 bits: products on both sides of 2^32.
    """
    made = scene.copy()
    smaller = rng.randrange(len(positions)) if rng.random() < 0.4 else -1
    for number, (position, ctype) in enumerate(positions):
        bits = rng.randrange(7, 20) if number == smaller else rng.randrange(20, 31)
        made.args[position] = integer_value(rng.getrandbits(bits) | 1 << bits - 1, ctype)
    return made


_WINDOWS = ((24, 40), (48, 72), (80, 130), (150, 300))
"""Ranges of sizes that the harvest has many inputs of."""


def grows(pool: Sequence[Ran]) -> bool:
    """Whether more elements mean more work."""
    low = _usual(pool, 0, 4)
    return low > 0 and max(_usual(pool, *window) for window in _WINDOWS) >= 1.5 * low


def expected(pool: Sequence[Ran], size: int) -> float:
    """Work at `size`, extrapolated by a power law from sizes around 12 and the range where most was done.

    Above that range inputs were too slow, or did not use their size.
    """
    low, low_size = _usual(pool, 8, 16), 12.0
    high, high_size = max((_usual(pool, *window), sum(window) / 2) for window in _WINDOWS)
    if low <= 0 or high <= low:
        return low
    return float(high * (size / high_size) ** min(log(high / low) / log(high_size / low_size), 4.0))


def _usual(pool: Sequence[Ran], low: int, high: int) -> float:
    """The median work at sizes in [low, high], idle runs aside.

    Not the largest: where a length is free of the buffer's size, some input of every size runs through a whole arena.
    """
    works = sorted(ran.work for ran in pool if low <= ran.scene.size <= high and ran.work > 2)
    return float(works[len(works) // 2]) if works else 0.0


def rung(probe: Probe, generator: Generator, label: str, low: int, high: int) -> list[Ran]:
    """Defined inputs of sizes in [low, high] that do much work, within the class's limit."""
    found: list[Ran] = []
    limit = _LIMITS[label]
    for attempt in range(ATTEMPTS):
        scenes = _drawn(generator, label, low, high, 40)
        rans = [ran for ran in probe.defined(scenes, TICKS_OF_WORK * limit) if ran is not None]
        probe.trace(rans[:4])
        if attempt == 0 and (len(rans) < 6 or not any(ran.traced and ran.work <= limit for ran in rans[:4])):
            return []
        probe.trace(rans)
        if sum(ran.work > limit for ran in rans) > len(rans) // 8:
            return []  # those within the limit would be the early exits
        found += [ran for ran in rans if ran.traced and ran.work <= limit]
        if len(far(found)) >= WANTED or len(far(found)) * ATTEMPTS < FEWEST * (attempt + 1):
            break
    return far(found)[:WANTED]


def _drawn(generator: Generator, label: str, low: int, high: int, count: int) -> list[Scene]:
    return [generator.scene(generator.rng.randrange(low, high + 1), label, PLAIN) for _ in range(count)]


def more(probe: Probe, found: list[Ran], limit: int, draw: Callable[[int], list[Scene]]) -> list[Ran]:
    """`found` and further inputs like them, too many for a branch predictor to memorise; all different.

    `draw` makes so many new scenes. The result is shorter than wished where few of them work as far as `found` do.
    """
    least = min(ran.work for ran in found)
    usual = sorted(ran.work for ran in found)[len(found) // 2]
    wanted = min(max(WHOLE_WORK // max(usual, 1), WANTED), MOST_WANTED)
    out = {_key(ran.test): ran for ran in found}

    def keep(scenes: list[Scene], inside: bool) -> int:
        """How many of the scenes are new, do as much work as those before, and, if asked, touch only their contents."""
        rans = [ran for ran in probe.defined(scenes, TICKS_OF_WORK * limit) if ran is not None]
        rans = [ran for ran in rans if _key(ran.test) not in out]
        probe.trace(rans)
        good = [ran for ran in rans if ran.traced and least <= ran.work <= limit and (not inside or _is_inside(ran))]
        before = len(out)
        out.update((_key(ran.test), ran) for ran in good)
        return len(out) - before

    room = MADE_BYTES
    while len(out) < wanted and room > 0:
        scenes = draw(min(64, wanted))
        room -= sum(len(block.data) + 64 for scene in scenes for block in scene.blocks) + 200 * len(scenes)
        if keep(scenes, inside=False) < len(scenes) // 8:
            break
    for by in range(1, min(len(found), 1 + 2 * wanted // len(found))):
        if len(out) >= wanted:
            break
        others = found[by % len(found) :] + found[: by % len(found)]
        pairs = zip(found, others, strict=True)
        if not keep([_with_arguments(one.scene, other.scene) for one, other in pairs], inside=True):
            break
    return list(out.values())[:wanted]


def _with_arguments(scene: Scene, other: Scene) -> Scene:
    """A copy of `scene` with those arguments of `other` that hold no pointers."""
    made = scene.copy()
    made.args = [one if one.refs or two.refs else two for one, two in zip(made.args, other.copy().args, strict=True)]
    return made


def _is_inside(ran: Ran) -> bool:
    """Whether nothing outside of the contents was touched: the arguments of another input fit this one."""
    blocks = zip(ran.scene.blocks, ran.extents, strict=True)
    return all(extent is None or (extent[0] >= 0 and extent[1] <= len(block.data)) for block, extent in blocks)


def _key(test: Test) -> object:
    """What makes two tests one: all but labels and junk."""
    return test.ints, test.vectors, test.stack, test.regions, test.globals, test.changes


def far(rans: list[Ran]) -> list[Ran]:
    """Those that do at least half of what the eighth best does: no early exits at the first element."""
    if not rans:
        return []
    best = sorted((ran.work for ran in rans), reverse=True)
    return [ran for ran in rans if 2 * ran.work >= best[min(FEWEST // 2, len(best)) - 1]]


def typical(probe: Probe, generator: Generator, pool: Sequence[Ran]) -> list[Ran]:
    """For functions without sizes: inputs with most work, fresh ones first."""
    scenes = [generator.scene(generator.rng.randrange(4, 64), "typical", PLAIN) for _ in range(96)]
    fresh = [ran for ran in probe.defined(scenes, TICKS_OF_WORK * LARGE_WORK) if ran is not None]
    probe.trace(fresh)
    rans = [ran for ran in [*fresh, *pool] if ran.traced and ran.work <= LARGE_WORK and not ran.scene.changes]
    picked: dict[object, Ran] = {}
    for ran in far(rans) if len(far(rans)) >= FEWEST else sorted(rans, key=lambda r: -r.work):
        picked.setdefault(_key(ran.test), ran)
    return list(picked.values())[:WANTED]


def split(probe: Probe, label: str, found: list[Ran], deciding: Tests, confirming: Tests) -> None:
    """Every second input is held out. A function with only one input keeps it on both sides."""
    tests = list({_key(test): test for test in (final(probe, ran, label) for ran in found)}.values())
    if tests:
        deciding[label], confirming[label] = tests[::2], tests[1::2] or tests


def final(probe: Probe, ran: Ran, label: str) -> Test:
    """The test without data that is never touched."""
    return replace(lower(trimmed(ran.scene, ran.extents), probe.target.signature), label=label)
