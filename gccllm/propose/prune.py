"""Removal of branches that a lower bound on one register decides.

A body that runs only for lengths above a threshold still holds gcc's or clang's own tests for short lengths. No input
takes them, and an edge that no test takes is not admitted. This pass follows the bound forward through copies,
subtractions and shifts and drops what it decides.

A mistake here makes a wrong candidate, which the gates refuse; it is kept small, not proved. Bounds are lost at calls,
at any other write of the register, and where paths with different bounds meet the smaller one stays.
"""

from __future__ import annotations

import re

from gccllm.assembly import Body, Line
from gccllm.x86.registers import GENERAL, PARTS

_NAMES = {
    operand: (part.register, 8 * part.size)
    for operand, part in PARTS.items()
    if part.register in GENERAL and part.register != "RSP" and not part.first
}

# What a bound `value >= low` (unsigned, and signed where `is_signed`) says of conditions after a comparison with less.
_NEVER_UNSIGNED = frozenset({"b", "be", "e", "c", "z", "na", "nae"})
_ALWAYS_UNSIGNED = frozenset({"a", "ae", "ne", "nc", "nz", "nb", "nbe"})
_NEVER_SIGNED = frozenset({"l", "le", "s", "ng", "nge"})
_ALWAYS_SIGNED = frozenset({"g", "ge", "ns", "nl", "nle"})
_FLAGLESS = re.compile(
    r"mov.*|lea[lq]|v.*|p(?!ush|op).*|nop.*|not.*|cmov.*|set.*|endbr64|xor[p].*|andp.*|sarx.*|shlx.*|shrx.*"
)
_WRITES_OTHERS = re.compile(
    r"call.*|(?:i?mul|i?div)[lq]|c[wdq][a-z]*t[dlqo]|mulx.*|rep.*|stos.*|movs[bwlq]|xchg.*|xadd.*|cmpxchg.*"
)

State = dict[tuple[str, int], int]
"""(register, width) -> lowest value it can have; never above 2**31 in 32 bits where the bound is signed."""


def prune(body: Body, register: str, low: int, *, is_signed: bool) -> Body:
    """`body` without what it does only when `register` holds less than `low` at its start."""
    lines, labels = body.lines, body.labels
    states: dict[int, tuple[State, tuple[tuple[str, int], int] | None]] = {}
    work = [0]
    states[0] = ({_NAMES[register]: low}, None)
    verdicts: dict[int, bool | None] = {}
    while work:
        at = work.pop()
        if at >= len(lines):
            continue
        line = lines[at]
        bounds, compared = states[at]
        after, flags = _step(line, dict(bounds), compared)
        following: list[int] = []
        target = labels.get(line.target) if line.target else None
        condition = _condition(line)
        if condition and target is not None:
            verdicts[at] = decided = _decide(condition, compared, bounds, is_signed)
            following = [target] * (decided is not False) + [at + 1] * (decided is not True)
        elif line.mnemonic.startswith("jmp") and target is not None:
            following = [target]
        elif not line.mnemonic or not line.stops:
            following = [at + 1]
        for place in following:
            if _merge(states, place, after, flags):
                work.append(place)
        if line.mnemonic.startswith("jmp") and target is None and line.operands and line.operands[0].startswith("*"):
            return body  # a jump table: every label is a target
    kept: list[Line] = []
    for at, line in enumerate(lines):
        behind_exit = line.mnemonic == "int3" and kept and kept[-1] is lines[at - 1] and kept[-1].stops
        if (at not in states and not behind_exit) or verdicts.get(at) is False:
            continue  # (int3 behind a return is reached by speculation only: it is hardening)
        kept.append(Line("jmp", line.operands) if verdicts.get(at) is True else line)
    return Body(_without_idle_jumps(kept), body.constants)


def _condition(line: Line) -> str:
    name = line.mnemonic
    return name[1:] if name.startswith("j") and name not in ("jmp", "jmpq", "jrcxz", "jecxz") else ""


