"""What the machine will see of a body: assembled once, decoded with iced-x86, mapped back to the body's lines.

A symbol before every instruction gives the map, so no listing is parsed. Covered: everything the assembler and iced
know. Memory operands that no instruction really reads or writes (lea, nop, prefetch) are not listed as accesses.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import iced_x86 as iced
from elftools.elf.elffile import ELFFile

from gccllm.assembly.body import Body, BodyError, Line
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain


def _names(module: object) -> dict[int, str]:
    return {value: name for name, value in vars(module).items() if isinstance(value, int)}


_REGISTERS = {value: name.lower() for value, name in _names(iced.Register).items()}
_FEATURES = _names(iced.CpuidFeature)
_READS = frozenset(
    (iced.OpAccess.READ, iced.OpAccess.COND_READ, iced.OpAccess.READ_WRITE, iced.OpAccess.READ_COND_WRITE)
)
_WRITES = frozenset(
    (iced.OpAccess.WRITE, iced.OpAccess.COND_WRITE, iced.OpAccess.READ_WRITE, iced.OpAccess.READ_COND_WRITE)
)
_PRIVATE = re.compile(r"(?<![\w.$])(\.L[\w.$]*)([+-][0-9]+)?")
_SLOT = re.compile(r"@(gotpcrel|gottpoff)\b", re.IGNORECASE)
_SURE_WRITES = frozenset((iced.OpAccess.WRITE, iced.OpAccess.READ_WRITE))


@dataclass(frozen=True, slots=True)
class Access:
    """A memory access of an instruction. Registers are lower-case names, "" for none; `size` in bytes, 0 unknown."""

    segment: str
    base: str
    """`rip` for data named by symbol; `DecodedLine.symbol` says which."""
    index: str
    scale: int
    displacement: int
    """Signed. With `DecodedLine.symbol` it counts from that symbol."""
    size: int
    is_read: bool
    is_write: bool
    is_conditional: bool
    """May not happen (masked, `rep` with rcx 0, cmov)."""


@dataclass(frozen=True, slots=True)
class Use:
    """A register as an instruction names or implies it (`al`, `eax`, `xmm3`, `k1`)."""

    register: str
    full: str
    """The whole register (`rax`, `zmm3`)."""
    is_read: bool
    is_write: bool
    is_sure: bool
    """The write happens on every execution."""


@dataclass(frozen=True)
class DecodedLine:
    line: int
    """Index in `body.lines`."""
    offset: int
    """Bytes from the start of the code."""
    instruction: iced.Instruction
    uses: tuple[Use, ...]
    accesses: tuple[Access, ...]
    features: frozenset[str]
    """CPUID features it needs, iced's names (`AVX2`)."""
    symbol: str
    """Symbol that its relocation names, a private constant included; "" when it has none (branches inside the body)."""
    addend: int = 0
    """Bytes behind the symbol."""
    is_immediate: bool = False
    """The symbol is in an immediate, not in the address of memory."""
    slot: str = ""
    """`gotpcrel` or `gottpoff` where the memory is the slot of the global offset table that the linker fills in with
    the symbol's address, or its distance from the thread pointer."""

    @property
    def length(self) -> int:
        return int(self.instruction.len)

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(frozen=True)
class Decoded:
    body: Body
    code: bytes
    """Section contents before relocation."""
    lines: tuple[DecodedLine, ...]
    """One for each instruction, in order."""
    labels: dict[str, int]
    """Code label -> offset."""

    @cached_property
    def by_line(self) -> dict[int, DecodedLine]:
        """Body line index -> decoded line."""
        return {one.line: one for one in self.lines}

    @cached_property
    def by_offset(self) -> dict[int, DecodedLine]:
        return {one.offset: one for one in self.lines}

    @cached_property
    def features(self) -> frozenset[str]:
        return frozenset().union(*(one.features for one in self.lines))

    @cached_property
    def registers_written(self) -> frozenset[str]:
        """Full names of registers that some instruction writes (rsp and rip included where they are)."""
        return frozenset(use.full for one in self.lines for use in one.uses if use.is_write)


