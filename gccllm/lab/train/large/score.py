"""One answer judged in a process of its own: the project's tests, verifier and timer, and what came out as numbers.

Reads a task from standard input, writes an `Outcome` of `gccllm.lab.train.reward` to standard output, both JSON:

    {"source": C text, "function": name, "flags": [...], "permitted": level, "allowed": level, "answer": text}
    {"status": word, "passed_share": 0..1, "over_o3": x, "over_best": x, "is_copy": bool, "reason": label, "detail": ..}

`status` is one of `gccllm.lab.train.reward.STATUSES`: `pass`, or the first thing that was wrong. `build` is no code, or
code that does not compile or assemble; `abi` also what the static screen refuses; `value` with a share of 1 has passed
all tests but has an edge that none of them took; `died` says nothing about the answer: no sandbox, no tests for the
function, another CPU. `reason` is always the gate's own. Speed-ups are 0 unless it passed.

Covered: what the gate of a build covers, `over_o3` by the same decision rule. A gain that the rule does not confirm
counts as none. Not covered: `over_best` is a quick estimate of gcc with the best instruction set allowed, not of
every compiler.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gccllm.assembly import Body, BodyError, Function, canonical
from gccllm.base import core
from gccllm.base.config import SETTINGS, Settings
from gccllm.base.core import Candidate, Decline, Verdict
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.base.scratch import scratch
from gccllm.commands.oneshot import request_for
from gccllm.lab.train.reward import Outcome
from gccllm.propose.answers import to_candidate
from gccllm.propose.protocol import Failure, Isa, Prompt
from gccllm.propose.recipes import LEVEL_FLAGS
from gccllm.sandbox.compare import differs
from gccllm.sandbox.image import AssembleError
from gccllm.unit.isa_allowance import isa_for
from gccllm.unit.plan import plan
from gccllm.unit.session import UnitSession
from gccllm.verdict.suite import Suite, is_equal_on, set_up
from gccllm.verify import timing
from gccllm.verify.judge import Judged, judge
from gccllm.verify.sampling import Pair
from gccllm.x86.decode import Refused, assemble

WORK_S = 90.0
"""Seconds for one answer, harvest included."""
MEMORY_BYTES = 16 << 30
"""Address space of the judging process; the sandbox inside has narrower limits of its own."""
CPU_S = 300

_STATUS = {
    Reason.WRONG_VALUE: "value",
    Reason.WRONG_CALLS: "value",
    Reason.ARGUMENT_NARROWED: "value",
    Reason.EDGES_UNSEEN: "value",
    Reason.TRACE_LIMIT: "value",
    Reason.WRONG_MEMORY: "memory",
    Reason.STRAY_STORE: "memory",
    Reason.STRAY_READ: "memory",
    Reason.FAULTED: "fault",
    Reason.TIMED_OUT: "timeout",
    Reason.ABI_BROKEN: "abi",
    Reason.SYSTEM_CALL: "abi",
}
UNDECIDED = "died"
_NOT_BUILT = frozenset({Reason.DOES_NOT_ASSEMBLE, Reason.UNKNOWN_SYMBOL, Reason.BRANCH_TARGET})

Task = dict[str, Any]


def settings_of() -> Settings:
    """Defaults, whatever the environment and the files of a trainer's node say."""
    return Settings({setting.name: setting.default for setting in SETTINGS}, {})


def session_of(source: str, flags: list[str], directory: Path) -> UnitSession:
    """The unit of a C text, as a build would meet it. Raises Decline."""
    path = directory / "unit.c"
    path.write_text(source)
    settings = settings_of()
    request = request_for(path, flags, settings["cc"] or None, directory)
    return UnitSession(plan(request, settings), settings, Log(directory / "store"))


def judge_task(task: Task) -> Outcome:
    """The outcome of one answer. Never raises for what the answer or the function is."""
    with scratch() as directory:
        try:
            return _judged(task, directory)
        except Decline as decline:
            return Outcome(UNDECIDED, reason=decline.reason.label, detail=decline.detail)
        except (BodyError, AssembleError) as error:
            return Outcome(UNDECIDED, reason=Reason.UNSUPPORTED_CODE.label, detail=str(error))


