"""Which functions of a unit are worth the work, hottest first.

A profile file outranks everything; without one, calls times ticks of recorded calls. What neither knows comes after:
`__attribute__((hot))`, then loop depth, then the instructions inside loops. Recursion counts as a loop, and so do a
loop that is entered in two places (a coroutine's `switch` into it) and a jump that may lead anywhere (an interpreter's
`goto *`). That is a static guess: it knows nothing of trip counts.

What looks like set-up code comes last: by its name, or as a local function that only such code calls, not in a loop.
A profile, a recording, `hot` or the setting `include` say otherwise. Not done: "called once", "called by `main`": the
one function in which a small program spends its time is both. `main` itself is worth the work only for a loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from gccllm.assembly import BodyError, Function, Module, cfg, is_pointed_to
from gccllm.base.config import Settings
from gccllm.base.names import original_name, spellings
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
    unread: BodyError | None = None
    """Why the code cannot be followed: then nothing is known of its loops."""
    set_up: str = ""
    """Why it looks like set-up code; empty where it does not."""

    @property
    def rank(self) -> tuple[float, bool, bool, int, int]:
        return (self.share, self.hot, not self.set_up, self.depth, self.in_loops)


@dataclass(frozen=True, slots=True)
class Left:
    """A function that is not worth the work: the reason, and which rule, setting or instruction it was."""

    function: Function
    reason: Reason
    detail: str


SET_UP_NAMES = re.compile(
    r"(?:^|_)(init|initiali[sz]e|setup|create|destroy|free|delete|usage|help|version|print|dump|debug|warn|warning|die|fatal"
    r"|panic|config|configure|getopt|register|cleanup|finish|fini|exit|shutdown)(?:_|$)"
)
"""Words of a name, separated by underscores."""


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
) -> tuple[list[Heat], list[Left]]:
    """(functions worth working on, hottest first; the others).

    profile   share of samples by name; a function that is not in it was never seen
    recorded  share of the unit's recorded time by name (`Recordings.heat`), 0 for functions that were watched and
              never called; nothing is known of one that is not in it
    """
    warm: list[Heat] = []
    left: list[Left] = []
    globs = Globs.of(module.functions, settings)
    for function in module.functions.values():
        heat = measure(function, profile if profile is not None else recorded)
        if why := _leaves(heat, globs, profile, recorded):
            left.append(Left(function, *why))
        else:
            warm.append(heat)
    if profile is None:
        warm = [replace(heat, set_up=_set_up(heat, globs)) for heat in warm]
    warm.sort(key=lambda heat: heat.rank, reverse=True)
    limit = settings["max_functions"]
    said = f"max_functions = {limit}, and as many others look hotter"
    left += [Left(heat.function, Reason.NOT_HOT, said) for heat in warm[limit:]]
    return warm[:limit], left


def measure(function: Function, shares: Mapping[str, float] | None = None) -> Heat:
    try:
        graph = cfg(function.body)
        loops = graph.loops
        depth = max((loop.depth for loop in loops), default=0)
        blocks = set().union(*(loop.blocks for loop in loops)) if loops else set()
        in_loops = sum(graph.blocks[block].last - graph.blocks[block].first for block in blocks)
        anywhere, unread = bool(graph.unresolved) or (graph.is_cyclic and not loops), None
    except BodyError as error:
        depth, in_loops, anywhere, unread = 0, 0, False, error
    if anywhere or function.name in function.calls:
        depth, in_loops = max(depth, 1), max(in_loops, function.instructions)
    share = (shares or {}).get(function.name, 0.0)
    return Heat(function, share, ".text.hot" in function.section, depth, in_loops, unread)


def _leaves(
    heat: Heat, globs: Globs, profile: Mapping[str, float] | None, recorded: Mapping[str, float] | None
) -> tuple[Reason, str] | None:
    name, settings = heat.function.name, globs.settings
    for setting, is_out in (
        ("exclude", globs.match(name, "exclude")),
        ("only", settings["only"] and not globs.match(name, "only")),
    ):
        if is_out:
            return Reason.EXCLUDED, f"{setting} = {','.join(settings[setting])}, from {settings.origins[setting]}"
    if globs.match(name, "include", "only"):
        return None
    for section in (".text.unlikely", ".text.exit"):
        if section in heat.function.section:
            return Reason.COLD, f"gcc placed it in {section}"
    if heat.share == 0.0 and (profile is not None or (recorded is not None and name in recorded)):
        return (
            Reason.NOT_HOT,
            "it has no sample in the profile" if profile is not None else "no recorded run has called it",
        )
    if heat.depth == 0 and not heat.hot and heat.share == 0.0:
        return (heat.unread.reason, heat.unread.detail) if heat.unread else (Reason.NOT_HOT, "no loop, no recursion")
    return None


def _set_up(heat: Heat, globs: Globs) -> str:
    if heat.share or heat.hot or globs.match(heat.function.name, "include", "only"):
        return ""
    return _set_up_rule(heat.function, frozenset())


def _set_up_rule(function: Function, seen: frozenset[str]) -> str:
    """Which rule calls it set-up code; empty for none."""
    if word := SET_UP_NAMES.search(original_name(function.name) or function.name):
        return f"`{word[1]}` in its name"
    module = function.module
    callers = module.callers.get(function.name, frozenset()) - seen
    if function.binding != "local" or not callers or is_pointed_to(module, function.name):
        return ""
    is_set_up = all(
        _set_up_rule(caller, seen | {function.name}) and not _calls_in_loop(caller, function.name)
        for caller in map(module.functions.__getitem__, callers)
    )
    return f"called by {', '.join(sorted(callers))} alone, outside loops" if is_set_up else ""


def _calls_in_loop(function: Function, name: str) -> bool:
    try:
        graph = cfg(function.body)
    except BodyError:
        return True
    looped = set().union(*(loop.blocks for loop in graph.loops)) if graph.loops else set()
    lines = (function.body.lines[at] for b in looped for at in range(graph.blocks[b].first, graph.blocks[b].last))
    return any(name in line.symbols for line in lines)
