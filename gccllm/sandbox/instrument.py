"""The checked build: a body with a log entry before every memory access and at every block.

`instrument` rewrites a body so that it behaves as before (registers, flags, stack untouched) and appends to a log in
memory: site and effective address of each access, block of each basic block entered. Entries describe themselves
(`layout.Event`), so no table travels with the text. mem* and str* calls go to logging copies that note the ranges
their contracts name.

Not logged, because it cannot be seen from outside or is judged elsewhere: accesses by a plain offset from rsp, what
push, pop and call do to the stack, prefetches, loads from the global offset table, the thread pointer's own word and
the stack protector's.

Accesses to thread-local data are logged by their addresses like all others.

Not covered: accesses of callees without an instrumented copy; maskmovdqu, repeated cmps and scas, xlat, std and
state-saving instructions (BodyError(UNSUPPORTED_INSTRUCTION)).
"""

from __future__ import annotations

import re
from collections.abc import Collection

import iced_x86 as iced

from gccllm.assembly.body import Body, Line
from gccllm.assembly.cfg import cfg
from gccllm.assembly.code import by_line
from gccllm.assembly.module import Module
from gccllm.assembly.slice import reachable
from gccllm.assembly.syntax import BodyError, Flow
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.sandbox import layout
from gccllm.sandbox.layout import Event
from gccllm.x86.decode import Insn
from gccllm.x86.registers import VECTORS

_STRING_MOVES = ("MOVS", "STOS", "LODS")
_SIGN_MASKED = {"VMASKMOVPS": ("ps", 4), "VMASKMOVPD": ("pd", 8), "VPMASKMOVD": ("ps", 4), "VPMASKMOVQ": ("pd", 8)}
_GATHER = re.compile(r"VP?(GATHER|SCATTER)(D|Q)(D|Q|PS|PD)")
_VECTOR_INDEX = re.compile(r"(?P<displacement>[^()]*)\((?P<base>%\w+)?,(?P<index>%[xyz]mm\d+)(,(?P<scale>[1248]))?\)")
_IMPLICIT_STACK = ("push", "pop", "call", "ret", "leave", "enter")


def traced_name(name: str) -> str:
    """Symbol of the instrumented copy of function `name`."""
    return f"{name}.traced"


def instrument(
    body: Body,
    name: str,
    *,
    traced: Collection[str] = (),
    tools: Toolchain | None = None,
    blocks: bool = True,
) -> str:
    """Text that defines `traced_name(name)`, the instrumented copy of `body`, as a global function.

    `name` is the function that the body implements: its calls to itself stay in the copy. `traced` are functions of the
    unit that have instrumented copies (`instrument_callees`); calls go there. `blocks=False` logs memory only.
    Raises BodyError(UNSUPPORTED_INSTRUCTION), or what `by_line` raises.
    """
    label = traced_name(name)
    graph = cfg(body)
    decoded = by_line(body, tools or Toolchain.find(), name)
    leaders = {block.first: n for n, block in enumerate(graph.blocks)}
    for block in graph.blocks:
        # Two labels on one place make one block; its entry is logged after the last of them.
        at, number = block.first, leaders.pop(block.first)
        while at + 1 < block.last and body.lines[at].label:
            at += 1
        leaders[at] = number
    body = body.renamed(f"traced_{''.join(c if c.isalnum() else '_' for c in label)}")
    rename = {name: label} | {f: traced_name(f) for f in traced}
    rename |= {f: layout.TRACED_PREFIX + f for f in layout.TRACED_IMPORTS if f in body.externals}
    body = body.with_symbols(lambda symbol: rename.get(symbol, symbol))
    rows = ["\t.text", "\t.p2align 4", f"\t.globl {label}", f"\t.type {label}, @function", f"{label}:"]
    if blocks:
        rows += _event(Event.ENTER, 0)
    for at, line in enumerate(body.lines):
        if line.label:
            rows.append(line.text())
        if blocks and at in leaders:
            rows += _event(Event.BLOCK, leaders[at])
        if line.label:
            continue
        rows += _accesses(line, decoded[at], at)
        if blocks and (line.flow is Flow.RETURN or _leaves(line, body) or at in graph.unresolved):
            if line.flow is Flow.BRANCH and name in body.calls:
                raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, "a conditional tail call in a recursive function")
            if line.flow is not Flow.BRANCH:
                rows += _event(Event.LEAVE, 0)
        rows.append(line.text())
    constants = Body((), body.constants).text() if body.constants else ""
    return "\n".join(rows) + "\n" + constants + "\t.text\n"


