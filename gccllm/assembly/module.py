"""One translation unit's assembly, lossless: the lines as they are, and an index of what they define.

`Module.parse(text).text() == text` for every text, or `NotLossless` is raised. The index is built in one pass; bodies,
references and slices are computed when asked for.

Covers what gcc prints for C and C++ on x86-64 ELF (and clang, for side compiles). Declined with NotLossless: macros,
conditional assembly, `.include`, Intel syntax, comments that span lines. Functions written in top-level `asm` are
no functions here; their symbols count as defined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from gccllm.assembly.body import DATA, Body, BodyError, Constant, Line, alignment, constant_section, data, instruction
from gccllm.assembly.cfg import cfg
from gccllm.assembly.syntax import Kind, LexError, Statement, callee, lex, split_commas, substitute, symbols, words
from gccllm.reasons import Reason

# Directives that make what follows mean something else than it says.
_OPAQUE = frozenset(
    words(
        """.macro .endm .rept .irp .irpc .endr .if .ifdef .ifndef .ifeq .ifne .ifb .else .elseif .endif .include
        .altmacro .intel_syntax .code16 .code32 .org .struct .abort .end .err .incbin"""
    )
)

_DATA_DIRECTIVES = frozenset(DATA) | frozenset(
    (".uleb128", ".sleb128", ".octa", ".float", ".double", ".single", ".fill", ".dc.a", ".nops")
)
_DEBUG_ROW = re.compile(r"\t\.(?:long|byte|value|quad|uleb128|sleb128|string|ascii|[248]byte|zero|hword)\t[^;]*$")
_DEFINES_SIZE = re.compile(r"\.size[ \t]+([^,\n]+?)[ \t]*,")
_PRIVATE_TABLE = re.compile(r"CSWTCH\.[0-9]+")


class NotLossless(ValueError):
    """The text cannot be parsed such that printing it gives the same text, or its meaning is not plain."""


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    flags: str = ""
    kind: str = ""
    group: str = ""
    """COMDAT group, or ""."""
    directive: str = ""
    """Text that switches to it again."""

    @property
    def is_code(self) -> bool:
        return "x" in self.flags or self.name == ".text" or self.name.startswith(".text.")

    @property
    def is_allocated(self) -> bool:
        return "a" in self.flags or self.name in (".text", ".data", ".bss")

    @property
    def is_writable(self) -> bool:
        return "w" in self.flags or self.name in (".data", ".bss")

    @property
    def is_tls(self) -> bool:
        return "T" in self.flags


TEXT = Section(".text", "ax", "@progbits", "", "\t.text")
_PLAIN = {
    ".text": TEXT,
    ".data": Section(".data", "aw", "@progbits", "", "\t.data"),
    ".bss": Section(".bss", "aw", "@nobits", "", "\t.bss"),
}
_KNOWN_FLAGS = {".rodata": "a", ".data": "aw", ".bss": "aw", ".tdata": "awT", ".tbss": "awT", ".init_array": "aw",
                ".text": "ax", ".eh_frame": "a", ".ctors": "aw", ".dtors": "aw", ".fini_array": "aw"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """A statement in its place: `at` is the index of its physical line."""

    at: int
    statement: Statement
    section: Section
    in_asm: bool = False
    """Between #APP and #NO_APP."""


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


