"""Read this first: one assembler call of a build, from gcc's text to the text that is assembled.

    request ── plan ── hotness ── for each hot function: store? ── work (harvest, propose, verify, time) ── splice

Each step either succeeds or ends with a named reason (`gccllm.base.reasons`), and then gcc's own text is used. Nothing
here changes a build by itself: the shim assembles what `rewrite_unit` returns and falls back to gcc's text when that
fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gccllm.assembly import Body, BodyError, Function, Module, Rewrite, splice
from gccllm.attempt import attempt
from gccllm.base.config import Settings
from gccllm.base.core import Decline, Request
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import TRANSIENT, Reason
from gccllm.propose import answerer
from gccllm.store import Entry, Found, Store
from gccllm.store.entry import recipe_name
from gccllm.unit import hotness, policy
from gccllm.unit.in_program import Chosen, chosen_in_program, not_compiled_again
from gccllm.unit.plan import plan
from gccllm.unit.profile import load_profile
from gccllm.unit.session import Build, Target, UnitSession
from gccllm.unit.situation import Situation
from gccllm.verdict.recheck import recheck_in, rescreen_in
from gccllm.verify.screen import screen_stamp


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome for one function: `admitted`, `declined` or `queued`, and why."""

    function: str
    word: str
    reason: Reason | None = None
    detail: str = ""
    entry: Entry | None = None
    body: Body | None = None
    """What is admitted, where it was compiled just now; else the entry has it."""


@dataclass(frozen=True, slots=True)
class Result:
    text: str | None
    """The spliced text; None: gcc's own."""
    decisions: tuple[Decision, ...]
    unit_reason: Reason | None = None
    detail: str = ""
    sources: tuple[str, ...] | None = None
    """What the files of the source must be for `text` to stand (`harvest.sources`); None when that is not known."""

    @property
    def undecided(self) -> tuple[str, ...]:
        """Eligible functions on which there is no answer yet."""
        return tuple(d.function for d in self.decisions if d.word == "queued")


def rewrite_unit(request: Request, build: Build) -> Result:
    """Decide every function of a unit and splice what is admitted."""
    settings, log = build.settings, build.log
    # What is to be compiled, and may this unit be touched at all?
    try:
        unit = plan(request, settings)
    except Decline as decline:
        log.write("unit_declined", decline.reason, detail=decline.detail)
        return Result(None, (), decline.reason, decline.detail)
    log = log.bind(source=str(unit.source or "?"))

    # Which functions are worth it? The hottest come first, so that a short budget is spent on them.
    profile = load_profile(settings.profile_path) if settings.profile_path else None
    session = UnitSession(unit, settings, log)
    recorded = None if profile is not None else session.recordings.heat(unit.module)
    warm, left = hotness.rank(unit.module, settings, profile, recorded)

    # What a trial of the program has chosen comes first: it was measured where it counts.
    chosen = {one.function.name: decision_on(one, settings) for one in chosen_in_program(session, build.store)}
    warm = [heat for heat in warm if heat.function.name not in chosen]
    decisions = left_alone([one for one in left if one.function.name not in chosen]) + list(chosen.values())

    # From here on a function is either admitted with evidence, declined for good, or queued; each on its own.
    for heat in warm:
        is_left = build.is_waiting and heat.set_up != ""
        decision = decide(heat.function, session, build.store, Deadline(0.0) if is_left else build.deadline)
        if is_left and decision.reason is Reason.BUDGET:
            decision = replace(decision, reason=Reason.SET_UP, detail=heat.set_up)
        decisions.append(decision)
    for decision in decisions:
        _record(decision, log)

    # Splice. A rewrite that does not fit its place is dropped with a reason; the others still go in.
    rewrites: dict[str, Rewrite] = {}
    for decision in decisions:
        if decision.word == "admitted" and decision.entry is not None:
            level = 0 if settings["isa"] == "native" else decision.entry.isa_level
            rewrites[decision.function] = Rewrite(decision.body or Body.parse(decision.entry.body), level)
    if not rewrites:
        return Result(None, tuple(decisions))
    try:
        text = splice(unit.module, rewrites, unit.tools)
    except BodyError as error:
        log.write("unit_declined", Reason.SPLICE_REFUSED, detail=str(error))
        return Result(None, tuple(decisions), Reason.SPLICE_REFUSED, str(error))

    # From here on the symbols are gcc's, plus our own hidden ones: anything else and gcc's text is used.
    if changed := defined_symbols(Module.parse(text)) ^ defined_symbols(unit.module):
        detail = f"symbols changed: {', '.join(sorted(name for name, _ in changed)[:4])}"
        log.write("unit_declined", Reason.SPLICE_REFUSED, detail=detail)
        return Result(None, tuple(decisions), Reason.SPLICE_REFUSED, detail)
    return Result(text, tuple(decisions), sources=session.sources)


def decision_on(chosen: Chosen, settings: Settings) -> Decision:
    """The decision on a function for which a trial has chosen a recipe."""
    if chosen.reason is not None:
        word = "queued" if chosen.reason in TRANSIENT else "declined"
        return Decision(chosen.function.name, word, chosen.reason, chosen.detail, chosen.entry)
    return replace(_of_entry(chosen.function, chosen.entry, settings), body=chosen.body)


def left_alone(left: Sequence[hotness.Left]) -> list[Decision]:
    """The decisions on functions that are not worth the work."""
    return [Decision(one.function.name, "declined", one.reason, one.detail) for one in left]


