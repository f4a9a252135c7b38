"""One translation unit's assembly, lossless: the lines as they are, and an index of what they define.

`Module.parse(text).text() == text` for every text, or `NotLossless` is raised. The index is built in one pass; bodies,
references and slices are computed when asked for.

Covers what gcc prints for C and C++ on x86-64 ELF (and clang, for side compiles). Declined with NotLossless: macros,
conditional assembly, `.include`, Intel syntax, comments that span lines. Functions written in top-level `asm` are
no functions here; their symbols count as defined.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from functools import cached_property

from gccllm.assembly.data import Place, alignment
from gccllm.assembly.function import Function
from gccllm.assembly.section import DATA_DIRECTIVES, PLAIN, TEXT, Item, NotLossless, Section, is_known, switch
from gccllm.assembly.syntax import (
    BodyError,
    Kind,
    LexError,
    Statement,
    callee,
    lex,
    split_commas,
    substitute,
    symbols,
    words,
)

# Directives that make what follows mean something else than it says.
_OPAQUE = frozenset(
    words(
        """.macro .endm .rept .irp .irpc .endr .if .ifdef .ifndef .ifeq .ifne .ifb .else .elseif .endif .include
        .altmacro .intel_syntax .code16 .code32 .org .struct .abort .end .err .incbin"""
    )
)

_DEBUG_ROW = re.compile(r"\t\.(?:long|byte|value|quad|uleb128|sleb128|string|ascii|[248]byte|zero|hword)\t[^;]*$")


@dataclass(frozen=True, slots=True)
class DataObject:
    """Named data: a static, a global, a private constant, a jump table, a string."""

    name: str
    section: Section
    align: int
    directives: tuple[tuple[str, str], ...]
    """(directive, arguments) as gcc printed them; empty for `.comm`."""
    binding: str = "local"
    common: str = ""
    """Arguments of `.comm` (`name,size,align`) when that is what defines it."""
    size: str = ""
    """What `.size` says, or ""."""

    @property
    def is_writable(self) -> bool:
        """Writable at run time (relocation-read-only data is not)."""
        return bool(self.common) or (self.section.is_writable and not self.section.name.startswith(".data.rel.ro"))

    @property
    def references(self) -> frozenset[str]:
        return frozenset(
            name
            for directive, args in self.directives
            if directive not in (".string", ".ascii", ".asciz")
            for name in symbols(args)
        )


def _as_ascii(statement: Statement, at: int) -> Statement:
    """What gcc 15 prints as .base64 (long strings and tables of bytes), as the directive that every assembler knows."""
    try:
        parts = [base64.b64decode(part.strip('"'), validate=True) for part in split_commas(statement.args)]
    except ValueError:
        raise NotLossless(f"line {at + 1}: .base64") from None
    plain = ",".join('"' + "".join(f"\\{byte:03o}" for byte in part) + '"' for part in parts)
    return Statement(statement.kind, ".ascii", plain)


class Module:
    """The unit. Build it with `Module.parse`."""

    def __init__(self, text: str) -> None:
        self.lines: tuple[str, ...] = tuple(text.split("\n"))
        self.items: list[Item] = []
        self.aliases: dict[str, str] = {}
        """`.set` and `=`: symbol -> expression."""
        self.visibility: dict[str, str] = {}
        self.symbol_types: dict[str, str] = {}
        self._bindings: dict[str, str] = {}
        self._defined: dict[str, Item] = {}
        self._sizes: dict[str, Item] = {}
        self._commons: dict[str, str] = {}
        self.reached: dict[tuple[str, frozenset[str]], tuple[tuple[str, ...], ...]] = {}
        """What `slice` found that a function can reach, by function and what is replaceable."""
        self.rows: dict[str, list[str]] = {}
        """What `slice` prints of a function."""
        self._index()

    @classmethod
    def parse(cls, text: str) -> Module:
        """Raises NotLossless."""
        module = cls(text)
        if module.text() != text:
            raise NotLossless("printing does not give the text back")
        return module

    def text(self) -> str:
        return "\n".join(self.lines)

    # --- the one pass --------------------------------------------------------------------------------

    def _index(self) -> None:
        section, previous = TEXT, TEXT
        stack: list[tuple[Section, Section]] = []
        known: dict[str, Section] = {}
        in_asm = False
        for at, line in enumerate(self.lines):
            if line.startswith("#"):
                if line.startswith("#APP"):
                    in_asm = True
                elif line.startswith("#NO_APP"):
                    in_asm = False
            if section.name.startswith(".debug_") and _DEBUG_ROW.match(line):
                continue  # most lines of a -g unit; they define nothing
            try:
                statements = lex(line)
            except LexError as error:
                raise NotLossless(f"line {at + 1}: {error}") from None
            for statement in statements:
                if statement.kind is Kind.DIRECTIVE:
                    name = statement.name
                    if name == ".base64":
                        statement = _as_ascii(statement, at)
                    if name in _OPAQUE:
                        raise NotLossless(f"line {at + 1}: {name}")
                    switched = switch(name, statement.args, known)
                    if switched is not None:
                        if name == ".pushsection":
                            stack.append((section, previous))
                        previous, section = section, switched
                    elif name == ".popsection":
                        if not stack:
                            raise NotLossless(f"line {at + 1}: .popsection without .pushsection")
                        section, previous = stack.pop()
                    elif name == ".previous":
                        section, previous = previous, section
                    elif section.is_allocated and not section.is_code and not is_known(statement.name):
                        raise NotLossless(f"line {at + 1}: {name} in data")
                item = Item(at, statement, section, in_asm)
                self.items.append(item)
                self._define(item)
        if in_asm:
            raise NotLossless("#APP without #NO_APP")

    def _define(self, item: Item) -> None:
        s = item.statement
        if s.kind is Kind.LABEL:
            self._defined.setdefault(s.name, item)
        elif s.kind is Kind.ASSIGN:
            self.aliases[s.name] = s.args
        elif s.kind is Kind.DIRECTIVE:
            if s.name in (".set", ".equ", ".equiv"):
                parts = split_commas(s.args)
                if len(parts) == 2:
                    self.aliases[parts[0]] = parts[1]
            elif s.name == ".type":
                parts = split_commas(s.args)
                if len(parts) == 2:
                    self.symbol_types[parts[0]] = parts[1].lstrip("@%#")
            elif s.name == ".size":
                parts = split_commas(s.args)
                if len(parts) == 2:
                    self._sizes.setdefault(parts[0], item)
            elif s.name in (".globl", ".global", ".weak", ".local"):
                kind = {".weak": "weak", ".local": "local"}.get(s.name, "global")
                for name in split_commas(s.args):
                    if self._bindings.get(name) != "weak":
                        self._bindings[name] = kind
            elif s.name in (".hidden", ".internal", ".protected"):
                for name in split_commas(s.args):
                    self.visibility[name] = s.name[1:]
            elif s.name in (".comm", ".lcomm"):
                name = split_commas(s.args)[0]
                self._commons[name] = s.args
                if s.name == ".comm" and self._bindings.get(name) != "local":
                    self._bindings.setdefault(name, "global")

    # --- what it holds -------------------------------------------------------------------------------

    def binding(self, name: str) -> str:
        """`global`, `weak` or `local`."""
        return self._bindings.get(name, "local")

    def resolve(self, name: str) -> str:
        """The symbol behind a chain of plain aliases; the name itself when there is none."""
        for _ in range(8):
            target = self.aliases.get(name)
            if target is None or not callee(target):
                return name
            name = target
        return name

    def expand(self, expression: str) -> str:
        """The expression with aliases of private labels replaced by what they stand for."""

        def one(name: str) -> str:
            for _ in range(8):
                if not name.startswith(".L") or name not in self.aliases:
                    return name
                name = self.aliases[name].replace(" ", "")
            return name

        return substitute(expression, one)

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Functions that gcc printed, by name, in order."""
        out: dict[str, Function] = {}
        starts = [
            (index, item)
            for index, item in enumerate(self.items)
            if item.statement.kind is Kind.LABEL
            and not item.in_asm
            and item.section.is_code
            and self.symbol_types.get(item.statement.name) == "function"
        ]
        covered = -1
        for index, item in starts:
            name = item.statement.name
            size = self._sizes.get(name)
            if item.at <= covered or size is None or size.at < item.at:
                continue  # a cold part of the function before it, or not printed by a compiler
            stop = index
            while stop < len(self.items) and self.items[stop].at <= size.at:
                stop += 1
            covered = size.at
            out[name] = Function(
                self, name, item.at, size.at, item.section.name, item.section.group, self._align_before(index),
                tuple(self.items[index:stop]),
            )  # fmt: skip
        return out

    @cached_property
    def idents(self) -> tuple[str, ...]:
        """Lines in which the compiler names itself."""
        return tuple(line for line in self.lines if line.startswith("\t.ident\t"))

    @cached_property
    def owners(self) -> dict[str, str]:
        """Symbol of a piece in another section, such as `name.cold` -> its function."""
        return {part: function.name for function in self.functions.values() for part in function.parts}

    @cached_property
    def callers(self) -> dict[str, frozenset[str]]:
        """Name -> the unit's functions that call it directly."""
        found: dict[str, set[str]] = {}
        for function in self.functions.values():
            for name in function.calls:
                found.setdefault(name, set()).add(function.name)
        return {name: frozenset(callers) for name, callers in found.items()}

    @cached_property
    def inside(self) -> dict[str, str]:
        """Name of an object among a function's own lines (a jump table) -> the function."""
        return {name: one.name for one in self.functions.values() for name in one.labels if name in self.objects}

    def _align_before(self, index: int) -> int:
        best = 1
        for item in reversed(self.items[max(0, index - 12) : index]):
            s = item.statement
            if s.kind is not Kind.DIRECTIVE or s.name in (".size", ".cfi_endproc", ".section", ".text"):
                break
            if s.name in (".p2align", ".align", ".balign"):
                try:
                    best = max(best, alignment(s.name, s.args))
                except BodyError:
                    return best
        return best

    @cached_property
    def objects(self) -> dict[str, DataObject]:
        """Named data by name, in order: statics, globals, private constants, jump tables, strings."""
        out: dict[str, DataObject] = {}
        for name, args in self._commons.items():
            out[name] = DataObject(name, PLAIN[".bss"], 1, (), self.binding(name), args)
        open_: dict[str, tuple[str, int, list[tuple[str, str]]]] = {}  # section -> object being filled
        reached: dict[str, Place] = {}
        places: dict[str, Section] = {}
        for item in self.items:
            s, section = item.statement, item.section
            if section.is_code or not section.is_allocated or section.name in (".eh_frame", ".gcc_except_table"):
                continue
            key = f"{section.name},{section.group}"
            if s.kind is Kind.LABEL:
                if key in open_:
                    self._close(out, places[key], *open_.pop(key))
                places[key] = section
                open_[key] = (s.name, reached.setdefault(key, Place()).known, [])
            elif s.kind is Kind.DIRECTIVE:
                if s.name in (".align", ".balign", ".p2align"):
                    if key in open_:
                        self._close(out, places[key], *open_.pop(key))
                    try:
                        reached.setdefault(key, Place()).align(alignment(s.name, s.args))
                    except BodyError:  # more than any body may ask for
                        reached[key] = Place(64)
                elif s.name in DATA_DIRECTIVES:
                    reached.setdefault(key, Place()).pass_over(s.name, s.args)
                    if key in open_:
                        open_[key][2].append((s.name, s.args))
        for key, value in open_.items():
            self._close(out, places[key], *value)
        return out

    def _close(
        self, out: dict[str, DataObject], section: Section, name: str, align: int, rows: list[tuple[str, str]]
    ) -> None:
        size = self._sizes.get(name)
        text = split_commas(size.statement.args)[1] if size else ""
        out[name] = DataObject(name, section, align, tuple(rows), self.binding(name), "", text)

    @cached_property
    def externals(self) -> frozenset[str]:
        """Symbols that code or allocated data names and the unit does not define."""
        named: set[str] = set()
        for item in self.items:
            s = item.statement
            if s.name in (".string", ".ascii", ".asciz"):
                continue
            if s.kind is Kind.INSTRUCTION or (s.name in DATA_DIRECTIVES and item.section.is_allocated):
                named.update(symbols(s.args))
        return frozenset(
            n for n in named
            if n != "." and n not in self._defined and n not in self.aliases and n not in self._commons
        )  # fmt: skip

    @cached_property
    def label_users(self) -> dict[str, tuple[str, ...]]:
        """Private label -> names of the data objects whose contents name it."""
        out: dict[str, list[str]] = {}
        for name, thing in self.objects.items():
            for symbol in thing.references:
                if symbol.startswith(".L"):
                    out.setdefault(symbol, []).append(name)
        return {label: tuple(users) for label, users in out.items()}

    @cached_property
    def mentions(self) -> dict[str, tuple[Item, ...]]:
        """Symbol -> statements whose arguments name it (debug rows are not indexed; see `splice.debug_names`)."""
        out: dict[str, list[Item]] = {}
        for item in self.items:
            s = item.statement
            if s.kind is not Kind.LABEL and s.args and s.name not in (".string", ".ascii", ".section"):
                for name in symbols(s.args):
                    out.setdefault(name, []).append(item)
        return {name: tuple(items) for name, items in out.items()}

    def defines(self, name: str) -> bool:
        return name in self._defined or name in self._commons or name in self.aliases
