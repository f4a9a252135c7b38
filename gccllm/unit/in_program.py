"""Bodies that a trial of the program has chosen: `compiled` by the user's gcc at every build, never read from a store.

An entry of this kind says only which recipe serves a function best. Its key names the function, its file and the
options, not the code: a choice outlives edits, as a profile does, since whatever gcc makes of today's source by that
recipe is as right as what it makes by -O3. A body that cannot be cut out or screened today is no candidate, and gcc's
own stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from gccllm.assembly import Body, BodyError, Function, canonical
from gccllm.base import options
from gccllm.base.core import Decline
from gccllm.base.reasons import Reason
from gccllm.propose.compiled import BY_NAME, CompiledBodies
from gccllm.store import Entry, Store
from gccllm.unit import isa_allowance
from gccllm.unit.isa_allowance import isa_for
from gccllm.unit.session import Target, UnitSession
from gccllm.unit.situation import SCHEMA, Situation, hexdigest
from gccllm.verify import hardening
from gccllm.verify.screen import Context, read_baseline, screen_compiled


@dataclass(frozen=True, slots=True)
class Chosen:
    """A function for which a trial has chosen a recipe: its fresh body, or why there is none today."""

    function: Function
    entry: Entry
    body: Body | None = None
    reason: Reason | None = None
    detail: str = ""


def chosen_in_program(session: UnitSession, store: Store) -> Iterator[Chosen]:
    """Every function of the unit that has a choice."""
    if session.unit.source is None:  # no choice is found without, and no body is made
        return
    for function in session.unit.module.functions.values():
        found = store.find(choice_situation(session, function.name).key)
        if found is not None and found.entry.outcome == "accepted" and found.entry.recipe in BY_NAME:
            yield _fresh(function, found.entry, session)


def _fresh(function: Function, entry: Entry, session: UnitSession) -> Chosen:
    recipe = BY_NAME[entry.recipe]
    try:
        compiled = compiled_bodies(session)
        if recipe not in compiled.recipes():
            raise BodyError(Reason.ISA, f"{recipe.name} is not for this unit's setting of isa, or this CPU")
        body = compiled.body(function.name, recipe)
        level = screened(session, function, body)
    except (BodyError, Decline) as error:
        return Chosen(function, entry, None, error.reason, error.detail)
    return Chosen(function, entry.model_copy(update={"isa_level": level}), body)


def not_compiled_again(target: Target, entry: Entry) -> str | None:
    """Why the body of an entry of level `compiled` is not what its recipe makes here today; None when it is."""
    if (recipe := BY_NAME.get(entry.recipe)) is None:
        return f"no recipe is called {entry.recipe!r}"
    try:
        body = compiled_bodies(target.session).body(target.name, recipe)
        level = screened(target.session, target.function, body)
        is_same = canonical(body) == canonical(Body.parse(entry.body)) and level <= entry.isa_level
    except BodyError as error:
        return str(error)
    return None if is_same else f"{recipe.name} makes another body of today's source"


@lru_cache(maxsize=1)
def compiled_bodies(session: UnitSession) -> CompiledBodies:
    """Raises Decline(NO_SOURCE, SIDE_COMPILE, DEADLINE): the source must still be what the build has compiled."""
    unit = session.unit
    _ = session.known
    return CompiledBodies(session.side, isa_for(session.settings["isa"], unit.march, unit.tools))


def screened(session: UnitSession, function: Function, body: Body) -> int:
    """The ISA level of a compiled body that may stand in the function's place. Raises BodyError."""
    unit = session.unit
    context = Context(
        function.name, unit.march, isa_for(session.settings["isa"], unit.march, unit.tools).allowed,
        unit_functions=frozenset(unit.module.functions), hardening=hardening.asked(unit.flags),
    )  # fmt: skip
    seen = screen_compiled(body, read_baseline(function.body, context, unit.tools), context, unit.tools)
    if seen.verdict.reason is not None:
        raise BodyError(seen.verdict.reason, seen.verdict.detail)
    return seen.level


def choice_situation(session: UnitSession, name: str) -> Situation:
    """What a choice is found by. Raises Decline(NO_SOURCE)."""
    unit = session.unit
    if unit.source is None:
        raise Decline(Reason.NO_SOURCE)
    return Situation({**_unit_parts(session), "function": hexdigest(name)}, {})


@lru_cache(maxsize=1)
def _unit_parts(session: UnitSession) -> dict[str, str]:
    """What the choices of all functions of a unit are found by."""
    unit = session.unit
    root = session.settings.root(unit.request.cwd)
    source = unit.source
    if source is not None and source.is_relative_to(root):
        source = source.relative_to(root)
    return {
        "schema": SCHEMA,
        "kind": hexdigest("in-program"),
        "file": hexdigest(str(source)),
        "options": hexdigest("\n".join(options.meanings(unit.request.gcc_options))),
        "compiler": hexdigest("\n".join(unit.module.idents)),
        "isa": hexdigest(isa_allowance.key_word(session.settings["isa"])),
    }
