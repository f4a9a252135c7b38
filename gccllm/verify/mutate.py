"""Mutants of a body: copies with one deliberate mistake, each with a sentence that names it.

One table of operators, two kinds. `plain` operators make the mistakes that a test suite must detect (they measure
adequacy). `hostile` ones make the mistakes that comparing values may miss and the other gates must catch: stray
stores and reads, clobbered registers, a broken stack, instructions that no rewrite may use.

Deterministic: the same body, seed and limit give the same mutants in the same order. The choice is spread over the
instructions first and the operators second. Whether a mutant assembles is not looked at here: a batch is assembled and
what the assembler refuses is dropped (`assembling`).

Not covered: changes of more than one instruction, and loops made infinite on purpose (many mutants are).
"""

from __future__ import annotations

import bisect
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from gccllm.assembly import Body, Line, tls
from gccllm.base.toolchain import Toolchain
from gccllm.verify.mutate_tables import ACCUMULATING, CONDITION_SIBLINGS, INVISIBLE, SIBLINGS
from gccllm.x86.registers import GENERAL, PARTS, att


@dataclass(frozen=True)
class Mutant:
    """`what` says the change; `line` is the index of the changed line of the original body (-1: a constant)."""

    body: Body
    what: str
    operator: str
    line: int

    @property
    def is_hostile(self) -> bool:
        return OPERATORS[self.operator].hostile


class Change(NamedTuple):
    """New lines in place of one line."""

    lines: tuple[Line, ...]
    what: str


class Operator(NamedTuple):
    name: str
    apply: Callable[[Body, int], Iterable[Change]]
    hostile: bool = False


# --- registers ------------------------------------------------------------------------------------

_REGISTER = re.compile(r"%([a-z][a-z0-9]*)")
_GENERAL = {operand: part for operand, part in PARTS.items() if part.register in GENERAL and not part.first}
_IMMEDIATE = re.compile(r"\$(-?(?:0x[0-9a-fA-F]+|[0-9]+))$")
_MEMORY = re.compile(r"(?P<disp>[^(:]*)\((?P<base>%\w+)?(?:,(?P<index>%\w+)(?:,(?P<scale>[1248]))?)?\)$")
_SUFFIX_BYTES = {"b": 1, "w": 2, "l": 4, "q": 8}


def _registers(body: Body) -> dict[str, list[str]]:
    """Register class to the registers of it that the body uses, in order of first use."""
    out: dict[str, list[str]] = {}
    for line in body.lines:
        for operand in line.operands:
            for name in _REGISTER.findall(operand):
                kind = _class(f"%{name}")
                if kind and f"%{name}" not in out.setdefault(kind, []):
                    out[kind].append(f"%{name}")
    return out


def _class(register: str) -> str:
    if register in _GENERAL:
        return f"general{_GENERAL[register].size}"
    match = re.fullmatch(r"%(xmm|ymm|zmm|k)[0-9]+", register)
    return match[1] if match else ""


def _with_operand(line: Line, at: int, new: str) -> Line:
    return replace(line, operands=(*line.operands[:at], new, *line.operands[at + 1 :]))


def _one(line: Line, new: Line) -> Change:
    return Change((new,), f"{line.text().strip()} -> {new.text().strip()}".replace("\t", " "))


# --- plain operators ------------------------------------------------------------------------------


def _conditions(body: Body, at: int) -> Iterator[Change]:
    line = body.lines[at]
    for stem in ("set", "cmov", "j"):
        if line.mnemonic.startswith(stem):
            siblings = CONDITION_SIBLINGS.get(line.mnemonic[len(stem) :])
            for condition in siblings or ():
                yield _one(line, replace(line, mnemonic=stem + condition))
            if siblings:
                return


def _siblings(body: Body, at: int) -> Iterator[Change]:
    line = body.lines[at]
    for mnemonic in SIBLINGS.get(line.mnemonic, ()):
        yield _one(line, replace(line, mnemonic=mnemonic))


def _immediates(body: Body, at: int) -> Iterator[Change]:
    line = body.lines[at]
    for i, operand in enumerate(line.operands):
        match = _IMMEDIATE.match(operand)
        if not match:
            continue
        value = int(match[1], 0)
        for new in dict.fromkeys((value + 1, value - 1, 0, -value)):
            if new != value:
                yield _one(line, _with_operand(line, i, f"${new}"))


