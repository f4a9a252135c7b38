"""The work on one function: from no tests at all to an entry with evidence, or to the reason why there is none.

    types ── harvest ── adequacy ── propose ── judge ── quick timing ── full timing of the best ── entry

A `Shop` serves one unit: side compiles and proposers are made once and shared by its functions.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gccllm import __version__
from gccllm.assembly import Body, BodyError, Function, NotLossless, canonical, slice_text
from gccllm.config import Settings
from gccllm.core import Candidate, Evidence, Outcome, Quit, RunStatus, Test, Timing, Verdict, refuted
from gccllm.events import Log
from gccllm.harvest.dwarf import signature_of
from gccllm.harvest.effects import hidden_effects
from gccllm.harvest.harvest import Harvest, more_near
from gccllm.harvest.harvest import harvest as find_tests
from gccllm.harvest.probe import HarvestTarget
from gccllm.harvest.side import trapping_text, typed_object
from gccllm.harvest.types import Signature
from gccllm.isa_allowance import cpu_name, isa_for
from gccllm.plan import Unit
from gccllm.propose import Attempt, CompileUnit, Prompt, Proposer, make_prompt, proposers
from gccllm.reasons import Reason
from gccllm.store.entry import Bench, Entry, EvidenceRecord, TimingRecord
from gccllm.toolchain import Toolchain
from gccllm.verify import adequacy, timing
from gccllm.verify.image import AssembleError
from gccllm.verify.judge import Case, judge_many
from gccllm.verify.replay import Replayer, same
from gccllm.verify.screen import Context, argument_registers, context_of
from gccllm.verify.workbench import Workbench
from gccllm.wire import facts_of, target_and_context

HARVEST_S = 20.0
"""Most seconds a harvest may take; it normally ends by its own counts."""
QUICK_GAIN = 1.02
"""Quick estimate below which a candidate is dropped before it is tested."""
TIMED_DEADLINE_MS = 200
UNHEARD = frozenset({Reason.MODEL_ABSENT, Reason.MODEL_FAILED, Reason.ENDPOINT_FAILED})
PASSING = frozenset(
    {Reason.MODEL_FAILED, Reason.ENDPOINT_FAILED, Reason.DEADLINE, Reason.NOISY, Reason.SANDBOX_UNAVAILABLE}
)
"""Failures that say nothing of the function: never remembered."""
FULL_TIMINGS = 6
"""Candidates put to the full timing, best first, before giving up."""


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
    scalar_text: str = ""
    attempts: list[Attempted] = field(default_factory=list)
    unheard: set[Reason] = field(default_factory=set)
    """Why some proposer had no say at all; finding nothing then says little."""


class Shop:
    """Works on the functions of one unit. Nothing here raises for what a candidate or a proposer does."""

    def __init__(self, unit: Unit, settings: Settings, log: Log) -> None:
        self.unit = unit
        self.settings = settings
        self.log = log

    # --- made once a unit ---------------------------------------------------------------------

    @cached_property
    def side(self) -> CompileUnit:
        if self.unit.source is None:
            raise Quit(Reason.NO_SOURCE)
        request = self.unit.request
        return CompileUnit(
            self.unit.source, self.unit.flags, request.cwd, self.unit.tools, self.unit.language, self.unit.module
        )

    @cached_property
    def typed(self) -> bytes:
        """The object that has the types. Raises Quit(SIDE_COMPILE)."""
        side = self.side
        with scratch() as directory:
            path = typed_object(
                self.unit.tools, self.unit.flags, side.source, self.unit.request.text, directory,
                language=self.unit.language, cwd=side.cwd,
            )  # fmt: skip
            return path.read_bytes()

    @cached_property
    def effects(self) -> dict[str, tuple[Reason, str]]:
        return hidden_effects(
            self.unit.tools, self.unit.flags, self.side.source, language=self.unit.language, cwd=self.side.cwd
        )

    @cached_property
    def trapping(self) -> str | None:
        return trapping_text(
            self.unit.tools, self.unit.flags, self.side.source, language=self.unit.language, cwd=self.side.cwd
        )

    @cached_property
    def sources(self) -> list[Proposer]:
        return proposers(self.settings)

    # --- one function -------------------------------------------------------------------------

    def work_on(self, function: Function, key: str, deadline: float) -> Entry | Reason:
        """The entry that says what was found, or the passing reason why nothing can be said yet.

        Everything that ends the work for good becomes a remembered failure with its reason.
        """
        started = time.monotonic()
        log = self.log.bind(function=function.name, key=key[:16])
        with scratch() as directory:
            job: Job | None = None
            try:
                job = self.set_up(function, directory, deadline)
                prompt = self.prompt(function)
                self.gather(job, prompt, deadline, log)
                entry = self.pick(function, key, job, deadline, log)
            except Quit as quit_:
                entry = self.failure(function, key, job, quit_.reason, quit_.detail)
            except BodyError as error:
                entry = self.failure(function, key, job, Reason.UNSUPPORTED_CODE, str(error))
            except AssembleError as error:
                entry = self.failure(function, key, job, Reason.UNSUPPORTED_CODE, error.detail)
        passing = self.passing(entry, job, deadline)
        seconds = round(time.monotonic() - started, 2)
        log.write("worked", passing, seconds=seconds, outcome="undecided" if passing else entry.outcome)
        return passing or entry

    def passing(self, entry: Entry, job: Job | None, deadline: float) -> Reason | None:
        """The reason not to believe a failure: nothing of it is remembered, and another build tries again."""
        if entry.outcome == "accepted":
            return None
        if entry.reason in {reason.label for reason in PASSING}:
            return Reason.of(entry.reason)
        if job is not None and (passing := job.unheard & PASSING):
            return sorted(passing, key=str)[0]
        return Reason.BUDGET if _left(deadline) <= 0 else None

    def set_up(self, function: Function, directory: Path, deadline: float) -> Job:
        """Types, tests, and the proof that the tests are good enough. Raises Quit with the function's reason."""
        unit = self.unit
        if function.name in self.effects:
            raise Quit(*self.effects[function.name])
        (directory / "typed.o").write_bytes(self.typed)
        signature = signature_of(directory / "typed.o", function.name)
        target = HarvestTarget.of(unit.module, function.name, signature, unit.tools, directory, self.trapping)
        found = find_tests(target, self.settings["seed"], min(HARVEST_S, _left(deadline)))
        if found.cut_short and _left(deadline) <= 0:
            raise Quit(Reason.DEADLINE)
        if found.edges_taken < found.edges_all:
            raise Quit(
                Reason.EDGES_MISSED, f"{found.edges_taken} of {found.edges_all} taken; {'; '.join(found.why)}"[:300]
            )

        scalar_text, scalar = self.scalar_body(function.name)
        context = context_of(
            unit.module, function.name, unit.tools, directory, march=unit.march, has_ipa_ra=unit.ipa_ra,
            arguments=signature_registers(signature),
        )  # fmt: skip
        bench = workbench(target, context, list(found.tests), scalar, self.settings["seed"])
        score = adequacy.score(bench)
        if not score.is_adequate:
            best, alive = score.best, "; ".join(score.best.survivors[:3])
            detail = f"{best.killed} of {best.total} killed with {len(bench.tests)} tests; alive: {alive}"
            raise Quit(Reason.MUTANTS_SURVIVED, detail)
        return Job(target, bench, found, score, scalar_text)

    def scalar_body(self, name: str) -> tuple[str, Body | None]:
        module = self.side.module(adequacy.SIDE_FLAGS)
        if module is None or name not in module.functions:
            return "", None
        try:
            return slice_text(module, name), module.functions[name].body
        except (BodyError, NotLossless):
            return "", None

    def prompt(self, function: Function) -> Prompt:
        return make_prompt(function, self.side, isa_for(self.settings["isa"], self.unit.march, self.unit.tools))

    def gather(self, job: Job, prompt: Prompt, deadline: float, log: Log) -> None:
        """Ask every proposer, judge what comes, and let those that can learn from the verdicts try again."""
        seen = {canonical(job.bench.baseline)}
        for source in self.sources:
            if _left(deadline) <= 0:
                return
            count = self.settings["samples"] if source.name == "model" else 64
            fresh = _distinct(source.propose(prompt, count, _left(deadline)), seen)
            self.judge(job, fresh)
            for _ in range(self.settings["refinements"]):
                wrong = [a for a in job.attempts if a.candidate.proposer == source.name and not a.verdict.is_accepted]
                if not wrong or len(wrong) < len(fresh) or _left(deadline) <= 0:
                    break
                told = prompt.with_attempts([_as_attempt(a) for a in wrong[-4:]])
                fresh = _distinct(source.refine(told, count, _left(deadline)), seen)
                if not fresh:
                    break
                self.judge(job, fresh)
            for failure in source.failures:
                log.write("model" if source.name == "model" else "recompile", failure.reason, detail=failure.detail)
                if failure.reason in UNHEARD:
                    job.unheard.add(failure.reason)
            source.failures.clear()

    def judge(self, job: Job, candidates: list[Candidate]) -> None:
        """Verdicts on fresh candidates. A quick timing comes first: what is not faster is not worth its tests."""
        worth: list[Candidate] = []
        quick: dict[int, float] = {}
        for candidate in candidates:
            speed = self.quick_speed(job, candidate)
            if 0.0 < speed < QUICK_GAIN:
                verdict = refuted("timing", Reason.NOT_FASTER, f"quick look: {speed:.2f}x")
                job.attempts.append(Attempted(candidate, verdict, quick=speed))
            else:
                worth.append(candidate)
                quick[id(candidate)] = speed
        for case in judge_many(worth, job.bench):
            assert case.verdict is not None
            speed = quick[id(case.candidate)] if case.verdict.is_accepted else 0.0
            job.attempts.append(Attempted(case.candidate, case.verdict, case, speed))

    def quick_speed(self, job: Job, candidate: Candidate) -> float:
        """Estimated speed-up of text that nothing is known of yet; 0.0 when it cannot be run or timed."""
        try:
            body = Body.parse(candidate.body).without_endbr()
        except BodyError:
            return 0.0
        return timing.screen_speed(job.bench, body, job.harvest.timing)

    def pick(self, function: Function, key: str, job: Job, deadline: float, log: Log) -> Entry:
        """Time the equal candidates fully, best first; the first that passes is the rewrite."""
        equal = sorted((a for a in job.attempts if a.quick and a.case is not None), key=lambda a: -a.quick)
        if not equal:
            reason = Reason.NOTHING_FASTER if job.attempts else Reason.NO_CANDIDATE
            return self.failure(function, key, job, reason, f"{len(job.attempts)} candidates, none equal")
        noisy = False
        for attempt in equal[:FULL_TIMINGS]:
            if attempt.quick < 1.0 or _left(deadline) <= 0:
                break
            assert attempt.case is not None
            assert attempt.case.body is not None
            if not is_equal_on(job.bench, attempt.case.body, job.harvest):
                attempt.verdict = refuted("replay", Reason.WRONG_VALUE, "on the inputs of the timing")
                continue
            verdict, measured = timing.measure(
                job.bench, attempt.case.body, job.harvest.timing, job.harvest.confirm, tried=len(equal),
                level=0 if self.settings["isa"] == "native" else attempt.case.level,
            )  # fmt: skip
            attempt.verdict = verdict
            attempt.quick = measured.speedup if measured else attempt.quick
            if verdict.is_accepted and measured is not None:
                return self.entry(function, key, job, attempt, measured)
            noisy |= verdict.outcome is Outcome.UNDECIDED
        if noisy:
            return self.failure(function, key, job, Reason.NOISY, f"{len(equal)} equal candidates could not be timed")
        best = equal[0]
        return self.failure(
            function, key, job, Reason.NOTHING_FASTER,
            f"{len(equal)} of {len(job.attempts)} candidates equal; the best, {best.candidate.proposer}: "
            f"{best.candidate.recipe.partition(':')[0]}, {best.quick:.2f}x"
            + (f" ({best.verdict.reason.label})" if best.verdict.reason else ""),
        )  # fmt: skip

    # --- entries ------------------------------------------------------------------------------

    def entry(self, function: Function, key: str, job: Job, winner: Attempted, measured: Timing) -> Entry:
        case = winner.case
        assert case is not None
        assert case.body is not None
        best = job.adequacy.best
        evidence = Evidence(
            level="tested+covered",
            tests=len(job.bench.tests),
            seed=self.settings["seed"],
            edges_baseline=(job.harvest.edges_taken, job.harvest.edges_all),
            edges_candidate=case.edges,
            mutants=(best.killed, best.total),
            timing=measured,
            cpu=cpu_name(),
        )
        return Entry(
            key=key,
            function=function.name,
            source=self.unit.source.name if self.unit.source else "",
            outcome="accepted",
            body=case.body.text(),
            isa_level=case.level,
            proposer=winner.candidate.proposer,
            recipe=winner.candidate.recipe,
            dialect=winner.candidate.dialect,
            evidence=_evidence_record(evidence),
            bench=Bench(
                slice=job.target.text,
                baseline=job.target.body.text(),
                facts=facts_of(job.target, job.bench.context),
                ubsan=job.target.ubsan_text or "",
                scalar=job.bench.scalar.text() if job.bench.scalar else "",
            ),
            refusals=_refusals(job),
            attempts=[a.as_record() for a in job.attempts],
            created=time.time(),
            compiler=self.unit.tools.version,
            version=__version__,
        )

    def failure(self, function: Function, key: str, job: Job | None, reason: Reason, detail: str) -> Entry:
        return Entry(
            key=key,
            function=function.name,
            source=self.unit.source.name if self.unit.source else "",
            outcome="nothing",
            reason=reason.label,
            detail=detail[:400],
            refusals=_refusals(job) if job else {},
            attempts=[a.as_record() for a in job.attempts] if job else [],
            created=time.time(),
            expires=time.time() + 86400 * (1 if job and job.unheard else self.settings["negative_days"]),
            compiler=self.unit.tools.version,
            version=__version__,
        )

    def recheck(self, entry: Entry) -> str | None:
        return recheck(entry, self.settings, self.unit.tools)


