"""Instructions that move addresses and saved registers about: the general registers they set, followed by value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from iced_x86 import OpKind

from gccllm.base.reasons import Reason
from gccllm.x86.abi_state import DEFINED, State, Value
from gccllm.x86.decode import Insn
from gccllm.x86.effects import REGISTERS, full_name
from gccllm.x86.registers import GENERAL


class Flow(Protocol):
    """What a move needs of the analysis."""

    def say(self, reason: Reason, detail: str, insn: Insn) -> None: ...

    def address(self, insn: Insn, state: State) -> tuple[object, int] | None: ...

    def loaded(self, insn: Insn, state: State) -> Value: ...

    def realigned(self, insn: Insn, value: Value, align: int) -> None: ...


def _register(insn: Insn, operand: int) -> str:
    """Full name of a 64-bit general register operand, or empty."""
    raw = insn.raw
    if raw.op_count <= operand or raw.op_kind(operand) != OpKind.REGISTER:
        return ""
    name = full_name(raw.op_register(operand))
    return name if REGISTERS[raw.op_register(operand)] == name and name in GENERAL else ""


def _push(flow: Flow, insn: Insn, state: State) -> dict[str, Value]:
    rsp = state.general["RSP"]
    if rsp[0] != "stack":
        return {"RSP": DEFINED}
    if state.red:
        flow.say(Reason.RED_ZONE, "a push over the red zone in use", insn)
    width = -insn.raw.stack_pointer_increment
    place = (rsp[1], rsp[2] - width)
    source = _register(insn, 0)
    if source and state.general[source][0] in ("kept", "stack"):
        state.slots[place] = state.general[source]
    else:
        state.slots.pop(place, None)
    return {"RSP": ("stack", *place)}


def _pop(flow: Flow, insn: Insn, state: State) -> dict[str, Value]:
    rsp, target = state.general["RSP"], _register(insn, 0)
    if rsp[0] != "stack" or target == "RSP":
        return {"RSP": DEFINED}
    offset = rsp[2]
    out: dict[str, Value] = {"RSP": ("stack", rsp[1], offset + insn.raw.stack_pointer_increment)}
    if target:
        out[target] = state.slots.get((rsp[1], offset), DEFINED)
    return out


def _leave(flow: Flow, insn: Insn, state: State) -> dict[str, Value]:
    rbp = state.general["RBP"]
    if rbp[0] != "stack":
        return {"RSP": DEFINED}
    offset = rbp[2]
    return {"RBP": state.slots.get((rbp[1], offset), DEFINED), "RSP": ("stack", rbp[1], offset + 8)}


def _mov(flow: Flow, insn: Insn, state: State) -> dict[str, Value]:
    target, source = _register(insn, 0), _register(insn, 1)
    if target and source:
        # An undefined value was reported as it was read; from here on it is some value.
        return {target: DEFINED if state.general[source][0] == "undefined" else state.general[source]}
    if target and insn.effects.memory is not None:
        return {target: flow.loaded(insn, state)}
    return {}


def _lea(flow: Flow, insn: Insn, state: State) -> dict[str, Value]:
    target, place = _register(insn, 0), flow.address(insn, state)
    if target and place is not None:
        return {target: ("stack", *place)}
    relocation = insn.relocation
    if target and relocation is not None and relocation.section and relocation.section != ".text":
        return {target: ("table", relocation.section, relocation.addend + insn.end - relocation.offset)}
    return {}


def _add(flow: Flow, insn: Insn, state: State) -> dict[str, Value]:
    target, source = _register(insn, 0), _register(insn, 1)
    if not target:
        return {}
    value = state.general[target]
    if source:
        other = state.general[source]
        if {value[0], other[0]} == {"table", "step"} and value[1:] == other[1:] and insn.mnemonic == "ADD":
            return {target: ("targets", *value[1:])}
        return {}
    if value[0] == "stack" and insn.effects.memory is None:
        by = _signed(insn.raw.immediate(1))
        return {target: ("stack", value[1], value[2] + (by if insn.mnemonic == "ADD" else -by))}
    return {}


def _and(flow: Flow, insn: Insn, state: State) -> dict[str, Value]:
    target = _register(insn, 0)
    if not target or insn.raw.op_kind(1) in (OpKind.REGISTER, OpKind.MEMORY):
        return {}
    align = -_signed(insn.raw.immediate(1))
    value = state.general[target]
    if value[0] == "stack" and align >= 16 and align & (align - 1) == 0:
        flow.realigned(insn, value, align)
        return {target: ("stack", insn.offset, 0)}
    return {}


def _movsxd(flow: Flow, insn: Insn, state: State) -> dict[str, Value]:
    target, memory = _register(insn, 0), insn.effects.memory
    if target and memory is not None and memory.base in state.general and memory.scale == 4 and memory.index:
        value = state.general[memory.base]
        if value[0] == "table" and memory.displacement == 0:
            return {target: ("step", *value[1:])}
    return {}


def _xchg(flow: Flow, insn: Insn, state: State) -> dict[str, Value]:
    a, b = _register(insn, 0), _register(insn, 1)
    return {a: state.general[b], b: state.general[a]} if a and b else {}


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


MOVES: dict[str, Callable[[Flow, Insn, State], dict[str, Value]]] = {
    "ADD": _add, "AND": _and, "LEA": _lea, "LEAVE": _leave, "MOV": _mov, "MOVSXD": _movsxd, "POP": _pop,
    "PUSH": _push, "SUB": _add, "XCHG": _xchg,
}  # fmt: skip