def _displacements(body: Body, at: int) -> Iterator[Change]:
    line = body.lines[at]
    for i, operand in enumerate(line.operands):
        match = _MEMORY.match(operand)
        if not match or match["base"] == "%rip" or match["base"] == "%rsp":
            continue
        text = match["disp"] or "0"
        if not re.fullmatch(r"-?(0x[0-9a-fA-F]+|[0-9]+)", text):
            continue
        width = _access_bytes(line)
        for step in dict.fromkeys((width, -width, 1)):
            yield _one(line, _with_operand(line, i, f"{int(text, 0) + step}{operand[operand.index('(') :]}"))
        if match["index"]:
            scale = int(match["scale"] or "1")
            other = scale * 2 if scale < 8 else scale // 2
            tail = f"({match['base'] or ''},{match['index']},{other})"
            yield _one(line, _with_operand(line, i, f"{match['disp']}{tail}"))


def _access_bytes(line: Line) -> int:
    for operand in line.operands:
        if operand in _GENERAL:
            return _GENERAL[operand].size
        if operand[:4] in ("%xmm", "%ymm", "%zmm"):
            return {"x": 16, "y": 32, "z": 64}[operand[1]]
    return _SUFFIX_BYTES.get(line.mnemonic[-1:], 1)


def _other_register(body: Body, at: int) -> Iterator[Change]:
    line = body.lines[at]
    used = _registers(body)
    for i, operand in enumerate(line.operands):
        names = [f"%{n}" for n in _REGISTER.findall(operand)]
        for name in dict.fromkeys(names):
            if name in ("%rsp", "%rip") or not _class(name):
                continue
            others = [r for r in used[_class(name)] if r not in (name, "%rsp", "%esp")]
            if others:
                other = others[(others.index(min(others)) + at + i) % len(others)]
                if len(set(line.operands)) == 1:  # `test a, a` and `xor a, a` speak of one register
                    yield _one(line, replace(line, operands=(other,) * len(line.operands)))
                else:
                    yield _one(line, _with_operand(line, i, re.sub(rf"{name}\b", other, operand)))


def _swapped_operands(body: Body, at: int) -> Iterator[Change]:
    line = body.lines[at]
    stem = line.mnemonic.rstrip("bwlq")
    if stem in ("sub", "cmp", "sbb", "mov") and len(line.operands) == 2 and all(o in _GENERAL for o in line.operands):
        yield _one(line, replace(line, operands=line.operands[::-1]))
    elif re.match(r"v?(p?sub|pcmpgt|div|pandn|andn|mov[au]p|movdq)", line.mnemonic) and len(line.operands) >= 2:
        a, b, *rest = line.operands
        if a != b and "(" not in a + b:
            yield _one(line, replace(line, operands=(b, a, *rest)))


def _narrowed(body: Body, at: int) -> Iterator[Change]:
    """A 64-bit instruction on the lower halves of its registers.

    Hostile, not plain: on an index the difference begins at 2^32 elements, where no test can go, and on what was
    widened from 4 bytes it never begins. Arguments cut so are for `harvest.wide` and the judge's `arguments`.
    """
    line = body.lines[at]
    skipped = line.mnemonic.startswith(("lea", "set", "push", "pop", "c", "v"))
    if line.mnemonic[-1:] != "q" or line.flow.value != "next" or skipped:
        return
    operands = []
    for operand in line.operands:
        if operand in _GENERAL:
            if _GENERAL[operand].size != 8:
                return
            operand = att(_GENERAL[operand].register, 4)
        operands.append(operand)
    if "%rsp" not in line.operands and line.mnemonic not in ("movslq", "cltq"):
        yield _one(line, Line(line.mnemonic[:-1] + "l", tuple(operands), line.prefixes))


def _deleted(body: Body, at: int) -> Iterator[Change]:
    line = body.lines[at]
    if line.mnemonic in INVISIBLE or line.mnemonic.startswith(("nop", "prefetch")):
        return
    if line.mnemonic.startswith(("push", "pop")) or line.flow.value == "return" or "%rsp" in line.operands[-1:]:
        return
    kind = "store" if line.operands and "(" in line.operands[-1] else "instruction"
    yield Change((), f"{kind} dropped: {line.text().strip()}".replace("\t", " "))


