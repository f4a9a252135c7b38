"""One function on the bench, and an entry put on the bench again.

`recheck` needs nothing but the entry: its tests are harvested anew, so that nothing the entry claims is believed. Only
recorded calls are not in it, for they are somebody's memory: an entry that rests on them is checked where they are.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gccllm.assembly import Body, BodyError
from gccllm.config import Settings
from gccllm.core import Candidate, Evidence, Quit, Slot, Test, Verdict, refuted
from gccllm.deadline import NEVER, Deadline
from gccllm.events import Log
from gccllm.harvest.harvest import Harvest, more_near
from gccllm.harvest.harvest import harvest as find_tests
from gccllm.harvest.large import enlarged
from gccllm.harvest.long import SHORTENED
from gccllm.harvest.probe import HarvestTarget
from gccllm.harvest.recorded import CLASSES, MUTATED, RECORDED
from gccllm.harvest.solved import Solver
from gccllm.harvest.types import CType, Pointer, Record, Signature
from gccllm.reasons import Reason
from gccllm.record.recordings import Recordings, Supply
from gccllm.store.entry import Entry, EvidenceRecord, RecordingRecord, TimingRecord
from gccllm.toolchain import Toolchain
from gccllm.verify import adequacy, timing
from gccllm.verify.abi_state import INTEGER_ARGUMENTS
from gccllm.verify.image import AssembleError
from gccllm.verify.judge import Case, judge_many
from gccllm.verify.replay import Replayer, differs, forget_undefined_flags
from gccllm.verify.screen import Context, argument_registers
from gccllm.verify.workbench import Workbench
from gccllm.wire import target_and_context

HARVEST_S = 20.0
"""Most seconds a harvest may take; it normally ends by its own counts."""
TIMED_DEADLINE_MS = 200
ELSEWHERE = 0.9
"""Where recorded calls decide: the least speed, by a quick look, on each class of inputs that were made."""


@dataclass
class Attempted:
    """One candidate and all that was said of it."""

    candidate: Candidate
    verdict: Verdict
    case: Case | None = None
    quick: float = 0.0
    """Speed-up of the quick timing; 0 when it was not timed."""

    def as_record(self) -> dict[str, Any]:
        reason = self.verdict.reason
        return {
            "proposer": self.candidate.proposer,
            "recipe": self.candidate.recipe,
            "outcome": self.verdict.outcome.value,
            "stage": self.verdict.stage,
            "reason": reason.label if reason else None,
            "detail": self.verdict.detail[:200],
            "speedup": round(self.quick, 3) if self.quick else None,
        }


@dataclass
class Job:
    """One function on the bench: its tests are in place and adequate."""

    target: HarvestTarget
    bench: Workbench
    harvest: Harvest
    adequacy: adequacy.Adequacy
    recorded: Supply | None = None
    attempts: list[Attempted] = field(default_factory=list)
    unheard: set[Reason] = field(default_factory=set)
    """Why some proposer had no say at all; finding nothing then says little."""
    silent: dict[str, Reason] = field(default_factory=dict)
    """Proposers without a candidate, with the last reason that they gave."""

    @property
    def equal(self) -> list[Attempted]:
        """Those that passed every gate and have a quick timing, fastest first."""
        passed = (a for a in self.attempts if a.quick and a.case is not None)
        return sorted(passed, key=lambda a: -a.quick)


def recheck(entry: Entry, settings: Settings, tools: Toolchain | None = None) -> str | None:
    """Run every check but timing on a stored rewrite again, from the entry alone. None when it stands, else why not.

    The tests are harvested anew, by the entry's seed; nothing that the entry claims of them is believed. Whether its
    function is that of some unit only a build can tell (`work.Shop.recheck`). Recorded calls are taken from this
    machine's test store, those that came later included.
    """
    if entry.bench is None or entry.evidence is None:
        return "the entry carries no evidence"
    with scratch() as directory:
        try:
            target, context = target_and_context(
                entry.bench, tools or Toolchain.find(settings["cc"] or None), directory
            )
            recorded = None
            if (known := entry.recording) is not None:
                recorded = Recordings(settings.store_dir).supply(known.key, target)
                if recorded is None and known.recorded:
                    return tests_absent(known)
            found = find_tests(target, entry.evidence.seed, HARVEST_S, recorded=recorded.tests if recorded else ())
            scalar = Body.parse(entry.bench.scalar) if entry.bench.scalar else None
            require_edges(found)
            bench = workbench(target, context, list(found.tests), scalar, entry.evidence.seed)
            return reverify(Job(target, bench, found, require_adequate(bench, found), recorded), entry).failure
        except Quit as quit_:
            return str(quit_)
        except (BodyError, AssembleError, ValueError) as error:
            return f"{type(error).__name__}: {error}"


def require_edges(found: Harvest, taken: int | None = None) -> None:
    """Raises Quit(EDGES_MISSED) when tests miss some. `taken`: by those of them that the bench could use."""
    taken = found.edges_taken if taken is None else taken
    if taken < found.edges_all:
        why = sorted(found.why, key=lambda said: not said.startswith("no input"))  # which edges, before all else
        raise Quit(Reason.EDGES_MISSED, f"{taken} of {found.edges_all} taken; {'; '.join(why)}"[:300])


def require_adequate(bench: Workbench, found: Harvest, log: Log | None = None) -> adequacy.Adequacy:
    """The score of the tests on the bench. Raises Quit(EDGES_MISSED, MUTANTS_SURVIVED)."""
    if len(bench.tests) < len(found.tests):
        require_edges(found, len(bench.edges_taken))
    score = adequacy.score(bench)
    if log is not None:
        say_tests(log, found, bench.tests, score)
    if not score.is_adequate:
        best, alive = score.best, "; ".join(score.best.survivors[:3])
        detail = f"{best.killed} of {best.total} killed with {len(bench.tests)} tests; alive: {alive}"
        raise Quit(Reason.MUTANTS_SURVIVED, detail)
    return score


def tests_absent(known: RecordingRecord) -> str:
    return f"{Reason.TESTS_ABSENT.label}: {known.recorded} recorded calls, key {known.key[:16]}"


def reverify(job: Job, entry: Entry) -> Verdict:
    """The judge's verdict on an entry's rewrite, with the tests of `job`.

    Raises Quit, BodyError and AssembleError as `judge_many`.
    """
    case = judge_many([Candidate(entry.body, entry.proposer, entry.recipe)], job.bench)[0]
    assert case.verdict is not None
    if not case.verdict.is_accepted:
        return case.verdict
    assert case.body is not None
    if not is_equal_on(job.bench, case.body, job.harvest):
        return refuted("replay", Reason.WRONG_VALUE, "on the inputs of the timing")
    if case.level > entry.isa_level:
        return refuted("screen", Reason.ISA, f"needs level {case.level}, the entry says {entry.isa_level}")
    return case.verdict


def is_equal_on(bench: Workbench, body: Body, found: Harvest) -> bool:
    """Whether a body gives the baseline's results on every timing input too, held-back ones included."""
    kinds = (found.timing, found.confirm, found.elsewhere)
    tests = list({id(test): test for classes in kinds for tests in classes.values() for test in tests}.values())
    image = bench.image([bench.entry_text(body, "timed")])
    with Replayer(image, bench.returns, deadline_ms=TIMED_DEADLINE_MS) as replayer:
        want, other, got = (
            replayer.run_raw(entry, tests, poison=n) for entry, n in ((bench.name, 0), (bench.name, 1), ("timed", 0))
        )
        forget_undefined_flags(want, other)
    return not differs(want, got, bench.returns, bench.environment).any()


