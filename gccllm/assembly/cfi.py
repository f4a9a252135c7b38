"""Unwind rows for a new body: where the canonical frame address (CFA) and the callee-saved registers are, at every
instruction. They are printed from the states that `x86.abi_flow` finds before the instructions.

Covered: push/pop, sub/add/lea on rsp, rbp frames with `leave`, realigned frames through rbp or through r10 kept in a
slot, spills by `mov`, red-zone spills, blocks that follow an epilogue in layout order. Not covered, BodyError(CFI): an
rsp that cannot be followed where no frame pointer tells the CFA, entry values parked in other registers.

Register numbers and opcodes: System V psABI x86-64, DWARF 5 section 6.4.
"""

from __future__ import annotations

from dataclasses import dataclass

from iced_x86 import FlowControl

from gccllm.assembly.body import Body
from gccllm.assembly.code import code_of
from gccllm.assembly.layout import loop_heads
from gccllm.assembly.syntax import BodyError
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.x86.abi_flow import Flow, analyse
from gccllm.x86.abi_state import ENTRY_FRAME, State, Value
from gccllm.x86.convention import CALLEE_SAVED, SYSV
from gccllm.x86.decode import Code, Insn
from gccllm.x86.registers import DWARF

Rule = tuple[str, int] | bytes
"""(register, offset) for a CFA, ("cfa", offset) for a slot, or a DWARF expression."""


@dataclass(frozen=True)
class Row:
    """One unwind row. A register without a rule still holds its entry value."""

    cfa: Rule
    rules: dict[str, Rule]


ENTRY_ROW = Row(("RSP", 8), {})
_RETURN_ADDRESS = 8
"""Bytes from rsp at entry, where offsets of the entry frame count from, to the CFA."""


def unwind_rows(code: Code, flow: Flow) -> dict[int, Row]:
    """Offset of a reached instruction to its row. Raises BodyError(CFI) where no row can be told."""
    return {code.insns[at].offset: _row(state, code.insns[at]) for at, state in sorted(flow.states.items())}


def unwind(body: Body, tools: Toolchain, name: str = "", noreturn: frozenset[str] = frozenset()) -> list[Row | None]:
    """Row of each line; None: not reached. A label has the row of what follows it.

    `name`: what the body calls itself by. `noreturn`: callees that do not return. Raises BodyError: UNPARSABLE (it does
    not assemble), CFI, or STACK_DEPTH and CALLEE_SAVED when rsp or a callee-saved register is not as on entry at a
    return or tail jump.
    """
    code = code_of(body, tools, name)
    rows = unwind_rows(code, analyse(code, SYSV.with_live_in(frozenset()), noreturn=noreturn))
    for insn in code.insns:
        leaves = insn.flow == FlowControl.RETURN or (insn.is_branch and insn.relocations)
        row = rows.get(insn.offset, ENTRY_ROW)
        if leaves and row != ENTRY_ROW:
            what = Reason.CALLEE_SAVED if row.cfa == ENTRY_ROW.cfa else Reason.STACK_DEPTH
            raise BodyError(what, f"not as on entry at {insn}")
    out: list[Row | None] = [None] * len(body.lines)
    for at in reversed(range(len(body.lines))):
        if at in code.marks:
            out[at] = rows.get(code.marks[at])
        elif at + 1 < len(body.lines):
            out[at] = out[at + 1]
    return out


def directives(body: Body, rows: list[Row | None]) -> tuple[dict[int, list[str]], Row]:
    """What `layout` prints before lines so that each has its row, and the row in force at the end.

    The text starts in the entry row. The padding before a loop's head is run too: its row is the head's.
    """
    out: dict[int, list[str]] = {}
    now = ENTRY_ROW
    heads = loop_heads(body)
    for at, (line, row) in enumerate(zip(body.lines, rows, strict=True)):
        if row is not None and (at in heads or not line.label) and row != now:
            out[at] = change(now, row)
            now = row
    return out, now


