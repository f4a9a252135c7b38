"""Unwind rows for a new body: where the canonical frame address (CFA) and the callee-saved registers are, at every
instruction.

A forward dataflow over the control-flow graph tracks stack and frame pointers as offsets from the CFA, or from a base
that an alignment (`and $-32, %rsp`) or `alloca` made unknown, and which slots hold a register's entry value. Covered:
push/pop, sub/add/lea on rsp, rbp frames with `leave`, realigned frames through rbp or through r10 kept in a slot,
spills by `mov`, red-zone spills, blocks that follow an epilogue in layout order, calls that never return (found by
stack depths that do not fit). Not covered, BodyError(CFI): rsp taken from memory or exchanged, entry values parked in
other registers, `enter`. Stores that overwrite a spill slot are not looked for; the replay sees their effect.

Register numbers and opcodes: System V psABI x86-64, DWARF 5 section 6.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gccllm.assembly.body import Body, BodyError, Line
from gccllm.assembly.cfg import Cfg, Edge, cfg
from gccllm.assembly.layout import LOOP_ALIGNMENT, loop_heads
from gccllm.assembly.syntax import Flow
from gccllm.base.reasons import Reason
from gccllm.x86.registers import CALLEE_SAVED, DWARF, PARTS

# Registers whose value is followed. Those with implicit writers (rax, rcx, rdx, rsi, rdi) are left out.
_TRACKED = frozenset(("RSP", "R10", *CALLEE_SAVED))

_MEMORY = re.compile(r"(-?(?:0[xX][0-9a-fA-F]+|[0-9]+))?\((%\w+)\)")
_IMMEDIATE = re.compile(r"\$(-?(?:0[xX][0-9a-fA-F]+|[0-9]+))")
_READERS = re.compile(
    r"cmp[bwlq]?|test[bwlq]?|push[wq]?|bt[wlq]?|v?u?comis[sd]|v?ptest|nop[wlq]?|prefetch\w*|i?div[bwlq]?"
)

_BASE_CFA = -1


@dataclass(frozen=True, slots=True)
class _Place:
    """An address: `offset` bytes above a base. Base -1 is the CFA; line number n, what line n left in rsp."""

    base: int
    offset: int

    def plus(self, offset: int) -> _Place:
        return _Place(self.base, self.offset + offset)


@dataclass(frozen=True, slots=True)
class _Entry:
    """The value a callee-saved register had on entry."""

    register: str


_Value = _Place | _Entry


@dataclass(frozen=True)
class _State:
    registers: dict[str, _Value]
    slots: dict[_Place, _Value]
    framed: bool = False
    """rbp was made by `mov %rsp, %rbp`: the CFA is told from it, as gcc does."""

    def meet(self, other: _State) -> _State:
        return _State(
            {k: v for k, v in self.registers.items() if other.registers.get(k) == v},
            {k: v for k, v in self.slots.items() if other.slots.get(k) == v},
            self.framed and other.framed,
        )


_ENTRY = _State({"RSP": _Place(_BASE_CFA, -8)} | {r: _Entry(r) for r in CALLEE_SAVED}, {})

Rule = tuple[str, int] | bytes
"""(register, offset) for a CFA, ("cfa", offset) for a slot, or a DWARF expression."""


@dataclass(frozen=True)
class Row:
    """One unwind row. A register without a rule still holds its entry value."""

    cfa: Rule
    rules: dict[str, Rule]


ENTRY_ROW = Row(("RSP", 8), {})


@dataclass(frozen=True)
class Unwind:
    """`lines`: the body's text lines with CFI directives between; `rows`: row at each body line (None: unreachable)."""

    lines: list[str]
    rows: tuple[Row | None, ...]
    last: Row
    """The row in force at the end of the text."""


def synthesize_cfi(body: Body) -> list[str]:
    """Text lines of the instructions, laid out as `layout` does, with CFI directives, to follow .cfi_startproc.

    Constants are not printed. Raises BodyError(CFI), or BodyError(STACK_DEPTH) when rsp or a callee-saved register is
    not as on entry at a return or tail jump.
    """
    return unwind(body).lines


def unwind(body: Body) -> Unwind:
    """As `synthesize_cfi`, with the rows. The text starts in the entry row."""
    graph = cfg(body)
    dropped: set[Edge] = set()
    for _ in range(len(graph.blocks) + 1):
        states, torn = _flow(graph, dropped)
        try:
            rows = tuple(None if state is None else _row(state, at) for at, state in enumerate(states))
            _check_exits(body, states)
            break
        except BodyError:
            # Two ways into a block disagree. One that falls out of a call can only be a call that never returns.
            more = {edge for edge in torn if _ends_in_call(graph, edge)} - dropped
            if not more:
                raise
            dropped |= more
    else:
        raise BodyError(Reason.CFI, "stack depths do not settle")
    out: list[str] = []
    now = ENTRY_ROW
    heads = loop_heads(body)
    for at, (line, row) in enumerate(zip(body.lines, rows, strict=True)):
        is_head = at in heads
        # The padding before a loop's head is run too: its row is the head's.
        if row is not None and (is_head or not line.label) and row != now:
            out.extend(change(now, row))
            now = row
        if is_head:
            out.extend(LOOP_ALIGNMENT)
        out.append(line.text())
    return Unwind(out, rows, now)


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


