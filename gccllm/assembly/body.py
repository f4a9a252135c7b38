"""A function body as data: instructions, labels and private constants, and nothing else.

This is the only form in which a candidate enters the program. It is built from untrusted text by `Body.parse`, which
accepts an allow-list, and printed back from the parsed form, so that no byte of the text reaches an assembler as it
was.

Covered: AT&T instructions, `.L` labels, constants in read-only sections. Not covered (refused): every other directive,
numeric labels, `;`, macros, strings outside constants, the location counter `.`.
Whether an instruction exists is left to the assembler; whether it may be used, to the screen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from gccllm.assembly import tls
from gccllm.assembly.data import STRINGS, Constant, Place, alignment, constant_section, data
from gccllm.assembly.syntax import (
    PREFIXES,
    BodyError,
    Flow,
    Kind,
    LexError,
    callee,
    flow,
    has_numeric_label,
    lex,
    normal_operand,
    split_commas,
    substitute,
    symbols,
)
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.runtime import NORETURN

_MNEMONIC = re.compile(r"[a-z][a-z0-9]*(\.[a-z0-9]+)?")
_OPERAND = re.compile(r"[A-Za-z0-9_.$%@()+\-*,{}:\x80-\xff]+")
_SECTION_ARGS = re.compile(r'[^,]+(,[ \t]*"[aMSw]*"[ \t]*(,[ \t]*@progbits[ \t]*(,[ \t]*[0-9]+)?)?)?')


@dataclass(frozen=True, slots=True)
class Line:
    """A label (`label` set) or an instruction (`mnemonic` set). Operands in AT&T order, free of white space."""

    mnemonic: str = ""
    operands: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    label: str = ""

    @property
    def is_label(self) -> bool:
        return bool(self.label)

    @property
    def flow(self) -> Flow:
        return flow(self.mnemonic, self.operands[0] if self.operands else "")

    @property
    def target(self) -> str:
        """Symbol of a direct branch, jump or call; "" for anything else."""
        if self.flow in (Flow.BRANCH, Flow.JUMP, Flow.CALL) and self.operands:
            return callee(self.operands[0])
        return ""

    @property
    def stops(self) -> bool:
        """Control never reaches the next line."""
        kind = self.flow
        if kind is Flow.CALL:
            return self.target in NORETURN
        return kind in (Flow.JUMP, Flow.INDIRECT_JUMP, Flow.RETURN, Flow.STOP)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(name for operand in self.operands for name in symbols(operand))

    def text(self) -> str:
        if self.label:
            return f"{self.label}:"
        if self.prefixes and (padding := tls.printed(self.prefixes)):
            return f"{padding}\n\t{self.mnemonic}\t{', '.join(self.operands)}"
        head = " ".join((*self.prefixes, self.mnemonic))
        return f"\t{head}\t{', '.join(self.operands)}" if self.operands else f"\t{head}"


@dataclass(frozen=True)
class Body:
    """Instructions and labels in order, then the private constants they use."""

    lines: tuple[Line, ...]
    constants: tuple[Constant, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Body:
        """Untrusted text to a body. Raises BodyError: UNPARSABLE, DIRECTIVE or TOO_LONG."""
        return _Parser(text).run()

    def text(self) -> str:
        """The body as assembler text, ending in a newline; `Body.parse(body.text()) == body`."""
        rows = [line.text() for line in self.lines]
        section = ""
        places: dict[str, Place] = {}
        for constant in self.constants:
            if constant.section != section:
                section = constant.section
                rows.append(f"\t.section\t{section}")
            place = places.setdefault(section, Place())
            rows.append(constant.text(place.known))
            place.align(constant.align)
            for directive in constant.directives:
                place.pass_over(*directive)
        return "\n".join(rows) + "\n"

    @cached_property
    def instructions(self) -> int:
        return sum(not line.is_label for line in self.lines)

    @cached_property
    def labels(self) -> dict[str, int]:
        """Code label -> index of its line."""
        return {line.label: i for i, line in enumerate(self.lines) if line.label}

    @cached_property
    def references(self) -> frozenset[str]:
        """Every symbol that instructions or constants name, private ones included."""
        out = {name for line in self.lines for name in line.symbols}
        return frozenset(out | {name for constant in self.constants for name in constant.symbols})

    @cached_property
    def externals(self) -> frozenset[str]:
        """Symbols that the body names and does not define."""
        own = {constant.label for constant in self.constants}
        return frozenset(name for name in self.references if name not in self.labels and name not in own)

    @cached_property
    def subroutines(self) -> frozenset[str]:
        """Its own labels that it calls."""
        return frozenset(line.target for line in self.lines if line.flow is Flow.CALL and line.target in self.labels)

    @cached_property
    def calls(self) -> tuple[str, ...]:
        """Direct callees, tail jumps included, in order of first use."""
        out: dict[str, None] = {}
        for line in self.lines:
            name = line.target
            if name and name not in self.labels:
                out.setdefault(name)
        return tuple(out)

    def with_symbols(self, rename: Callable[[str], str]) -> Body:
        """Every symbol, defined or named, replaced by `rename(symbol)`."""
        lines = tuple(
            Line(label=rename(line.label))
            if line.label
            else Line(line.mnemonic, tuple(substitute(op, rename) for op in line.operands), line.prefixes)
            for line in self.lines
        )
        constants = tuple(
            Constant(
                rename(constant.label),
                tuple(
                    (name, args if name in STRINGS else substitute(args, rename)) for name, args in constant.directives
                ),
                constant.align,
                constant.section,
            )
            for constant in self.constants
        )
        return Body(lines, constants)

    def renamed(self, prefix: str) -> Body:
        """All own labels become `.L<prefix>_<old without .L>`, so that bodies can share one text.

        `prefix` must be made of letters, digits and underscores, and be unique in that text.
        """
        own = {*self.labels, *(constant.label for constant in self.constants)}
        return self.with_symbols(lambda name: f".L{prefix}_{name.removeprefix('.L')}" if name in own else name)

    def replace_symbol(self, old: str, new: str) -> Body:
        """Every use of symbol `old` names `new` instead (e.g. a candidate's call to itself)."""
        return self.with_symbols(lambda name: new if name == old else name)

    def without_endbr(self) -> Body:
        """The body without a leading endbr64."""
        for at, line in enumerate(self.lines):
            if not line.is_label:
                if line.mnemonic == "endbr64":
                    return Body(self.lines[:at] + self.lines[at + 1 :], self.constants)
                break
        return self


def instruction(name: str, args: str, padding: tuple[str, ...] = ()) -> Line:
    """An instruction statement as a Line, `padding` (of `tls.padded`) among its prefixes.

    Raises BodyError(UNPARSABLE) for what no instruction looks like.
    """
    prefixes: list[str] = [*padding]
    word, rest = name.lower(), args
    while word in PREFIXES or word.startswith("{"):
        prefixes.append(word)
        if not rest:
            if len(prefixes) == 1 and not word.startswith("{"):
                return Line(word)  # a bare `lock` or `rep` line; the assembler takes it as an instruction
            raise BodyError(Reason.UNPARSABLE, f"prefix without instruction: {name} {args}"[:80])
        head, _, tail = rest.replace("\t", " ").partition(" ")
        word, rest = head.lower(), tail.strip(" ")
    if not _MNEMONIC.fullmatch(word):
        raise BodyError(Reason.UNPARSABLE, f"mnemonic: {word[:40]!r}")
    operands = tuple(normal_operand(operand) for operand in split_commas(rest))
    for operand in operands:
        if not _OPERAND.fullmatch(operand) or operand.count("(") != operand.count(")"):
            raise BodyError(Reason.UNPARSABLE, f"operand: {operand[:60]!r}")
        if has_numeric_label(operand):
            raise BodyError(Reason.UNPARSABLE, f"numeric label: {operand[:60]!r}")
        if "." in operand and "." in symbols(operand):
            raise BodyError(Reason.UNPARSABLE, f"location counter: {operand[:60]!r}")
    return Line(word, operands, tuple(prefixes))


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > LIMITS.body_bytes:
            raise BodyError(Reason.TOO_LONG, f"{len(text)} bytes, limit {LIMITS.body_bytes}")
        self.text = text
        self.lines: list[Line] = []
        self.constants: list[Constant] = []
        self.section = ""
        self.places: dict[str, Place] = {}
        """By section, as it is named."""
        self.place = Place()
        self.align = 1
        self.asked = 0
        """Alignment of the next label, where a directive says it."""
        self.open: str = ""
        self.rows: list[tuple[str, str]] = []
        self.padding: tuple[str, ...] = ()
        """Prefixes that wait for their call (`tls`)."""

    def run(self) -> Body:
        if not self.text.isascii() and not all(ord(c) < 256 for c in self.text):
            raise BodyError(Reason.UNPARSABLE, "characters that are not bytes")
        for raw in self.text.split("\n"):
            try:
                statements = lex(raw)
            except LexError as error:
                raise BodyError(Reason.UNPARSABLE, str(error)) from None
            if len(statements) > 1 and any(s.kind is not Kind.LABEL for s in statements[:-1]):
                raise BodyError(Reason.UNPARSABLE, "several statements on one line")
            for statement in statements:
                more = None if self.section else tls.padded(self.padding, statement)
                if more is None:
                    self.take(statement.kind, statement.name, statement.args)
                self.padding = more or ()
        if self.padding:
            raise BodyError(Reason.DIRECTIVE, "data behind the last instruction")
        self.close()
        body = Body(tuple(self.lines), tuple(self.constants))
        check(body)
        return body

    def take(self, kind: Kind, name: str, args: str) -> None:
        if self.padding and kind is not Kind.INSTRUCTION:
            raise BodyError(Reason.DIRECTIVE, f"data before {name[:40]}")
        if kind is Kind.LABEL:
            if not re.fullmatch(r"\.L[A-Za-z0-9_.$]+", name):
                raise BodyError(Reason.UNPARSABLE, f"label: {name[:40]!r}")
            if not self.section:
                self.lines.append(Line(label=name))
                return
            self.close()
            self.open, self.align, self.asked = name, self.asked or self.place.known, 0
        elif kind is Kind.DIRECTIVE:
            self.directive(name, args)
        elif kind is Kind.INSTRUCTION and not self.section:
            self.lines.append(instruction(name, args, self.padding))
        elif kind is Kind.INSTRUCTION:
            raise BodyError(Reason.UNPARSABLE, f"instruction after the constants: {name[:40]}")
        else:
            raise BodyError(Reason.DIRECTIVE, f"assignment to {name[:40]}")

    def directive(self, name: str, args: str) -> None:
        if name == ".section":
            section = constant_section(args.split(",", 1)[0].strip(" \t"))
            if not section or not _SECTION_ARGS.fullmatch(args):
                raise BodyError(Reason.DIRECTIVE, f".section {args}"[:80])
            self.close()
            self.section, self.place = section, self.places.setdefault(args, Place())
        elif name in (".align", ".balign", ".p2align") and self.section:
            self.close()
            self.asked = max(self.asked, alignment(name, args))
            self.place.align(self.asked)
        elif self.section and self.open:
            self.rows.extend(data(name, args))
            self.place.pass_over(name, args)
        else:
            raise BodyError(Reason.DIRECTIVE, name[:40])

    def close(self) -> None:
        if self.open:
            self.constants.append(Constant(self.open, tuple(self.rows), self.align, self.section))
            self.open, self.rows = "", []


def check(body: Body) -> None:
    """Raise BodyError unless labels are unique, private references are defined, and sizes are within the limits."""
    if not body.instructions:
        raise BodyError(Reason.UNPARSABLE, "no instruction")
    if body.instructions > LIMITS.body_instructions:
        raise BodyError(Reason.TOO_LONG, f"{body.instructions} instructions, limit {LIMITS.body_instructions}")
    if sum(constant.size for constant in body.constants) > LIMITS.body_data_bytes:
        raise BodyError(Reason.TOO_LONG, f"constants over {LIMITS.body_data_bytes} bytes")
    own: dict[str, int] = {}
    for name in (*(line.label for line in body.lines if line.label), *(c.label for c in body.constants)):
        if name in own:
            raise BodyError(Reason.UNPARSABLE, f"label {name} is defined twice")
        own[name] = 1
    for name in body.externals:
        if name.startswith(".L"):
            raise BodyError(Reason.UNPARSABLE, f"label {name} is not defined")
        if name == ".":
            raise BodyError(Reason.UNPARSABLE, "location counter")
    if words := tls.misshapen(body.lines):
        raise BodyError(Reason.UNPARSABLE, words)
