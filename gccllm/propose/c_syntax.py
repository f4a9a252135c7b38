"""The syntax of `constrain`, without names and numbers: the state of a partial answer in C after each sign.

Not covered: names, numbers and macros (`constrain`), types (`c_types`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gccllm.propose import c_macros, c_types
from gccllm.propose.signature import SCALARS

_PREFIX = frozenset("!~")
_EITHER = frozenset(("+", "-", "*", "&"))
STEPS = frozenset(("++", "--"))
ASSIGNING = frozenset(("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="))
_BINARY = ASSIGNING | frozenset(("==", "!=", "<", "<=", ">", ">=", "<<", ">>", "&&", "||", "/", "%", "|", "^"))
CONTROL = frozenset(("if", "while", "for"))
TYPES = frozenset(SCALARS) | {f"v{scalar}" for scalar in SCALARS} | {"bits", "void"}
EXPECTS = frozenset(("start", "body", "operator", "cast", "open", "clause", "return"))
"""Where an operand may come."""


@dataclass(frozen=True, slots=True)
class State:
    """A place in an answer.

    `brackets`  the open ones, outermost first: `(` grouping, a character for each macro and number of commas to come,
                `c` of if or while, `f` of for, `[`, `{` a block, `s` a block whose value is used, `i` an initialiser,
                `?` a choice that waits for its `:`
    """

    brackets: str = ""
    last: str = "start"
    """The kind of the last word: `start` (a statement may begin), `body` (one must), `operand`, `value` (one without a
    place), `declared` (a new name), `operator`, `cast` (operand or operator may follow), `open`, `clause` (of a for),
    `type`, `comma` (of a declaration), `call` and a bracket (its parenthesis must follow), `control`, `for`, `return`,
    `stop` (a semicolon must follow), `digits`, `number` (more may), `keep`."""
    names: frozenset[str] = frozenset()
    typed: bool = False
    """All since the innermost `(` is a type."""
    declares: int = -1
    """Depth of brackets of the current declaration."""
    returns: bool = False
    """A return was seen."""
    word: int = -1
    """The last id; -1 at the start."""
    levels: c_types.Levels = c_types.START
    """Types of what is open (`c_types`)."""
    used: frozenset[str] = frozenset()
    """Parameters named so far."""
    is_stored: bool = False
    """Something was stored in an array."""


START = State()


def place(s: State) -> c_types.Place:
    return c_types.Place(s.brackets, s.last)


def typed(s: State, bare: str) -> State | None:
    top = s.brackets[-1:]
    if s.last == "start" and top in ("", "{", "s", "f"):
        return replace(s, last="type", declares=len(s.brackets))
    if s.last == "open" and (top == "(" or c_macros.is_bracket(top)):
        return replace(s, last="type", typed=True)
    if s.last == "operator" and c_macros.is_bracket(top):
        return replace(s, last="type")
    return None


def signed(s: State, sign: str) -> State | None:
    expects = s.last in EXPECTS
    ended = s.last in ("operand", "value", "cast")
    top = s.brackets[-1:]
    if sign == "(":
        kind = "(" if expects else ""
        if s.last.startswith("call"):
            kind = s.last[4:]
        elif s.last in ("control", "for"):
            kind = s.last[0]
        last = "start" if kind == "f" else "open"
        return replace(s, brackets=s.brackets + kind, last=last, typed=True) if kind else None
    if sign in ")]}":
        return _close(s, sign, top, ended)
    if sign == "[":
        return replace(s, brackets=s.brackets + "[", last="operator", typed=False) if s.last == "operand" else None
    if sign == "{":
        return _brace(s, top)
    if sign == ";":
        ended = ended or s.last == "declared"
        empty = s.last in ("start", "clause") if top == "f" else s.last in ("stop", "body")
        if not _may_assign(top) or not (ended or empty):
            return None
        return replace(s, last="clause" if top == "f" else "start", typed=False, declares=-1)
    if sign == ",":
        return _comma(s, top, ended)
    return _operator(s, sign, top, expects, ended)


def _comma(s: State, top: str, ended: bool) -> State | None:
    if s.declares == len(s.brackets):
        return replace(s, last="comma", typed=False) if ended or s.last == "declared" else None
    if c_macros.is_bracket(top) and c_macros.commas_left(top) and (ended or s.last == "type"):
        left = c_macros.commas_left(top) - 1
        last = "start" if not left and c_macros.macro_of(top).has_statement else "operator"
        return replace(s, brackets=s.brackets[:-1] + chr(ord(top) - 1), last=last, typed=False)
    return replace(s, last="operator", typed=False) if ended and top in ("i", "f") else None


def _operator(s: State, sign: str, top: str, expects: bool, ended: bool) -> State | None:
    if sign == "?":
        return replace(s, brackets=s.brackets + "?", last="operator") if ended else None
    if sign == ":":
        return replace(s, brackets=s.brackets[:-1], last="operator") if ended and top == "?" else None
    if sign == "*" and s.last == "type":
        return s
    if s.last == "comma":
        return replace(s, last="type") if sign == "*" else None
    if s.last == "declared":
        return replace(s, last="operator") if sign == "=" else None
    if sign in ASSIGNING and (s.last != "operand" or not _may_assign(top)):
        return None
    if sign in STEPS:
        return s if ended else replace(s, last="operator") if expects else None
    if sign in _PREFIX or (sign in _EITHER and not ended):
        # a statement begins with a place
        begins = s.last in ("start", "body") and sign != "*"
        return replace(s, last="operator", typed=False) if expects and not begins else None
    if sign in _BINARY or sign in _EITHER:
        return replace(s, last="operator", typed=False) if ended else None
    return None


def is_block(top: str) -> bool:
    """Whether statements stand here: the last argument of some macros is one."""
    return top in ("", "{", "s") or (c_macros.is_bracket(top) and c_macros.macro_of(top).has_statement)


def _may_assign(top: str) -> bool:
    return top == "f" or is_block(top)


def is_bound(s: State, name: str) -> bool:
    """Whether a macro around this place binds it."""
    return any(c_macros.is_bracket(b) and name in c_macros.macro_of(b).binds for b in s.brackets)


def _close(s: State, sign: str, top: str, ended: bool) -> State | None:
    outer = s.brackets[:-1]
    if sign == "}":
        if top in ("{", "s") and s.last == "start":
            return replace(s, brackets=outer, last="start" if top == "{" else "value")
        return replace(s, brackets=outer, last="value") if top == "i" and ended else None
    if sign == "]":
        return replace(s, brackets=outer, last="operand") if top == "[" and ended else None
    if top == "c":
        return replace(s, brackets=outer, last="body") if ended else None
    if top == "f":
        return replace(s, brackets=outer, last="body", declares=-1) if ended or s.last == "clause" else None
    if top == "(" and s.last == "type" and s.typed:
        return replace(s, brackets=outer, last="cast", typed=False)
    is_last = c_macros.is_bracket(top) and not c_macros.commas_left(top)
    if is_last and (s.last == "type" or (s.last == "start" and c_macros.macro_of(top).has_statement)):
        return replace(s, brackets=outer, last="value", typed=False)
    # in parentheses a place is a value still: nothing assigns to one
    return replace(s, brackets=outer, last="value", typed=False) if (top == "(" or is_last) and ended else None


def _brace(s: State, top: str) -> State | None:
    if s.last in ("start", "body") and is_block(top):
        return replace(s, brackets=s.brackets + "{", last="start")
    if s.last == "cast" or (s.last == "operator" and (top == "i" or s.declares == len(s.brackets))):
        return replace(s, brackets=s.brackets + "i", last="operator", typed=False)
    if s.last == "open" and (top == "(" or c_macros.is_bracket(top)):
        return replace(s, brackets=s.brackets + "s", last="start", typed=False)
    if s.last == "operator" and c_macros.is_bracket(top):
        return replace(s, brackets=s.brackets + "s", last="start", typed=False)
    return None