# --- the dataflow -------------------------------------------------------------------------------------


def _flow(graph: Cfg, dropped: set[Edge]) -> tuple[list[_State | None], set[Edge]]:
    """State before each line, and the edges whose states did not agree on rsp or a register's whereabouts."""
    body = graph.body
    at_start: dict[int, _State] = {0: _ENTRY}
    came: dict[Edge, _State] = {}
    todo = [0]
    while todo:
        block = todo.pop()
        state = at_start[block]
        for at in range(graph.blocks[block].first, graph.blocks[block].last):
            state = _step(state, body.lines[at], at)
        for following in graph.successors[block]:
            edge = (block, following)
            if edge in dropped:
                continue
            came[edge] = state
            known = at_start.get(following)
            merged = state if known is None else known.meet(state)
            if merged != known:
                at_start[following] = merged
                todo.append(following)
    torn = {
        edge for edge, state in came.items()
        if any(v != at_start[edge[1]].registers.get(k) for k, v in state.registers.items())
        or any(v != at_start[edge[1]].slots.get(k) for k, v in state.slots.items())
    }  # fmt: skip
    siblings = {b for _, b in torn}
    torn |= {edge for edge in came if edge[1] in siblings}
    states: list[_State | None] = [None] * len(body.lines)
    for block, start in at_start.items():
        state = start
        for at in range(graph.blocks[block].first, graph.blocks[block].last):
            states[at] = state
            state = _step(state, body.lines[at], at)
    return states, torn


def _ends_in_call(graph: Cfg, edge: Edge) -> bool:
    source, target = edge
    last = graph.body.lines[graph.blocks[source].last - 1]
    return target == source + 1 and not last.label and last.flow in (Flow.CALL, Flow.INDIRECT_CALL)


def _step(state: _State, line: Line, at: int) -> _State:
    if line.label:
        return state
    word, operands = line.mnemonic, line.operands
    registers = dict(state.registers)
    slots = dict(state.slots)
    framed = state.framed
    last = operands[-1] if operands else ""
    target = _full(last)

    def assign(register: str, value: _Value | None) -> None:
        nonlocal framed
        if register == "RBP":
            framed = False
        if register not in _TRACKED:
            return
        if value is None and register == "RSP":
            value = _Place(at, 0)  # a new unknown base
        if value is None:
            registers.pop(register, None)
        else:
            registers[register] = value

    def place(register: str) -> _Place | None:
        value = registers.get(register)
        return value if isinstance(value, _Place) else None

    def store(where: _Place | None, source: str) -> None:
        if where is None:
            return
        slots.pop(where, None)
        value = registers.get(_full(source)) if source.startswith("%r") else None
        if value is not None and not (isinstance(value, _Entry) and _saved(slots, value.register)):
            slots[where] = value

    def address(operand: str) -> _Place | None:
        match = _MEMORY.fullmatch(operand)
        base = place(_whole(match[2])) if match else None
        return base.plus(int(match[1] or "0", 0)) if match and base else None

    def pop(register: str) -> None:
        top = place("RSP")
        value = slots.get(top) if top else None
        if top:
            registers["RSP"] = top.plus(8)
        if register:
            assign(register, value)

    if word in ("push", "pushq"):
        top = place("RSP")
        if top:
            registers["RSP"] = top.plus(-8)
            store(top.plus(-8), last)
    elif word in ("pushfq", "pushf", "popfq", "popf"):
        top = place("RSP")
        if top:
            registers["RSP"] = top.plus(-8 if word.startswith("push") else 8)
    elif word in ("pop", "popq"):
        pop(target)
    elif word in ("leave", "leaveq"):
        frame = place("RBP")
        assign("RSP", frame)
        pop("RBP")
    elif line.flow in (Flow.CALL, Flow.INDIRECT_CALL):
        registers.pop("R10", None)
    elif not target and not last.startswith("%"):
        if word in ("mov", "movq") and len(operands) == 2:
            store(address(last), operands[0])
        elif word in ("cpuid", "cmpxchg8b", "cmpxchg16b"):
            assign("RBX", None)
        elif word.startswith(("xchg", "xadd", "enter")):
            for operand in operands:
                if register := _full(operand):
                    assign(register, None)
            if word.startswith("enter"):
                assign("RBP", None)
                assign("RSP", None)
    elif target and not _READERS.fullmatch(word):
        value: _Value | None = None
        wide = bool(_whole(last))
        if wide and len(operands) == 2:
            source = operands[0]
            known = place(target)
            constant = _IMMEDIATE.fullmatch(source)
            if word in ("mov", "movq"):
                if source.startswith("%"):
                    value = registers.get(_whole(source))
                    if isinstance(value, _Entry) and value.register != target:
                        value = None
                elif where := address(source):
                    value = slots.get(where)
            elif word in ("lea", "leaq"):
                value = address(source)
            elif word in ("add", "addq") and constant and known:
                value = known.plus(int(constant[1], 0))
            elif word in ("sub", "subq") and constant and known:
                value = known.plus(-int(constant[1], 0))
        assign(target, value)
        if target == "RBP" and word in ("mov", "movq") and operands[0] == "%rsp":
            framed = True
        if word.startswith(("xchg", "xadd", "mulx", "cmpxchg")):
            for operand in operands[:-1]:
                if register := _full(operand):
                    assign(register, None)
        if word.startswith("cpuid"):
            assign("RBX", None)
    return _State(registers, slots, framed)


