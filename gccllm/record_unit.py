"""Mode `record`: a unit whose eligible hot functions carry recording stubs, and their benches in the test store.

    request ── plan ── hotness ── for each hot function: types, bench ──► test store ── stubs ── text

A function without a bench gets no stub: its calls could not be replayed. Nothing here looks for rewrites, and
neither the store of rewrites nor the unit cache or the queue is read or written.
"""

from __future__ import annotations

import contextlib

from gccllm.assembly import BodyError, Function, Module
from gccllm.base.core import Decline, Request
from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.base.scratch import scratch
from gccllm.harvest.far import far_symbols, with_far
from gccllm.harvest.wire import Subject
from gccllm.pipeline import Decision, Result, defined_symbols, left_alone
from gccllm.record.callees import assuming_external_code, keep_callees
from gccllm.record.keys import test_key
from gccllm.record.store import TestStore
from gccllm.record.stub import Stub, data_symbols, entry_line, recorded_text, recorder_text
from gccllm.sandbox.image import AssembleError, build_image
from gccllm.store.entry import Bench
from gccllm.unit import hotness, policy
from gccllm.unit.plan import plan
from gccllm.unit.profile import load_profile
from gccllm.unit.session import Build, UnitSession

EVERY_FUNCTION = 1_000_000


def record_unit(request: Request, build: Build) -> Result:
    """The unit's text with stubs, or None for gcc's own."""
    settings, log = build.settings, build.log
    try:
        unit = plan(request, settings)
        recorder = recorder_text(unit.tools.gcc)
    except Decline as decline:
        return _declined(decline.reason, decline.detail, log)
    log = log.bind(source=str(unit.source or "?"))

    # A call that is not recorded cannot be had later: there is no limit to the number of functions.
    profile = load_profile(settings.profile_path) if settings.profile_path else None
    warm, left = hotness.rank(unit.module, settings.with_values(max_functions=EVERY_FUNCTION), profile)
    decisions = left_alone(left)

    session = UnitSession(unit, settings, log)
    tests = TestStore.of(build.store.user)
    with contextlib.suppress(OSError):  # others' functions then are declined as before
        keep_callees(tests, unit.module)
    stubs: list[Stub] = []
    for heat in warm:
        try:
            if build.deadline.is_over:
                raise Decline(Reason.BUDGET)
            stubs.append(make_known(heat.function, session, tests))
            decisions.append(Decision(heat.function.name, "recording", None, stubs[-1].key[:16]))
        except Decline as decline:
            decisions.append(Decision(heat.function.name, "declined", decline.reason, decline.detail))
    for decision in decisions:
        words = {"function": decision.function, "word": decision.word, "detail": decision.detail}
        log.write("function", decision.reason, **words)
    if not stubs:
        return Result(None, tuple(decisions))

    # From here on the symbols are gcc's, plus our own hidden ones: anything else and gcc's text is used.
    text = recorded_text(unit.module, stubs, recorder)
    if changed := defined_symbols(Module.parse(text)) ^ defined_symbols(unit.module):
        detail = f"symbols changed: {', '.join(sorted(name for name, _ in changed)[:4])}"
        return _declined(Reason.SPLICE_REFUSED, detail, log, decisions)
    return Result(text, tuple(decisions))


def make_known(function: Function, session: UnitSession, tests: TestStore) -> Stub:
    """Put the function's bench into the test store; its stub. Raises Decline with the reason not to record it."""
    unit = session.unit
    try:
        policy.declines_function(function, session.settings)
        entry_line(function)
        bench, far = bench_of(function, session)
        stub = Stub(
            function,
            test_key(unit.module, function),
            data_symbols(unit.module, function, session.replaceable) + far,
        )
        names = tuple(name for name, _ in stub.symbols)
        tests.put_bench(stub.key, bench, function.name, unit.source.name if unit.source else "", names)
    except BodyError as error:
        raise Decline(Reason.UNSUPPORTED_CODE, str(error)) from error
    except AssembleError as error:
        raise Decline(Reason.UNSUPPORTED_CODE, error.detail) from error
    except OSError as error:
        raise Decline(Reason.STORE_UNWRITABLE, str(error)) from error
    return stub


def bench_of(function: Function, session: UnitSession) -> tuple[Bench, tuple[tuple[str, int], ...]]:
    """All that is needed to run the function on tests later, and the data of other units that it can name, with sizes.

    Raises Decline, BodyError, AssembleError.
    """
    unit = session.unit
    with scratch() as directory:
        signature = with_far(unit.module, function.name, session.signature(function.name), session.replaceable)
        target = session.harvest_target(function.name, signature, directory)
        context = session.context(function.name, signature)
        # A callee that cannot be stubbed raises here.
        build_image(directory, target.text, unit.tools, assuming_external_code(signature).callees)
        return Subject(target, context, session.scalar_body(function.name)).as_bench(), far_symbols(signature)


def _declined(reason: Reason, detail: str, log: Log, decisions: list[Decision] | None = None) -> Result:
    log.write("unit_declined", reason, detail=detail)
    return Result(None, tuple(decisions or ()), reason, detail)
