"""Put rewrites into gcc's text: every line that is not a rewritten function's code stays as gcc wrote it.

Without a guard the new body takes the place of gcc's instructions: gcc's labels that other sections name (debug
information) stay defined, at the start of the function; its tables and its cold part's code go. With a guard gcc's own
text follows the new body, unchanged but for its endbr64, its CFI starting from the entry state again.

Refused with BodyError: functions with exception tables (LSDA), code that data outside names by label
(UNSUPPORTED_CODE), bodies without a derivable unwind table (CFI, STACK_DEPTH, CALLEE_SAVED).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gccllm.assembly.body import Body
from gccllm.assembly.cfi import ENTRY_ROW, Row, change, directives, unwind
from gccllm.assembly.code import code_of
from gccllm.assembly.function import Function
from gccllm.assembly.isa import constructor, guard
from gccllm.assembly.layout import layout
from gccllm.assembly.module import Module
from gccllm.assembly.section import Item
from gccllm.assembly.syntax import BodyError, Kind, Statement
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain

_VIEW = re.compile(r"\bview[ \t]+(\.LVU[0-9]+)")


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A body for a function. `isa_level` 0: instead of gcc's; above: for machines of that level, behind a guard."""

    body: Body
    isa_level: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Bodies of which a program picks one for a function when it starts, or gcc's own (mode `trial`)."""

    bodies: tuple[Body, ...]
    slot: str
    """Label of the eight bytes that hold the address of the body in use."""


def choice_label(slot: str, number: int) -> str:
    """Where body `number` of a choice begins; 0 is gcc's own."""
    return f"{slot}_{number}"


def splice(module: Module, rewrites: Mapping[str, Rewrite | Choice], tools: Toolchain) -> str:
    """The unit's text with the rewrites in place. Raises BodyError and changes nothing when one cannot be placed."""
    lines: list[str | None] = list(module.lines)
    before: dict[int, list[str]] = {}
    for number, (name, rewrite) in enumerate(rewrites.items()):
        function = module.functions.get(name)
        if function is None:
            raise BodyError(Reason.UNSUPPORTED_CODE, f"{name} is not a function of the unit")
        if function.has_lsda:
            raise BodyError(Reason.UNSUPPORTED_CODE, f"{name} has exception tables")
        place = _Place(module, function, f"gccllm{number}", lines, before, tools)
        place.choose(rewrite) if isinstance(rewrite, Choice) else place.replace(rewrite)
    out: list[str] = []
    for at, line in enumerate(lines):
        out.extend(before.get(at, ()))
        if line is not None:
            out.append(line)
    text = "\n".join(out)
    if any(isinstance(rewrite, Rewrite) and rewrite.isa_level > 0 for rewrite in rewrites.values()):
        has_cfi = any(f.has_cfi for f in module.functions.values())
        text = (text if text.endswith("\n") else text + "\n") + constructor(has_cfi)
    return text


