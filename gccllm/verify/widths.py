"""Widths of sums and counts over a loop: a candidate's may not be narrower than the baseline's.

No test is long enough for a sum of bytes to leave 32 bits, or for a count to leave 16; a program's input may be. So the
accumulators are compared: registers or vector lanes that a loop updates by adding to themselves, and that reach the
result or memory. How much of one matters is followed backwards (`demanded`): bits that a later mask, store or cast
drops were never needed.

Outside of loops too, a sum in 8 or 16 bits whose register is then read as a whole loses its carry: `addw` for `addl` in
an unrolled remainder. It is refused where the baseline has no such sum (`check_merges`).

Of loops, refused only when sure: the narrow accumulator lies in no outer loop, which could drain it, and no other loop
of the candidate drains narrow ones; its loop is not bounded by a number; and, for scalar ones, there is no wide one
beside it (a short remainder may be summed narrowly). All else is left to tests.

Not covered: accumulators in memory, sums that become floating point, products, counters that only end loops, vectors
that go through shuffles and packs which are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from iced_x86 import OpAccess, OpKind, RegisterInfo

from gccllm.assembly import BodyError
from gccllm.base.reasons import Reason
from gccllm.x86.convention import Convention
from gccllm.x86.decode import Code, Insn
from gccllm.x86.effects import full_name, info_of
from gccllm.x86.paths import Edges, inner_loops, loops, successors
from gccllm.x86.registers import GENERAL

_SCALAR = frozenset({"ADC", "ADD", "DEC", "INC", "LEA", "SBB", "SUB"})
_SUMS = frozenset({"ADC", "ADD", "DEC", "IMUL", "INC", "NEG", "SBB", "SUB"})
_LANES = re.compile(r"V?P(?:ADD|SUB)(?P<signed>U?S)?(?P<lane>[BWDQ])|VPDP\w+")
_LANE_BYTES = {"B": 1, "W": 2, "D": 4, "Q": 8}
_MOVES = re.compile(r"MOV|V?MOV(?:DQA|DQU|APS|UPS|APD|UPD)\d*")
# Low bytes of the result depend on no more than as many low bytes of the operands.
_LOW_FROM_LOW = _SCALAR | {"IMUL", "NEG", "NOT", "OR", "SAL", "SHL", "XOR", "MOV", "MOVZX", "MOVSX", "MOVSXD", "AND"}
# The same of whole lanes: sums, moves, and what brings a lane down for the last sums.
_CARRIES = re.compile(
    _LANES.pattern
    + r"|V?MOV(?:D|Q|DQA|DQU|APS|UPS|APD|UPD|HLPS)\d*|V?PSRLDQ|V?PSHUFD|V?P?UNPCKH(?:PD|QDQ)|V?EXTRACT[FI]\w+"
)
_SILENT = frozenset({"CMP", "TEST", "PUSH", "NOP", "POP"})


@dataclass(frozen=True, slots=True)
class Accumulator:
    insn: Insn
    width: int
    """Bytes of it that count."""
    is_vector: bool
    is_inner: bool
    """An outer loop may drain it."""


def needed_width(baseline: Code, convention: Convention) -> int:
    """Bytes of the baseline's narrowest sum; 0 where it has none."""
    return min((one.width for one in accumulators(baseline, convention, unknown=0)), default=0)


def check_widths(code: Code, needed: int, convention: Convention) -> None:
    """Raises BodyError(NARROW). `needed`: what `needed_width` says of the baseline."""
    ours = accumulators(code, convention, unknown=8) if needed > 1 else []
    narrow = [one for one in ours if one.width < needed]
    if any(one.is_inner for one in narrow):
        return
    has_wide = len(narrow) < len(ours)
    for one in narrow:
        if one.is_vector or not has_wide:
            raise BodyError(Reason.NARROW, f"{one.width} bytes, the baseline {needed}: {one.insn}")


def check_merges(code: Code, baseline: Code, convention: Convention) -> None:
    """Raises BodyError(NARROW) for a narrow sum that is read wide, where the baseline has none of that width."""
    found = list(merges(code, convention))
    usual = {width for _, width in merges(baseline, convention)} if found else set()
    for insn, width in found:
        if width not in usual:
            raise BodyError(Reason.NARROW, f"{width} bytes, and then all of the register counts: {insn}")