@dataclass(frozen=True)
class Function:
    """One function of the unit with everything gcc put around it."""

    module: Module
    name: str
    first: int
    """Index of the line with its label."""
    last: int
    """Index of the line with its `.size` (inclusive)."""
    section: str
    comdat: str
    align: int
    items: tuple[Item, ...]
    """Statements from the label to `.size`, those of its cold part and tables included."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The physical lines from the label to `.size`, verbatim."""
        return self.module.lines[self.first : self.last + 1]

    @property
    def binding(self) -> str:
        return self.module.binding(self.name)

    @property
    def visibility(self) -> str:
        return self.module.visibility.get(self.name, "default")

    @cached_property
    def code(self) -> tuple[Statement, ...]:
        """Instruction statements in order, cold part included."""
        return tuple(i.statement for i in self.items if i.section.is_code and i.statement.kind is Kind.INSTRUCTION)

    @property
    def instructions(self) -> int:
        return len(self.code)

    @property
    def has_endbr64(self) -> bool:
        return bool(self.code) and self.code[0].name == "endbr64"

    @cached_property
    def siblings(self) -> tuple[str, ...]:
        """Names of its `.cold` part and of its `.part.N`, `.constprop.N`, `.isra.N` clones in the unit."""
        clone = re.compile(re.escape(self.name) + r"\.(part|constprop|isra|localalias|cold)\b")
        clones = [name for name in self.module.functions if clone.match(name)]
        return tuple(dict.fromkeys([*self.parts, *clones]))

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Symbols of its own pieces in other sections, such as `name.cold`."""
        return tuple(
            i.statement.name
            for i in self.items
            if i.statement.kind is Kind.LABEL and i.section.is_code and not i.statement.name.startswith(".L")
            and i.statement.name != self.name
        )  # fmt: skip

    @cached_property
    def refs(self) -> frozenset[str]:
        """Symbols that its instructions name, plus those that its private constants name. Own labels are left out."""
        out = {name for s in self.code for name in symbols(s.args)}
        todo = [name for name in out if name in self.module.objects and name.startswith(".L")]
        while todo:
            for name in self.module.objects[todo.pop()].references:
                if name not in out:
                    out.add(name)
                    if name.startswith(".L") and name in self.module.objects:
                        todo.append(name)
        own = {i.statement.name for i in self.items if i.statement.kind is Kind.LABEL}
        return frozenset(out - own - {"."})

    @cached_property
    def calls(self) -> tuple[str, ...]:
        """Direct callees, tail jumps included, aliases resolved, in order of first use."""
        out: dict[str, None] = {}
        for s in self.code:
            word, args = _bare(s)
            if word.startswith(("call", "j", "loop")):
                name = self.module.resolve(callee(args))
                if name and not name.startswith(".L") and name not in self.parts:
                    out.setdefault(name)
        return tuple(out)

    @property
    def has_inline_asm(self) -> bool:
        return any(line.startswith("#APP") for line in self.lines)

    @cached_property
    def has_cfi(self) -> bool:
        return any(i.statement.name == ".cfi_startproc" for i in self.items)

    @property
    def has_lsda(self) -> bool:
        return any(i.statement.name in (".cfi_lsda", ".cfi_personality") for i in self.items)

    @cached_property
    def uses_tls(self) -> bool:
        return any(
            "@tpoff" in s.args or "@gottpoff" in s.args or "@dtpoff" in s.args or "@tls" in s.args
            or "@TPOFF" in s.args or "@GOTTPOFF" in s.args or "@TLS" in s.args or "@DTPOFF" in s.args
            or ("%fs:" in s.args and not self._is_canary(s))
            for s in self.code
        ) or "__tls_get_addr" in self.calls or "__emutls_get_address" in self.calls  # fmt: skip

    @staticmethod
    def _is_canary(s: Statement) -> bool:
        return "%fs:40" in s.args

    @cached_property
    def has_stack_protector(self) -> bool:
        return "__stack_chk_fail" in self.calls or any("%fs:40" in s.args for s in self.code)

    @cached_property
    def has_indirect_call(self) -> bool:
        """It calls, or jumps to, a function through a pointer (jump tables do not count)."""
        jumps = False
        for s in self.code:
            word, args = _bare(s)
            if args.startswith("*") and not callee(args):
                if word.startswith("call"):
                    return True
                jumps = True
        if not jumps:
            return False
        try:
            return bool(cfg(self.body).unresolved)
        except BodyError:
            return True

    @cached_property
    def has_lock(self) -> bool:
        """A `lock` prefix, an implicit lock (xchg with memory) or a fence."""
        for s in self.code:
            word, args = _bare(s)
            if s.name == "lock" or word in ("mfence", "lfence", "sfence"):
                return True
            if word.startswith("xchg") and "(" in args:
                return True
        return False

    @cached_property
    def body(self) -> Body:
        """The clean body: instructions, labels in use, private constants; the cold part appended.

        Constants named `.L*`, and switch-conversion tables (`CSWTCH.N`, whose numbers differ from compile to compile),
        come along, aliases resolved. Raises BodyError(UNSUPPORTED_CODE) when the text holds anything else.
        """
        return _body_of(self)


def _bare(statement: Statement) -> tuple[str, str]:
    """Mnemonic and operands without prefixes; cheap, for scans."""
    word, args = statement.name, statement.args
    while word in ("notrack", "bnd", "rep", "lock", "data16", "rex64", "repz", "repnz", "cs") and args:
        head, _, tail = args.replace("\t", " ").partition(" ")
        word, args = head, tail.strip(" ")
    return word, args


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
                    if name in _OPAQUE:
                        raise NotLossless(f"line {at + 1}: {name}")
                    switched = _switch(name, statement.args, line, known)
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
            out[name] = DataObject(name, _PLAIN[".bss"], 1, (), self.binding(name), args)
        open_: dict[str, tuple[str, int, list[tuple[str, str]]]] = {}  # section -> object being filled
        aligns: dict[str, int] = {}
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
                open_[key] = (s.name, aligns.pop(key, 1), [])
            elif s.kind is Kind.DIRECTIVE:
                if s.name in (".align", ".balign", ".p2align"):
                    if key in open_:
                        self._close(out, places[key], *open_.pop(key))
                    try:
                        aligns[key] = max(aligns.get(key, 1), alignment(s.name, s.args))
                    except BodyError:
                        aligns[key] = 64
                elif s.name in _DATA_DIRECTIVES and key in open_:
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
            if s.kind is Kind.INSTRUCTION or (s.name in _DATA_DIRECTIVES and item.section.is_allocated):
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

    def statements(self) -> Iterator[Item]:
        return iter(self.items)


def _switch(name: str, args: str, line: str, known: dict[str, Section]) -> Section | None:
    """The section that a directive switches to, or None when it is no switch."""
    if name in _PLAIN:
        if args and args != "0":
            raise NotLossless(f"subsection: {name} {args}")
        return _PLAIN[name]
    if name == ".subsection":
        raise NotLossless("subsection")
    if name not in (".section", ".pushsection"):
        return None
    parts = split_commas(args)
    section = parts[0].strip('"') if parts else ""
    flags = parts[1].strip('"') if len(parts) > 1 and parts[1].startswith('"') else ""
    if not flags and section in known:
        return known[section]
    if not flags and section in _PLAIN:
        return _PLAIN[section]
    if not flags:
        stem = next((s for s in _KNOWN_FLAGS if section == s or section.startswith(s + ".")), "")
        flags = _KNOWN_FLAGS.get(stem, "")
    kind = parts[2] if len(parts) > 2 else ""
    group = ""
    if "G" in flags:
        at = 4 if "M" in flags else 3
        group = parts[at].strip('"') if len(parts) > at else ""
    directive = "\t.section\t" + args
    made = Section(section, flags, kind, group, directive)
    if not group:
        known.setdefault(section, made)
    return made


def _body_of(function: Function) -> Body:
    module = function.module
    lines: list[Line] = []
    parts: dict[str, list[Line]] = {}
    own: set[str] = set()
    for item in function.items:
        s = item.statement
        if not item.section.is_code:
            continue
        into = parts.setdefault(item.section.name, [])
        if s.kind is Kind.LABEL:
            own.add(s.name)
            into.append(Line(label=s.name))
        elif s.kind is Kind.INSTRUCTION:
            if s.args and ";" in s.args:
                raise BodyError(Reason.UNSUPPORTED_CODE, "several statements on one line")
            try:
                into.append(instruction(s.name, module.expand(s.args)))
            except BodyError as error:
                raise BodyError(Reason.UNSUPPORTED_CODE, error.detail) from None
        elif s.kind is Kind.DIRECTIVE and s.name in _DATA_DIRECTIVES:
            raise BodyError(Reason.UNSUPPORTED_CODE, f"data among the instructions: {s.name} {s.args}"[:80])
        elif s.kind is Kind.ASSIGN:
            raise BodyError(Reason.UNSUPPORTED_CODE, f"assignment to {s.name}")
    if not parts:
        raise BodyError(Reason.UNSUPPORTED_CODE, "no code")
    for chunk in parts.values():
        if lines and not _ends(lines):
            lines.append(Line("ud2"))  # after a call that never returns: keeps the pieces apart in the graph
        lines.extend(chunk)
    return _with_constants(function, lines, own)


def _ends(lines: list[Line]) -> bool:
    last = next((line for line in reversed(lines) if not line.is_label), None)
    return last is not None and last.stops


def _with_constants(function: Function, lines: list[Line], own: set[str]) -> Body:
    module = function.module
    wanted: dict[str, None] = {}
    todo = [name for line in lines for name in line.symbols]
    tables: dict[str, str] = {}
    while todo:
        name = todo.pop(0)
        if name in wanted or name in own:
            continue
        if _PRIVATE_TABLE.fullmatch(name) and name in module.objects and module.binding(name) == "local":
            tables[name] = f".L{name}"
        elif not name.startswith(".L"):
            continue
        if name not in module.objects:
            raise BodyError(Reason.UNSUPPORTED_CODE, f"private label {name} is not among the data")
        wanted[name] = None
        todo.extend(s for d, a in module.objects[name].directives if d not in (".string", ".ascii")
                    for s in symbols(module.expand(a)))  # fmt: skip
    constants = [_constant(module, module.objects[name]) for name in wanted]
    for label in own:
        for user in module.label_users.get(label, ()):
            if user not in wanted:
                raise BodyError(Reason.UNSUPPORTED_CODE, f"{user} holds the address of label {label}")
    body = Body(tuple(lines), tuple(constants))
    if tables:
        body = body.with_symbols(lambda name: tables.get(name, name))
    used = body.references
    kept = tuple(line for line in body.lines if not line.label or (line.label in used and line.label.startswith(".L")))
    for line in kept:
        for name in line.symbols:
            if name in own and not name.startswith(".L") and name != function.name:
                raise BodyError(Reason.UNSUPPORTED_CODE, f"code names its own part {name}")
    return Body(kept, body.constants)


def _constant(module: Module, thing: DataObject) -> Constant:
    section = constant_section(thing.section.name)
    if not section:
        raise BodyError(Reason.UNSUPPORTED_CODE, f"constant {thing.name} in section {thing.section.name}")
    rows: list[tuple[str, str]] = []
    for name, args in thing.directives:
        try:
            rows.extend(data(name, args if name in (".string", ".ascii") else module.expand(args)))
        except BodyError as error:
            raise BodyError(Reason.UNSUPPORTED_CODE, f"constant {thing.name}: {error.detail}") from None
    if thing.common or not rows:
        raise BodyError(Reason.UNSUPPORTED_CODE, f"constant {thing.name} has no contents")
    return Constant(thing.name, tuple(rows), thing.align, section)
