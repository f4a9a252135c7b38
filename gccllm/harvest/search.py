"""The state of one search for inputs: the pool of defined inputs, what was learned, and the stages that fill it.

`harvest` says in which order they run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log2
from random import Random
from typing import TypeVar

from gccllm.assembly.cfg import Edge
from gccllm.base.core import Test
from gccllm.base.deadline import Deadline
from gccllm.base.limits import LIMITS
from gccllm.harvest import overlap, wide, workload
from gccllm.harvest.generate import Generator, dictionary_of
from gccllm.harvest.perturb import perturbed
from gccllm.harvest.probe import SLOW_TICKS, Probe
from gccllm.harvest.recorded import States
from gccllm.harvest.run import Ran, Run
from gccllm.harvest.scene import Scene, tightened, trimmed
from gccllm.harvest.sweep import swept
from gccllm.harvest.uniform import uniform
from gccllm.harvest.values import Style

GRID = (*range(36), *range(36, 70, 3), 63, 64, 65, 72, 80, 95, 96, 97, 127, 128, 129, 160, 191, 200, 255, 256, 257)
LONG = (300, 511, 512, 513, 700, 1000, 1025, 2047, 2600, 4097, 6000, 8200, 16300, 33000, 65000)


@dataclass(frozen=True)
class Budget:
    """How much to try. Counts only: time is the deadline's business."""

    explore_rounds: int = 8
    explore_scenes: int = 56
    """A round."""
    grid_scenes: int = 3
    """For every size of `GRID`."""
    value_rounds: int = 5
    perturb_rounds: int = 10
    """Ended early when no edge is missing."""
    batch: int = 64
    """Scenes in a round of values or of perturbation."""
    tests: int = 520
    """Chosen at most, before each is placed."""
    states: int = 260
    """Recorded calls and their mutants, chosen at most."""
    timing: bool = True
    """Also make the timing classes."""


T = TypeVar("T")
DEFAULT = Budget()
QUICK = Budget(5, 40, 2, 1, 5, 48, 400, 160, timing=False)
"""For a first look."""


