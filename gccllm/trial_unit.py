"""Mode `trial`: a unit whose functions carry a choice of bodies, and what the store has to know of each choice.

    request ── plan ── for each function: bodies by recipe, screened ──► choices ── text
                                                                └──► contests in the store, for `gccllm trial`

The bodies are compiled by the user's gcc from the user's source (`propose.compiled`); a rewrite that the store admits
takes part as well. A copy of gcc's own body, the placebo, shows what a difference of nothing looks like. Neither the
unit cache nor the queue is read or written.
"""

from __future__ import annotations

from gccllm.assembly import Body, BodyError, Function, Module, canonical
from gccllm.base.core import Decline, Request
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.pipeline import Decision, Result, defined_symbols, from_store
from gccllm.propose.compiled import CompiledBodies, CompiledRecipe, clones_behind
from gccllm.store import Entry, Store
from gccllm.trial.contests import PLACEBO, REWRITE, Contender, Contests, KnownContest
from gccllm.trial.text import Contest, chooser_text, contested_text
from gccllm.unit import policy
from gccllm.unit.hotness import Globs
from gccllm.unit.in_program import choice_situation, compiled_bodies, screened
from gccllm.unit.plan import plan
from gccllm.unit.profile import load_profile
from gccllm.unit.session import Build, UnitSession
from gccllm.unit.situation import Situation


def trial_unit(request: Request, build: Build) -> Result:
    """The unit's text with choices, or None for gcc's own."""
    settings, log = build.settings, build.log
    try:
        unit = plan(request, settings)
        session = UnitSession(unit, settings, log.bind(source=str(unit.source or "?")))
        compiled = compiled_bodies(session)
        chooser = chooser_text(unit.tools.gcc)
    except Decline as decline:
        log.write("unit_declined", decline.reason, detail=decline.detail)
        return Result(None, (), decline.reason, decline.detail)

    known = Contests(build.store.user)
    globs = Globs.of(unit.module.functions, settings)
    profile = load_profile(settings.profile_path) if settings.profile_path else None
    contests: list[Contest] = []
    decisions: list[Decision] = []
    for function in unit.module.functions.values():
        try:
            if globs.match(function.name, "exclude"):
                raise Decline(Reason.EXCLUDED)
            names = (function.name, *clones_behind(function.name, unit.module))
            if profile is not None and sum(profile.get(name, 0.0) for name in names) < LIMITS.trial_share / 2:
                raise Decline(Reason.NOT_HOT, "the profile has less of it than a trial compares")
            contest, record = contest_of(function, session, compiled, build.store)
            known.put(record)
        except Decline as decline:
            decisions.append(Decision(function.name, "declined", decline.reason, decline.detail))
        except BodyError as error:
            decisions.append(Decision(function.name, "declined", Reason.UNSUPPORTED_CODE, str(error)))
        except OSError as error:
            decisions.append(Decision(function.name, "declined", Reason.STORE_UNWRITABLE, str(error)))
        else:
            contests.append(contest)
            decisions.append(Decision(function.name, "on trial", None, f"{len(contest.bodies)} bodies"))
    for decision in decisions:
        words = {"function": decision.function, "word": decision.word, "detail": decision.detail}
        session.log.write("function", decision.reason, **words)
    if not contests:
        return Result(None, tuple(decisions))
    try:
        text = contested_text(unit.module, contests, chooser, unit.tools)
    except BodyError as error:
        session.log.write("unit_declined", Reason.SPLICE_REFUSED, detail=str(error))
        return Result(None, tuple(decisions), Reason.SPLICE_REFUSED, str(error))
    if changed := defined_symbols(Module.parse(text)) ^ defined_symbols(unit.module):
        detail = f"symbols changed: {', '.join(sorted(name for name, _ in changed)[:4])}"
        session.log.write("unit_declined", Reason.SPLICE_REFUSED, detail=detail)
        return Result(None, tuple(decisions), Reason.SPLICE_REFUSED, detail)
    return Result(text, tuple(decisions))


def contest_of(
    function: Function, session: UnitSession, compiled: CompiledBodies, store: Store
) -> tuple[Contest, KnownContest]:
    """Every distinct body for the function. Raises Decline where there is none but gcc's own, BodyError."""
    if function.has_lsda:
        raise Decline(Reason.LSDA)
    own = compiled.anchored(function.body.without_endbr(), session.unit.module)
    seen = {canonical(own)}
    bodies: list[Body] = [own]
    contenders = [Contender(recipe=PLACEBO, isa_level=0)]
    if rewrite := admitted(function, session, store):
        bodies.append(Body.parse(rewrite.body))
        contenders.append(Contender(recipe=REWRITE, isa_level=rewrite.isa_level))
    refusal = ""
    for recipe in compiled.recipes():
        try:
            one = distinct(function, session, compiled, recipe, seen)
        except BodyError as error:
            refusal = refusal or f"{recipe.name}: {error}"
            continue
        if one is not None:
            bodies.append(one[0])
            contenders.append(Contender(recipe=recipe.name, isa_level=one[1]))
    if len(bodies) == 1:
        raise Decline(Reason.NO_CANDIDATE, refusal or "every recipe makes gcc's own body")
    situation = choice_situation(session, function.name)
    record = KnownContest(
        key=situation.key, situation=situation.parts, function=function.name,
        source=session.unit.source.name if session.unit.source else "",
        compiler=session.unit.tools.version, contenders=tuple(contenders), cwd=str(session.unit.request.cwd),
        clones=clones_behind(function.name, session.unit.module),
    )  # fmt: skip
    return Contest(function, record.identity, tuple(bodies)), record


def admitted(function: Function, session: UnitSession, store: Store) -> Entry | None:
    """The stored rewrite that a build would link."""
    try:
        policy.declines_function(function, session.settings)
        if not store.may_have(Situation(session.told(function), {}).prefix):
            return None
        decision = from_store(session.target(function), store)
    except (Decline, BodyError):
        return None
    return decision.entry if decision is not None and decision.word == "admitted" else None


def distinct(
    function: Function, session: UnitSession, compiled: CompiledBodies, recipe: CompiledRecipe, seen: set[str]
) -> tuple[Body, int] | None:
    """A recipe's body and its ISA level; None where another recipe gave the same. Raises BodyError: it gives none."""
    body = compiled.body(function.name, recipe)
    if (text := canonical(body)) in seen:
        return None
    level = screened(session, function, body)
    seen.add(text)
    return body, level