class _Place:
    """One function's rewrite, put into the line list."""

    def __init__(
        self, module: Module, function: Function, prefix: str,
        lines: list[str | None], before: dict[int, list[str]], tools: Toolchain,
    ) -> None:  # fmt: skip
        self.module = module
        self.function = function
        self.prefix = prefix
        self.lines = lines
        self.before = before
        self.tools = tools
        main = function.items[0].section
        self.end = max(
            (i.at for i in function.items if i.section == main and i.statement.kind is Kind.INSTRUCTION), default=0
        )

    def replace(self, rewrite: Rewrite) -> None:
        """The rewrite in place of gcc's code, or behind a guard in front of it."""
        plain, first = rewrite.body.without_endbr(), self.function.entry
        body = plain.renamed(self.prefix)
        if rewrite.isa_level > 0 or self.function.label_tables:  # data names labels of the old code: it has to stay
            baseline = f".L{self.prefix}_baseline"
            laid, last = self._laid(plain, body)
            test = guard(rewrite.isa_level, baseline) if rewrite.isa_level > 0 else []
            self._insert(first.at, [*self._landing(), *test, *laid])
            self._keep_old(first, baseline, last)
        else:
            laid, _ = self._laid(plain, body)
            self._insert(first.at, [*self._drop_old(first), *self._landing(), *laid])
        self._align()
        self._insert(self.function.last + 1, self._constants(body))

    def choose(self, choice: Choice) -> None:
        """Every body of the choice, then gcc's code; in front of them a jump to the one in use."""
        first = self.function.entry
        rows, last = [*self._landing(), f"\tnotrack jmp\t*{choice.slot}(%rip)"], ENTRY_ROW
        for number, given in enumerate(choice.bodies, 1):
            plain = given.without_endbr()
            body = plain.renamed(f"{self.prefix}_{number}")
            rows += ["\t.p2align 6", f"{choice_label(choice.slot, number)}:"]
            rows += change(last, ENTRY_ROW) if self.function.has_cfi else []
            laid, last = self._laid(plain, body)
            rows += laid
            self._insert(self.function.last + 1, self._constants(body))
        self._insert(first.at, rows)
        self._keep_old(first, choice_label(choice.slot, 0), last, align=6)
        self._align()

    def _landing(self) -> list[str]:
        return ["\tendbr64"] if self.function.has_endbr64 else []

    def _laid(self, plain: Body, body: Body) -> tuple[list[str], Row]:
        """The lines of a body, renamed from `plain`, unwind rows among them, and the row in force behind them."""
        function, tools = self.function, self.tools
        if not function.has_cfi:
            return layout(body), ENTRY_ROW
        noreturn = (code_of(one, tools, function.name).terminal_calls for one in (function.body, plain))
        notes, last = directives(body, unwind(plain, tools, function.name, frozenset().union(*noreturn)))
        return layout(body, notes), last

    def _keep_old(self, first: Item, label: str, last: Row, align: int = 4) -> None:
        """gcc's code stays, behind the new, from `label` on; its endbr64 has gone to the entry."""
        rows = [f"\t.p2align {align}", f"{label}:", *(change(last, ENTRY_ROW) if self.function.has_cfi else [])]
        if self.function.has_endbr64:
            mark = next(i for i in self.function.items if i.statement.name == "endbr64")
            self.lines[mark.at] = None
        self._insert(first.at, rows)

    def _insert(self, at: int, rows: list[str]) -> None:
        self.before.setdefault(at, []).extend(rows)

    def _align(self) -> None:
        """The function's alignment becomes 64: from its label back to the directives before it."""
        row = f"{self.function.name}:"
        if self.lines[self.function.first] != row:
            raise BodyError(Reason.UNSUPPORTED_CODE, f"label line of {self.function.name}")
        self.before.setdefault(self.function.first, []).insert(0, "\t.p2align 6")

    # --- without a guard: gcc's own code goes --------------------------------------------------------

    def _drop_old(self, first: Item) -> list[str]:
        """Remove gcc's code, tables and unwind rows. Returns lines for the start of the new body."""
        function = self.function
        parts = set(function.parts)
        main = function.items[0].section
        wanted = self._named_elsewhere()
        start: list[str] = []
        kept_labels: list[str] = []
        views: list[str] = []
        has_line = False
        for item in function.items[1:]:
            s = item.statement
            if s.kind is Kind.LABEL:
                self._drop_label(item, parts, wanted, first, kept_labels)
            elif s.kind is Kind.INSTRUCTION:
                self.lines[item.at] = None
            elif s.kind is Kind.ASSIGN:
                raise BodyError(Reason.UNSUPPORTED_CODE, f"assignment to {s.name} in {function.name}")
            elif s.name == ".loc":
                if item.at < first.at and item.section == main:
                    has_line = True
                    continue
                self.lines[item.at] = None
                if match := _VIEW.search(s.args):
                    views.append(match[1])
            elif not self._stays(item, parts):
                self.lines[item.at] = None
        for part in parts:
            for item in self.module.mentions.get(part, ()):
                if item.statement.name in (".size", ".type"):
                    self.lines[item.at] = None
        start.extend(f"{label}:" for label in kept_labels)
        # `.loc ... view .LVU3` defines .LVU3, which location lists may name.
        start.extend(f"\t.set\t{view},0" for view in dict.fromkeys(views) if view in debug_names(self.module))
        if not has_line:
            where = next((i.statement for i in function.items if i.statement.name == ".loc"), None)
            if where is not None:
                start.append(f"\t.loc\t{_VIEW.sub('', where.args).rstrip()}")
        return start

    def _named_elsewhere(self) -> frozenset[str]:
        """Private labels of the function that text outside it names. Raises BodyError when that text is not debug."""
        function = self.function
        own = {i.statement.name for i in function.items if i.statement.kind is Kind.LABEL}
        out: set[str] = set()
        for name in sorted(own - {function.name}):
            for item in self.module.mentions.get(name, ()):
                if function.first <= item.at <= function.last or item.statement.name in (".type", ".size"):
                    continue
                if item.section.is_allocated:
                    raise BodyError(Reason.UNSUPPORTED_CODE, f"{name} is named outside of {function.name}")
                out.add(name)
        return frozenset(out | (own & debug_names(self.module)))

    def _drop_label(self, item: Item, parts: set[str], wanted: frozenset[str], first: Item, kept: list[str]) -> None:
        name = item.statement.name
        if item.section != self.function.items[0].section:
            # A label of the cold part stays where it is, so that distances within that section can be told.
            if name not in wanted or not item.section.is_code:
                self.lines[item.at] = None
            elif name in parts:
                raise BodyError(Reason.UNSUPPORTED_CODE, f"{name} is named outside of {self.function.name}")
        elif name not in wanted:
            self.lines[item.at] = None
        elif first.at < item.at < self.end:  # a label after the last instruction marks the end and stays there
            self.lines[item.at] = None
            kept.append(name)

    def _stays(self, item: Item, parts: set[str]) -> bool:
        s: Statement = item.statement
        name = s.name
        in_main = item.section == self.function.items[0].section
        if name in (".cfi_startproc", ".cfi_endproc"):
            return in_main
        if name in (".section", ".text", ".data", ".pushsection", ".popsection", ".previous"):
            return True
        if name in (".type", ".size"):
            return s.args.split(",", 1)[0].strip(" \t") not in parts
        if name in (".globl", ".local", ".hidden", ".weak", ".file"):
            return s.args.strip(" \t") not in parts
        return False

    # --- constants -----------------------------------------------------------------------------------

    def _constants(self, body: Body) -> list[str]:
        if not body.constants:
            return []
        function = self.function
        group = f",{function.comdat},comdat" if function.comdat else ""
        letter = "G" if group else ""
        out: list[str] = []
        for section, flags in ((".rodata", "a"), (".data.rel.ro.local", "aw")):
            chosen = [c for c in body.constants if (c.section == ".rodata") == (section == ".rodata")]
            if chosen:
                out.append(f'\t.pushsection\t{section}.{function.name},"{flags}{letter}",@progbits{group}')
                for constant in chosen:
                    out.extend(constant.text().split("\n"))
                out.append("\t.popsection")
        return out


_DEBUG_LABEL = re.compile(r"\.L[A-Za-z0-9_.$]+")


def debug_names(module: Module) -> frozenset[str]:
    """Private labels that debug sections name. Their rows are not indexed, so the lines are read."""
    cached = module.__dict__.get("_debug_names")
    if cached is None:
        out: set[str] = set()
        inside = False
        for line in module.lines:
            if line.startswith(("\t.section", "\t.text", "\t.data", "\t.bss")):
                inside = ".debug_" in line
            elif inside and ".L" in line and not line.endswith(":"):
                out.update(_DEBUG_LABEL.findall(line))
        cached = module.__dict__["_debug_names"] = frozenset(out)
    return cached
