"""The tests of one function, shown to be adequate: `set_up` makes a `Suite`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gccllm.assembly import Body
from gccllm.base.core import Decline, Test
from gccllm.base.deadline import NEVER, Deadline
from gccllm.base.events import Log
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.stages import cpu_seconds
from gccllm.harvest.far import with_code, with_far
from gccllm.harvest.harvest import Harvest, more_near
from gccllm.harvest.harvest import harvest as find_tests
from gccllm.harvest.large import enlarged
from gccllm.harvest.long import SHORTENED
from gccllm.harvest.recorded import MUTATED, RECORDED
from gccllm.harvest.solved import Solver
from gccllm.harvest.types import Signature
from gccllm.harvest.wire import Subject
from gccllm.record.recordings import RecordedTests
from gccllm.sandbox.compare import differs, forget_undefined_flags
from gccllm.sandbox.replay import Replayer
from gccllm.unit.session import Target
from gccllm.verify import adequacy, timing
from gccllm.verify.sampling import Pair
from gccllm.verify.workbench import Workbench


@dataclass(frozen=True)
class Suite:
    """The tests of one function: all edges covered or shown infeasible, enough mutants killed."""

    subject: Subject
    bench: Workbench
    harvest: Harvest
    adequacy: adequacy.Adequacy | None
    """None where edges are uncovered: then nobody asked."""
    recorded: RecordedTests | None = None

    @property
    def signature(self) -> Signature:
        return self.subject.target.signature


WEAK = frozenset({Reason.EDGES_MISSED, Reason.MUTANTS_SURVIVED})
"""Why tests are not good enough for a candidate of unknown origin."""


class Inadequate(Decline):
    """The tests are too weak for a candidate of unknown origin; `suite` can still refute one and time it."""

    def __init__(self, why: Decline, suite: Suite) -> None:
        super().__init__(why.reason, why.detail)
        self.suite = suite


def set_up(target: Target, directory: Path, deadline: Deadline = NEVER, seed: int | None = None) -> Suite:
    """Types, tests, and the proof that the tests are good enough. Raises Decline with the function's reason.

    `seed` of the harvest; the setting's when it is not given.
    """
    session, function, log = target.session, target.function, target.log
    unit = session.unit
    seed = session.settings["seed"] if seed is None else seed
    signature = session.signature(function.name)
    key = session.recordings.key(unit.module, function)
    if session.recordings.stamp(key):
        signature = with_far(unit.module, function.name, signature, session.replaceable)
        signature = with_code(signature, session.recordings.callee)
    under_test = session.harvest_target(function.name, signature, directory)
    recorded = session.recordings.supply(key, under_test)
    started, used = time.monotonic(), cpu_seconds()
    found = find_tests(
        under_test, seed, min(LIMITS.harvest_s, deadline.left), recorded=recorded.tests if recorded else ()
    )
    if found.cut_short and deadline.is_over:
        raise Decline(Reason.DEADLINE)
    took, used = time.monotonic() - started, cpu_seconds() - used
    # Too few inputs mean nothing where other work took the CPU.
    if found.cut_short and used < LIMITS.harvest_cpu * took and (found.missing or not found.timing):
        raise Decline(Reason.DEADLINE, f"other work keeps the machine busy: {used:.1f} s of CPU in {took:.1f} s")
    if found.edges_taken < found.edges_all:
        log_tests(log, found, found.tests)
    scalar = session.scalar_body(function.name)
    subject = Subject(under_test, session.context(function.name, signature), scalar)
    try:
        require_edges(found)
        log.step("mutants")
        bench = workbench(subject, found.tests, seed, deadline)
        score = require_adequate(bench, found, log)
    except Decline as decline:
        if decline.reason not in WEAK or not found.timing:
            raise
        bench = workbench(subject, found.tests, seed, deadline)
        raise Inadequate(decline, Suite(subject, bench, found, None, recorded)) from decline
    return Suite(subject, bench, found, score, recorded)


def require_edges(found: Harvest, taken: int | None = None) -> None:
    """Raises Decline(EDGES_MISSED) for uncovered edges. `taken`: covered by those tests that the bench could use."""
    taken = found.edges_taken if taken is None else taken
    if taken < found.edges_all:
        why = sorted(found.why, key=lambda said: not said.startswith("no input"))  # which edges, before all else
        raise Decline(Reason.EDGES_MISSED, f"{taken} of {found.edges_all} taken; {'; '.join(why)}"[:300])


def require_adequate(bench: Workbench, found: Harvest, log: Log | None = None) -> adequacy.Adequacy:
    """The score of the tests on the bench. Raises Decline(EDGES_MISSED, MUTANTS_SURVIVED)."""
    if len(bench.tests) < len(found.tests):
        require_edges(found, len(bench.edges_taken))
    score = adequacy.score(bench)
    if log is not None:
        log_tests(log, found, bench.tests, score)
    if not score.is_adequate:
        best, alive = score.best, "; ".join(score.best.survivors[:3])
        detail = f"{best.killed} of {best.total} killed with {len(bench.tests)} tests; alive: {alive}"
        raise Decline(Reason.MUTANTS_SURVIVED, detail)
    return score


def is_equal_on(bench: Workbench, body: Body, found: Harvest) -> bool:
    """Whether a body gives the baseline's results on every timing input too, held-out ones included."""
    kinds = (found.timing, found.held_out, found.guard_classes)
    tests = list({id(test): test for classes in kinds for tests in classes.values() for test in tests}.values())
    image = bench.image([bench.entry_text(body, "timed")])
    with Replayer(image, bench.returns, deadline_ms=LIMITS.timed_ms) as replayer:
        want, other, got = (
            replayer.run_raw(entry, tests, poison=n) for entry, n in ((bench.name, 0), (bench.name, 1), ("timed", 0))
        )
        forget_undefined_flags(want, other)
    return not differs(want, got, bench.returns, bench.environment).any()