def decode(body: Body, tools: Toolchain) -> Decoded:
    """Assemble and decode a body.

    Raises BodyError(UNPARSABLE) when the assembler refuses the text or an instruction does not decode as one line.
    """
    rows: list[str] = ["\t.text"]
    numbers: list[int] = []
    for at, line in enumerate(body.lines):
        if line.label:
            rows.append(f"gccllm.label.{len(rows)}:")
        else:
            rows.append(f"gccllm.at.{at}:")
            numbers.append(at)
        rows.append(line.text())
    marks = {rows[n][:-1]: rows[n + 1][:-1] for n in range(len(rows)) if rows[n].startswith("gccllm.label.")}
    constants = Body((), body.constants).text() if body.constants else ""
    text = "\n".join(rows) + "\n" + constants
    with tempfile.TemporaryDirectory(prefix="gccllm-") as directory:
        path = Path(directory) / "body.o"
        ran = tools.assemble(text, path)
        if not ran.ok:
            first = next((row for row in ran.err.splitlines() if "rror" in row), ran.err)
            raise BodyError(Reason.UNPARSABLE, f"the assembler refused it: {first.strip()[:200]}")
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            code = elf.get_section_by_name(".text").data()
            symtab = elf.get_section_by_name(".symtab")
            offsets = {s.name: s["st_value"] for s in symtab.iter_symbols() if s.name.startswith("gccllm.")}
            relocations = _relocations(elf, symtab)
    factory = iced.InstructionInfoFactory()
    out: list[DecodedLine] = []
    starts = [offsets[f"gccllm.at.{at}"] for at in numbers]
    for at, start, end in zip(numbers, starts, [*starts[1:], len(code)], strict=True):
        decoder = iced.Decoder(64, code[start:end], ip=start)
        one = decoder.decode()
        if one.is_invalid or one.len != end - start:
            raise BodyError(Reason.UNPARSABLE, f"line {at + 1} does not decode as one instruction")
        named = next((p for p in range(start, end) if p in relocations), None)
        symbol, addend = relocations[named] if named is not None else ("", 0)
        if named is not None and one.is_ip_rel_memory_operand:
            addend += end - named  # it counts from the field, the machine from the end of the instruction
        if symbol.startswith("."):  # the assembler names private labels by their section
            symbol, addend = _private(body.lines[at]) or (symbol, addend)
        offsets_of = decoder.get_constant_offsets(one)
        is_immediate = offsets_of.has_immediate and named == start + offsets_of.immediate_offset
        decoded = _decoded_line(at, start, one, factory, symbol, addend, is_immediate)
        slot = _SLOT.search(" ".join(body.lines[at].operands)) if symbol else None
        out.append(replace(decoded, slot=slot[1].lower()) if slot else decoded)
    labels = {label: offsets[mark] for mark, label in marks.items()}
    return Decoded(body, code, tuple(out), labels)


def _private(line: Line) -> tuple[str, int] | None:
    """The private label that an operand names, and the number behind it."""
    found = next((found for operand in line.operands if (found := _PRIVATE.search(operand))), None)
    return (found[1], int(found[2] or "0")) if found else None


def _relocations(elf: ELFFile, symtab: object) -> dict[int, tuple[str, int]]:
    """Offset -> (symbol, addend)."""
    section = elf.get_section_by_name(".rela.text")
    if section is None:
        return {}
    out: dict[int, tuple[str, int]] = {}
    for row in section.iter_relocations():
        symbol = symtab.get_symbol(row["r_info_sym"])  # type: ignore[attr-defined]
        name = symbol.name or elf.get_section(symbol["st_shndx"]).name
        out[row["r_offset"]] = (name, row["r_addend"])
    return out


def _decoded_line(
    at: int, offset: int, one: iced.Instruction, factory: iced.InstructionInfoFactory, symbol: str, addend: int,
    is_immediate: bool,
) -> DecodedLine:  # fmt: skip
    info = factory.info(one)
    relative = one.is_ip_rel_memory_operand
    uses = tuple(
        Use(
            _REGISTERS[use.register],
            _REGISTERS[iced.RegisterInfo(use.register).full_register],
            use.access in _READS,
            use.access in _WRITES,
            use.access in _SURE_WRITES,
        )
        for use in info.used_registers()
    )
    accesses = tuple(
        Access(
            _register(access.segment),
            "rip" if relative and _is_explicit(one, access) else _register(access.base),
            _register(access.index),
            access.scale,
            _displacement(one, access, symbol, addend),
            iced.MemorySizeInfo(access.memory_size).size if access.memory_size else 0,
            access.access in _READS,
            access.access in _WRITES,
            access.access not in _SURE_WRITES and access.access != iced.OpAccess.READ,
        )
        for access in info.used_memory()
        if access.access in _READS or access.access in _WRITES
    )
    features = frozenset(_FEATURES[feature] for feature in one.cpuid_features())
    return DecodedLine(at, offset, one, uses, accesses, features, symbol, addend, is_immediate)


def _is_explicit(one: iced.Instruction, access: iced.UsedMemory) -> bool:
    return bool(access.displacement == one.memory_displacement and not access.base)


def _displacement(one: iced.Instruction, access: iced.UsedMemory, symbol: str, addend: int) -> int:
    if not one.is_ip_rel_memory_operand or not _is_explicit(one, access):
        return _signed(access.displacement)
    return _signed(access.displacement - one.next_ip & (1 << 64) - 1) + (addend if symbol else 0)


def _register(number: int) -> str:
    name = _REGISTERS[number]
    return "" if name == "none" else name


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def features_of(lines: Iterable[DecodedLine]) -> frozenset[str]:
    """CPUID features that some lines need."""
    return frozenset().union(*(one.features for one in lines))