def _repeated(body: Body, at: int) -> Iterator[Change]:
    line = body.lines[at]
    if line.prefixes or not line.mnemonic.removeprefix("v").startswith(ACCUMULATING) or "%rsp" in line.operands[-1:]:
        return
    if len(line.operands) > 1 and (len(set(line.operands)) == 1 or line.operands[0] in ("$31", "$63")):
        return
    if len(line.operands) > 2 and line.operands[-1] not in line.operands[:-1]:
        return  # a three-operand form whose target is no source
    yield Change((line, line), f"executed twice: {line.text().strip()}".replace("\t", " "))


def _retargeted(body: Body, at: int) -> Iterator[Change]:
    line = body.lines[at]
    if line.flow.value not in ("branch", "jump") or line.target not in body.labels:
        return
    labels = list(body.labels)
    here = labels.index(line.target)
    for step in (1, -1):
        other = labels[(here + step) % len(labels)]
        if other != line.target:
            yield _one(line, replace(line, operands=(other,)))


# --- hostile operators: right values, or nearly, and yet not to be linked -------------------------


def _insert(body: Body, at: int, text: str, what: str) -> Iterator[Change]:
    added = Body.parse(text + "\nret\n").lines[:-1]
    yield Change((*added, body.lines[at]), f"{what} before {body.lines[at].text().strip()}".replace("\t", " "))


def _pointers(line: Line) -> list[tuple[str, str]]:
    """(operand, base) of memory operands that go through a pointer."""
    out = []
    for operand in line.operands:
        match = _MEMORY.match(operand)
        if match and match["base"] and match["base"] not in ("%rsp", "%rip", "%rbp"):
            out.append((operand, match["base"]))
    return out


def _stray_access(body: Body, at: int) -> Iterator[Change]:
    for operand, base in _pointers(body.lines[at]):
        if body.lines[at].mnemonic.startswith(("lea", "nop", "prefetch")):
            continue
        yield from _insert(body, at, f"movb {operand}, %r11b\nmovb %r11b, {operand}", "writes back what it read")
        yield from _insert(body, at, f"movb 4096({base}), %r11b", "reads a page further")
        yield from _insert(body, at, f"movb 127({base}), %r11b", "reads a block further")
        yield from _insert(body, at, f"movb %r11b, -1({base})", "writes one byte before")


def _broken_convention(body: Body, at: int) -> Iterator[Change]:
    if body.lines[at].flow.value != "return":
        return
    for text, what in (
        ("movl $7, %ebx", "a callee-saved register changed"),
        ("movq %rax, %r15", "a callee-saved register changed"),
        ("pushq %rax", "a push without its pop"),
        ("addq $8, %rsp", "the stack pointer moved"),
        ("movq %rax, -136(%rsp)", "a store below the red zone"),
        ("std", "the direction flag set"),
        ("fldpi", "an x87 register left full"),
        ("vpcmpeqd %ymm7, %ymm7, %ymm7", "dirty upper halves"),
        ("movl $0x7fc0, -8(%rsp)\nldmxcsr -8(%rsp)", "a control word changed"),
        ("movq $0, (%rsp)", "the return address overwritten"),
    ):
        yield from _insert(body, at, text, what)


def _forbidden(body: Body, at: int) -> Iterator[Change]:
    if at % 3 == 0:
        for text in ("syscall", "rdtsc", "int3", "mfence", "lock addl $0, -4(%rsp)", "movq %fs:0, %r11", "cpuid"):
            yield from _insert(body, at, text, f"{text} executed")
        yield from _insert(body, at, "jmp getpid", "a jump out")
        yield from _insert(body, at, "movl 0x600000, %r11d", "an absolute address read")


def _undefined(body: Body, at: int) -> Iterator[Change]:
    yield from _insert(body, at, "addq %r11, %rax", "an undefined register used")


def _saved_dropped(body: Body, at: int) -> Iterator[Change]:
    line = body.lines[at]
    if line.mnemonic.startswith(("push", "pop")) or (line.operands and line.operands[-1] == "%rsp"):
        yield Change((), f"dropped: {line.text().strip()}".replace("\t", " "))
    elif line.mnemonic == "vzeroupper":
        yield Change((), "vzeroupper dropped")