def _decide(
    condition: str, compared: tuple[tuple[str, int], int] | None, bounds: State, is_signed: bool
) -> bool | None:
    """True: always taken; False: never; None: not known. `compared` is (register, number) of the last comparison."""
    if compared is None or not 0 <= compared[1] < bounds.get(compared[0], -1):
        return None
    if condition in _NEVER_UNSIGNED or (is_signed and condition in _NEVER_SIGNED):
        return False
    if condition in _ALWAYS_UNSIGNED or (is_signed and condition in _ALWAYS_SIGNED):
        return True
    return None


def _step(
    line: Line, bounds: State, compared: tuple[tuple[str, int], int] | None
) -> tuple[State, tuple[tuple[str, int], int] | None]:
    """Bounds and the last comparison after one line."""
    name, operands = line.mnemonic, line.operands
    if not name or name.startswith("j"):
        return bounds, compared
    if _WRITES_OTHERS.fullmatch(name) or line.prefixes:
        return {}, None
    if name[:-1] in ("cmp", "test") and len(operands) == 2:
        register = _NAMES.get(operands[1])
        if register and name.startswith("test") and operands[0] == operands[1]:
            return bounds, (register, 0)
        if register and name.startswith("cmp") and re.fullmatch(r"\$\d+", operands[0]):
            return bounds, (register, int(operands[0][1:]))
        return bounds, None
    if not _FLAGLESS.fullmatch(name):
        compared = None
    written = _NAMES.get(operands[-1]) if operands else None
    if written is None:
        return bounds, compared
    low = _value(name, operands, bounds)
    if compared and compared[0][0] == written[0]:
        compared = None
    for width in (64, 32, 16, 8):
        bounds.pop((written[0], width), None)
    if low is not None and low > 0 and written[1] >= 32:
        bounds[written] = low
        bounds[written[0], 64] = low  # 32-bit results are extended with zeros
    return bounds, compared


def _value(name: str, operands: tuple[str, ...], bounds: State) -> int | None:
    """Lower bound of what the instruction writes to its last operand; None when nothing is known."""
    source = _NAMES.get(operands[0])
    if name in ("movl", "movq", "movslq", "mov") and source and len(operands) == 2:
        return bounds.get(source)
    if name in ("leal", "leaq") and (match := re.fullmatch(r"(-?\d+)\((%r\w+)\)", operands[0])):
        register, width = _NAMES.get(match[2], ("", 0))[0], 32 if name == "leal" else 64
        low = bounds.get((register, width))
        return low + int(match[1]) if low is not None and low + int(match[1]) > 0 else None
    if len(operands) == 2 and re.fullmatch(r"\$-?\d+", operands[0]) and (into := _NAMES.get(operands[1])):
        low, number = bounds.get(into), int(operands[0][1:])
        if low is None:
            return None
        if name in ("shrl", "shrq"):
            return low >> number
        if name in ("subl", "subq", "addl", "addq"):
            moved = low + (number if name.startswith("add") else -number)
            return moved if abs(number) <= low else None
    if len(operands) == 1 and name in ("decl", "decq", "shrl", "shrq") and source and source in bounds:
        return bounds[source] - 1 if name.startswith("dec") else bounds[source] >> 1
    return None


def _merge(states: dict[int, tuple[State, tuple[tuple[str, int], int] | None]], place: int, bounds: State,
           compared: tuple[tuple[str, int], int] | None) -> bool:  # fmt: skip
    """Join a state into a place; True when that changed it. Bounds only fall, to nothing at once, so this ends."""
    if place not in states:
        states[place] = (dict(bounds), compared)
        return True
    old, before = states[place]
    joined = {name: low for name, low in old.items() if bounds.get(name, -1) >= low}
    kept = before if before == compared else None
    if joined == old and kept == before:
        return False
    states[place] = (joined, kept)
    return True


def _without_idle_jumps(lines: list[Line]) -> tuple[Line, ...]:
    """Jumps to the next line dropped."""
    kept: list[Line] = []
    for at, line in enumerate(lines):
        if line.mnemonic == "jmp" and line.target:
            rest = iter(lines[at + 1 :])
            ahead = []
            for other in rest:
                if not other.label:
                    break
                ahead.append(other.label)
            if line.target in ahead:
                continue
        kept.append(line)
    return tuple(kept)
