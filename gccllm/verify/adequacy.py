"""The adequacy of the tests: the share of mutants of the function that they kill.

Mutants of a body are linked into one image and run on the tests; a mutant is killed by any difference in results,
memory, calls or in how the run ends. A mutant that survives counts against the tests unless a sound argument shows
that it is no mutant: the same canonical text, a change of values that nothing reads (`is_dead_change`), of a jump on
an infeasible edge, or of an instruction with the same effect in every state that can reach it (`gccllm.prove`).

Which body to mutate? gcc's vectorised code holds several loops for one purpose, and the choice between them computes
nothing: `cmpl $14` mutated to `cmpl $15` in front of a vector loop hands one more size to the scalar loop beside it and
changes no result. Such mutants are equivalent, which is expensive to show, and no fault of the tests. The scalar body
of the same source (a side compile) has one loop where the baseline has three, so its mutants are mostly real. The score
of a function is the better of both. This is honest because both bodies compute the same function and the question is
whether the tests distinguish that function from its neighbours; the paths of the vectorised body are another question,
which edge coverage answers.

Mutants in blocks that no test enters are left out: the edge gate covers those.

Not covered: the memory contract (a mutant that only reads or rewrites more survives here and is refused there), and
mutants of two changes at once; 64-bit values cut to 32 bits, which on lengths show only beyond 2^32 elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gccllm.assembly import Body, BodyError, canonical, cfg
from gccllm.assembly.cfg import Edge
from gccllm.assembly.code import code_of
from gccllm.assembly.syntax import Flow
from gccllm.base.limits import LIMITS
from gccllm.prove import infeasible, same
from gccllm.sandbox.environment import UNSEEN, Environment
from gccllm.sandbox.replay import Replayer
from gccllm.sandbox.trace import trace_many, traced_name
from gccllm.verify.dead import is_dead_change
from gccllm.verify.mutate import Mutant, assembling, mutants
from gccllm.verify.workbench import Workbench
from gccllm.x86.decode import Code

SIDE_FLAGS = ("-Os", "-fno-tree-vectorize")
"""Appended to the unit's flags for `Workbench.scalar`. Measured on 75 kernels with the first harvest: gcc's bodies are
adequate for 54 at -O3, for 54 at -O3 without vectorisation, for 70 at -Os, which divides where the others multiply and
shift and has no copies of the loop; for 72 at -O3 or -Os."""
NEAR = 8
"""Tests near one survivor that the harvest is given to start from."""
MOST_SOLVED = 40
"""Survivors that the solver is asked about."""
ROUNDS = 3
"""Times the harvest is asked for inputs aimed at the survivors."""


@dataclass(frozen=True)
class Score:
    """`killed` of `total` mutants that are not shown equivalent; `of` says whose mutants: `baseline` or `scalar`."""

    killed: int
    total: int
    equivalent: int
    survivors: tuple[str, ...]
    of: str = "baseline"

    @property
    def share(self) -> float:
        return self.killed / self.total if self.total else 0.0

    @property
    def is_adequate(self) -> bool:
        """Enough killed, of enough mutants to mean something."""
        return self.total >= LIMITS.least_mutants and self.share >= LIMITS.mutation_score


@dataclass(frozen=True)
class Adequacy:
    """The verdict on the tests. `best` decides; `scores` keeps every body's own figure."""

    best: Score
    scores: tuple[Score, ...]
    added_tests: int = 0

    @property
    def is_adequate(self) -> bool:
        return self.best.is_adequate