def decide(function: Function, session: UnitSession, store: Store, deadline: Deadline) -> Decision:
    """The answer for one function: from the store, or by working on it, or none yet."""
    settings = session.settings
    try:
        policy.declines_function(function, settings)

        # Without a compile: is there anything to be found for this text, at the price of side compiles?
        known = Situation(session.told(function), {})
        if settings["mode"] == "cached" and not store.may_have(known.prefix):
            return Decision(function.name, "queued", Reason.NOT_IN_STORE)
        if deadline.is_over and not store.may_have(known.prefix):
            return Decision(function.name, "queued", Reason.BUDGET)

        # All that a verdict depends on. A function that may not be rewritten ends here, whatever the store holds.
        target = session.target(function)
    except Decline as decline:
        word = "queued" if decline.reason in TRANSIENT else "declined"
        return Decision(function.name, word, decline.reason, decline.detail)
    except BodyError as error:
        return Decision(function.name, "declined", Reason.UNSUPPORTED_CODE, str(error))

    if found := from_store(target, store):
        return found
    if settings["mode"] == "cached":
        return Decision(function.name, "queued", Reason.NOT_IN_STORE)
    if deadline.left < LIMITS.function_s:
        return Decision(function.name, "queued", Reason.BUDGET)

    # Only one build works on a function at a time; the others wait for its answer as long as their budget lasts.
    with store.working_on(target.situation.key, deadline.left) as mine:
        if found := from_store(target, store):
            return found
        if not mine:
            return Decision(function.name, "queued", Reason.BUDGET)
        made = attempt(target, deadline)
        if isinstance(made, Reason):  # a transient failure: nothing is remembered
            return Decision(function.name, "queued", made)
        try:
            store.put(made)
        except OSError as error:
            session.log.write("store", Reason.STORE_UNWRITABLE, detail=str(error))
        return _of_entry(function, made, settings)


def from_store(target: Target, store: Store) -> Decision | None:
    """What the store says of a function; None when it says nothing that holds here."""
    session, function = target.session, target.function
    found = store.find(target.situation.key)
    for reason, detail in store.problems:
        session.log.write("store", reason, detail=detail)
    store.problems.clear()
    if found is None:
        return None
    # New recorded calls or another proposer: what was decided without them is decided again, where there is time to
    # work. A project's own answers remain: they were committed to be the same everywhere.
    entry = found.entry
    may_work = found.layer == "user" and session.settings["mode"] != "cached"
    if may_work and session.is_outdated(function, entry):
        return None
    if may_work and entry.outcome == "nothing" and entry.answerer != answerer(session.settings):
        return None
    if entry.outcome == "accepted" and (failure := _refusal(target, found, store)):
        session.log.write("store", Reason.ENTRY_REFUSED, function=function.name, detail=failure, path=str(found.path))
        return None
    return _of_entry(function, entry, session.settings)


def _refusal(target: Target, found: Found, store: Store) -> str | None:
    """Why a stored rewrite is not for this function; None when it is."""
    # Whatever its file name and origin, it must have been made in this situation.
    situation = target.situation
    if part := situation.mismatch(found.entry.situation):
        return f"it was made in another situation: {part}"

    # What provenance speaks for is compiled again and must come out the same: a file can claim any level.
    evidence = found.entry.evidence
    if evidence is not None and evidence.level == policy.COMPILED:
        return not_compiled_again(target, found.entry)

    # It must have been tested as this very function, and pass today's static gate. Both depend on entry, situation and
    # gate alone: checked once for each combination.
    mark = f"{found.checksum}{situation.key}{screen_stamp()}"
    if not store.is_marked("screened", mark):
        try:
            if found.entry.bench is not None and (part := situation.foreign(found.entry.bench)):
                return f"it was made in another situation: {part} of its tests"
        except (BodyError, ValueError) as error:
            return f"its tests cannot be read: {error}"
        if failure := rescreen_in(target, found.entry):
            return failure
        store.mark("screened", mark)

    # An entry of the project or of a stranger is untrusted until it has passed every check but timing here.
    if found.layer != "user" and not store.is_marked("vouched", mark):
        if failure := recheck_in(target, found.entry, store.secret()):
            return failure
        store.mark("vouched", mark)
    return None


def _of_entry(function: Function, entry: Entry, settings: Settings) -> Decision:
    if entry.outcome == "accepted":
        if refusal := policy.admits(entry, settings):
            return Decision(function.name, "declined", refusal, "today's policy does not admit the stored rewrite")
        return Decision(function.name, "admitted", None, _gain(entry), entry)
    return Decision(function.name, "declined", Reason.of(entry.reason), entry.detail, entry)


def _gain(entry: Entry) -> str:
    timing = entry.evidence.timing if entry.evidence else None
    made = f"{entry.proposer}: {recipe_name(entry.recipe)}"  # its flags are in `gccllm show`
    return f"{made}, {timing.speedup:.2f}x" if timing else made


def _record(decision: Decision, log: Log) -> None:
    entry = decision.entry
    words: dict[str, object] = {"function": decision.function, "word": decision.word, "detail": decision.detail}
    if entry is not None:
        words |= {"key": entry.key, "proposer": entry.proposer, "recipe": entry.recipe}
        if entry.evidence is not None:
            words["speedup"] = round(entry.evidence.timing.speedup, 4)
    log.write("function", decision.reason, **words)


OWN_SYMBOLS = (".L", "__gccllm_", "gccllm.")


def defined_symbols(module: Module) -> set[tuple[str, str]]:
    """(name, binding) of every function and named object that is not ours and not a cold part of another."""
    names = [name for name in (*module.functions, *module.objects) if not name.startswith(OWN_SYMBOLS)]
    return {(name, module.binding(name)) for name in names if not name.endswith(".cold")}
