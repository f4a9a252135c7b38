"""Pointers and numbers in an answer, followed word by word, so that neither is written where the other is needed.

Every open bracket has a `Level`: what its expression is so far. Pointers are counted with their signs: `b + k` is a
pointer, `c - b` a number. What a place needs is read off the macro's own parameters (`ARRAYS`), a declaration, or the
function's result.

Enforced: an array argument begins with a pointer and is one; every other argument, an index and a declared value are
numbers; what is indexed is a pointer; pointers are not multiplied, masked or shifted; two pointers are compared or
subtracted, not a pointer and a number; a result is a pointer where the function returns one (or 0), else a number.
Everything the corpus's experts write keeps these rules (a test draws all families).

Not covered: widths and signs, floats against integers, lanes against scalars, values that statements in parentheses
give, pointers behind casts and dereferences: such an expression is `loose`, and left to gcc.
"""

from __future__ import annotations

from typing import NamedTuple

from gccllm.propose import c_macros

ARRAYS = frozenset(("a", "b", "o", "t"))
"""Parameters of macros that are arrays, but for those below."""
NUMBERS_BY_THAT_NAME = frozenset((("HASH", "b"), ("POLYMOD", "b"), ("STRIDE", "t"), ("FLETCHER", "t"), ("DIGITS", "b"),
                                  ("DIGITSUM", "b"), ("DIGITSUMS", "b")))  # fmt: skip
STORING = frozenset(("REVERSE", "PUT", "SORT", "LAGDOWN", "LAGDOWNMOD", "LAGMOD"))
"""Macros that store in their `a`; those with an `o` or `O` store there."""

NUMBER, POINTER, RESULT, ANY = "number", "pointer", "result", "any"
"""What a place needs. RESULT: a pointer or 0."""
_COMPARING = frozenset(("==", "!=", "<", "<=", ">", ">=", "&&", "||"))
_OF_POINTERS = frozenset(("==", "!=", "<", "<=", ">", ">="))
_ASSIGNING = frozenset(("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="))


class Level(NamedTuple):
    """A partial expression."""

    want: str = ANY
    net: int = 0
    """Pointers so far, those behind a minus as -1."""
    last: int = 0
    """Pointers that the last operand added."""
    sign: int = 1
    """Of the operand to come; 0: it has to be a number."""
    is_due: bool = False
    """The last operand is a pointer where a number is needed: it has to be indexed."""
    is_empty: bool = True
    """No operand yet."""
    is_zero: bool = False
    """It is the number 0 and nothing else."""
    is_loose: bool = False
    """Not followed."""
    left: int = -1
    """Pointers left of the current comparison; -1: there is none."""
    is_truth: bool = False
    """A comparison was in it: it gives a number."""
    is_place: bool = False
    """The last operand is an element of an array."""

    def operand(self, pointers: int | None, *, is_zero: bool = False) -> Level | None:
        """With one more operand: a pointer (1), a number (0), something not followed (None)."""
        if pointers is None:
            return self._replace(is_loose=True, is_empty=False, is_zero=False, last=0, is_place=False)
        if self.is_empty and self.want == POINTER and not pointers:
            return None
        added = pointers * (self.sign or 1)
        return self._replace(
            net=self.net + added, last=added, is_due=bool(pointers) and not self.sign, is_empty=False,
            is_zero=is_zero and self.is_empty, is_place=False,
        )  # fmt: skip

    def indexed(self) -> Level | None:
        """Its last operand is to be indexed."""
        if not self.last:
            return self if self.is_loose else None
        return self._replace(net=self.net - self.last, last=0, is_due=False)

    @property
    def pointers(self) -> int | None:
        """1: a pointer, 0: a number, None: not followed, -1: nothing that C has."""
        if self.is_loose:
            return None
        if not self._is_sound:
            return -1
        return 0 if self.is_truth else self.net

    @property
    def _is_sound(self) -> bool:
        alike = self.left in (-1, self.net) or (self.left == 1 and self.is_zero)
        return self.net in (0, 1) and not self.is_due and alike

    @property
    def fits(self) -> bool:
        """Whether it may end here."""
        found = self.pointers
        if found is None or self.is_empty:
            return True
        if self.want == RESULT:
            return found == 1 or (self.is_zero and not self.is_truth)
        return found in {NUMBER: (0,), POINTER: (1,), ANY: (0, 1)}[self.want]

    def binary(self, sign: str) -> Level | None:
        """With an operator behind an operand."""
        if self.is_due:
            return None
        plain = self._replace(is_zero=False, is_place=False, last=0)
        if sign in ("+", "-"):
            return plain._replace(sign=1 if sign == "+" else -1)
        if sign in _COMPARING:
            if self.want == POINTER or not (self.is_loose or self._is_sound):
                return None
            left = self.net if sign in _OF_POINTERS and not self.is_loose else -1
            return plain._replace(net=0, sign=1, left=left, is_truth=True, is_empty=True)
        if self.last and not self.is_loose:
            return None
        return plain._replace(sign=0)

    def prefix(self, sign: str) -> Level:
        if sign in ("-", "~"):
            return self._replace(sign=0, is_zero=False)
        if sign == "!":
            return self._replace(is_truth=True, is_zero=False)
        if sign in ("++", "--"):
            return self
        return self._replace(is_loose=True, is_zero=False)