def gain_asked(job: Job) -> float:
    """The gain that a rewrite must exceed: more where no recorded call says what the program's inputs are like."""
    return timing.DELTA if set(job.harvest.timing) <= set(CLASSES) else timing.MADE_DELTA


def slower_elsewhere(job: Job, body: Body, level: int) -> str:
    """The class of made inputs on which a body is clearly slower, in words; empty when there is none.

    Only where recorded calls decide how fast it is. Each class gets a second look before it counts.
    """
    for label, tests in job.harvest.elsewhere.items():
        for seed in (1, 2):
            speed = timing.screen_speed(job.bench, body, {label: tests}, level=level, seed=seed)
            if speed == 0.0 or speed >= ELSEWHERE:
                break
        else:
            return f"{label}: {speed:.2f}x"
    return ""


def say_tests(log: Log, found: Harvest, tests: Sequence[Test], score: adequacy.Adequacy | None = None) -> None:
    """How good the tests of a function are, also where they are not good enough."""
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


def evidence_record(evidence: Evidence) -> EvidenceRecord:
    measured = evidence.timing
    return EvidenceRecord(
        level=evidence.level,
        tests=evidence.tests,
        seed=evidence.seed,
        edges_baseline=evidence.edges_baseline,
        edges_candidate=evidence.edges_candidate,
        mutants=evidence.mutants,
        timing=TimingRecord(
            speedup=measured.speedup,
            low=measured.low,
            high=measured.high,
            classes=dict(measured.classes),
            baseline_ns=measured.baseline_ns,
            aa=measured.aa,
            rounds=measured.rounds,
            processes=measured.processes,
        ),
        cpu=evidence.cpu,
    )


def workbench(
    target: HarvestTarget,
    context: Context,
    tests: list[Test],
    scalar: Body | None,
    seed: int,
    deadline: Deadline = NEVER,
) -> Workbench:
    """Raises Quit(NO_INPUTS) when the baseline does not end well on the tests."""
    bench = Workbench(
        name=target.name,
        text=target.text,
        baseline=target.body,
        tests=[],
        returns=target.signature.returned,
        context=context,
        tools=target.tools,
        workdir=target.workdir,
        callees=target.signature.callees,
        scalar=scalar,
        more=lambda near, deadline: more_near(target, near, seed, deadline),
        solver=Solver(target, seed),
        seed=seed,
        large=lambda deadline: enlarged(target, tests, deadline),
        environment=target.environment,
        deadline=deadline,
    )
    bench.take(tests)
    return bench


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gccllm-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def signature_registers(signature: Signature) -> frozenset[str]:
    """Full names of the registers that hold arguments (RDI.., ZMM0..)."""
    places = [place for param in signature.params for place in param.places]
    return argument_registers(
        max((p.index + 1 for p in places if p.file == "int"), default=0),
        max((p.index + 1 for p in places if p.file == "vector"), default=0),
    )


def pointer_registers(signature: Signature) -> frozenset[str]:
    """Full names of the registers that hold arguments of pointer type, or pointers of a record that is passed so."""
    return frozenset(
        INTEGER_ARGUMENTS[param.places[i].index]
        for param in signature.params
        for i in _pointers_in(param.type)
        if i < len(param.places) and param.places[i].file == "int"
    )


def _pointers_in(type_: CType) -> Iterator[int]:
    """The eightbytes of a value that are pointers."""
    if isinstance(type_, Pointer):
        yield 0
    elif isinstance(type_, Record):
        yield from (one.offset // 8 + i for one in type_.fields for i in _pointers_in(one.type))


def result_bytes(signature: Signature) -> int:
    """Size of what is returned in rax and rdx."""
    return sum(one.size for one in signature.returned if one.slot in (Slot.RAX, Slot.RDX))
