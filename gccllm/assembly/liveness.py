"""What a body reads before it has written it: registers and flags live at entry, and after calls.

Backward dataflow, byte by byte of each register, over the decoded instructions. Covered: general and vector registers,
mask registers, the arithmetic flags. Left out on purpose, because they read bits that need not be defined: pushes and
other saves to the stack (gcc 16 moves registers there), zeroing and all-ones idioms, the untouched upper lanes of
scalar vector instructions. Not covered: x87 and MMX registers, MXCSR; reads of memory (the red zone). Arguments of
calls count as not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import iced_x86 as iced

from gccllm.assembly.cfg import cfg
from gccllm.assembly.decode import Decoded, DecodedLine, Use
from gccllm.assembly.syntax import Flow, words

Bytes = Mapping[str, int]
"""Full register name -> bit mask of its bytes (bit 0 is the lowest byte)."""

FLAGS = "flags"
"""Pseudo register: bits 0..5 are CF, PF, AF, ZF, SF, OF."""

CALLER_SAVED = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
                *(f"zmm{i}" for i in range(32)), *(f"k{i}" for i in range(8)))  # fmt: skip
_FOLLOWED = frozenset((*CALLER_SAVED, "rbx", "rbp", "rsp", *(f"r{i}" for i in range(12, 16))))
_SAVED = frozenset(("rbx", "rbp", *(f"r{i}" for i in range(12, 16))))
_RETURNED = ("rax", "rdx", "zmm0", "zmm1")

_FLAG_BITS = ((iced.RflagsBits.CF, 0), (iced.RflagsBits.PF, 1), (iced.RflagsBits.AF, 2), (iced.RflagsBits.ZF, 3),
              (iced.RflagsBits.SF, 4), (iced.RflagsBits.OF, 5))  # fmt: skip

# Their destination's other lanes pass through; whether those are defined is no concern of this instruction.
_MERGING = frozenset(
    words(
        """cvtsi2sd cvtsi2ss cvtsd2ss cvtss2sd sqrtsd sqrtss rcpss rsqrtss roundsd roundss movlps movhps movlpd movhpd
        movsd movss movhlps movlhps pinsrb pinsrw pinsrd pinsrq insertps"""
    )
)
_MERGING_VEX = words(
    "vcvtsi2s vcvtusi2s vcvtsd2ss vcvtss2sd vsqrtsd vsqrtss vrounds vrcpss vrsqrtss vrcp14s vrsqrt14s vrndscales"
)
_SAME_IDIOMS = frozenset(words("pcmpeqb pcmpeqw pcmpeqd pcmpeqq vpcmpeqb vpcmpeqw vpcmpeqd vpcmpeqq sbb sbbl sbbq"))


@dataclass(frozen=True)
class Liveness:
    entry: Bytes
    """What must be defined when the function starts. A callee-saved register that is only saved is not in it."""
    entry_flags: int
    """Bits as in `FLAGS`; the ABI defines none at entry."""
    after_calls: Bytes
    """Caller-saved registers read after a call without being its result: undefined, unless the callee is known."""
    written: frozenset[str]
    """Full names of all registers that some instruction writes, for -fipa-ra's rule. Calls are not followed."""


def liveness(decoded: Decoded) -> Liveness:
    """Never raises; lines that no path reaches count too, which is on the safe side."""
    graph = cfg(decoded.body)
    by_line = decoded.by_line
    at_start: list[dict[str, int]] = [{} for _ in graph.blocks]
    after_calls: dict[str, int] = {}
    changed = True
    while changed:
        changed = False
        for number in range(len(graph.blocks) - 1, -1, -1):
            live: dict[str, int] = {}
            for following in graph.successors[number]:
                _join(live, at_start[following])
            block = graph.blocks[number]
            for at in range(block.last - 1, block.first - 1, -1):
                one = by_line.get(at)
                if one is None:
                    continue
                if decoded.body.lines[at].flow in (Flow.CALL, Flow.INDIRECT_CALL):
                    _call(live, after_calls)
                _before(live, one, decoded.body.lines[at].mnemonic)
            if live != at_start[number]:
                at_start[number] = live
                changed = True
    entry = dict(at_start[0]) if at_start else {}
    flags = entry.pop(FLAGS, 0)
    entry.pop("rsp", None)
    entry.pop("rip", None)
    return Liveness(entry, flags, after_calls, decoded.registers_written)


