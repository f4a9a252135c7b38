"""Which words may come next in an answer in C: a table of states, so that what cannot compile is not sampled.

    constraint = Constraint.of(tokens, types, slots)      for one prompt
    row = constraint.row(state)                           (V,) bool, True on the words that may come
    state = constraint.step(state, id)                    None for a word that may not

A state is the stack of open brackets, what the last word was, and the names declared so far. Enforced: brackets match,
`?` has its `:`, operands and operators take turns, statements begin and end like statements, a function with a result
returns; a name is a parameter the function has, a name that a macro binds, or declared before its use; a slot is one
that the prompt has; a macro exists and gets its number of arguments; two neighbours are neighbours in some training
answer (where the vocabulary knows which were).

Not covered: types, scopes (a name declared in an inner block stays known), values: gcc says the rest. A prefix may have
no continuation at all (a row of False): the sample is given up.
Cost: one row per state, about 0.2 ms the first time and nothing after.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from gccllm.propose import c_macros
from gccllm.propose.signature import SCALARS, CSignature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEEP = " KEEP"
PARAMETERS = "abcdef"
_PREFIX = frozenset("!~")
_EITHER = frozenset(("+", "-", "*", "&"))
_STEPS = frozenset(("++", "--"))
_ASSIGNING = frozenset(("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="))
_BINARY = _ASSIGNING | frozenset(("==", "!=", "<", "<=", ">", ">=", "<<", ">>", "&&", "||", "/", "%", "|", "^"))
_CONTROL = frozenset(("if", "while", "for"))
_TYPES = frozenset(SCALARS) | {f"v{scalar}" for scalar in SCALARS} | {"bits", "void"}
_EXPECTS = frozenset(("start", "body", "operator", "cast", "open", "clause", "return"))
"""Where an operand may come."""
_SLOT = re.compile(r"kk(\d+)[a-z]?")
_NUMBER = " 1"
"""The kind of all numbers and slots."""
_START_KIND = ""


class Vocabulary(Protocol):
    """What is read of `gccllm.propose.tokens.Tokens`."""

    @property
    def words(self) -> tuple[str, ...]: ...
    @property
    def follows(self) -> Mapping[int, frozenset[int]] | None: ...
    @property
    def end(self) -> int: ...


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
    """Depth of brackets at which a declaration is under way."""
    returns: bool = False
    """A return was seen."""
    word: int = -1
    """The last id; -1 at the start."""


START = State()


def _kind(word: str) -> str:
    return _NUMBER if re.fullmatch(r" (\d+|kk\d+[a-z]?)", word) else word


class Table:
    """What all prompts of a vocabulary share.

    Numbers and slots are one kind of word: what follows what goes by kinds.
    """

    def __init__(self, tokens: Vocabulary) -> None:
        import numpy as np

        self.words, self.end = tokens.words, tokens.end
        first = tokens.words.index("<sep>") if "<sep>" in tokens.words else -1
        groups: dict[str, list[int]] = {}
        self.slots: list[tuple[int, int]] = []
        """(slot, id) of each reference."""
        for i, word in enumerate(self.words):
            if slot := _SLOT.fullmatch(word[1:] if word.startswith(" ") else ""):
                self.slots.append((int(slot[1]), i))
            elif word.startswith(" "):
                groups.setdefault(_kind(word), []).append(i)
        self.groups = {word: np.array(ids) for word, ids in groups.items()}
        self.kinds = [_kind(word) for word in self.words]
        self.after: dict[str, NDArray[np.bool_]] | None = None
        """For a kind (START_KIND at the start): (V,) bool of what came next in some answer."""
        if tokens.follows is not None:
            named: dict[str, set[str]] = {}
            for one, then in tokens.follows.items():
                kind = _START_KIND if one == first else self.kinds[one]
                named.setdefault(kind, set()).update(self.kinds[other] for other in then)
            self.after = {kind: np.array([k in then for k in self.kinds]) for kind, then in named.items()}

    def row_after(self, word: int) -> NDArray[np.bool_] | None:
        """What may follow a word (-1: the start); None when nothing is known of it."""
        return self.after.get(self.kinds[word] if word >= 0 else _START_KIND) if self.after is not None else None


@dataclass
class Constraint:
    """The rows of one prompt."""

    table: Table
    types: CSignature | None = None
    """None: any parameter may be named."""
    slots: int = 99
    """How many numbers the prompt has."""
    _rows: dict[State, NDArray[np.bool_]] = field(default_factory=dict, repr=False)
    _steps: dict[tuple[State, int], State | None] = field(default_factory=dict, repr=False)
    _places: dict[State, NDArray[np.bool_]] = field(default_factory=dict, repr=False)
    """Rows by all of a state but its word."""

    @classmethod
    def of(cls, tokens: Vocabulary, types: CSignature | None, slots: int) -> Constraint:
        return cls(Table(tokens), types, slots)

    @property
    def start(self) -> State:
        return START

    def row(self, state: State) -> NDArray[np.bool_]:
        """(V,) bool; shared, do not change it."""
        known = self._rows.get(state)
        if known is None:
            known = self._rows[state] = self._row(state)
        return known

    def step(self, state: State, token: int) -> State | None:
        """The state after one more word (not `end`), None when it may not come."""
        if (state, token) not in self._steps:
            self._steps[state, token] = self._step(state, token)
        return self._steps[state, token]

    def _step(self, state: State, token: int) -> State | None:
        if not 0 <= token < len(self.table.words) or token == self.table.end or not self._may_follow(state.word, token):
            return None
        after = self._advance(state, self.table.words[token])
        return replace(after, word=token) if after is not None else None

    def accepts(self, ids: Sequence[int]) -> bool:
        """Whether a whole answer (without `end`) could have come out."""
        state: State | None = START
        for token in ids:
            state = self.step(state, token) if state is not None else None
        return state is not None and self._is_whole(state) and self._may_follow(state.word, self.table.end)

    # --- rows -------------------------------------------------------------------------------------

    def _may_follow(self, last: int, token: int) -> bool:
        after = self.table.row_after(last)
        return after is None or bool(after[token])

    def _row(self, state: State) -> NDArray[np.bool_]:
        import numpy as np

        place = replace(state, word=min(state.word, 0))
        row = self._places.get(place)
        if row is None:
            row = self._places[place] = np.zeros(len(self.table.words), np.bool_)
            for word, ids in self.table.groups.items():
                row[ids] = self._advance(place, word) is not None
            if self._advance(place, _NUMBER) is not None:
                row[[i for slot, i in self.table.slots if slot < self.slots]] = True
            row[self.table.end] = self._is_whole(place)
        after = self.table.row_after(state.word)
        return row if after is None else row & after

    def _is_number(self, bare: str) -> bool:
        """A number in one word, of digits or of a slot that the prompt has."""
        slot = _SLOT.fullmatch(bare)
        return int(slot[1]) < self.slots if slot else bare.isdigit()

    def _is_whole(self, s: State) -> bool:
        has_result = self.types is not None and self.types.returns != "v"
        ended = s.last == "start" and s.word >= 0 and (s.returns or not has_result)
        return not s.brackets and (s.last == "keep" or ended)

    # --- one word ---------------------------------------------------------------------------------

    def _advance(self, s: State, word: str) -> State | None:
        if not word.startswith(" ") or s.last == "keep":
            return None
        bare = word[1:]
        if word == KEEP:
            return replace(s, last="keep") if s == START else None
        if s.last in ("digits", "number") and bare.startswith("#") and bare != "#":
            return replace(s, last="number")
        if s.last == "digits" or (bare.startswith("#") and bare != "#"):
            return None
        if s.last == "number":
            s = replace(s, last="value")
        if bare[0].isalnum() or bare[0] in "_#":
            return self._name(s, bare)
        return _sign(s, bare)

    def _name(self, s: State, bare: str) -> State | None:
        expects = s.last in _EXPECTS
        if _SLOT.fullmatch(bare) and not self._is_number(bare):
            return None
        if bare == "const":
            return s if s.last in ("start", "open", "operator") else None
        if bare == "#":
            return replace(s, last="digits", typed=False) if expects and s.last not in ("start", "body") else None
        expects_value = expects and s.last not in ("start", "body")
        if self._is_number(bare):
            return replace(s, last="value", typed=False) if expects_value else None
        if bare in _TYPES:
            return _type(s, bare)
        if bare.endswith("(") or bare in c_macros.macros():
            macro = bare.rstrip("(")
            if not expects or macro not in c_macros.macros():
                return None
            bracket = c_macros.macros()[macro].bracket
            if not bare.endswith("("):
                return replace(s, last="call" + bracket, typed=False)
            return replace(s, brackets=s.brackets + bracket, last="open", typed=True)
        if bare in ("return", "break", "continue", "do", "else", *_CONTROL):
            return self._keyword(s, bare)
        if bare in c_macros.constants():
            return replace(s, last="value", typed=False) if expects_value else None
        if s.last == "type" or (s.last == "comma" and s.declares == len(s.brackets)):
            # the name of a declaration
            if s.declares != len(s.brackets) or self._is_parameter(bare):
                return None
            return replace(s, last="declared", names=s.names | {bare}, typed=False)
        known = self._is_parameter(bare) or bare in s.names or _is_bound(s, bare)
        if not known or not expects:
            return None
        return replace(s, last="operand", typed=False)

    def _is_parameter(self, bare: str) -> bool:
        if self.types is None:
            return bare in PARAMETERS
        return bare in PARAMETERS[: len(self.types.params)]

    def _keyword(self, s: State, bare: str) -> State | None:
        if s.last not in ("start", "body") or not _is_block(s.brackets[-1:]):
            return None
        if bare == "return":
            nothing = self.types is not None and self.types.returns == "v"
            return replace(s, last="stop" if nothing else "return", returns=True)
        if bare in ("break", "continue"):
            return replace(s, last="stop")
        return replace(s, last={"do": "body", "else": "body", "for": "for"}.get(bare, "control"))


def _type(s: State, bare: str) -> State | None:
    top = s.brackets[-1:]
    if s.last == "start" and top in ("", "{", "s", "f"):
        return replace(s, last="type", declares=len(s.brackets))
    if s.last == "open" and (top == "(" or c_macros.is_bracket(top)):
        return replace(s, last="type", typed=True)
    if s.last == "operator" and c_macros.is_bracket(top):
        return replace(s, last="type")
    return None


def _sign(s: State, sign: str) -> State | None:
    expects = s.last in _EXPECTS
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
    if sign in _ASSIGNING and (s.last != "operand" or not _may_assign(top)):
        return None
    if sign in _STEPS:
        return s if ended else replace(s, last="operator") if expects else None
    if sign in _PREFIX or (sign in _EITHER and not ended):
        # a statement begins with a place
        begins = s.last in ("start", "body") and sign != "*"
        return replace(s, last="operator", typed=False) if expects and not begins else None
    if sign in _BINARY or sign in _EITHER:
        return replace(s, last="operator", typed=False) if ended else None
    return None


def _is_block(top: str) -> bool:
    """Whether statements stand here: the last argument of some macros is one."""
    return top in ("", "{", "s") or (c_macros.is_bracket(top) and c_macros.macro_of(top).has_statement)


def _may_assign(top: str) -> bool:
    return top == "f" or _is_block(top)


def _is_bound(s: State, name: str) -> bool:
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
    if s.last in ("start", "body") and _is_block(top):
        return replace(s, brackets=s.brackets + "{", last="start")
    if s.last == "cast" or (s.last == "operator" and (top == "i" or s.declares == len(s.brackets))):
        return replace(s, brackets=s.brackets + "i", last="operator", typed=False)
    if s.last == "open" and (top == "(" or c_macros.is_bracket(top)):
        return replace(s, brackets=s.brackets + "s", last="start", typed=False)
    if s.last == "operator" and c_macros.is_bracket(top):
        return replace(s, brackets=s.brackets + "s", last="start", typed=False)
    return None
