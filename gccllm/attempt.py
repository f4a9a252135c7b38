"""One function, from no tests at all to a verdict: an entry with evidence, or the reason why there is none.

    types ── inputs ── mutants ── candidates, judged as they come ── timing of the best ── entry
               └── recorded calls, where there are any

`attempt` is the story; its steps follow below it, in order. Failures of candidates and proposers never propagate: every
exit has a named reason.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gccllm.assembly import Body, BodyError, canonical
from gccllm.base.core import Candidate, Decline, Outcome, Timing, refuted
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import TRANSIENT, Reason
from gccllm.base.scratch import scratch
from gccllm.base.words import counted
from gccllm.harvest.describe_input import input_words
from gccllm.harvest.types import Signature
from gccllm.propose import Attempt, Prompt, Proposer
from gccllm.sandbox.image import AssembleError
from gccllm.store.entry import Entry
from gccllm.unit import policy
from gccllm.unit.in_program import compiled_bodies
from gccllm.unit.session import Target
from gccllm.verdict.outcome import Judgement, Judgements, accepted, nothing
from gccllm.verdict.suite import Inadequate, Suite, is_equal_on, set_up, slower_guard_class
from gccllm.verify import timing
from gccllm.verify.judge import Judged, judge_compiled, judge_many
from gccllm.verify.quick_check import QuickCheck
from gccllm.verify.sampling import Pair
from gccllm.verify.timing import Rule
from gccllm.verify.workbench import Workbench

MOST_RECIPES = 64
"""Candidates asked of a proposer other than the model."""
FAILED = frozenset({Reason.MODEL_ABSENT, Reason.MODEL_FAILED, Reason.ENDPOINT_FAILED})
"""Why a proposer failed to run."""


COMPILED_BY = "recompile"
Gates = Callable[[Sequence[Candidate], Workbench], list[Judged]]


def attempt(target: Target, deadline: Deadline) -> Entry | Reason:
    """The entry with the outcome, or the transient reason why there is none yet.

    Everything that ends the work for good becomes a remembered failure with its reason.
    """
    started = time.monotonic()
    early = deadline.before(min(LIMITS.timing_s, deadline.left / 4))
    log = target.log
    search: Search | None = None
    with scratch() as directory:
        try:
            log.step("inputs")
            try:
                search = Search(target, set_up(target, directory, early), log)
                search.gather(early)
            except Inadequate as weak:  # good enough for what the user's own compiler makes of the user's own source
                search = Search(target, weak.suite, log)
                search.gather_compiled(early, weak)
            log.step("timing")
            entry = accepted(target, search.judged, *search.pick(deadline))
        except (Decline, BodyError, AssembleError) as error:
            entry = nothing(target, search.judged if search else None, *_cause(error))
    transient = transient_reason(entry, search, early)
    seconds = round(time.monotonic() - started, 2)
    outcome = "undecided" if transient else entry.outcome
    log.write("worked", transient, seconds=seconds, outcome=outcome, stages=log.stages.taken())
    return transient or entry


@dataclass
class Search:
    """The search for a rewrite of one function, whose tests are adequate."""

    target: Target
    suite: Suite
    log: Log
    judged: Judgements = field(init=False)

    def __post_init__(self) -> None:
        self.judged = Judgements(self.suite)

    # --- candidates -------------------------------------------------------------------------------

    def gather(self, deadline: Deadline) -> None:
        """Ask every proposer, judge its candidates, and let those that can learn from the verdicts try again.

        Raises Decline(DEADLINE) when that comes and nothing was found.
        """
        session = self.target.session
        try:
            prompt = session.prompt(self.target.function, self.suite.signature)
            prompt = replace(prompt, quick_check=QuickCheck(self.suite.bench))
            seen = {canonical(self.suite.bench.baseline)}
            for proposer in session.proposers:
                deadline.check(f"asking {proposer.name}")
                self.ask(proposer, prompt, seen, deadline)
            deadline.check("the last answers")
        except Decline as late:
            if late.reason is not Reason.DEADLINE or not self.judged.equal:
                raise
            self.judged.failed.add(Reason.BUDGET)

    def gather_compiled(self, deadline: Deadline, weak: Inadequate) -> None:
        """Bodies whose provenance speaks for them. Raises `weak` where none of them is equal and faster, or where there
        is no time for them: that the tests are weak is known, and stays."""
        compiled = compiled_bodies(self.target.session)
        candidates: list[Candidate] = []
        for recipe in compiled.recipes():
            with contextlib.suppress(BodyError):
                body = compiled.body(self.target.name, recipe, deadline.left)
                candidates.append(Candidate(body.text(), COMPILED_BY, recipe.name))
        try:
            self.judge(_distinct(iter(candidates), {canonical(self.suite.bench.baseline)}), judge_compiled)
        except AssembleError:
            raise weak from None
        except Decline as late:
            if late.reason is Reason.DEADLINE:
                raise weak from None
            raise
        if not self.judged.equal:
            raise weak

    def ask(self, proposer: Proposer, prompt: Prompt, seen: set[str], deadline: Deadline) -> None:
        """One proposer's candidates, and its refinements after their verdicts. `seen`: texts that were judged."""
        settings, judged = self.target.session.settings, self.judged
        self.log.step(f"asking {proposer.name}")
        count = settings["samples"] if proposer.name == "model" else MOST_RECIPES
        fresh = _distinct(proposer.propose(prompt, count, deadline.left), seen)
        self.judge(fresh)
        for _ in range(settings["refinements"]):
            wrong = [j for j in judged.of(proposer.name) if not j.verdict.is_accepted]
            if not wrong or len(wrong) < len(fresh) or deadline.is_over:
                break
            again = prompt.with_attempts([_feedback(one, self.suite.signature) for one in wrong[-4:]])
            self.log.step(f"asking {proposer.name}")
            fresh = _distinct(proposer.refine(again, count, deadline.left), seen)
            if not fresh:
                break
            self.judge(fresh)
        for failure in proposer.failures:
            self.log.write("model" if proposer.name == "model" else "recompile", failure.reason, detail=failure.detail)
            if failure.reason in FAILED:
                judged.failed.add(failure.reason)
        if proposer.failures and not judged.of(proposer.name):
            judged.silent[proposer.name] = proposer.failures[-1].reason
        proposer.failures.clear()

    def judge(self, candidates: list[Candidate], gates: Gates | None = None) -> None:
        """Verdicts on fresh candidates. A quick timing comes first: what is not faster is not worth testing."""
        self.log.step("timing")
        worth: list[tuple[Candidate, float]] = []
        for candidate in candidates:
            speed = quick_speed(self.suite, candidate)
            if 0.0 < speed < LIMITS.quick_speed:
                verdict = refuted("timing", Reason.NOT_FASTER, f"quick look: {speed:.2f}x")
                self.judged.rows.append(Judgement(Judged(candidate, verdict), speed))
            else:
                worth.append((candidate, speed))
        self.log.step("judging")
        judged = (gates or judge_many)([candidate for candidate, _ in worth], self.suite.bench)
        for one, (_, speed) in zip(judged, worth, strict=True):
            self.judged.rows.append(Judgement(one, speed if one.verdict.is_accepted else 0.0))

    # --- the winner -------------------------------------------------------------------------------

    def pick(self, deadline: Deadline) -> tuple[Judgement, Timing]:
        """The fastest of the equal candidates that a full timing admits, best first.

        Raises Decline(NO_CANDIDATE, NOTHING_FASTER, NOISY, DEADLINE, or a transient reason of a candidate's).
        """
        suite, judged = self.suite, self.judged
        suite.bench.deadline = deadline
        equal = judged.equal
        if not equal:
            raise judged.why_none_is_equal()
        native = self.target.session.settings["isa"] == "native"
        noisy = False
        for one in equal[: LIMITS.full_timings]:
            if one.quick < 1.0 or deadline.is_over:
                break
            body, level = one.gates.body, one.gates.level
            if not is_equal_on(suite.bench, body, suite.harvest):
                one.timed = refuted("replay", Reason.WRONG_VALUE, "on the inputs of the timing")
                continue
            verdict, measured = timing.measure(
                Pair(suite.bench, body, 0 if native else level), suite.harvest.timing, suite.harvest.held_out,
                Rule(policy.gain_asked(suite.harvest.timing), len(equal)),
            )  # fmt: skip
            if verdict.is_accepted and (where := slower_guard_class(suite, body, level)):
                verdict = refuted("timing", Reason.CLASS_SLOWER, f"{where}, on generated inputs; {verdict.detail}")
            one.timed = verdict
            one.quick = measured.speedup if measured else one.quick
            if verdict.is_accepted and measured is not None:
                return one, measured
            noisy |= verdict.outcome is Outcome.UNDECIDED
        if noisy:
            raise Decline(Reason.NOISY, f"{counted(len(equal), 'equal candidate')} could not be timed")
        raise Decline(Reason.NOTHING_FASTER, judged.why_none_is_faster())