def score(bench: Workbench, *, limit: int = LIMITS.most_mutants, rounds: int = ROUNDS) -> Adequacy:
    """Measure, and ask the harvest for more inputs while too many survive. May add to `bench.tests`.

    Raises AssembleError or Decline when the baseline itself cannot be linked or run.
    """
    before = len(bench.tests)
    bodies = {"baseline": bench.baseline}
    scores = [_score_of(bench, bench.baseline, "baseline", limit, 0)]
    if not scores[0].is_adequate and bench.scalar is not None and _agrees(bench, bench.scalar):
        bodies["scalar"] = bench.scalar
        scores.append(_score_of(bench, bench.scalar, "scalar", limit, 0))
    best = _best(scores)
    if not best.is_adequate and bench.more is not None and best.total:
        scores.append(_score_of(bench, bodies[best.of], best.of, limit, rounds))
        best = _best(scores)
    return Adequacy(best, tuple(scores), len(bench.tests) - before)


def _best(scores: Sequence[Score]) -> Score:
    return max(scores, key=lambda s: (s.is_adequate, s.share))


def _agrees(bench: Workbench, body: Body) -> bool:
    """Whether a side compile's body computes what the baseline does on every test."""
    with bench.replayer(bench.image([bench.entry_text(body, "scalar")])) as replayer:
        return not bench.wrong(replayer, "scalar", range(len(bench.tests)), 0, UNSEEN)[0]


def _score_of(bench: Workbench, body: Body, of: str, limit: int, rounds: int) -> Score:
    entered = _entered_lines(bench, body)
    found = [m for m in mutants(body, limit=2 * limit, seed=bench.seed) if m.line in entered or m.line < 0][:limit]
    alive = assembling(_distinct(body, found), bench.tools, bench.workdir)
    total = len(alive)
    if not alive:
        return Score(0, 0, 0, (), of)
    environment = bench.environment if body is bench.baseline else UNSEEN
    names = {id(mutant): f"m{i}" for i, mutant in enumerate(alive)}
    image = bench.image([bench.entry_text(m.body, names[id(m)], align=4) for m in alive])
    with bench.replayer(image) as replayer:
        quick = bench.quick()
        alive = [m for m in alive if not _is_killed(bench, replayer, names[id(m)], quick, environment)]
        every = range(len(bench.tests))
        alive = [m for m in alive if not _is_killed(bench, replayer, names[id(m)], every, environment)]
        alive, equivalent = _without_equivalent(bench, body, alive)
        for _ in range(rounds):
            if not alive or (total - equivalent - len(alive)) >= LIMITS.mutation_score * (total - equivalent):
                break
            first = len(bench.tests)
            near = {i for m in alive for i in entered.get(m.line, range(0, first, 16))}
            if not bench.ask_for_more([bench.tests[i] for i in sorted(near)]):
                break
            fresh = range(first, len(bench.tests))
            alive = [m for m in alive if not _is_killed(bench, replayer, names[id(m)], fresh, environment)]
        if rounds and _is_short(alive, total - equivalent):
            # What chance does not kill: inputs on which the changed instruction itself ends otherwise.
            first = len(bench.tests)
            changes = [(m.line, m.body) for m in alive if m.line >= 0]
            near = {i for m in alive for i in entered.get(m.line, ())}
            if bench.ask_for_differences(body, changes, [bench.tests[i] for i in sorted(near)]):
                fresh = range(first, len(bench.tests))
                alive = [m for m in alive if not _is_killed(bench, replayer, names[id(m)], fresh, environment)]
        if rounds and _is_short(alive, total - equivalent):
            shown = {id(m) for m in _shown_same(bench, body, alive)}
            alive, equivalent = [m for m in alive if id(m) not in shown], equivalent + len(shown)
    total -= equivalent
    return Score(total - len(alive), total, equivalent, tuple(f"{m.operator}: {m.what}" for m in alive), of)


def _is_short(alive: Sequence[Mutant], total: int) -> bool:
    """Whether the score is too low, and so little that the solver is worth its time."""
    return (1 - LIMITS.mutation_score) * total < len(alive) <= MOST_SOLVED


