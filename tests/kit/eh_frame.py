"""The oracle of the CFI tests: rows of an assembled .eh_frame, by marker symbols before instructions."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

from gccllm.assembly import Function
from gccllm.assembly.syntax import Kind
from gccllm.base.toolchain import Toolchain

SAVED = {3: "rbx", 6: "rbp", 12: "r12", 13: "r13", 14: "r14", 15: "r15"}
NAMES = SAVED | {7: "rsp", 10: "r10", 0: "rax", 2: "rcx", 1: "rdx"}


@dataclass(frozen=True)
class Rules:
    """CFA as (register, offset) or expression bytes; where a register's entry value lies, by name."""

    cfa: tuple[str, int] | bytes
    saved: dict[str, int | bytes]


def marked(function: Function) -> tuple[str, list[int]]:
    """gcc's own text of a function with a symbol before each instruction; and the statements' numbers in order."""
    rows: list[str] = []
    numbers: list[int] = []
    if function.section != ".text":
        rows.append(function.items[0].section.directive)
    for number, item in enumerate(function.items):
        if item.statement.kind is Kind.INSTRUCTION and item.section.is_code:
            rows.append(f"mark.{number}:")
            numbers.append(number)
        if item.statement.name not in (".loc",) and not item.statement.name.startswith(".cfi_lsda"):
            rows.append(function.module.lines[item.at])
    return "\n".join(rows) + "\n", numbers


def rows_of(text: str, tools: Toolchain) -> dict[str, Rules]:
    """Marker symbol -> the unwind rules in force there."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.o"
        ran = tools.assemble(text, path)
        assert ran.ok, ran.err
        with path.open("rb") as stream:
            return _read(ELFFile(stream))


def _read(elf: ELFFile) -> dict[str, Rules]:
    symtab = elf.get_section_by_name(".symtab")
    marks: dict[int, list[tuple[int, str]]] = {}
    for symbol in symtab.iter_symbols():
        if symbol.name.startswith("mark."):
            marks.setdefault(symbol["st_shndx"], []).append((symbol["st_value"], symbol.name))
    relocations = {row["r_offset"]: row for row in elf.get_section_by_name(".rela.eh_frame").iter_relocations()}
    out: dict[str, Rules] = {}
    for entry in elf.get_dwarf_info(relocate_dwarf_sections=False).EH_CFI_entries():
        if not isinstance(entry, FDE):
            continue
        row = relocations[entry.offset + 8]
        symbol = symtab.get_symbol(row["r_info_sym"])
        start = symbol["st_value"] + row["r_addend"]
        base = entry["initial_location"]
        table = [((line["pc"] - base) & (1 << 64) - 1, line) for line in entry.get_decoded().table]
        for at, name in marks.get(symbol["st_shndx"], ()):
            if start <= at < start + entry["address_range"]:
                current = [line for pc, line in table if pc <= at - start][-1]
                out[name] = _rules(current)
    return out


def _rules(line: dict[object, object]) -> Rules:
    cfa = line["cfa"]
    saved: dict[str, int | bytes] = {}
    for number, name in SAVED.items():
        rule = line.get(number)
        if rule is not None and rule.type == "OFFSET":
            saved[name] = rule.arg
        elif rule is not None and rule.type == "EXPRESSION":
            saved[name] = bytes(rule.arg)
    return Rules(bytes(cfa.expr) if cfa.expr is not None else (NAMES[cfa.reg], cfa.offset), saved)