OPERATORS = {
    operator.name: operator
    for operator in (
        Operator("condition", _conditions),
        Operator("deleted", _deleted),
        Operator("displacement", _displacements),
        Operator("immediate", _immediates),
        Operator("other register", _other_register),
        Operator("repeated", _repeated),
        Operator("retargeted", _retargeted),
        Operator("sibling", _siblings),
        Operator("swapped operands", _swapped_operands),
        Operator("broken convention", _broken_convention, hostile=True),
        Operator("forbidden", _forbidden, hostile=True),
        Operator("narrowed", _narrowed, hostile=True),
        Operator("saved register", _saved_dropped, hostile=True),
        Operator("stray access", _stray_access, hostile=True),
        Operator("undefined", _undefined, hostile=True),
        Operator("constant", lambda body, at: ()),
    )
}


def mutants(body: Body, *, limit: int = 150, seed: int = 0, hostile: bool = False) -> list[Mutant]:
    """At most `limit` mutants. With `hostile`, the hostile operators only; else the plain ones only."""
    rng = random.Random(seed)
    groups: list[list[Mutant]] = []
    for at, line in enumerate(body.lines):
        if line.is_label or line.mnemonic.startswith("nop") or tls.is_fixed(line):
            continue
        here: list[Mutant] = []
        for operator in OPERATORS.values():
            if operator.hostile is not hostile:
                continue
            made = [_apply(body, at, change, operator.name) for change in operator.apply(body, at)]
            here.extend(m for m in made if m.body.lines)
        rng.shuffle(here)
        groups.append(here)
    if not hostile:
        groups.extend([m] for m in _constants(body, rng))
    return list(_spread(groups, limit, rng))


def _apply(body: Body, at: int, change: Change, operator: str) -> Mutant:
    lines = (*body.lines[:at], *change.lines, *body.lines[at + 1 :])
    return Mutant(Body(lines, body.constants), change.what, operator, at)


def _constants(body: Body, rng: random.Random) -> Iterator[Mutant]:
    for i, constant in enumerate(body.constants):
        rows = [j for j, (name, value) in enumerate(constant.directives) if re.fullmatch(r"-?[0-9]+", value)]
        for j in rng.sample(rows, min(len(rows), 4)):
            name, value = constant.directives[j]
            if name == ".zero":
                continue
            new = (name, str(int(value) ^ 1))
            directives = (*constant.directives[:j], new, *constant.directives[j + 1 :])
            constants = (*body.constants[:i], replace(constant, directives=directives), *body.constants[i + 1 :])
            yield Mutant(Body(body.lines, constants), f"{constant.label}[{j}]: {value} -> {new[1]}", "constant", -1)


def _spread(groups: Sequence[list[Mutant]], limit: int, rng: random.Random) -> Iterator[Mutant]:
    """One of each group in turn, groups in random order, until `limit`; a text is given once."""
    seen: set[str] = set()
    for turn in range(max((len(g) for g in groups), default=0)):
        order = [g for g in groups if len(g) > turn]
        rng.shuffle(order)
        for group in order:
            if len(seen) >= limit:
                return
            text = group[turn].body.text()
            if text not in seen:
                seen.add(text)
                yield group[turn]


_ERROR_LINE = re.compile(r"^[^:\n]*:(\d+): Error:", re.MULTILINE)


def assembling(candidates: Sequence[Mutant], tools: Toolchain, workdir: Path) -> list[Mutant]:
    """Those the assembler takes: one run over all, a second one over the rest when some were refused."""
    kept = list(candidates)
    for _ in range(4):
        if not kept:
            return kept
        rows: list[str] = []
        ends: list[int] = []
        for i, mutant in enumerate(kept):
            rows.append("\t.text\n" + mutant.body.renamed(f"m{i}").text())
            ends.append((ends[-1] if ends else 0) + rows[-1].count("\n"))
        output = workdir / "mutants.o"
        ran = tools.assemble("".join(rows), output)
        output.unlink(missing_ok=True)
        if ran.ok:
            return kept
        numbers = [int(number) for number in _ERROR_LINE.findall(ran.err)]
        bad = {bisect.bisect_left(ends, number) for number in numbers}
        if not bad:
            return []
        kept = [m for i, m in enumerate(kept) if i not in bad]
    return []