def _saved(slots: dict[_Place, _Value], register: str) -> bool:
    return any(isinstance(v, _Entry) and v.register == register for v in slots.values())


# --- from states to rows ------------------------------------------------------------------------------


def _row(state: _State, at: int) -> Row:
    """Raises BodyError(CFI) when the CFA or a register cannot be found again."""
    rsp = state.registers.get("RSP")
    rules: dict[str, Rule] = {}
    for register in CALLEE_SAVED:
        intact = state.registers.get(register) == _Entry(register)
        slot = _slot(state, _Entry(register))
        live = slot is not None and isinstance(rsp, _Place) and (slot.base != rsp.base or slot.offset >= rsp.offset)
        if intact and not live:
            continue
        rule = None if slot is None else _where(state, slot)
        if rule is not None:
            rules[register] = rule
        elif not intact:
            raise BodyError(Reason.CFI, f"the entry value of {register.lower()} is lost before line {at + 1}")
    return Row(_cfa(state, at), rules)


def _slot(state: _State, value: _Value) -> _Place | None:
    found = [where for where, held in state.slots.items() if held == value]
    return max(found, key=lambda where: (where.base == _BASE_CFA, where.offset), default=None)


def _where(state: _State, slot: _Place) -> Rule | None:
    """How to find a slot: by the CFA, or by a register that has the slot's base."""
    if slot.base == _BASE_CFA:
        return ("cfa", slot.offset) if slot.offset % 8 == 0 else None
    by = _register_with(state, slot.base)
    return None if by is None else _breg(by[0], slot.offset - by[1].offset)


def _register_with(state: _State, base: int) -> tuple[str, _Place] | None:
    order = ("RBP", "RSP") if state.framed else ("RSP", "RBP")
    for register in (*order, "R10", *CALLEE_SAVED):
        value = state.registers.get(register)
        if isinstance(value, _Place) and value.base == base:
            return register, value
    return None


def _cfa(state: _State, at: int) -> Rule:
    by = _register_with(state, _BASE_CFA)
    if by is not None:
        return (by[0], -by[1].offset)
    # The CFA itself (r10 of a realigned frame), or an address at a fixed distance from it, lies in a slot.
    for where, held in sorted(state.slots.items(), key=lambda row: (row[0].base, row[0].offset)):
        if isinstance(held, _Place) and held.base == _BASE_CFA:
            reach = _register_with(state, where.base)
            if reach is not None:
                expression = _breg(reach[0], where.offset - reach[1].offset) + b"\x06"  # DW_OP_deref
                return expression if held.offset == 0 else expression + b"\x11" + _sleb(-held.offset) + b"\x22"
    raise BodyError(Reason.CFI, f"the frame is not found before line {at + 1}")


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


def _check_exits(body: Body, states: Iterable[_State | None]) -> None:
    for at, (line, state) in enumerate(zip(body.lines, states, strict=True)):
        if state is None or line.label:
            continue
        leaves = line.flow is Flow.RETURN or (
            line.flow in (Flow.JUMP, Flow.BRANCH) and bool(line.target) and line.target not in body.labels
        )
        if not leaves:
            continue
        if state.registers.get("RSP") != _Place(_BASE_CFA, -8):
            raise BodyError(Reason.STACK_DEPTH, f"rsp is not as on entry at line {at + 1}: {line.text().strip()}")
        for register in CALLEE_SAVED:
            if state.registers.get(register) != _Entry(register):
                raise BodyError(Reason.CALLEE_SAVED, f"{register.lower()} is not restored at line {at + 1}")


def _full(operand: str) -> str:
    """Full name of the register that an operand is; "" for one that is none."""
    part = PARTS.get(operand)
    return part.register if part is not None else ""


def _whole(operand: str) -> str:
    """The same of a register's whole 8 bytes."""
    return PARTS[operand].register if operand in PARTS and PARTS[operand].size == 8 else ""