def merges(code: Code, convention: Convention) -> Iterator[tuple[Insn, int]]:
    """Sums of 1 or 2 bytes, in a register of which more counts afterwards; and their width."""
    edges = successors(code)
    after: list[dict[str, int]] | None = None
    for at, insn in enumerate(code.insns):
        target = _target(insn)
        if insn.mnemonic not in _SUMS or target not in GENERAL:
            continue
        width = int(RegisterInfo(insn.raw.op_register(0)).size)
        if width > 2:
            continue
        after = after or demanded(code, edges, convention, unknown=0)
        if after[at].get(target, 0) > width or _is_looked_at(code, edges, at, target, width):
            yield insn, width


def _is_looked_at(code: Code, edges: Edges, at: int, register: str, width: int) -> bool:
    """Whether more than `width` bytes of what instruction `at` leaves in it are compared, or address memory."""
    for insn in reached_by(code, edges, at, register):
        raw, memory = insn.raw, insn.effects.memory
        if memory is not None and register in (memory.base, memory.index):
            return True
        if insn.mnemonic in ("CMP", "TEST") and _mask_bytes(insn) > width:
            named = (raw.op_register(i) for i in range(raw.op_count) if raw.op_kind(i) == OpKind.REGISTER)
            if any(full_name(one) == register and RegisterInfo(one).size > width for one in named):
                return True
    return False


def reached_by(code: Code, edges: Edges, at: int, register: str) -> Iterator[Insn]:
    """Instructions that may find in a register what instruction `at` left there: until all of it is written."""
    seen: set[int] = set()
    todo = list(edges[at])
    while todo:
        here = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        insn = code.insns[here]
        yield insn
        is_whole = _target(insn) == register and int(RegisterInfo(insn.raw.op_register(0)).size) >= 4
        if not (is_whole and register in insn.effects.writes):
            todo += edges[here]


def accumulators(code: Code, convention: Convention, *, unknown: int) -> list[Accumulator]:
    """What its loops add up and what reaches the result or memory of it.

    `unknown`: bytes that count for as needed of a vector's lanes where an instruction is not followed.
    """
    edges = successors(code)
    after = demanded(code, edges, convention, unknown)
    found: list[Accumulator] = []
    todo = [(loop, False) for loop in loops(edges)]
    while todo:
        loop, is_inner = todo.pop()
        inside = inner_loops(edges, loop)
        todo += [(one, True) for one in inside]
        deeper = frozenset().union(*inside)
        if _is_bounded(code, edges, loop):
            continue
        for at in sorted(loop - deeper):
            insn = code.insns[at]
            width = _added_width(insn)
            target = _target(insn)
            if not width or not target or not _comes_back(code, edges, loop, at, target):
                continue
            is_vector = target not in GENERAL
            if is_vector and _is_invariant(code, loop, insn, target):
                continue  # a vector of indices
            if width := min(width, after[at].get(target, 0)):
                found.append(Accumulator(insn, width, is_vector, is_inner))
    return found


def _added_width(insn: Insn) -> int:
    """Bytes of a number that the instruction adds to; 0 for any other instruction, and for saturating ones."""
    raw = insn.raw
    if not raw.op_count or raw.op_kind(0) != OpKind.REGISTER:
        return 0
    if insn.mnemonic in _SCALAR:
        return int(RegisterInfo(raw.op_register(0)).size)
    lanes = _LANES.fullmatch(insn.mnemonic)
    if lanes is None or lanes["signed"]:
        return 0
    return _LANE_BYTES[lanes["lane"]] if lanes["lane"] else 4


def _target(insn: Insn) -> str:
    raw = insn.raw
    return full_name(raw.op_register(0)) if raw.op_count and raw.op_kind(0) == OpKind.REGISTER else ""


def _comes_back(code: Code, edges: Edges, loop: frozenset[int], at: int, target: str) -> bool:
    """Whether what instruction `at` leaves in `target` is added to by it again, a round later."""
    seen: set[tuple[int, str]] = set()
    todo = [(to, target) for to in edges[at] if to in loop]
    while todo:
        here, register = todo.pop()
        if (here, register) in seen:
            continue
        seen.add((here, register))
        insn = code.insns[here]
        into = _target(insn)
        is_read = register in insn.effects.reads
        if is_read and here == at:
            return True
        held = {register} if register not in insn.effects.writes else set()
        if is_read and (_added_width(insn) or _MOVES.fullmatch(insn.mnemonic)) and into:
            held.add(into)
        todo += [(to, one) for to in edges[here] if to in loop for one in held]
    return False