def instrument_callees(module: Module, name: str, tools: Toolchain | None = None) -> tuple[str, frozenset[str]]:
    """Instrumented copies (memory only) of the functions of the unit that `name` can reach, and their names.

    A function that cannot be instrumented is left out: its accesses stay unseen on both sides.
    """
    wanted = [f for f in reachable(module, name)[0] if f != name]
    bodies: dict[str, Body] = {}
    for one in wanted:
        try:
            bodies[one] = module.functions[one].body
            instrument(bodies[one], one, tools=tools, blocks=False)
        except BodyError:
            bodies.pop(one, None)
    names = frozenset(bodies)
    rest = (instrument(body, one, traced=names, tools=tools, blocks=False) for one, body in bodies.items())
    return "".join(rest), names


def _leaves(line: Line, body: Body) -> bool:
    return line.flow in (Flow.JUMP, Flow.BRANCH) and line.target not in body.labels


def _event(kind: Event, number: int) -> list[str]:
    return [
        f"\tmovq %rax, {layout.SLOT_SAVE_A:#x}",
        f"\tmovq {layout.SLOT_LOG:#x}, %rax",
        f"\tmovq ${kind | number << 16:#x}, (%rax)",
        "\tleaq 16(%rax), %rax",
        f"\tmovq %rax, {layout.SLOT_LOG:#x}",
        f"\tmovq {layout.SLOT_SAVE_A:#x}, %rax",
    ]


def _append(site: int, length: int = 0, mask: str = "", compute: str = "", count: str = "") -> list[str]:
    """One entry, or two with a mask. `mask`, `compute` are instructions that leave the mask or address in %rax."""
    rows = [f"\tmovq %rax, {layout.SLOT_SAVE_A:#x}", f"\tmovq %rcx, {layout.SLOT_SAVE_B:#x}"]
    if mask:
        rows += [
            f"\t{mask}",
            f"\tmovq {layout.SLOT_LOG:#x}, %rcx",
            f"\tmovq ${int(Event.MASK)}, (%rcx)",
            "\tmovq %rax, 8(%rcx)",
            "\tleaq 16(%rcx), %rcx",
            f"\tmovq %rcx, {layout.SLOT_LOG:#x}",
            f"\tmovq {layout.SLOT_SAVE_A:#x}, %rax",
            f"\tmovq {layout.SLOT_SAVE_B:#x}, %rcx",
        ]
    rows += [
        f"\t{compute}",
        f"\tmovq {layout.SLOT_LOG:#x}, %rcx",
        "\tmovq %rax, 8(%rcx)",
        f"\tmovl ${site:#x}, (%rcx)",
    ]
    if count:
        rows += [f"\tmovq {layout.SLOT_SAVE_B:#x}, %rax", "\tmovl %eax, 4(%rcx)"]
    else:
        rows.append(f"\tmovl ${length:#x}, 4(%rcx)")
    rows += [
        "\tleaq 16(%rcx), %rcx",
        f"\tmovq %rcx, {layout.SLOT_LOG:#x}",
        f"\tmovq {layout.SLOT_SAVE_B:#x}, %rcx",
        f"\tmovq {layout.SLOT_SAVE_A:#x}, %rax",
    ]
    return rows


def _accesses(line: Line, one: Insn, at: int) -> list[str]:
    """Logging code for the accesses of one instruction."""
    raw, name = one.raw, one.mnemonic
    if name in ("STD", "XLATB") or name.startswith(("MASKMOV", "FXSAVE", "XSAVE", "FXRSTOR", "XRSTOR")):
        raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
    is_thread = any(a.segment == "FS" for a in one.accesses)
    if raw.is_string_instruction:
        if is_thread:
            raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
        return _string_move(line, one, name, at)
    seen = [a for a in one.accesses if a.segment != "GS"]
    if is_thread and not one.symbol and not any(a.base or a.index for a in seen if a.segment == "FS"):
        return []
    if line.mnemonic.startswith(_IMPLICIT_STACK):
        seen = [a for a in seen if a.base != "RSP"]
    operand = _memory_operand(line)
    if not seen or "@GOT" in operand.upper() or (not operand and line.mnemonic.startswith(_IMPLICIT_STACK)):
        return []
    if not operand:
        raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
    if operand.endswith("(%rsp)"):
        return []
    width = max(a.size for a in seen)
    if not 0 < width < 1 << 12:
        raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
    reads, writes = any(a.is_read for a in seen), any(a.is_written for a in seen)
    kind = (Event.READ if reads else 0) | (Event.WRITE if writes else 0)
    site = kind | width << 4 | at << 16
    if any(a.index in VECTORS for a in seen):
        if is_thread:
            raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
        return _gather(line, one, name, operand, at)
    compute = f"leaq {operand}, %rax"
    if is_thread:
        compute += "\n\tmovq %fs:0, %rcx\n\tleaq (%rax,%rcx), %rax"
    if name in _SIGN_MASKED:
        suffix, lane = _SIGN_MASKED[name]
        return _append(site, lane, f"vmovmsk{suffix} {line.operands[1]}, %eax", compute)
    if raw.op_mask != iced.Register.NONE and not raw.is_broadcast:
        lane = iced.MemorySizeInfo(raw.memory_size).element_size
        packed = layout.PACKED if "COMPRESS" in name or "EXPAND" in name else 0
        register = f"%k{raw.op_mask - iced.Register.K0}"
        return _append(site, lane | packed, f"kmovq {register}, %rax", compute)
    return _append(site, 0, "", compute)


