"""The work on one function: from no tests at all to an entry with evidence, or to the reason why there is none.

    types ── harvest ── adequacy ── propose ── judge ── quick timing ── full timing of the best ── entry
               └── recorded calls, where there are any

A `Shop` serves one unit: side compiles and proposers are made once and shared by its functions.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from gccllm import __version__, isa_allowance, options
from gccllm.assembly import Body, BodyError, Function, Module, canonical, replaceable
from gccllm.config import Settings
from gccllm.core import Candidate, Evidence, Outcome, Quit, Timing, Verdict, refuted, undecided
from gccllm.deadline import NEVER, Deadline
from gccllm.events import Log
from gccllm.harvest.effects import UnitFacts, facts_in
from gccllm.harvest.far import with_code, with_far
from gccllm.harvest.harvest import harvest as find_tests
from gccllm.harvest.probe import HarvestTarget, trapping_slice
from gccllm.harvest.side import Typed, parsed, trapping_text, typed_unit
from gccllm.harvest.spoken import input_words
from gccllm.harvest.types import Signature
from gccllm.harvest.words import words_of
from gccllm.isa_allowance import cpu_name, isa_for
from gccllm.job import (
    HARVEST_S,
    Attempted,
    Job,
    evidence_record,
    gain_asked,
    is_equal_on,
    pointer_registers,
    require_adequate,
    require_edges,
    result_bytes,
    reverify,
    say_tests,
    scratch,
    signature_registers,
    slower_elsewhere,
    tests_absent,
    workbench,
)
from gccllm.plan import Unit
from gccllm.propose import Attempt, CompileUnit, Prompt, Proposer, answerer, make_prompt, proposers
from gccllm.reasons import Reason
from gccllm.record.recordings import Recordings
from gccllm.situation import Situation, asked, relevant, told
from gccllm.stages import BETWEEN, cpu_seconds
from gccllm.store.entry import MOST_ANSWER, Bench, Entry, printable
from gccllm.verify import adequacy, hardening, timing
from gccllm.verify.image import AssembleError
from gccllm.verify.judge import judge_many
from gccllm.verify.screen import Context, read_baseline, screen
from gccllm.verify.trial import Trial
from gccllm.wire import facts_of

QUICK_GAIN = 1.02
"""Quick estimate below which a candidate is dropped before it is tested."""
UNHEARD = frozenset({Reason.MODEL_ABSENT, Reason.MODEL_FAILED, Reason.ENDPOINT_FAILED})
PASSING = frozenset(
    {
        Reason.BUDGET,
        Reason.MODEL_FAILED,
        Reason.ENDPOINT_FAILED,
        Reason.DEADLINE,
        Reason.NOISY,
        Reason.SANDBOX_UNAVAILABLE,
    }
)
"""Failures that say nothing of the function: never remembered."""
TIMED_S = 4.0
"""Kept of a deadline for the timing of what was found: two full ones. Of a short one it is a quarter."""
LEAST_S = 2.0
"""With less than this left a function is not begun: its tests alone take longer."""
SEEDS = 3
"""Sets of tests with which a rewrite from elsewhere is checked until one of them decides."""
LEAST_SHARE = 0.5
"""Of a CPU that the search for inputs must have had, for its failure to be remembered."""
FULL_TIMINGS = 6
"""Candidates put to the full timing, best first, before giving up."""


@dataclass(frozen=True, slots=True)
class Known:
    """What side compiles say of a unit."""

    typed: Typed
    facts: UnitFacts
    trapping: Module | None


class Shop:
    """Works on the functions of one unit. Nothing here raises for what a candidate or a proposer does."""

    def __init__(self, unit: Unit, settings: Settings, log: Log) -> None:
        self.unit = unit
        self.settings = settings
        self.log = log
        self.outdated: set[str] = set()
        self._told: dict[str, dict[str, str]] = {}

    # --- made once a unit ---------------------------------------------------------------------

    @cached_property
    def side(self) -> CompileUnit:
        if self.unit.source is None:
            raise Quit(Reason.NO_SOURCE)
        request = self.unit.request
        return CompileUnit(
            self.unit.source, self.unit.flags, request.cwd, self.unit.tools, self.unit.language,
            spelled=self.unit.spelled, baseline=self.unit.module,
        )  # fmt: skip

    @property
    def sources(self) -> tuple[str, ...] | None:
        """Rows on the files that the unit's answer rests on (`harvest.sources`); None when they are not known."""
        return self._found.typed.sources.rows if isinstance(self._found, Known) else None

    @property
    def known(self) -> Known:
        """Raises Quit(NO_SOURCE, SIDE_COMPILE, DEADLINE)."""
        if isinstance(self._found, Quit):  # not tried again for the unit's other functions
            raise Quit(self._found.reason, self._found.detail)
        return self._found

    @cached_property
    def _found(self) -> Known | Quit:
        self.log.step("side compile")
        try:
            return self._compiled()
        except Quit as quit_:
            return quit_
        finally:
            self.log.stages.begin(BETWEEN)

    def _compiled(self) -> Known:
        """Raises Quit as `known`."""
        unit = self.unit
        what, where = self.side.spelled, self.side.cwd
        with scratch() as directory:
            typed = typed_unit(
                unit.tools, unit.flags, what, unit.request.text, directory, language=unit.language, cwd=where
            )
        trapping = parsed(trapping_text(unit.tools, unit.flags, what, language=unit.language, cwd=where))
        return Known(typed, facts_in(typed.dump), trapping)

    @cached_property
    def replaceable(self) -> frozenset[str]:
        """Names of the unit that may turn out to be another's in the program."""
        return replaceable(self.unit.module, self.unit.flags)

    @cached_property
    def recordings(self) -> Recordings:
        return Recordings(self.settings.store_dir)

    @cached_property
    def proposers(self) -> list[Proposer]:
        return proposers(self.settings)

    # --- what is known of one function before it is worked on --------------------------------------

    def signature(self, name: str) -> Signature:
        """How to call a function, and what it reaches. Raises Quit with the reason why it cannot be worked on."""
        if cause := self.known.facts.decline(self.unit.module, name):
            raise Quit(*cause)
        signature = relevant(self.known.typed.types.signature(name), self.unit.module, self.replaceable)
        return replace(signature, strict_aliasing=options.assumes_types(self.unit.request.gcc_options))

    def told(self, function: Function) -> dict[str, str]:
        """The parts of a function's situation that take no side compile. Raises BodyError."""
        if function.name not in self._told:
            unit = self.unit
            self._told[function.name] = told(
                unit.module, function, self.replaceable, unit.request.gcc_options, unit.march,
                {
                    "isa": isa_allowance.key_word(self.settings["isa"]), "ub": self.settings["ub"],
                    "early_exits": str(self.settings["early_exits"]),
                },
            )  # fmt: skip
        return self._told[function.name]

    def situation(self, function: Function) -> Situation:
        """Raises Quit as `signature`, BodyError as `told`."""
        signature = self.signature(function.name)
        words = self.known.facts.words(self.unit.module, function.name)
        trapping = trapping_slice(self.known.trapping, self.unit.module, function.name, self.replaceable)
        facts = asked(signature, trapping, words)
        return Situation(self.told(function), facts)

    # --- one function -------------------------------------------------------------------------

    def work_on(self, function: Function, situation: Situation, deadline: Deadline) -> Entry | Reason:
        """The entry that says what was found, or the passing reason why nothing can be said yet.

        Everything that ends the work for good becomes a remembered failure with its reason.
        """
        started = time.monotonic()
        early = deadline.before(min(TIMED_S, deadline.left / 4))
        log = self.log.bind(function=function.name, key=situation.key[:16])
        with scratch() as directory:
            job: Job | None = None
            try:
                log.step("inputs")
                job = self.set_up(function, directory, early, log)
                prompt = self.prompt(function, job)
                self.gather(job, prompt, early, log)
                log.step("timing")
                entry = self.pick(function, situation, job, deadline, log)
            except Quit as quit_:
                entry = self.failure(function, situation, job, quit_.reason, quit_.detail)
            except BodyError as error:
                entry = self.failure(function, situation, job, Reason.UNSUPPORTED_CODE, str(error))
            except AssembleError as error:
                entry = self.failure(function, situation, job, Reason.UNSUPPORTED_CODE, error.detail)
        passing = self.passing(entry, job, early if job is None else job.bench.deadline)
        seconds = round(time.monotonic() - started, 2)
        outcome = "undecided" if passing else entry.outcome
        log.write("worked", passing, seconds=seconds, outcome=outcome, stages=log.stages.taken())
        return passing or entry

    def passing(self, entry: Entry, job: Job | None, deadline: Deadline) -> Reason | None:
        """The reason not to believe a failure: nothing of it is remembered, and another build tries again."""
        if entry.outcome == "accepted":
            return None
        if deadline.is_over:
            return Reason.BUDGET
        if entry.reason in {reason.label for reason in PASSING}:
            return Reason.of(entry.reason)
        passing = job.unheard & PASSING if job is not None else frozenset()
        return min(passing, key=str, default=None)

    def set_up(
        self, function: Function, directory: Path, deadline: Deadline, log: Log | None = None, seed: int | None = None
    ) -> Job:
        """Types, tests, and the proof that the tests are good enough. Raises Quit with the function's reason.

        `seed` of the harvest; the setting's when it is not given.
        """
        unit = self.unit
        seed = self.settings["seed"] if seed is None else seed
        signature = self.signature(function.name)
        key = self.recordings.key(unit.module, function)
        if self.recordings.stamp(key):
            signature = with_far(unit.module, function.name, signature, self.replaceable)
            signature = with_code(signature, self.recordings.callee)
        target = self.target(function.name, signature, directory)
        recorded = self.recordings.supply(key, target)
        started, used = time.monotonic(), cpu_seconds()
        found = find_tests(target, seed, min(HARVEST_S, deadline.left), recorded=recorded.tests if recorded else ())
        if found.cut_short and deadline.is_over:
            raise Quit(Reason.DEADLINE)
        took, used = time.monotonic() - started, cpu_seconds() - used
        # Too few inputs say nothing of a function that others kept from the CPU.
        if found.cut_short and used < LEAST_SHARE * took and (found.missing or not found.timing):
            raise Quit(Reason.DEADLINE, f"other work keeps the machine busy: {used:.1f} s of CPU in {took:.1f} s")
        log = log or self.log
        if found.edges_taken < found.edges_all:
            say_tests(log, found, found.tests)
        require_edges(found)

        log.step("mutants")
        scalar = self.scalar_body(function.name)
        context = self.context(function.name, signature)
        bench = workbench(target, context, list(found.tests), scalar, seed, deadline)
        score = require_adequate(bench, found, log)
        return Job(target, bench, found, score, recorded)

    def target(self, name: str, signature: Signature, workdir: Path) -> HarvestTarget:
        """Raises Quit or BodyError."""
        unit, as_gcc = self.unit, self.settings["ub"] == "as-gcc"
        return HarvestTarget.of(
            unit.module, name, signature, unit.tools, workdir, self.known.trapping, unit.flags, as_gcc=as_gcc
        )

    def context(self, name: str, signature: Signature) -> Context:
        """What the screen has to know of a function of the unit."""
        unit = self.unit
        allowed = isa_for(self.settings["isa"], unit.march, unit.tools).allowed
        return Context(
            name, unit.march, allowed, signature_registers(signature), frozenset(unit.module.functions),
            pointer_registers(signature), result_bytes(signature), hardening.asked(unit.flags),
            bool(self.settings["early_exits"]),
        )  # fmt: skip

    def scalar_body(self, name: str) -> Body | None:
        module = self.side.module(adequacy.SIDE_FLAGS)
        if module is None or name not in module.functions:
            return None
        if not set(module.functions[name].calls) <= set(self.unit.module.functions[name].calls):
            return None  # it calls what gcc -O3 inlined: nothing stands in for that
        try:
            return module.functions[name].body
        except BodyError:
            return None

    def prompt(self, function: Function, job: Job | None = None) -> Prompt:
        isa = isa_for(self.settings["isa"], self.unit.march, self.unit.tools)
        types = words_of(job.target.signature) if job else None
        return make_prompt(function, self.side, isa, types=types)

    def gather(self, job: Job, prompt: Prompt, deadline: Deadline, log: Log) -> None:
        """Ask every proposer, judge what comes, and let those that can learn from the verdicts try again.

        Raises Quit(DEADLINE) when that comes and nothing was found.
        """
        try:
            self.ask(job, prompt, deadline, log)
        except Quit as late:
            if late.reason is not Reason.DEADLINE or not job.equal:
                raise
            job.unheard.add(Reason.BUDGET)

    def ask(self, job: Job, prompt: Prompt, deadline: Deadline, log: Log) -> None:
        """Every proposer in turn. Raises Quit(DEADLINE) where that came before all had their say."""
        prompt = replace(prompt, trial=Trial(job.bench))
        seen = {canonical(job.bench.baseline)}
        for source in self.proposers:
            deadline.check(f"asking {source.name}")
            log.step(f"asking {source.name}")
            count = self.settings["samples"] if source.name == "model" else 64
            fresh = _distinct(source.propose(prompt, count, deadline.left), seen)
            self.judge(job, fresh, log)
            for _ in range(self.settings["refinements"]):
                wrong = [a for a in job.attempts if a.candidate.proposer == source.name and not a.verdict.is_accepted]
                if not wrong or len(wrong) < len(fresh) or deadline.is_over:
                    break
                told = prompt.with_attempts([_as_attempt(a, job.target.signature) for a in wrong[-4:]])
                log.step(f"asking {source.name}")
                fresh = _distinct(source.refine(told, count, deadline.left), seen)
                if not fresh:
                    break
                self.judge(job, fresh, log)
            for failure in source.failures:
                log.write("model" if source.name == "model" else "recompile", failure.reason, detail=failure.detail)
                if failure.reason in UNHEARD:
                    job.unheard.add(failure.reason)
            if source.failures and all(a.candidate.proposer != source.name for a in job.attempts):
                job.silent[source.name] = source.failures[-1].reason
            source.failures.clear()
        deadline.check("the last answers")

    def judge(self, job: Job, candidates: list[Candidate], log: Log) -> None:
        """Verdicts on fresh candidates. A quick timing comes first: what is not faster is not worth its tests."""
        log.step("timing")
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
        log.step("judging")
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
        job.bench.deadline.check("a quick timing")
        return timing.screen_speed(job.bench, body, job.harvest.timing)

    def pick(self, function: Function, situation: Situation, job: Job, deadline: Deadline, log: Log) -> Entry:
        """Time the equal candidates fully, best first; the first that passes is the rewrite. Raises Quit(DEADLINE)."""
        job.bench.deadline = deadline
        equal = job.equal
        if not equal:
            for attempt in job.attempts:
                if attempt.verdict.outcome is Outcome.UNDECIDED and attempt.verdict.reason in PASSING:
                    return self.failure(function, situation, job, attempt.verdict.reason, attempt.verdict.detail)
            reason = Reason.NOTHING_FASTER if job.attempts else Reason.NO_CANDIDATE
            return self.failure(function, situation, job, reason, _tried(job))
        noisy = False
        for attempt in equal[:FULL_TIMINGS]:
            if attempt.quick < 1.0 or deadline.is_over:
                break
            assert attempt.case is not None
            assert attempt.case.body is not None
            if not is_equal_on(job.bench, attempt.case.body, job.harvest):
                attempt.verdict = refuted("replay", Reason.WRONG_VALUE, "on the inputs of the timing")
                continue
            verdict, measured = timing.measure(
                job.bench, attempt.case.body, job.harvest.timing, job.harvest.confirm, tried=len(equal),
                level=0 if self.settings["isa"] == "native" else attempt.case.level,
                delta=gain_asked(job),
            )  # fmt: skip
            if verdict.is_accepted and (where := slower_elsewhere(job, attempt.case.body, attempt.case.level)):
                verdict = refuted("timing", Reason.CLASS_SLOWER, f"{where}, on inputs that were made; {verdict.detail}")
            attempt.verdict = verdict
            attempt.quick = measured.speedup if measured else attempt.quick
            if verdict.is_accepted and measured is not None:
                return self.entry(function, situation, job, attempt, measured)
            noisy |= verdict.outcome is Outcome.UNDECIDED
        if noisy:
            return self.failure(
                function, situation, job, Reason.NOISY, f"{len(equal)} equal candidates could not be timed"
            )
        best = equal[0]
        return self.failure(
            function, situation, job, Reason.NOTHING_FASTER,
            f"{len(equal)} of {len(job.attempts)} candidates equal; the best, {best.candidate.proposer}: "
            f"{best.candidate.recipe.partition(':')[0]}, {best.quick:.2f}x"
            + (f" ({best.verdict.reason.label})" if best.verdict.reason else "")
            + _silent(job),
        )  # fmt: skip

    # --- entries ------------------------------------------------------------------------------

    def entry(self, function: Function, situation: Situation, job: Job, winner: Attempted, measured: Timing) -> Entry:
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
            key=situation.key,
            situation=situation.parts,
            function=function.name,
            source=self.unit.source.name if self.unit.source else "",
            outcome="accepted",
            body=case.body.text(),
            isa_level=case.level,
            proposer=winner.candidate.proposer,
            recipe=winner.candidate.recipe,
            dialect=winner.candidate.dialect,
            answer=printable(winner.candidate.answer)[:MOST_ANSWER] if winner.candidate.dialect == "c" else "",
            evidence=evidence_record(evidence),
            bench=Bench(
                slice=job.target.text,
                baseline=job.target.body.text(),
                facts=facts_of(job.target, job.bench.context),
                ubsan=job.target.ubsan_text or "",
                scalar=job.bench.scalar.text() if job.bench.scalar else "",
            ),
            recording=job.recorded.record(job.bench.tests) if job.recorded else None,
            refusals=_refusals(job),
            attempts=[a.as_record() for a in job.attempts],
            created=time.time(),
            compiler=self.unit.tools.version,
            version=__version__,
        )

    def failure(self, function: Function, situation: Situation, job: Job | None, reason: Reason, detail: str) -> Entry:
        recording = (
            job.recorded.record(job.bench.tests)
            if job and job.recorded
            else self.recordings.unused(self.recordings.key(self.unit.module, function))
        )
        return Entry(
            key=situation.key,
            situation=situation.parts,
            function=function.name,
            source=self.unit.source.name if self.unit.source else "",
            outcome="nothing",
            reason=reason.label,
            detail=detail[:400],
            recording=recording,
            refusals=_refusals(job) if job else {},
            attempts=[a.as_record() for a in job.attempts] if job else [],
            answerer=answerer(self.settings),
            created=time.time(),
            expires=time.time() + 86400 * (1 if job and job.unheard else self.settings["negative_days"]),
            compiler=self.unit.tools.version,
            version=__version__,
        )

    def is_outdated(self, function: Function, entry: Entry) -> bool:
        """Whether calls were recorded of which an entry knows nothing. Logged once a function."""
        if not self.recordings.is_news(self.recordings.key(self.unit.module, function), entry.recording):
            return False
        if function.name not in self.outdated:
            self.outdated.add(function.name)
            self.log.write("store", Reason.RECORDED_SINCE, function=function.name)
        return True

    def recheck(self, function: Function, entry: Entry, seed: int) -> str | None:
        """Every check but timing of an entry's rewrite, on this unit's own function. None: it stands, else why not.

        `seed`: one that whoever wrote the entry cannot know, or a wrong rewrite could be sought that passes its tests.
        With some seeds no input takes an edge of a right one: that says nothing of it, and others follow.
        """
        known, here = entry.recording, self.recordings.key(self.unit.module, function)
        if known is not None and known.recorded and not self.recordings.stamp(here):
            return tests_absent(known)
        for number in range(SEEDS):
            verdict = self._rechecked(function, entry, seed + number)
            if verdict.outcome is not Outcome.UNDECIDED:
                break
        return verdict.failure

    def _rechecked(self, function: Function, entry: Entry, seed: int) -> Verdict:
        with scratch() as directory:
            try:
                return reverify(self.set_up(function, directory, NEVER, seed=seed), entry)
            except Quit as quit_:
                return undecided("adequacy", quit_.reason, quit_.detail)
            except (BodyError, AssembleError) as error:
                return refuted("parse", Reason.UNSUPPORTED_CODE, f"{type(error).__name__}: {error}")

    def rescreen(self, function: Function, entry: Entry) -> str | None:
        """The static gate on an entry's rewrite, in this unit as it is. None when it stands, else why not."""
        context = self.context(function.name, self.signature(function.name))
        with scratch() as directory:
            try:
                baseline = read_baseline(function.body, context, self.unit.tools, directory)
                seen = screen(Body.parse(entry.body), baseline, context, self.unit.tools, directory)
            except BodyError as error:
                return str(error)
        if not seen.verdict.is_accepted:
            return f"{seen.verdict.reason}: {seen.verdict.detail}"
        return None if seen.level <= entry.isa_level else f"{Reason.ISA.label}: needs level {seen.level}"


# --- small things -----------------------------------------------------------------------------------


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


def _as_attempt(attempt: Attempted, signature: Signature) -> Attempt:
    """What a proposer is told: the verdict, and the input that shows it, but nothing that was recorded."""
    reason, test = attempt.verdict.reason, attempt.verdict.test
    shown = input_words(test, signature) if test is not None else ""
    return Attempt(
        attempt.candidate.answer or attempt.candidate.body,
        reason.label if reason else attempt.verdict.outcome.value,
        f"{attempt.verdict.detail}; input: {shown}" if shown else attempt.verdict.detail,
        attempt.candidate.dialect,
    )


def _tried(job: Job) -> str:
    """What became of the candidates, in words."""
    counts = sorted(_refusals(job).items(), key=lambda row: -row[1])
    became = ", ".join(f"{count} {label}" for label, count in counts)
    return f"{len(job.attempts)} candidates{': ' if became else ''}{became}{_silent(job)}"


def _silent(job: Job) -> str:
    return "".join(f"; no answer of {name}: {reason.label}" for name, reason in job.silent.items())


def _refusals(job: Job) -> dict[str, int]:
    return dict(Counter(a.verdict.reason.label for a in job.attempts if a.verdict.reason))