class Search:
    """The state of one search: the pool of defined inputs, and what was learned."""

    def __init__(self, probe: Probe, seed: int, deadline: Deadline, budget: Budget = DEFAULT) -> None:
        target = probe.target
        self.probe = probe
        self.deadline = deadline
        self.budget = budget
        self.cut_short = False
        lines = [(line.mnemonic, line.operands) for line in target.body.lines]
        constants = [row for constant in target.body.constants for row in constant.directives]
        self.dictionary = dictionary_of(lines, constants)
        self.generator = Generator(
            target.signature, target.symbols, self.dictionary, seed, bool(probe.replayer.image.callees)
        )
        self.rng = Random(seed + 1)
        self.pool: list[Ran] = []
        self.wide: list[tuple[wide.Kind, Ran]] = []
        self.overlapping: list[tuple[overlap.Apart, Ran]] = []
        """Kept apart, as `wide`: they say nothing about the work of a size."""
        self.overlaps: dict[str, int] = {}
        self.uniform: list[Ran] = []
        """Also kept apart, and all of them become tests: each shows something that no other one does."""
        self.most_work = 1
        self.states = States(probe, self.dictionary.ints, seed, self.is_over)

    def is_over(self) -> bool:
        """Whether the deadline has passed; remembers that it mattered."""
        if self.deadline.is_over:
            self.cut_short = True
        return self.cut_short

    # --- stages -------------------------------------------------------------------------------

    def explore(self) -> None:
        sizes = (0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 24, 31, 32, 33, 40, 48, 64, 65)
        for number in range(self.budget.explore_rounds):
            if self.is_over():
                return
            # Small sizes first: what fails or hangs there fails cheaply.
            reach = sizes[: 8 + 2 * number]
            scenes = [self.generator.scene(self.rng.choice(reach), "fuzz") for _ in range(self.budget.explore_scenes)]
            self.take(scenes, trace=40, learn=True)

    def fill_grid(self) -> None:
        """Inputs of every size; once more for sizes where none ran as far as those of neighbouring sizes did."""
        sizes = list(GRID)
        for _ in range(3):
            for start in range(0, len(sizes), 20):
                if self.is_over():
                    return
                batch = [(n, i) for n in sizes[start : start + 20] for i in range(self.budget.grid_scenes)]
                scenes = [self.generator.scene(n, _label(n), Style(sharp=True, exact=i == 0)) for n, i in batch]
                self.take(scenes, trace=len(scenes), learn=True)
            sizes = self.poor_sizes()

    def poor_sizes(self) -> list[int]:
        best: Counter[int] = Counter()
        for ran in self.pool:
            best[ran.scene.size] = max(best[ran.scene.size], ran.work)
        return [n for n in GRID if best[n] < 0.6 * max(best[other] for other in range(n - 3, n + 4))]

    def vary_values(self) -> None:
        sizes = (1, 2, 3, 5, 6, 8, 11, 13, 16, 18, 21, 23, 26, 30, 33, 37, 40, 48, 64)
        for _ in range(self.budget.value_rounds):
            if self.is_over():
                return
            scenes = [self.generator.scene(self.rng.choice(sizes), "values") for _ in range(self.budget.batch)]
            self.take(scenes, trace=40, learn=False)

    def go_long(self) -> None:
        """Long inputs, half of them of extreme values: sums in narrow lanes overflow only there."""
        if not workload.grows(self.pool):
            return
        for start in range(0, len(LONG), 5):
            if self.is_over():
                return
            sizes = [n for n in LONG[start : start + 5] if workload.expected(self.pool, n) < 2 * LIMITS.most_work]
            scenes = [
                self.generator.scene(n, "long", Style(sharp=True, extreme=i % 2 == 0)) for n in sizes for i in range(4)
            ]
            self.take(scenes, trace=len(scenes), learn=False)

    def sweep_exits(self) -> None:
        """Early exits at every position."""
        scenes = swept(self.pool, self.rng)
        for start in range(0, len(scenes), 96):
            if not self.is_over():
                self.take(scenes[start : start + 96], trace=96, learn=False)

    def fill_uniformly(self) -> None:
        """Every value that a comparison tests for, at every position."""
        scenes = uniform(self.pool, self.dictionary, self.rng)
        for start in range(0, len(scenes), 96):
            if not self.is_over():
                rans = [ran for ran in self.probe.defined(scenes[start : start + 96]) if ran is not None]
                self.probe.trace(rans)
                self.uniform += [ran for ran in rans if ran.traced and ran.work <= LIMITS.most_work]

    def overlap(self) -> None:
        """Inputs with overlapping memory, one pair of blocks at a time."""
        for made in overlap.overlapped(self.pool, self.generator.signature, self.generator.symbols):
            kept = self.apart(made)
            self.overlapping += kept
            if made:
                pair = made[0][0].pair
                self.overlaps[f"{pair.host} and {pair.guest}"] = len(kept)

    def chase_edges(self) -> None:
        self.states.chase(self.budget.perturb_rounds)
        if not self.pool:
            return
        for _ in range(self.budget.perturb_rounds):
            if not self.probe.missing or self.is_over():
                return
            parents = self.near_missing()
            scenes = []
            for number in range(self.budget.batch):
                if number % 4 == 3:
                    scenes.append(self.generator.scene(self.rng.choice(GRID[:48]), "fuzz"))
                else:
                    scenes.append(self.perturb(self.rng.choice(parents).scene))
            self.take(scenes, trace=self.budget.batch, learn=False)

    def widen(self) -> None:
        """Extreme integer values that the baseline tolerates."""
        for where, ctype in wide.integers(self.generator.signature):
            for bits in wide.HALVES[ctype.size]:
                survivors = self.apart(wide.probing(self.pool, where, ctype, bits))
                self.wide += survivors
                self.wide += self.apart(wide.following([ran for _, ran in survivors], where, ctype, bits))
        self.wide += self.apart(wide.elements(self.pool, self.rng))

    def apart(self, made: Sequence[tuple[T, Scene]]) -> list[tuple[T, Ran]]:
        """Those that are defined. Ends when two batches in a row had none: they cost a time-out each."""
        found: list[tuple[T, Ran]] = []
        empty = 0
        made = self.rng.sample(made, len(made))
        for start in range(0, len(made), 48):
            if empty == 2 or self.is_over():
                break
            batch = made[start : start + 48]
            rans = self.probe.defined([scene for _, scene in batch])
            kept = [(kind, ran) for (kind, _), ran in zip(batch, rans, strict=True) if ran is not None]
            self.probe.trace(ran for _, ran in kept)
            found += [(kind, ran) for kind, ran in kept if ran.traced and ran.work <= LIMITS.most_work]
            empty = 0 if kept else empty + 1
        for _, ran in found:
            ran.scene = trimmed(ran.scene, ran.extents)
        return found

    def based(self) -> list[Ran]:
        """Inputs with a pointer whose lower half is zero; already where they belong."""
        return [ran for ran in self.probe.defined(wide.based(self.pool)) if ran is not None]

    def near_missing(self) -> list[Ran]:
        """Traced inputs that reached the block before a missing edge; all traced ones if none did."""
        sources = {a for a, _ in self.probe.missing}
        near = [ran for ran in self.pool if ran.traced and any({a, b} & sources for a, b in ran.edges)]
        return near or [ran for ran in self.pool if ran.traced] or self.pool

    def reached(self, block: int) -> list[Run]:
        """Traced inputs that went through a block, recorded ones first."""
        every = [*self.states.quick, *self.states.mutants, *self.pool]
        return [run for run in every if run.traced and any(block in edge for edge in run.edges)]

    def perturb(self, scene: Scene, label: str = "fuzz") -> Scene:
        generator = self.generator
        return perturbed(scene, generator.signature, generator.dictionary, self.rng, label)

    # --- running a batch ----------------------------------------------------------------------

    def take(self, scenes: Sequence[Scene], *, trace: int, learn: bool, patience: int = 1) -> None:
        """Run scenes; trace up to `trace` of the defined ones; learn from all; pool what was traced.

        `patience`: how many times the usual work they may be.
        """
        rans = self.probe.defined(scenes, patience * SLOW_TICKS)
        looked = [ran for ran in rans if ran is not None][:trace]
        self.probe.trace(looked)
        for ran in looked:
            self.most_work = max(self.most_work, ran.work)
            if ran.traced and (ran.fresh or ran.work <= patience * LIMITS.most_work):
                ran.scene = trimmed(ran.scene, ran.extents)
                self.pool.append(ran)
        if learn:
            for number, (scene, one) in enumerate(zip(scenes, rans, strict=True)):
                # What changes under it says nothing of the kind of input.
                if number not in self.probe.unrun and (one is None or one.traced) and not scene.changes:
                    self.generator.learner.learn(scene.choices, self.reward(one))

    def reward(self, ran: Ran | None) -> float:
        """0 for an undefined input, else 0.2 to 1 by how much was done."""
        return 0.0 if ran is None else 0.2 + 0.8 * log2(1 + ran.work) / log2(1 + self.most_work)

    # --- choosing -----------------------------------------------------------------------------

    def choose(self) -> list[Ran]:
        """Inputs that first covered an edge; sweeps; of every size the one with most work and two others; every
        path."""
        chosen: dict[int, Ran] = {}

        def add(rans: Iterable[Ran]) -> None:
            for ran in rans:
                if len(chosen) < self.budget.tests:
                    chosen[id(ran)] = ran

        add(ran for ran in self.pool if ran.fresh)
        by_size: dict[int, list[Ran]] = {}
        for ran in self.pool:
            by_size.setdefault(ran.scene.size, []).append(ran)
        add([ran for ran in self.pool if ran.scene.label == "sweep"][: self.budget.tests // 3])
        for rank in (0, 2, 1):
            for size in sorted(by_size):
                ranked = sorted(by_size[size], key=lambda r: -r.work)
                add([ranked[min(len(ranked) * rank // 3, len(ranked) - 1)]])
        by_path: Counter[frozenset[Edge]] = Counter()
        rest = [ran for ran in self.pool if id(ran) not in chosen]
        turn: dict[int, int] = {}
        for ran in rest:
            by_path[ran.edges] += 1
            turn[id(ran)] = by_path[ran.edges]
        # In turns over the paths: the first of each, the second of each, ...
        add(sorted(rest, key=lambda r: turn[id(r)]))
        return list(chosen.values())

    def place(self, chosen: list[Ran]) -> list[Ran]:
        """Move each input to a guard page: at the end of the arena, for a third of them also at its start.

        What is no longer defined there stays where it was. Inputs that covered an edge first get both places too.
        """
        plan: list[tuple[Ran, Scene]] = []
        for number, ran in enumerate(chosen):
            sides = ("trailing", "leading") if ran.fresh or number % 3 == 2 else ("trailing",)
            plan += [(ran, tightened(ran.scene, ran.extents, side)) for side in sides]
        moved = self.probe.defined([scene for _, scene in plan])
        out: list[Ran] = []
        seen: set[object] = set()
        for (ran, _), tight in zip(plan, moved, strict=True):
            kept = tight or self.again(ran)
            if kept is not None and (key := _key(kept.test)) not in seen:
                seen.add(key)
                out.append(kept)
        return out

    def again(self, ran: Ran) -> Ran | None:
        """The input as it was found: trimming must not have changed that it is defined."""
        return self.probe.defined([ran.scene])[0]


def _key(test: Test) -> object:
    """What makes two tests one: all but labels and junk."""
    return test.ints, test.vectors, test.stack, test.regions, test.globals, test.symbols, test.changes


def _label(n: int) -> str:
    return "edge" if n == 0 else "tiny" if n < 8 else "small" if n <= 128 else "medium"