def _gather(line: Line, one: Insn, name: str, operand: str, at: int) -> list[str]:
    """Entries for every lane of a gather or scatter, after one with the mask."""
    found = _VECTOR_INDEX.fullmatch(operand)
    kind = _GATHER.fullmatch(name)
    data = next((o for o in reversed(line.operands) if o.startswith("%") and o.split("{")[0] != operand), "")
    if not found or not kind or not data:
        raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
    index_bytes, lane_bytes = (4 if letter in ("D", "PS") else 8 for letter in (kind[2], kind[3]))
    size = {"x": 16, "y": 32, "z": 64}
    index = found["index"]
    lanes = min(size[data[1]] // lane_bytes, size[index[1]] // index_bytes)
    encoded = one.raw.op_mask != iced.Register.NONE
    if encoded:
        mask = f"kmovq %k{one.raw.op_mask - iced.Register.K0}, %rax"
    else:
        mask = f"vmovmsk{'ps' if lane_bytes == 4 else 'pd'} {line.operands[0]}, %eax"
    base = f"{found['displacement']}({found['base']})" if found["base"] else found["displacement"] or "0"
    save = (("rax", layout.SLOT_SAVE_A), ("rcx", layout.SLOT_SAVE_B), ("rdx", layout.SLOT_SAVE_C))
    rows = [f"\tmovq %{register}, {slot:#x}" for register, slot in save]
    rows += [
        f"\tleaq {base}, %rax", f"\tmovq %rax, {layout.SLOT_BASE:#x}",
        f"\tvmovdqu{'64' if encoded else ''} {index}, {layout.SLOT_VECTOR:#x}",
        f"\t{mask}", f"\tmovq {layout.SLOT_LOG:#x}, %rcx", f"\tmovq ${int(Event.MASK)}, (%rcx)",
        "\tmovq %rax, 8(%rcx)", "\tleaq 16(%rcx), %rcx",
    ]  # fmt: skip
    site = (Event.WRITE if "SCATTER" in name else Event.READ) | lane_bytes << 4 | at << 16
    for lane in range(lanes):
        load = "movslq" if index_bytes == 4 else "movq"
        rows += [
            f"\t{load} {layout.SLOT_VECTOR + index_bytes * lane:#x}, %rdx", f"\tmovq {layout.SLOT_BASE:#x}, %rax",
            f"\tleaq (%rax,%rdx,{found['scale'] or 1}), %rax", "\tmovq %rax, 8(%rcx)",
            f"\tmovl ${site:#x}, (%rcx)", f"\tmovl ${layout.LANE | lane << 16:#x}, 4(%rcx)", "\tleaq 16(%rcx), %rcx",
        ]  # fmt: skip
    rows.append(f"\tmovq %rcx, {layout.SLOT_LOG:#x}")
    return rows + [f"\tmovq {slot:#x}, %{register}" for register, slot in save]


def _string_move(line: Line, one: Insn, name: str, at: int) -> list[str]:
    if not name.startswith(_STRING_MOVES):
        raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
    width = {"B": 1, "W": 2, "D": 4, "Q": 8}[name[-1]]
    repeated = bool(one.raw.has_rep_prefix or one.raw.has_repne_prefix)
    rows: list[str] = []
    for kind, register in ((Event.READ, "rsi"), (Event.WRITE, "rdi")):
        if (kind is Event.READ and name.startswith("STOS")) or (kind is Event.WRITE and name.startswith("LODS")):
            continue
        site = kind | (Event.RANGE if repeated else 0) | width << 4 | at << 16
        rows += _append(site, 0, "", f"movq %{register}, %rax", "rcx" if repeated else "")
    return rows


def _memory_operand(line: Line) -> str:
    """The explicit memory operand without segment and decoration, or empty."""
    for operand in line.operands:
        text = operand.split("{", 1)[0].lstrip("*")
        if text.startswith(("$", "%")) and not (text.startswith("%") and ":" in text):
            continue
        if text.startswith("{") or not text:
            continue
        return text.split(":", 1)[1] if ":" in text else text
    return ""
