"""Function names as a person reads them: C++ names demangled by binutils' `c++filt`, asked once for all.

Names stay mangled in the log, the store and `--json`. Where there is no `c++filt` people read them mangled too. A clone
that gcc made of a function (`f.constprop.0`) is meant where the function is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from gccllm.base.toolchain import Toolchain, run

MANGLED = "_Z"
LONGEST = 4000
"""Characters: a short mangled name may stand for one that nobody can read."""
_CLONE = re.compile(r"(?:\.(?:constprop|isra|part)\.[0-9]+)+$")


def original_name(name: str) -> str:
    """The function that `name` is a clone of; empty for any other name."""
    found = _CLONE.search(name)
    return name[: found.start()] if found else ""


def spoken(names: Iterable[str], *options: str) -> dict[str, str]:
    """Each name as C++ spells it; others stay what they are. `options` are those of c++filt."""
    found = {name: name for name in names}
    mangled = [name for name in found if name.startswith(MANGLED) and name.isprintable() and " " not in name]
    if mangled:
        ran = run([Toolchain.find().demangler, *options], stdin="\n".join(mangled).encode() + b"\n", is_limited=True)
        lines = ran.out.decode("utf-8", "replace").splitlines()
        if ran.ok and len(lines) == len(mangled):
            found.update((name, said) for name, said in zip(mangled, lines, strict=True) if len(said) <= LONGEST)
    return found


@lru_cache(maxsize=4096)
def spoken_name(name: str) -> str:
    """One name, as `spoken`."""
    return spoken([name])[name]


def spellings(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each name as in the object file, as C++ spells it, and so without its parameters; of a clone, its original's."""
    known = list(names)
    plain = {name: original_name(name) or name for name in known}
    whole, short = spoken(plain.values()), spoken(plain.values(), "--no-params")
    return {name: tuple(dict.fromkeys((name, one, whole[one], short[one]))) for name, one in plain.items()}


def named(name: str, known: Iterable[str]) -> frozenset[str]:
    """Those of `known` (as in the object file) that a person may mean: the name itself, or what C++ calls it, or its
    clones.

    C++ names may be given with or without their parameters.
    """
    known = frozenset(known)
    if name in known:
        return frozenset({name})
    said = _equal(spoken(known), name) or _equal(spoken(known, "--no-params"), name)
    return said or _equal({one: original for one in known if (original := original_name(one))}, name)


def _equal(spoken_names: Mapping[str, str], name: str) -> frozenset[str]:
    return frozenset(one for one, said in spoken_names.items() if said == name)