def slower_guard_class(suite: Suite, body: Body, level: int) -> str:
    """The class of generated inputs on which a body is clearly slower, in words; empty when there is none.

    Only where recorded calls decide how fast it is. Each class is timed twice before it counts.
    """
    for label, tests in suite.harvest.guard_classes.items():
        for seed in (1, 2):
            speed = timing.screen_speed(Pair(suite.bench, body, level), {label: tests}, seed=seed)
            if speed == 0.0 or speed >= LIMITS.guard_class_speed:
                break
        else:
            return f"{label}: {speed:.2f}x"
    return ""


def log_tests(log: Log, found: Harvest, tests: Sequence[Test], score: adequacy.Adequacy | None = None) -> None:
    """Log how good the tests of a function are, also where they are inadequate."""
    labels = Counter(test.label for test in tests)
    recorded, shortened, mutated = labels[RECORDED], labels[SHORTENED], labels[MUTATED]
    log.write(
        "tests",
        made=len(tests) - recorded - shortened - mutated,
        recorded=recorded,
        shortened=shortened,
        mutated=mutated,
        refused=found.refused,
        edges=[found.edges_taken, found.edges_all],
        mutants=[score.best.killed, score.best.total] if score else None,
        timing=sorted(found.timing),
        why=found.why,
    )


def workbench(subject: Subject, tests: Sequence[Test], seed: int, deadline: Deadline = NEVER) -> Workbench:
    """Raises Decline(NO_INPUTS) when the baseline does not terminate normally on the tests."""
    target = subject.target
    bench = Workbench(
        name=target.name,
        text=target.text,
        baseline=target.body,
        tests=[],
        returns=target.signature.returned,
        context=subject.context,
        tools=target.tools,
        workdir=target.workdir,
        callees=target.signature.callees,
        scalar=subject.scalar,
        more=lambda near, deadline: more_near(target, near, seed, deadline),
        solver=Solver(target, seed),
        seed=seed,
        large=lambda deadline: enlarged(target, tests, deadline),
        environment=target.environment,
        deadline=deadline,
    )
    bench.take(tests)
    return bench
