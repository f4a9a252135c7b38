"""What recorded tests are worth, and which of them to keep.

It keeps tests that together cover every edge and kill every mutant that all of them do (greedy, the heaviest first
where several qualify), and a sample of the rest in proportion to how many calls each stands for, as the
timing workload. What does not replay is dropped. The score is that of the recorded tests alone: a build has generated
and mutated tests beside them.

Not covered: pairs of tests that only together show something, which no gate here asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gccllm.assembly import Body
from gccllm.base.limits import LIMITS
from gccllm.base.scratch import scratch
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.long import Looked
from gccllm.harvest.wire import Subject
from gccllm.record.onbench import OnBench
from gccllm.record.store import Recorded, TestStore
from gccllm.record.testfile import Benched, Coverage
from gccllm.sandbox import layout
from gccllm.verdict.suite import workbench
from gccllm.verify import adequacy
from gccllm.verify.mutate import Mutant, assembling, mutants
from gccllm.verify.workbench import Workbench

KEEP = 64
"""Tests that stay by default, those for edges and mutants among them: a deck for the timing."""
SEED = 1

Fact = tuple[str, int, int]
"""An edge that a test takes, or a mutant that it kills."""


@dataclass(frozen=True)
class Worth:
    """The recorded tests of a function, looked at one by one."""

    looked: tuple[Looked, ...]
    """For each call what the baseline does on it, or why it does not replay."""
    facts: tuple[frozenset[Fact], ...]
    """For each call the edges and mutants that it shows."""
    edges: tuple[int, int]
    """(taken, all)."""
    mutants: tuple[int, int]
    """(killed, all that are not shown equivalent)."""

    @property
    def replayed(self) -> int:
        return sum(one.state is not None for one in self.looked)

    def coverage(self, stamp: str) -> Coverage:
        return Coverage(stamp=stamp, edges=self.edges, mutants=self.mutants, tests=self.replayed)

    def kills(self, number: int) -> int:
        return sum(kind == "mutant" for kind, _, _ in self.facts[number])

    def takes(self, number: int) -> int:
        return sum(kind == "edge" for kind, _, _ in self.facts[number])


@dataclass(frozen=True)
class Minimised:
    """Before and after, for one function."""

    function: str
    before: tuple[int, int]
    """(tests, bytes of the file)."""
    after: tuple[int, int]
    worth_before: Worth
    worth_after: Worth
    pinned: int
    """Kept for an edge or a mutant, not for the sample."""


def worth_of(known: Benched, recorded: Recorded, tools: Toolchain, workdir: Path) -> Worth:
    """Replay the calls, run mutants on them.

    Raises ValueError, BodyError, AssembleError or Decline: no usable bench.
    """
    with OnBench(known, tools, workdir) as bench:
        looked = bench.looked(recorded.calls)
        edges_all = frozenset(bench.probe.all_edges)
    # What a long call shows, shorter ones made of it show for it.
    at = [(number, state) for number, one in enumerate(looked) for state in one.functional]
    facts: list[set[Fact]] = [set() for _ in looked]
    for number, state in at:
        facts[number] |= {("edge", *edge) for edge in state.edges & edges_all}
    taken = len(set().union(*facts)) if facts else 0
    killed = total = 0
    if at:
        tests = [state.test for _, state in at]
        scalar = Body.parse(known.bench.scalar) if known.bench.scalar else None
        work = workbench(Subject(bench.target, bench.context, scalar), tests, SEED)
        work.more = None  # the question is what these tests do, not what others would
        best = adequacy.score(work).best
        killed, total = best.killed, best.total
        body = work.scalar if best.of == "scalar" and work.scalar is not None else work.baseline
        for number, shown in enumerate(_killers(work, body)):
            for index in shown:
                facts[at[index][0]].add(("mutant", number, 0))
    return Worth(tuple(looked), tuple(frozenset(f) for f in facts), (taken, len(edges_all)), (killed, total))


def _killers(work: Workbench, body: Body) -> list[list[int]]:
    """For each mutant the tests (by number) that show it."""
    made: list[Mutant] = assembling(mutants(body, limit=LIMITS.most_mutants, seed=SEED), work.tools, work.workdir)
    if not made:
        return []
    everyone = range(len(work.tests))
    image = work.image([work.entry_text(mutant.body, f"m{i}", align=4) for i, mutant in enumerate(made)])
    found = []
    with work.replayer(image) as replayer:
        for number in range(len(made)):
            wrong, seen = work.wrong(replayer, f"m{number}", everyone, 0)
            # After a time-out the rest is not run: that shows nothing of the rest.
            skipped = set(np.flatnonzero(seen["status"] == layout.Status.SKIPPED).tolist())
            found.append([index for index in wrong if index not in skipped])
    return found


def cover(worth: Worth, weights: Sequence[float]) -> list[int]:
    """Numbers of tests that show all that all of them show; each adds something. The heaviest first among equals."""
    missing = set[Fact]().union(*worth.facts) if worth.facts else set()
    chosen: list[int] = []
    while missing:
        best = max(range(len(weights)), key=lambda n: (len(worth.facts[n] & missing), weights[n], -n))
        chosen.append(best)
        missing -= worth.facts[best]
    return sorted(chosen)


def minimise(store: TestStore, key: str, tools: Toolchain, keep: int = KEEP) -> Minimised | None:
    """Keep what is worth keeping of one function; None when it has no tests.

    Raises OSError when the store cannot be written, and what `worth_of` raises: then nothing has changed.
    """
    known, recorded = store.bench(key), store.read(key)
    if known is None or recorded is None or not recorded.calls:
        return None
    path = store.path(key)
    before = (len(recorded.calls), path.stat().st_size)
    with scratch() as directory:
        worth = worth_of(known, recorded, tools, directory)
    pinned = {recorded.digests[number] for number in cover(worth, recorded.weights)}
    lost = {digest for digest, one in zip(recorded.digests, worth.looked, strict=True) if one.state is None}
    with store.locked(key):
        pool = store.stored(key)
        if pool is None:
            return None
        for digest in lost & pool.items.keys():
            del pool.items[digest]
            pool.dropped["not_replayed"] += 1
        # Others may have recorded in the meantime: what they added is judged by its rank alone.
        pool.choose(sorted(pinned & pool.items.keys()), max(keep, len(pinned)))
        store.replace(key, pool)
    left = store.read(key)
    if left is None:
        return None
    with scratch() as directory:
        after = worth_of(known, left, tools, directory)
    store.note(key, after.coverage(store.stamp(key)))
    return Minimised(
        recorded.function, before, (len(left.calls), path.stat().st_size), worth, after, len(pinned)
    )  # fmt: skip