def quick_speed(suite: Suite, candidate: Candidate) -> float:
    """Estimated speed-up of an untested candidate; 0.0 when it cannot be run or timed."""
    try:
        body = Body.parse(candidate.body).without_endbr()
    except BodyError:
        return 0.0
    suite.bench.deadline.check("a quick timing")
    return timing.screen_speed(Pair(suite.bench, body), suite.harvest.timing)


def transient_reason(entry: Entry, search: Search | None, deadline: Deadline) -> Reason | None:
    """The transient reason of a failure: it is not remembered, and another build tries again."""
    if entry.outcome == "accepted":
        return None
    if (deadline if search is None else search.suite.bench.deadline).is_over:
        return Reason.BUDGET
    if entry.reason in {reason.label for reason in TRANSIENT}:
        return Reason.of(entry.reason)
    failed = search.judged.failed & TRANSIENT if search is not None else frozenset()
    return min(failed, key=str, default=None)


def _cause(error: Decline | BodyError | AssembleError) -> tuple[Reason, str]:
    if isinstance(error, Decline):
        return error.reason, error.detail
    return Reason.UNSUPPORTED_CODE, error.detail if isinstance(error, AssembleError) else str(error)


def _distinct(candidates: Iterator[Candidate], seen: set[str]) -> list[Candidate]:
    """Those with new canonical text; what does not parse stays in, for the judge to name the reason."""
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


def _feedback(judgement: Judgement, signature: Signature) -> Attempt:
    """Feedback for a proposer: the verdict and the counterexample, but nothing that was recorded."""
    reason, test = judgement.verdict.reason, judgement.verdict.test
    shown = input_words(test, signature) if test is not None else ""
    return Attempt(
        judgement.candidate.answer or judgement.candidate.body,
        reason.label if reason else judgement.verdict.outcome.value,
        f"{judgement.verdict.detail}; input: {shown}" if shown else judgement.verdict.detail,
        judgement.candidate.dialect,
    )