def _is_invariant(code: Code, loop: frozenset[int], insn: Insn, target: str) -> bool:
    """Whether what is added is the same in every round."""
    raw = insn.raw
    operands = {full_name(raw.op_register(i)) for i in range(1, raw.op_count) if raw.op_kind(i) == OpKind.REGISTER}
    memory = insn.effects.memory
    changes = frozenset().union(*(code.insns[at].effects.writes for at in loop))
    if memory is not None and memory.base not in ("RIP", "RSP"):
        return False
    return len(operands & changes) <= 1 and not (operands - {target}) & changes


def _is_bounded(code: Code, edges: Edges, loop: frozenset[int]) -> bool:
    """Whether it ends after so many rounds by a comparison with a number that is not zero."""
    for at in sorted(loop):
        if at and any(to not in loop for to in edges[at]):
            test = code.insns[at - 1]
            if test.mnemonic == "CMP" and test.raw.op_kind(1) != OpKind.REGISTER and test.effects.memory is None:
                number = int(test.raw.immediate(1))
                if 0 < number < 1 << 31:
                    return True
    return False


def demanded(code: Code, edges: Edges, convention: Convention, unknown: int) -> list[dict[str, int]]:
    """After each instruction: register -> low bytes of it, or of its lanes, that reach the result or memory."""
    count = len(code.insns)
    before: list[dict[str, int]] = [{} for _ in range(count)]
    after: list[dict[str, int]] = [{} for _ in range(count)]
    above: list[list[int]] = [[] for _ in range(count)]
    for at, row in enumerate(edges):
        for to in row:
            above[to].append(at)
    todo = list(range(count))
    while todo:
        at = todo.pop()
        out: dict[str, int] = {}
        for to in edges[at]:
            for register, size in before[to].items():
                out[register] = max(out.get(register, 0), size)
        after[at] = out
        new = _asked(code.insns[at], out, convention, unknown)
        if new != before[at]:
            before[at] = new
            todo += above[at]
    return after


def _asked(insn: Insn, out: dict[str, int], convention: Convention, unknown: int) -> dict[str, int]:
    effects, raw = insn.effects, insn.raw
    if insn.mnemonic == "RET":
        return {register: size for register, size in convention.live_out.items() if register in GENERAL}
    need = max((out.get(register, 0) for register in effects.writes), default=0)
    memory = effects.memory
    if memory is not None and memory.is_written:
        need = max(need, min(memory.size, 8))
    new = dict(out)
    if not raw.op_count or raw.op_kind(0) != OpKind.REGISTER or RegisterInfo(raw.op_register(0)).size >= 4:
        for register in effects.writes:
            new.pop(register, None)
    if insn.mnemonic in _SILENT or insn.is_call or not need:
        return new
    if insn.mnemonic in ("CWDE", "CDQE"):
        new["RAX"] = min(need, 2 if insn.mnemonic == "CWDE" else 4)
    if insn.mnemonic == "LEA":
        operands = [(register, RegisterInfo(raw.op_register(0)).size) for register in effects.reads]
    else:
        info = info_of(raw)
        operands = [
            (full_name(raw.op_register(i)), RegisterInfo(raw.op_register(i)).size) for i in range(raw.op_count)
            if raw.op_kind(i) == OpKind.REGISTER and info.op_access(i) != OpAccess.WRITE
        ]  # fmt: skip
    for register, width in operands:
        followed = _wanted(insn, register, min(need, width))
        if wanted := unknown if followed is None else followed:
            new[register] = max(new.get(register, 0), min(wanted, width, 8))
    return new


def _wanted(insn: Insn, register: str, need: int) -> int | None:
    """Low bytes of an operand that the low `need` bytes of the result depend on; None where that is not followed."""
    if _CARRIES.fullmatch(insn.mnemonic) or insn.mnemonic in _LOW_FROM_LOW:
        return min(need, _mask_bytes(insn), 4 if insn.mnemonic in ("MOVD", "VMOVD") else 8)
    return 8 if register in GENERAL else None


def _mask_bytes(insn: Insn) -> int:
    """Bytes that an AND or TEST with a number leaves; 8 for other instructions."""
    raw = insn.raw
    if insn.mnemonic not in ("AND", "TEST") or raw.op_kind(1) in (OpKind.REGISTER, OpKind.MEMORY):
        return 8
    return (int(raw.immediate(1)).bit_length() + 7) // 8
