"""One function of a unit: what gcc printed around it, and the clean body inside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from gccllm.assembly import tls
from gccllm.assembly.body import Body, Line, instruction
from gccllm.assembly.cfg import cfg
from gccllm.assembly.data import STRINGS, Constant, constant_section, data
from gccllm.assembly.section import DATA_DIRECTIVES, Item, is_known
from gccllm.assembly.syntax import BodyError, Kind, Statement, callee, symbols
from gccllm.base.reasons import Reason
from gccllm.base.runtime import GET_ADDRESS

if TYPE_CHECKING:
    from gccllm.assembly.module import DataObject, Module

_PRIVATE_TABLE = re.compile(r"CSWTCH\.[0-9]+")


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
    def is_empty(self) -> bool:
        """No instruction: gcc knows that it is never called."""
        return not self.code

    @property
    def has_endbr64(self) -> bool:
        return bool(self.code) and self.code[0].name == "endbr64"

    @cached_property
    def entry(self) -> Item:
        """Before what new code goes: its first instruction, alignment, or label that code branches to.

        Raises BodyError where there is none, or where several statements share a line.
        """
        main = self.items[0].section
        named = {name for s in self.code for name in symbols(s.args)}
        if several := next((a for a, b in pairwise(sorted(i.at for i in self.items)) if a == b), None):
            raise BodyError(Reason.UNSUPPORTED_CODE, f"several statements on line {several + 1}")
        for item in takewhile(lambda item: item.section == main, self.items[1:]):
            s = item.statement
            if s.kind is Kind.INSTRUCTION or s.name == ".p2align" or (s.kind is Kind.LABEL and s.name in named):
                return item
        raise BodyError(Reason.UNSUPPORTED_CODE, f"{self.name} has no instruction where it starts")

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
        return frozenset(out - self.labels - {"."})

    @cached_property
    def labels(self) -> frozenset[str]:
        """Its own, those of its cold part and its tables too."""
        return frozenset(i.statement.name for i in self.items if i.statement.kind is Kind.LABEL)

    @cached_property
    def calls(self) -> tuple[str, ...]:
        """Direct callees, tail jumps included, aliases resolved, in order of first use.

        Not `__tls_get_addr`, which is part of an address.
        """
        out: dict[str, None] = {}
        for s in self.code:
            word, args = _bare(s)
            if word.startswith(("call", "j", "loop")):
                name = self.module.resolve(callee(args))
                if name and name != GET_ADDRESS and not name.startswith(".L") and name not in self.parts:
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
        return tls.is_used(self.code)

    @cached_property
    def has_odd_tls(self) -> bool:
        """It reaches thread-local data in a way that no image has (`tls`)."""
        return tls.is_odd(self.code)

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
    def label_tables(self) -> frozenset[str]:
        """Named read-only data of its own that holds addresses of its labels: the table of a `goto *`."""
        module = self.module
        users = {user for label in self.labels for user in module.label_users.get(label, ()) if user[:2] != ".L"}
        return frozenset(
            user
            for user in users
            if module.binding(user) == "local"
            and not module.objects[user].is_writable
            and all(
                self.first <= item.at <= self.last or item.statement.name in (".type", ".size", ".local")
                for item in module.mentions.get(user, ())
            )
        )

    @property
    def has_computed_goto(self) -> bool:
        return bool(self.label_tables)

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


def _body_of(function: Function) -> Body:
    module = function.module
    lines: list[Line] = []
    parts: dict[str, list[Line]] = {}
    own: set[str] = set()
    padding: tuple[str, ...] = ()
    for item in function.items:
        s = item.statement
        if not item.section.is_code:
            continue
        into = parts.setdefault(item.section.name, [])
        before, padding = padding, tls.padded(padding, s) or ()
        if padding:
            continue
        if before and s.kind is not Kind.INSTRUCTION:
            raise BodyError(Reason.UNSUPPORTED_CODE, f"data among the instructions, before {s.name}")
        if s.kind is Kind.LABEL:
            own.add(s.name)
            into.append(Line(label=s.name))
        elif s.kind is Kind.INSTRUCTION:
            if s.args and ";" in s.args:
                raise BodyError(Reason.UNSUPPORTED_CODE, "several statements on one line")
            try:
                into.append(instruction(s.name, module.expand(s.args), before))
            except BodyError as error:
                raise BodyError(Reason.UNSUPPORTED_CODE, error.detail) from None
        elif s.kind is Kind.DIRECTIVE and s.name in DATA_DIRECTIVES:
            raise BodyError(Reason.UNSUPPORTED_CODE, f"data among the instructions: {s.name} {s.args}"[:80])
        elif s.kind is Kind.DIRECTIVE and not is_known(s.name):
            raise BodyError(Reason.UNSUPPORTED_CODE, f"among the instructions: {s.name} {s.args}"[:80])
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
        todo.extend(s for d, a in module.objects[name].directives if d not in STRINGS
                    for s in symbols(module.expand(a)))  # fmt: skip
    constants = [_constant(module, module.objects[name]) for name in wanted]
    for label in own:
        for user in module.label_users.get(label, ()):
            if user not in wanted:
                if user not in function.label_tables:
                    raise BodyError(Reason.UNSUPPORTED_CODE, f"{user} holds the address of label {label}")
                wanted[user] = None
                tables[user] = f".L{user}"
                constants.append(_constant(module, module.objects[user]))
    body = Body(tuple(lines), tuple(constants))
    if tables:
        body = body.with_symbols(lambda name: tables.get(name, name))
    used = body.references
    kept = tuple(line for line in body.lines if not line.label or (line.label in used and line.label.startswith(".L")))
    for line in kept:
        for name in line.symbols:
            if name in own and not name.startswith(".L") and name != function.name:
                raise BodyError(Reason.UNSUPPORTED_CODE, f"code names its own part {name}")
    if words := tls.misshapen(kept):
        raise BodyError(Reason.UNSUPPORTED_CODE, words)
    return Body(kept, body.constants)


def _constant(module: Module, thing: DataObject) -> Constant:
    section = constant_section(thing.section.name)
    if not section:
        raise BodyError(Reason.UNSUPPORTED_CODE, f"constant {thing.name} in section {thing.section.name}")
    rows: list[tuple[str, str]] = []
    for name, args in thing.directives:
        try:
            rows.extend(data(name, args if name in STRINGS else module.expand(args)))
        except BodyError as error:
            raise BodyError(Reason.UNSUPPORTED_CODE, f"constant {thing.name}: {error.detail}") from None
    if thing.common or not rows:
        raise BodyError(Reason.UNSUPPORTED_CODE, f"constant {thing.name} has no contents")
    return Constant(thing.name, tuple(rows), thing.align, section)