def _join(into: dict[str, int], other: Bytes) -> None:
    for name, mask in other.items():
        into[name] = into.get(name, 0) | mask


def _call(live: dict[str, int], after_calls: dict[str, int]) -> None:
    for name in CALLER_SAVED:
        mask = live.pop(name, 0)
        if mask and name not in _RETURNED:
            after_calls[name] = after_calls.get(name, 0) | mask
    live.pop(FLAGS, None)


def _before(live: dict[str, int], one: DecodedLine, mnemonic: str) -> None:
    if mnemonic == "vzeroupper":
        return  # said to read and write the low halves, which it leaves alone
    for use in one.uses:
        if use.is_write and use.is_sure:
            left = live.get(use.full, 0) & ~_mask(use)
            if left:
                live[use.full] = left
            else:
                live.pop(use.full, None)
    instruction = one.instruction
    killed = _flags(instruction.rflags_modified)
    if killed and FLAGS in live:
        live[FLAGS] &= ~killed
        if not live[FLAGS]:
            del live[FLAGS]
    needed = _flags(instruction.rflags_read)
    if needed:
        live[FLAGS] = live.get(FLAGS, 0) | needed
    ignored = _ignored(instruction, mnemonic)
    for use in one.uses:
        if use.is_read and use.full in _FOLLOWED and use.full not in ignored:
            live[use.full] = live.get(use.full, 0) | _mask(use)


def _ignored(instruction: iced.Instruction, mnemonic: str) -> frozenset[str]:
    """Full names of registers whose bits do not matter to the instruction's result, or that it only saves."""
    if mnemonic == "vzeroall":
        return _FOLLOWED
    registers = [
        instruction.op_register(n)
        for n in range(instruction.op_count)
        if instruction.op_kind(n) == iced.OpKind.REGISTER
    ]
    names = [_full(register) for register in registers]
    if mnemonic in ("push", "pushq") and names:
        return frozenset(names)
    if (
        mnemonic == "movq"
        and instruction.op0_kind == iced.OpKind.MEMORY
        and instruction.memory_base == iced.Register.RSP
    ):
        return _SAVED.intersection(names)
    if mnemonic in _SAME_IDIOMS and len(names) >= 2 and names[-1] == names[-2]:
        return frozenset(names[-1:])
    if mnemonic.startswith("vpternlog") and instruction.immediate8 in (0x00, 0xFF):
        return frozenset(names)
    if mnemonic in _MERGING and names and instruction.op0_kind == iced.OpKind.REGISTER and names[0] not in names[1:]:
        return frozenset(names[:1])
    if mnemonic.startswith(_MERGING_VEX) and len(names) >= 2:
        return frozenset(names[1:2]) - frozenset(names[2:])
    return frozenset()


def _full(register: int) -> str:
    return _NAMES[iced.RegisterInfo(register).full_register]


_NAMES: dict[int, str] = {value: name.lower() for name, value in vars(iced.Register).items() if isinstance(value, int)}
_HIGH = frozenset(("ah", "bh", "ch", "dh"))
_SIZES: dict[str, int] = {
    name.lower(): iced.RegisterInfo(value).size for name, value in vars(iced.Register).items() if isinstance(value, int)
}


def _mask(use: Use) -> int:
    if use.register in _HIGH:
        return 0b10
    return (1 << _SIZES[use.register]) - 1


def _flags(bits: int) -> int:
    return sum(1 << place for bit, place in _FLAG_BITS if bits & bit)