# --- checking an entry again ----------------------------------------------------------------------


def recheck(entry: Entry, settings: Settings, tools: Toolchain | None = None) -> str | None:
    """Run every check but timing on a stored rewrite again, from the entry alone. None when it stands, else why not.

    The tests are harvested anew, by the entry's seed; nothing that the entry claims is believed.
    """
    if entry.bench is None or entry.evidence is None:
        return "the entry carries no evidence"
    with scratch() as directory:
        try:
            target, context = target_and_context(
                entry.bench, tools or Toolchain.find(settings["cc"] or None), directory
            )
            found = find_tests(target, entry.evidence.seed, HARVEST_S)
            scalar = Body.parse(entry.bench.scalar) if entry.bench.scalar else None
            bench = workbench(target, context, list(found.tests), scalar, entry.evidence.seed)
            score = adequacy.score(bench)
            if found.edges_taken < found.edges_all:
                return f"{Reason.EDGES_MISSED.label}: {found.edges_taken} of {found.edges_all}"
            if not score.is_adequate:
                return f"{Reason.MUTANTS_SURVIVED.label}: {score.best.killed} of {score.best.total}"
            candidate = Candidate(entry.body, entry.proposer, entry.recipe)
            case = judge_many([candidate], bench)[0]
            assert case.verdict is not None
            if not case.verdict.is_accepted:
                reason = case.verdict.reason
                return f"{reason.label if reason else case.verdict.outcome}: {case.verdict.detail}"
            assert case.body is not None
            if not is_equal_on(bench, case.body, found):
                return f"{Reason.WRONG_VALUE.label}: on the inputs of the timing"
            if case.level > entry.isa_level:
                return f"{Reason.ISA.label}: needs level {case.level}, the entry says {entry.isa_level}"
        except Quit as quit_:
            return str(quit_)
        except (BodyError, AssembleError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
    return None


def is_equal_on(bench: Workbench, body: Body, found: Harvest) -> bool:
    """Whether a body gives the baseline's results on every timing input too, held-back ones included."""
    tests = [test for classes in (found.timing, found.confirm) for tests in classes.values() for test in tests]
    image = bench.image([bench.entry_text(body, "timed")])
    with Replayer(image, bench.returns, deadline_ms=TIMED_DEADLINE_MS) as replayer:
        want, got = replayer.run(bench.name, tests), replayer.run("timed", tests)
    return all(a.status is RunStatus.OK and same(a, b, bench.returns) is None for a, b in zip(want, got, strict=True))


def workbench(target: HarvestTarget, context: Context, tests: list[Test], scalar: Body | None, seed: int) -> Workbench:
    return Workbench(
        name=target.name,
        text=target.text,
        baseline=target.body,
        tests=tests,
        returns=target.signature.returned,
        context=context,
        tools=target.tools,
        workdir=target.workdir,
        callees=target.signature.callees,
        scalar=scalar,
        more=lambda near: more_near(target, near, seed),
        seed=seed,
    )


# --- small things -----------------------------------------------------------------------------------


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


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _distinct(candidates: Iterator[Candidate], seen: set[str]) -> list[Candidate]:
    """Those whose canonical text is new; what does not parse stays in, for the judge to name the reason."""
    out = []
    for candidate in candidates:
        try:
            text = canonical(Body.parse(candidate.body))
        except BodyError:
            text = candidate.body
        if text not in seen:
            seen.add(text)
            out.append(candidate)
    return out


def _as_attempt(attempt: Attempted) -> Attempt:
    reason = attempt.verdict.reason
    return Attempt(
        attempt.candidate.answer or attempt.candidate.body,
        reason.label if reason else attempt.verdict.outcome.value,
        attempt.verdict.detail,
        attempt.candidate.dialect,
    )


def _refusals(job: Job) -> dict[str, int]:
    return dict(Counter(a.verdict.reason.label for a in job.attempts if a.verdict.reason))


def _evidence_record(evidence: Evidence) -> EvidenceRecord:
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