def change(old: Row, new: Row) -> list[str]:
    """Directives that turn one row into another."""
    out: list[str] = []
    if old.cfa != new.cfa:
        if isinstance(new.cfa, bytes):
            out.append(_escape(0x0F, None, new.cfa))
        elif isinstance(old.cfa, tuple) and old.cfa[0] == new.cfa[0]:
            out.append(f"\t.cfi_def_cfa_offset\t{new.cfa[1]}")
        elif isinstance(old.cfa, tuple) and old.cfa[1] == new.cfa[1]:
            out.append(f"\t.cfi_def_cfa_register\t{DWARF[new.cfa[0]]}")
        else:
            out.append(f"\t.cfi_def_cfa\t{DWARF[new.cfa[0]]}, {new.cfa[1]}")
    for register in CALLEE_SAVED:
        rule = new.rules.get(register)
        if rule == old.rules.get(register):
            continue
        number = DWARF[register]
        if rule is None:
            out.append(f"\t.cfi_restore\t{number}")
        elif isinstance(rule, bytes):
            out.append(_escape(0x10, number, rule))
        else:
            out.append(f"\t.cfi_offset\t{number}, {rule[1]}")
    return out


def _escape(opcode: int, register: int | None, expression: bytes) -> str:
    head = [opcode] if register is None else [opcode, register]
    return "\t.cfi_escape\t" + ",".join(f"{b:#x}" for b in bytes((*head, len(expression), *expression)))


# --- from states to rows ------------------------------------------------------------------------------


def _row(state: State, insn: Insn) -> Row:
    """Raises BodyError(CFI) when the CFA or a register cannot be found again."""
    rsp = state.general["RSP"]
    rules: dict[str, Rule] = {}
    for register in CALLEE_SAVED:
        kept = ("kept", register)
        is_intact = state.general[register] == kept
        slot = _slot(state, kept)
        is_live = slot is not None and (rsp[:2] != ("stack", slot[0]) or slot[1] >= rsp[2])
        if is_intact and not is_live:
            continue
        rule = None if slot is None else _where(state, *slot)
        if rule is not None:
            rules[register] = rule
        elif not is_intact:
            raise BodyError(Reason.CFI, f"the entry value of {register.lower()} is lost before {insn}")
    cfa = _cfa(state)
    if cfa is None:
        raise BodyError(Reason.CFI, f"the frame is not found before {insn}")
    return Row(cfa, rules)


def _slot(state: State, value: Value) -> tuple[object, int] | None:
    found = [where for where, held in state.slots.items() if held == value]
    return max(found, key=lambda where: (where[0] == ENTRY_FRAME, where[1]), default=None)


def _where(state: State, frame: object, offset: int) -> Rule | None:
    """How to find a slot: by the CFA, or by a register that has the slot's frame."""
    if frame == ENTRY_FRAME:
        return ("cfa", offset - _RETURN_ADDRESS) if offset % 8 == 0 else None
    by = _register_with(state, frame)
    return None if by is None else _breg(by[0], offset - by[1])


def _register_with(state: State, frame: object) -> tuple[str, int] | None:
    """A register with an address in `frame`, and the address's offset."""
    order = ("RBP", "RSP") if state.framed else ("RSP", "RBP")
    for register in (*order, "R10", *CALLEE_SAVED):
        value = state.general[register]
        if value[:2] == ("stack", frame):
            return register, value[2]
    return None


def _cfa(state: State) -> Rule | None:
    by = _register_with(state, ENTRY_FRAME)
    if by is not None:
        return (by[0], _RETURN_ADDRESS - by[1])
    # The CFA itself (r10 of a realigned frame), or an address at a fixed distance from it, lies in a slot.
    for (frame, offset), held in sorted(state.slots.items(), key=lambda row: (str(row[0][0]), row[0][1])):
        reach = _register_with(state, frame) if held[:2] == ("stack", ENTRY_FRAME) else None
        if reach is not None:
            expression = _breg(reach[0], offset - reach[1]) + b"\x06"  # DW_OP_deref
            distance = _RETURN_ADDRESS - held[2]
            return expression if distance == 0 else expression + b"\x11" + _sleb(distance) + b"\x22"
    return None


def _breg(register: str, offset: int) -> bytes:
    return bytes((0x70 + DWARF[register],)) + _sleb(offset)


def _sleb(value: int) -> bytes:
    out = bytearray()
    while True:
        low = value & 0x7F
        value >>= 7
        if (value == 0 and not low & 0x40) or (value == -1 and low & 0x40):
            out.append(low)
            return bytes(out)
        out.append(low | 0x80)