class Place(NamedTuple):
    """What the constraint on words knows of a place (`constrain.State`)."""

    brackets: str
    last: str


Levels = tuple[Level, ...]
"""Of all open brackets, the outermost first; one more than there are."""
START: Levels = (Level(),)


class Word(NamedTuple):
    """The next word of C."""

    text: str
    pointers: int | None
    """Of an operand: 1 for a pointer, 0 for a number, None when not known."""


def follow(levels: Levels, before: Place, after: Place, next_word: Word, result: str) -> Levels | None:
    """The levels after one more word that C's syntax allows; None when the types do not.

    `result`: what the function returns
    """
    word, pointers = next_word.text, next_word.pointers
    top, outer = levels[-1], levels[:-1]
    if len(after.brackets) > len(before.brackets):
        return _opened(outer, top, before, after, word)
    if top.is_due:
        return None
    if len(after.brackets) < len(before.brackets):
        return _closed(outer, top, before, after, word)
    changed: Level | None = top
    if word == "return":
        changed = Level(result)
    elif word == ",":
        bracket = after.brackets[-1:]
        changed = _argument(bracket) if c_macros.is_bracket(bracket) else Level()
        if not top.fits:
            return None
    elif word == ";":
        changed = Level() if top.fits else None
    elif word in _ASSIGNING:
        is_number = before.last == "declared" or not (top.last or top.is_loose)
        changed = Level(NUMBER if is_number and not top.is_loose else ANY)
    elif word in ("++", "--"):
        pass
    elif after.last == "operator":
        if before.last in ("operand", "value", "cast"):
            changed = top.binary(word)
        elif before.last != "type":
            changed = top.prefix(word)
        else:
            changed = top._replace(is_loose=True)  # a pointer of one's own
    elif after.last == "type" and word == "*":
        changed = top._replace(is_loose=True)
    elif after.last in ("operand", "value", "digits") and before.last not in ("digits", "number"):
        changed = top.operand(pointers, is_zero=word == "0")
    return (*outer, changed) if changed is not None else None


def _opened(outer: Levels, top: Level, before: Place, after: Place, word: str) -> Levels | None:
    bracket = after.brackets[-1]
    if bracket == "[":
        indexed = top.indexed()
        return (*outer, indexed, Level(NUMBER)) if indexed is not None else None
    if top.is_due:
        return None
    if bracket == "?":
        sound = top.is_loose or top.pointers in (0, 1)
        return (*outer, Level(top.want), Level(top.want)) if sound and top.want != POINTER else None
    if c_macros.is_bracket(bracket):
        return (*outer, top, _argument(bracket))
    return (*outer, top, Level())


def _closed(outer: Levels, top: Level, before: Place, after: Place, word: str) -> Levels | None:
    if not top.fits or not outer:
        return None
    below, bracket = outer[-1], before.brackets[-1]
    if word == ":":
        return outer
    found: Level | None
    if bracket in ("c", "f", "{"):
        found = Level()
    elif bracket == "[":
        found = below._replace(is_place=True, is_empty=False)
    elif bracket == "s" or bracket == "i":
        found = below.operand(None)
    elif after.last == "cast":
        # of a number to a number; a pointer's cast is not followed
        found = below._replace(is_loose=True) if top.is_loose else below
    else:
        found = below.operand(top.pointers if bracket == "(" else 0)
    return (*outer[:-1], found) if found is not None else None


def _argument(bracket: str) -> Level:
    """The level of a macro's argument that begins."""
    macro = c_macros.macro_of(bracket)
    left = c_macros.commas_left(bracket)
    return Level(wants(macro, macro.arguments - 1 - left) if not (macro.has_statement and not left) else ANY)


def wants(macro: c_macros.Macro, argument: int) -> str:
    """What an argument of a macro has to be."""
    name = macro.parameters[argument] if argument < len(macro.parameters) else ""
    return POINTER if name in ARRAYS and (macro.name, name) not in NUMBERS_BY_THAT_NAME else NUMBER


def stores(macro: c_macros.Macro) -> bool:
    """Whether it stores in an array of its caller."""
    return macro.name in STORING or bool({"o", "O"} & set(macro.parameters))