def _entered_lines(bench: Workbench, body: Body) -> dict[int, list[int]]:
    """Each line of a block that tests enter, and a few of those tests. All lines when it cannot be watched."""
    if body is bench.baseline:
        traces = bench.traces()
    else:
        try:
            image = bench.image([bench.traced_text(body, "watched")], traced=True)
        except BodyError:
            return {line: [0] for line in range(len(body.lines))}
        with bench.replayer(image) as replayer:
            traces = trace_many(replayer, traced_name("watched"), bench.tests)
    tests: dict[int, list[int]] = {}
    for i, one in enumerate(traces):
        for block in one.blocks:
            tests.setdefault(block, []).append(i)
    graph = cfg(body)
    return {
        line: known[:: len(known) // NEAR + 1]
        for block, known in tests.items()
        for line in range(graph.blocks[block].first, graph.blocks[block].last)
    }


def _is_killed(
    bench: Workbench, replayer: Replayer, entry: str, chosen: Sequence[int], environment: Environment
) -> bool:
    return any(bench.wrong(replayer, entry, chosen, poison, environment)[0] for poison in (0, 1))


def _distinct(body: Body, found: Sequence[Mutant]) -> list[Mutant]:
    """Without mutants that are the body again, or one another, in canonical text."""
    seen = {canonical(body)}
    out = []
    for mutant in found:
        text = canonical(mutant.body)
        if text not in seen:
            seen.add(text)
            out.append(mutant)
    return out


def _without_equivalent(bench: Workbench, body: Body, alive: Sequence[Mutant]) -> tuple[list[Mutant], int]:
    if not alive:
        return [], 0
    original = _code(bench, body)
    idle = _idle_edges(bench, body, alive)
    kept = []
    for mutant in alive:
        if idle and _is_idle_jump(bench, body, mutant, idle):
            continue
        changed = _code(bench, mutant.body)
        is_dead = (
            original is not None
            and changed is not None
            and is_dead_change(body, mutant.body, original, changed, bench.convention)
        )
        if not is_dead:
            kept.append(mutant)
    return kept, len(alive) - len(kept)


def _code(bench: Workbench, body: Body) -> Code | None:
    try:
        return code_of(body, bench.tools, bench.name)
    except BodyError:
        return None


def _shown_same(bench: Workbench, body: Body, alive: Sequence[Mutant]) -> list[Mutant]:
    """Those whose changed instruction has the same effect in every state that can reach it."""
    changed = [m for m in alive if m.line >= 0]
    try:
        found = same(body, [(m.line, m.body) for m in changed], bench.tools, bench.deadline)
    except BodyError:
        return []
    return [m for m, is_same in zip(changed, found, strict=True) if is_same]


def _idle_edges(bench: Workbench, body: Body, alive: Sequence[Mutant]) -> frozenset[Edge]:
    """Infeasible edges of the baseline; asked for only where a mutant changes a jump."""
    untaken = bench.all_edges - bench.edges_taken if body is bench.baseline else frozenset()
    if not untaken or not any(m.line >= 0 and body.lines[m.line].flow is Flow.BRANCH for m in alive):
        return frozenset()
    return infeasible(body, untaken, bench.tools, bench.deadline)


def _is_idle_jump(bench: Workbench, body: Body, mutant: Mutant, idle: frozenset[Edge]) -> bool:
    """Whether all that changed is a conditional jump that is never taken, in the body or in the mutant."""
    at = mutant.line
    lines, others = body.lines, mutant.body.lines
    if at < 0 or len(lines) != len(others) or lines[:at] + lines[at + 1 :] != others[:at] + others[at + 1 :]:
        return False
    if lines[at].flow is not Flow.BRANCH or others[at].flow is not Flow.BRANCH or others[at].target not in body.labels:
        return False
    block_of = cfg(body).block_of_line
    edge = (block_of[at], block_of[body.labels[lines[at].target]])
    there = (block_of[at], block_of[body.labels[others[at].target]])
    return edge in idle and there in infeasible(mutant.body, idle - {edge} | {there}, bench.tools, bench.deadline)
