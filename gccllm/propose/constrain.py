"""Grammar-constrained decoding of answers in C: uncompilable answers are never sampled.

    constraint = Constraint.of(tokens, types, slots)      for one prompt
    row = constraint.row(state)                           (V,) bool, True on the words that may come
    state = constraint.step(state, id)                    None for a word that may not

A state is the stack of open brackets, what the last word was, and the names declared so far. Enforced: brackets match,
`?` has its `:`, operands and operators take turns, statements begin and end like statements, a function with a result
returns; a name is a parameter the function has, a name that a macro binds, or declared before its use; a slot is one
that the prompt has; a macro exists and gets its number of arguments; two neighbours are neighbours in some training
answer (where the vocabulary knows which were).

Where the function's types are known, pointers and numbers are kept apart too (`c_types`); where its code is
(`facts`), an answer names all parameters that the code reads, and stores in memory if and only if it does.

Not covered: other types, scopes (a name declared in an inner block stays known), values: those are left to gcc. A
prefix may have no continuation at all (a row of False): the answer is given up.
Cost: one row per state, 0.2 to 1 ms the first time and nothing after.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from gccllm.propose import c_macros, c_syntax, c_types
from gccllm.propose.c_syntax import START, State
from gccllm.propose.facts import Facts
from gccllm.propose.signature import CSignature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEEP = " KEEP"
PARAMETERS = "abcdef"
_SLOT = re.compile(r"kk(\d+)[a-z]?")
_NUMBER = " 1"
"""The kind of all numbers and slots."""
_START_KIND = ""


class Vocabulary(Protocol):
    """The part of `gccllm.propose.tokens.Tokens` that is used here."""

    @property
    def words(self) -> tuple[str, ...]: ...
    @property
    def follows(self) -> Mapping[int, frozenset[int]] | None: ...
    @property
    def end(self) -> int: ...


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
        self.groups = {word: np.array(ids, np.intp) for word, ids in groups.items()}
        self.groups.setdefault(_NUMBER, np.array([], np.intp))
        self.kinds = [_kind(word) for word in self.words]
        self.after: dict[str, frozenset[str]] | None = None
        """For a kind (START_KIND at the start): what came next in some answer."""
        if tokens.follows is not None:
            named: dict[str, set[str]] = {}
            for one, then in tokens.follows.items():
                kind = _START_KIND if one == first else self.kinds[one]
                named.setdefault(kind, set()).update(self.kinds[other] for other in then)
            self.after = {kind: frozenset(then) for kind, then in named.items()}
        self._kinds_after: dict[str, tuple[str, ...]] = {}

    def may_follow(self, word: int, token: int) -> bool:
        """Whether a token came after a word (-1: the start) in some answer; True when not known."""
        after = self.after.get(self._kind_at(word)) if self.after is not None else None
        return after is None or self.kinds[token] in after

    def kinds_after(self, word: int) -> tuple[str, ...]:
        """Kinds of C words that came after a word (-1: the start)."""
        kind = self._kind_at(word)
        if kind not in self._kinds_after:
            after = self.after.get(kind) if self.after is not None else None
            self._kinds_after[kind] = tuple(one for one in self.groups if after is None or one in after)
        return self._kinds_after[kind]

    def _kind_at(self, word: int) -> str:
        return self.kinds[word] if word >= 0 else _START_KIND


@dataclass
class Constraint:
    """The rows of one prompt."""

    table: Table
    types: CSignature | None = None
    """None: any parameter may be named."""
    slots: int = 99
    """How many numbers the prompt has."""
    facts: Facts = field(default_factory=Facts)
    """What the prompt's code does."""
    _rows: dict[State, NDArray[np.bool_]] = field(default_factory=dict, repr=False)
    _steps: dict[tuple[State, int], State | None] = field(default_factory=dict, repr=False)
    _places: dict[State, dict[str, bool]] = field(default_factory=dict, repr=False)
    """Kinds of words that the syntax allows, by all of a state but its word and its types."""

    @classmethod
    def of(cls, tokens: Vocabulary, types: CSignature | None, slots: int, facts: Facts | None = None) -> Constraint:
        return cls(Table(tokens), types, slots, facts or Facts())

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
        """The state after one more word (not `end`), None when it is not allowed."""
        if (state, token) not in self._steps:
            self._steps[state, token] = self._step(state, token)
        return self._steps[state, token]

    def _step(self, state: State, token: int) -> State | None:
        if (
            not 0 <= token < len(self.table.words)
            or token == self.table.end
            or not self.table.may_follow(state.word, token)
        ):
            return None
        after = self._advance(state, self.table.words[token])
        return replace(after, word=token) if after is not None else None

    def accepts(self, ids: Sequence[int]) -> bool:
        """Whether a whole answer (without `end`) could have been sampled."""
        state: State | None = START
        for token in ids:
            state = self.step(state, token) if state is not None else None
        return state is not None and self._is_whole(state) and self.table.may_follow(state.word, self.table.end)

    # --- rows -------------------------------------------------------------------------------------

    def _row(self, state: State) -> NDArray[np.bool_]:
        import numpy as np

        # Types are looked at last: syntax alone has few states.
        place = replace(state, word=min(state.word, 0), levels=c_types.START, used=frozenset(), is_stored=False)
        places = self._places.setdefault(place, {})
        row = np.zeros(len(self.table.words), np.bool_)
        for kind in self.table.kinds_after(state.word):
            may = places.get(kind)
            if may is None:
                may = places[kind] = self._syntax(place, kind) is not None
            if not may or (self.types is not None and self._advance(state, kind) is None):
                continue
            row[self.table.groups[kind]] = True
            if kind == _NUMBER:
                row[[i for slot, i in self.table.slots if slot < self.slots]] = True
        row[self.table.end] = self.table.may_follow(state.word, self.table.end) and self._is_whole(state)
        return row

    def _is_number(self, bare: str) -> bool:
        """A number in one word, of digits or of a slot that the prompt has."""
        slot = _SLOT.fullmatch(bare)
        return int(slot[1]) < self.slots if slot else bare.isdigit()

    def _is_whole(self, s: State) -> bool:
        has_result = self.types is not None and self.types.returns != "v"
        ended = s.last == "start" and s.word >= 0 and (s.returns or not has_result)
        if s.last == "keep":
            return True
        does = (self.facts.reads or frozenset()) <= s.used and (s.is_stored or not self.facts.stores)
        return not s.brackets and ended and does

    # --- one word ---------------------------------------------------------------------------------

    def _advance(self, s: State, word: str) -> State | None:
        after = self._syntax(s, word)
        return after if after is None or self.types is None else self._typed(s, after, word[1:], self.types)

    def _typed(self, s: State, after: State, bare: str, types: CSignature) -> State | None:
        """`after`, a state that the syntax allows, with its types; None where they forbid the word."""
        if after.last == "keep" or (after.last == "number" and s.last == "digits"):
            return after
        result = c_types.RESULT if types.returns.startswith("p") else c_types.NUMBER
        is_parameter = self._is_parameter(bare) and after.last == "operand"
        pointers: int | None = 0
        if is_parameter:
            pointers = int(types.params[PARAMETERS.index(bare)].startswith("p"))
        elif after.last == "operand" and bare + "*" in s.names:
            pointers = None
        levels = c_types.follow(
            s.levels, c_syntax.place(s), c_syntax.place(after), c_types.Word(bare, pointers), result
        )
        if levels is None:
            return None
        stores = self._stores(s, after, bare)
        if stores and self.facts.stores is False:
            return None
        used = s.used | {bare} if is_parameter else s.used
        return replace(after, levels=levels, used=used, is_stored=s.is_stored or stores)

    @staticmethod
    def _stores(s: State, after: State, bare: str) -> bool:
        if len(after.brackets) > len(s.brackets) and c_macros.is_bracket(after.brackets[-1]):
            return c_types.stores(c_macros.macro_of(after.brackets[-1]))
        return (bare in c_syntax.ASSIGNING or bare in c_syntax.STEPS) and s.levels[-1].is_place

    def _syntax(self, s: State, word: str) -> State | None:
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
        return c_syntax.signed(s, bare)

    def _name(self, s: State, bare: str) -> State | None:
        expects = s.last in c_syntax.EXPECTS
        if _SLOT.fullmatch(bare) and not self._is_number(bare):
            return None
        if bare == "const":
            return s if s.last in ("start", "open", "operator") else None
        if bare == "#":
            return replace(s, last="digits", typed=False) if expects and s.last not in ("start", "body") else None
        expects_value = expects and s.last not in ("start", "body")
        if self._is_number(bare):
            return replace(s, last="value", typed=False) if expects_value else None
        if bare in c_syntax.TYPES:
            return c_syntax.typed(s, bare)
        if bare.endswith("(") or bare in c_macros.macros():
            macro = bare.rstrip("(")
            if not expects or macro not in c_macros.macros():
                return None
            bracket = c_macros.macros()[macro].bracket
            if not bare.endswith("("):
                return replace(s, last="call" + bracket, typed=False)
            return replace(s, brackets=s.brackets + bracket, last="open", typed=True)
        if bare in ("return", "break", "continue", "do", "else", *c_syntax.CONTROL):
            return self._keyword(s, bare)
        if bare in c_macros.constants():
            return replace(s, last="value", typed=False) if expects_value else None
        if s.last == "type" or (s.last == "comma" and s.declares == len(s.brackets)):
            # the name of a declaration
            if s.declares != len(s.brackets) or self._is_parameter(bare):
                return None
            return replace(s, last="declared", names=s.names | {bare}, typed=False)
        known = self._is_parameter(bare) or bare in s.names or c_syntax.is_bound(s, bare)
        if not known or not expects:
            return None
        return replace(s, last="operand", typed=False)

    def _is_parameter(self, bare: str) -> bool:
        if self.types is None:
            return bare in PARAMETERS
        return bare in PARAMETERS[: len(self.types.params)]

    def _keyword(self, s: State, bare: str) -> State | None:
        if s.last not in ("start", "body") or not c_syntax.is_block(s.brackets[-1:]):
            return None
        if bare == "return":
            nothing = self.types is not None and self.types.returns == "v"
            return replace(s, last="stop" if nothing else "return", returns=True)
        if bare in ("break", "continue"):
            return replace(s, last="stop")
        return replace(s, last={"do": "body", "else": "body", "for": "for"}.get(bare, "control"))
