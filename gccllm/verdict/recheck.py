"""Re-verification of a store entry: from the entry alone, or in the unit that would link it.

The tests are harvested again, so that no claim of the entry is trusted. Recorded calls are not part of an entry, since
they are copies of somebody's memory: an entry that depends on them is checked where they are.
"""

from __future__ import annotations

from gccllm.assembly import Body, BodyError, level_name
from gccllm.base.config import Settings
from gccllm.base.core import Candidate, Decline, Outcome, Verdict, refuted, undecided
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.scratch import scratch
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.harvest import harvest as find_tests
from gccllm.harvest.wire import Subject, target_and_context
from gccllm.record.recordings import Recordings
from gccllm.sandbox.image import AssembleError
from gccllm.store.entry import Entry, RecordingRecord
from gccllm.unit.policy import COMPILED
from gccllm.unit.session import Target
from gccllm.verdict.suite import Suite, is_equal_on, require_adequate, require_edges, set_up, workbench
from gccllm.verify.judge import judge_compiled, judge_many
from gccllm.verify.screen import read_baseline, screen

SEEDS = 3
"""Sets of tests with which a rewrite of unknown origin is checked until one of them decides."""


def recheck(entry: Entry, settings: Settings, tools: Toolchain | None = None) -> str | None:
    """Run every check but timing on a stored rewrite again, from the entry alone. None when it passes, else why not.

    The tests are harvested again, by the entry's seed. Whether its function is that of some unit is checked in a build
    (`recheck_in`). Recorded calls are taken from this
    machine's test store, those that came later included.
    """
    if entry.evidence is None:
        return "the entry carries no evidence"
    is_compiled = entry.evidence.level == COMPILED
    if entry.bench is None:  # a build makes its body anew and asks nothing of the entry but the recipe
        return None if is_compiled else "the entry carries no evidence"
    with scratch() as directory:
        try:
            target, context = target_and_context(
                entry.bench, tools or Toolchain.find(settings["cc"] or None), directory
            )
            scalar = Body.parse(entry.bench.scalar) if entry.bench.scalar else None
            subject = Subject(target, context, scalar)
            recorded = None
            if (known := entry.recording) is not None:
                recorded = Recordings(settings.store_dir).supply(known.key, target)
                if recorded is None and known.recorded:
                    return tests_absent(known)
            found = find_tests(
                target, entry.evidence.seed, LIMITS.harvest_s, recorded=recorded.tests if recorded else ()
            )
            if not is_compiled:
                require_edges(found)
            bench = workbench(subject, found.tests, entry.evidence.seed)
            score = None if is_compiled else require_adequate(bench, found)
            return reverify(Suite(subject, bench, found, score, recorded), entry).failure
        except Decline as decline:
            return str(decline)
        except (BodyError, AssembleError, ValueError) as error:
            return f"{type(error).__name__}: {error}"


def tests_absent(known: RecordingRecord) -> str:
    return f"{Reason.TESTS_ABSENT.label}: {known.recorded} recorded calls, key {known.key[:16]}"


def reverify(suite: Suite, entry: Entry) -> Verdict:
    """The judge's verdict on an entry's rewrite, with the tests of `suite`.

    Raises Decline, BodyError and AssembleError as `judge_many`.
    """
    gates = judge_many if suite.adequacy else judge_compiled
    case = gates([Candidate(entry.body, entry.proposer, entry.recipe)], suite.bench)[0]
    if not case.verdict.is_accepted:
        return case.verdict
    if not is_equal_on(suite.bench, case.body, suite.harvest):
        return refuted("replay", Reason.WRONG_VALUE, "on the inputs of the timing")
    if case.level > entry.isa_level:
        return refuted(
            "screen", Reason.ISA, f"needs {level_name(case.level)}, the entry says {level_name(entry.isa_level)}"
        )
    return case.verdict


def recheck_in(target: Target, entry: Entry, seed: int) -> str | None:
    """Every check but timing of an entry's rewrite, on this unit's own function. None: it passes, else why not.

    `seed`: unknown to the author of the entry, who could otherwise search for a wrong rewrite that passes its tests.
    With some seeds an edge of a correct rewrite stays uncovered: that is inconclusive, and other seeds follow.
    """
    session = target.session
    known, here = entry.recording, session.recordings.key(session.unit.module, target.function)
    if known is not None and known.recorded and not session.recordings.stamp(here):
        return tests_absent(known)
    for number in range(SEEDS):
        verdict = _rechecked(target, entry, seed + number)
        if verdict.outcome is not Outcome.UNDECIDED:
            break
    return verdict.failure


def _rechecked(target: Target, entry: Entry, seed: int) -> Verdict:
    with scratch() as directory:
        try:
            return reverify(set_up(target, directory, seed=seed), entry)
        except Decline as decline:
            return undecided("adequacy", decline.reason, decline.detail)
        except (BodyError, AssembleError) as error:
            return refuted("parse", Reason.UNSUPPORTED_CODE, f"{type(error).__name__}: {error}")


def rescreen_in(target: Target, entry: Entry) -> str | None:
    """The static gate on an entry's rewrite, in this unit as it is. None when it passes, else why not."""
    session, function = target.session, target.function
    context = session.context(function.name, session.signature(function.name))
    try:
        baseline = read_baseline(function.body, context, session.unit.tools)
        seen = screen(Body.parse(entry.body), baseline, context, session.unit.tools)
    except BodyError as error:
        return str(error)
    if not seen.verdict.is_accepted:
        return f"{seen.verdict.reason}: {seen.verdict.detail}"
    return None if seen.level <= entry.isa_level else f"{Reason.ISA.label}: needs {level_name(seen.level)}"
