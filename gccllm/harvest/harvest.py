"""The search for a function's tests: generate inputs, keep the defined ones, trace them, move them to guard pages.

`harvest` is the story. All budgets are counts, so the same seed gives the same tests; only the outer deadline looks at
the clock, and a harvest that was cut short records it.

Covers functions of scalars, buffers, records, lists, trees and unit globals. Not covered by generated inputs: those
that must obey a grammar, hash tables that must be consistent, sizes that must divide one another unless chance or a
constant helps. Calls recorded from the program are tests beside those (`recorded`), and stand alone where none can be
made.
"""

from __future__ import annotations

from collections.abc import Sequence

from gccllm.base.core import Decline, Test
from gccllm.base.deadline import NEVER, Deadline
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.harvest import overlap, wide, workload
from gccllm.harvest.modes import in_modes
from gccllm.harvest.probe import Probe, no_inputs
from gccllm.harvest.result import Harvest as Harvest
from gccllm.harvest.result import explain
from gccllm.harvest.scene import lifted
from gccllm.harvest.search import DEFAULT, GRID, Budget, Search
from gccllm.harvest.search import QUICK as QUICK
from gccllm.harvest.solved import Solving
from gccllm.harvest.target import HarvestTarget
from gccllm.harvest.types import unmakeable
from gccllm.prove import infeasible

PATIENCE = 8
"""Factor on the work of a further input: an unrolled loop over the columns of square matrices needs many rows too."""
MOST_LONGER = 8
"""Further inputs over the usual work that are kept: every later candidate runs them."""


def harvest(
    target: HarvestTarget,
    seed: int = 1,
    deadline_s: float = LIMITS.harvest_s,
    budget: Budget = DEFAULT,
    recorded: Sequence[Test] = (),
) -> Harvest:
    """Tests for `target`. Raises Decline (NO_INPUTS, UNSUPPORTED_TYPE), BodyError or AssembleError.

    `recorded` are calls of the program (`harvest.recorded`); they are held to the same rules as generated inputs.
    """
    if (unmade := unmakeable(target.signature)) and not recorded:
        raise Decline(Reason.UNSUPPORTED_TYPE, unmade)
    with Probe(target) as probe:
        search = Search(probe, seed, Deadline(deadline_s), budget)

        # What the program really does comes first: edges that it takes need no chase.
        search.states.admit(recorded)

        # Learn which kinds of input the function accepts and does something with.
        if not unmade:
            search.explore()
        if not search.pool and not search.states.recorded:
            raise no_inputs(probe.discards)

        # Every size around vector widths and unroll factors; then many values; then what overflows narrow sums.
        if search.pool:
            search.fill_grid()
            search.vary_values()
            search.go_long()
            search.sweep_exits()
            search.fill_uniformly()
            search.overlap()

        # Look for inputs that cover the uncovered edges, starting from nearby ones.
        search.chase_edges()
        if probe.missing and not search.is_over():
            Solving(probe, seed, deadline=search.deadline).chase(search.reached, search.states.solve, search.is_over)

        # Numbers and pointers that half of their bits would not do for.
        if search.pool:
            search.widen()

        # From here on no input is generated for correctness: choose among them, and move them to the guard pages.
        placed = search.place(
            [*search.choose(), *search.uniform, *overlap.chosen(search.overlapping), *wide.chosen(search.wide)]
        )
        placed += search.based()
        tests = [ran.test for ran in placed] + search.states.chosen(budget.states)
        tests += in_modes(probe, tests, seed)
        tests += probe.undefined_by_language()
        result = Harvest(seed=seed, tests=tests + ([] if search.is_over() else probe.doubtful_tests()))
        if budget.timing:
            # What the program does decides, once enough of it is known; generated inputs then only watch.
            result.timing, result.held_out = search.states.timing()
            made: tuple[workload.Tests, workload.Tests] = ({}, {})
            if search.pool:
                decide = not result.timing
                made = workload.classes(probe, search.generator, search.pool, search.is_over, decide=decide)
            if result.timing:
                result.guard_classes = made[0]
            elif made[0]:
                result.timing, result.held_out = made
            else:
                result.timing, result.held_out = search.states.timing(fewest=1)

        if probe.missing and not search.is_over():
            result.infeasible = infeasible(target.body, probe.missing, target.tools, search.deadline)
        result.missing = [edge for edge in probe.missing if edge not in result.infeasible]
        result.edges_taken = len(probe.taken & probe.all_edges)
        result.edges_all = result.edges_taken + len(result.missing)
        result.overlaps = search.overlaps
        result.discards = {what: count for what, count in probe.discards.most_common() if count}
        result.refused = search.states.refused
        result.cut_short = search.is_over()
        result.why = explain(target, result, probe) + search.states.said()
        return result


def more_near(
    target: HarvestTarget, near: Sequence[Test], seed: int = 1, deadline: Deadline = NEVER, *, most: int = 160
) -> list[Test]:
    """Up to `most` further defined inputs: `near` ones changed a little, and fresh ones. Deterministic.

    Recorded ones among `near` are changed in place. Raises what `harvest` raises, but for NO_INPUTS and
    UNSUPPORTED_TYPE: then the list is empty.
    """
    with Probe(target) as probe:
        search = Search(probe, seed + len(near), deadline.within(LIMITS.more_s))
        states = probe.defined_states([test for test in near if test.pages])
        parents = [lifted(test, target.signature) for test in near if not (test.pages or test.symbols)]
        generator = search.generator
        for _ in range(4):
            search.states.grow(states, 64)
            if unmakeable(target.signature):
                continue
            scenes = [generator.scene(search.rng.choice(GRID[:48]), "more") for _ in range(16)]
            if parents:
                scenes += [search.perturb(search.rng.choice(parents), "more") for _ in range(64)]
            search.take(scenes, trace=len(scenes), learn=True, patience=PATIENCE)
        # Both kinds get a half where both are there.
        changed = search.states.chosen(most if not search.pool else most // 2)
        usual = [ran for ran in search.pool if ran.work <= LIMITS.most_work]
        longer = sorted((ran for ran in search.pool if ran.work > LIMITS.most_work), key=lambda ran: ran.work)
        longer = longer[:: max(1, len(longer) // MOST_LONGER)][:MOST_LONGER]
        placed = search.place([*longer, *usual][:most])
        return changed + [ran.test for ran in placed][: most - len(changed)]
