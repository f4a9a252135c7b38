"""Which functions of a unit are worth the work, hottest first.

A profile file outranks everything; without one, calls times ticks of recorded calls. What neither knows comes after:
`__attribute__((hot))`, then loop depth, then the instructions inside loops. Recursion counts as a loop, and so does a
jump that may lead anywhere (an interpreter's `goto *`). That is a static guess: it knows nothing of trip counts.

What looks like set-up code comes last: by its name, or as a local function that only such code calls, not in a loop.
A profile, a recording, `hot` or the setting `include` say otherwise. Not done: "called once", "called by `main`": the
one function in which a small program spends its time is both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from gccllm.assembly import BodyError, Function, Module, cfg, is_pointed_to
from gccllm.base.config import Settings
from gccllm.base.names import spellings
from gccllm.base.reasons import Reason


@dataclass(frozen=True, slots=True)
class Heat:
    function: Function
    share: float
    """Share of the profile's samples, or of the recorded time of the unit; 0 without either."""
    hot: bool
    depth: int
    in_loops: int
    """Instructions inside loops."""
    unread: Reason | None = None
    """Why the code cannot be followed: then nothing is known of its loops."""
    is_set_up: bool = False

    @property
    def rank(self) -> tuple[float, bool, bool, int, int]:
        return (self.share, self.hot, not self.is_set_up, self.depth, self.in_loops)


SET_UP_NAMES = re.compile(
    r"(^|_)(init|initiali[sz]e|setup|create|destroy|free|delete|usage|help|version|print|dump|debug|warn|warning|die|fatal"
    r"|panic|config|configure|getopt|register|cleanup|finish|fini|exit|shutdown)(_|$)"
)
"""Words of a name, apart by underlines."""


@dataclass(frozen=True)
class Globs:
    """The settings that name functions. A name is matched as it is in the object file and as C++ spells it."""

    settings: Settings
    spelled: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, names: Iterable[str], settings: Settings) -> Globs:
        is_used = any(settings[name] for name in ("exclude", "include", "only"))
        return cls(settings, spellings(names) if is_used else {})

    def match(self, name: str, *which: str) -> bool:
        """Whether a glob of one of these settings matches."""
        globs = [glob for setting in which for glob in self.settings[setting]]
        return any(fnmatchcase(said, glob) for said in self.spelled.get(name, (name,)) for glob in globs)


def rank(
    module: Module,
    settings: Settings,
    profile: Mapping[str, float] | None = None,
    recorded: Mapping[str, float] | None = None,
) -> tuple[list[Heat], list[tuple[Function, Reason]]]:
    """(functions worth working on, hottest first; the others with their reason).

    profile   share of samples by name; a function that is not in it was never seen
    recorded  share of the unit's recorded time by name (`record.mix.heat`), 0 for functions that were watched and never
              called; nothing is known of one that is not in it
    """
    warm: list[Heat] = []
    left: list[tuple[Function, Reason]] = []
    globs = Globs.of(module.functions, settings)
    for function in module.functions.values():
        heat = measure(function, profile if profile is not None else recorded)
        if reason := _leaves(heat, globs, profile, recorded):
            left.append((function, reason))
        else:
            warm.append(heat)
    if profile is None:
        warm = [replace(heat, is_set_up=_is_set_up(heat, globs)) for heat in warm]
    warm.sort(key=lambda heat: heat.rank, reverse=True)
    limit = settings["max_functions"]
    left += [(heat.function, Reason.NOT_HOT) for heat in warm[limit:]]
    return warm[:limit], left


def why(function: Function, reason: Reason, settings: Settings) -> str:
    """The detail of a reason that `rank` gave: which setting, which instruction; empty where there is none."""
    if reason is Reason.EXCLUDED:
        is_told = not settings["only"] or Globs.of([function.name], settings).match(function.name, "exclude")
        name = "exclude" if is_told else "only"
        return f"{name} = {','.join(settings[name])}, from {settings.origins[name]}"
    if reason in (Reason.NOT_HOT, Reason.COLD):
        return ""
    try:
        cfg(function.body)
    except BodyError as error:
        return error.detail
    return ""


def measure(function: Function, shares: Mapping[str, float] | None = None) -> Heat:
    try:
        graph = cfg(function.body)
        loops = graph.loops
        depth = max((loop.depth for loop in loops), default=0)
        blocks = set().union(*(loop.blocks for loop in loops)) if loops else set()
        in_loops = sum(graph.blocks[block].last - graph.blocks[block].first for block in blocks)
        anywhere, unread = bool(graph.unresolved), None
    except BodyError as error:
        depth, in_loops, anywhere, unread = 0, 0, False, error.reason
    if anywhere or function.name in function.calls:
        depth, in_loops = max(depth, 1), max(in_loops, function.instructions)
    share = (shares or {}).get(function.name, 0.0)
    return Heat(function, share, ".text.hot" in function.section, depth, in_loops, unread)


def _leaves(
    heat: Heat, globs: Globs, profile: Mapping[str, float] | None, recorded: Mapping[str, float] | None
) -> Reason | None:
    name = heat.function.name
    if globs.match(name, "exclude") or (globs.settings["only"] and not globs.match(name, "only")):
        return Reason.EXCLUDED
    if globs.match(name, "include", "only"):
        return None
    if ".text.unlikely" in heat.function.section or ".text.exit" in heat.function.section:
        return Reason.COLD
    watched = profile is not None or (recorded is not None and name in recorded)
    if watched and heat.share == 0.0:
        return Reason.NOT_HOT
    if heat.depth == 0 and not heat.hot and heat.share == 0.0:
        return heat.unread or Reason.NOT_HOT
    return None


def _is_set_up(heat: Heat, globs: Globs) -> bool:
    if heat.share or heat.hot or globs.match(heat.function.name, "include", "only"):
        return False
    return _looks_like_set_up(heat.function, frozenset())


def _looks_like_set_up(function: Function, seen: frozenset[str]) -> bool:
    if SET_UP_NAMES.search(function.name):
        return True
    module = function.module
    callers = module.callers.get(function.name, frozenset()) - seen
    if function.binding != "local" or not callers or is_pointed_to(module, function.name):
        return False
    return all(
        _looks_like_set_up(caller, seen | {function.name}) and not _calls_in_loop(caller, function.name)
        for caller in map(module.functions.__getitem__, callers)
    )


def _calls_in_loop(function: Function, name: str) -> bool:
    try:
        graph = cfg(function.body)
    except BodyError:
        return True
    looped = set().union(*(loop.blocks for loop in graph.loops)) if graph.loops else set()
    lines = (function.body.lines[at] for b in looped for at in range(graph.blocks[b].first, graph.blocks[b].last))
    return any(name in line.symbols for line in lines)
