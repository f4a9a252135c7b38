"""What the prelude offers to an answer, read from its own text: names, numbers of arguments, names bound for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from gccllm.propose import prelude

_FIRST = 0x4000
_COMMAS = 16


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro or function that takes arguments."""

    number: int
    arguments: int
    binds: frozenset[str]
    """Names that an argument may use: x, y, i ..."""
    has_statement: bool
    """One of its arguments may assign."""
    name: str = ""
    parameters: tuple[str, ...] = ()
    """As the prelude names them."""

    @property
    def bracket(self) -> str:
        """A character for its open parenthesis with all commas to come."""
        return chr(_FIRST + self.number * _COMMAS + min(self.arguments - 1, _COMMAS - 1))


def is_bracket(character: str) -> bool:
    """Whether it represents a macro's open parenthesis."""
    return bool(character) and ord(character) >= _FIRST


def commas_left(bracket: str) -> int:
    return (ord(bracket) - _FIRST) % _COMMAS


@cache
def macro_of(bracket: str) -> Macro:
    number = (ord(bracket) - _FIRST) // _COMMAS
    return next(macro for macro in macros().values() if macro.number == number)


@cache
def _text() -> str:
    return re.sub(r"\\\n", " ", re.sub(r"/\*.*?\*/", " ", prelude.text(), flags=re.S))


@cache
def macros() -> dict[str, Macro]:
    """Everything that takes arguments, by name. Names that end in `_` are the prelude's own and left out."""
    heads: dict[str, str] = {}
    bodies: dict[str, str] = {}
    for name, inside, body in re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)\(([^()]*)\)(.*)", _text(), re.M):
        heads[name] = inside
        bodies[name] = bodies.get(name, "") + " " + body
    for name, inside in re.findall(r"^INLINE [^(\n]*?(\w+)\(([^()]*)\)", _text(), re.M):
        heads[name], bodies[name] = inside, ""
    # A letter in a macro's text that is none of its parameters is a name that it declares.
    binds = {
        name: frozenset(re.findall(r"\b[g-z]\b", body)) - set(re.findall(r"\w+", heads[name]))
        for name, body in bodies.items()
    }
    uses = {name: set(re.findall(r"\w+", body)) & bodies.keys() for name, body in bodies.items()}
    # What a macro makes of its arguments may be arguments of another, which binds more.
    while True:
        wider = {name: binds[name].union(*(binds[other] for other in uses[name])) for name in binds}
        if wider == binds:
            break
        binds = wider
    found: dict[str, Macro] = {}
    for number, (name, inside) in enumerate(heads.items()):
        if not name.endswith("_"):
            parameters = tuple(word.strip() for word in inside.split(","))
            found[name] = Macro(number, len(parameters), binds[name], "S" in parameters, name, parameters)
    return found


@cache
def constants() -> frozenset[str]:
    """Macros without arguments."""
    found = re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(?=\s)", _text(), re.M)
    return frozenset(name for name in found if not name.endswith("_") and name != "INLINE")