def _judged(task: Task, directory: Path) -> Outcome:
    deadline = Deadline(WORK_S)
    session = session_of(task["source"], task["flags"], directory)
    name = task["function"]
    function = session.unit.module.functions.get(name)
    if function is None:
        raise Decline(Reason.NO_SOURCE, f"gcc made no function {name}")
    isa = Isa(permitted=task["permitted"], allowed=task["allowed"])
    if isa_for("native", session.unit.march, session.unit.tools).allowed < isa.allowed:
        raise Decline(Reason.ISA, f"the prompt allows level {isa.allowed}, which this CPU does not have")

    # The answer first: most that are wrong are wrong here, and cost no tests.
    prompt = Prompt(name, "", isa=isa, unit=session.side)
    candidate = to_candidate(task["answer"], prompt, "answer", Deadline(20.0))
    if isinstance(candidate, Failure):
        return Outcome("build", reason=candidate.reason.label, detail=candidate.detail)
    if (early := _untested(candidate, function, session)) is not None:
        return early

    # From here on the work is what a build would do.
    suite = set_up(session.target(function), directory, deadline)
    case = judge(candidate, suite.bench)
    verdict = case.verdict
    if not verdict.is_accepted:
        return _refused(suite, case, verdict)
    if not is_equal_on(suite.bench, case.body, suite.harvest):
        return Outcome("value", 0.99, reason=Reason.WRONG_VALUE.label, detail="on the inputs of the timing")
    return _timed(suite, case, session, isa)


def _untested(candidate: Candidate, function: Function, session: UnitSession) -> Outcome | None:
    """The outcome of an answer that needs no test: it does not build, or it is gcc's own body."""
    try:
        body = Body.parse(candidate.body)
    except BodyError as error:
        return Outcome("build", reason=error.reason.label, detail=error.detail)
    if canonical(body.without_endbr()) == canonical(function.body.without_endbr()):
        return Outcome("pass", 1.0, 1.0, 1.0, is_copy=True, reason=Reason.COPY.label)
    code = assemble("answer", body.text(), session.unit.tools)
    return (
        Outcome("build", reason=Reason.DOES_NOT_ASSEMBLE.label, detail=code.message)
        if isinstance(code, Refused)
        else None
    )


def _refused(suite: Suite, case: Judged, verdict: Verdict) -> Outcome:
    reason = verdict.reason
    label = reason.label if reason else ""
    if verdict.stage in ("parse", "assemble") or reason in _NOT_BUILT:
        return Outcome("build", reason=label, detail=verdict.detail)
    if verdict.stage == "screen":
        return Outcome("abi", reason=label, detail=verdict.detail)
    status = _STATUS.get(reason, UNDECIDED) if reason else UNDECIDED
    share = 1.0 if verdict.outcome is core.Outcome.UNDECIDED else _passed_share(suite, case)
    return Outcome(status, share, reason=label, detail=verdict.detail)


def _passed_share(suite: Suite, case: Judged) -> float:
    """Share of the tests whose result is the baseline's. Below 1: an answer that is here failed something."""
    bench = suite.bench
    if not case.body.lines:
        return 0.0
    with bench.replayer(bench.image([bench.entry_text(case.body, "share")])) as replayer:
        got = replayer.run_raw("share", bench.tests)
    wrong = int(differs(bench.observed(0), got, bench.returns).sum())
    return min(1.0 - wrong / len(bench.tests), 0.99)


def _timed(suite: Suite, case: Judged, session: UnitSession, isa: Isa) -> Outcome:
    """The gain by the rule of a build; what the rule does not confirm is at most 1."""
    pair = Pair(suite.bench, case.body, case.level)
    verdict, measured = timing.measure(pair, suite.harvest.timing, suite.harvest.held_out)
    gain = measured.speedup if measured is not None else 1.0
    if not verdict.is_accepted:
        gain = min(gain, 1.0)
    bar = max(1.0, _best_flags(suite, session, isa))
    label = verdict.reason.label if verdict.outcome is not core.Outcome.ACCEPTED and verdict.reason else ""
    return Outcome("pass", 1.0, gain, gain / bar, reason=label, detail=verdict.detail)


def _best_flags(suite: Suite, session: UnitSession, isa: Isa) -> float:
    """Speed-up of gcc's own code with every instruction set that the answer may use; 0.0 when it cannot be timed."""
    flags = LEVEL_FLAGS.get(isa.allowed, ()) if isa.allowed > isa.permitted else ()
    module = session.side.module(flags) if flags else None
    twin = module.functions.get(suite.subject.target.name) if module is not None else None
    if twin is None:
        return 0.0
    try:
        pair = Pair(suite.bench, twin.body.without_endbr(), isa.allowed)
        return timing.screen_speed(pair, suite.harvest.timing)
    except BodyError:
        return 0.0


def declined(source: str, function: str, flags: list[str]) -> str | None:
    """Why no answer for this function could ever be judged; None when its tests are adequate."""
    with scratch() as directory:
        try:
            session = session_of(source, flags, directory)
            set_up(session.target(session.unit.module.functions[function]), directory, Deadline(WORK_S))
        except Decline as decline:
            return str(decline)
        except (BodyError, AssembleError, KeyError) as error:
            return f"{type(error).__name__}: {error}"
    return None


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    task = json.load(sys.stdin)
    found = judge_task(task)
    json.dump(asdict(replace(found, detail=found.detail[:300])), sys.stdout)


if __name__ == "__main__":
    main()
