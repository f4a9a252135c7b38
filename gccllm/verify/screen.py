"""The static gate: is this assembled body one that could stand in the baseline's place, whatever it computes?

Everything is read from the object the real assembler made of the candidate alone (`decode`), and compared with the
object of the baseline. The order of the checks is the order of the story below; the first refusal names the reason.

Covered: sections, symbols, relocations, forbidden instructions, branch targets, jump tables, absolute addresses, the
calling convention on every path (`abi_flow`), unwindability, hardening, the size of the frame, ISA level, bits of
addresses, widths of sums, early exits of comparisons.
Callers in the unit rely on nothing beyond the ABI: units in which they might are declined (`options.PRIVATE`).
Not covered: what the body computes, which addresses it forms, how long it runs. Those are for replay and contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gccllm.assembly import Body, BodyError, isa, level_name
from gccllm.assembly.cfi import unwind_rows
from gccllm.assembly.code import code_of
from gccllm.base.core import Verdict, accepted, refuted
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.verify.addresses import Uses, check_addresses, uses_of
from gccllm.verify.bounds import check_bounds
from gccllm.verify.exits import check_exits
from gccllm.verify.frame import check_frame
from gccllm.verify.hardening import check_hardening, is_speculation_trap
from gccllm.verify.widths import check_merges, check_widths, needed_width
from gccllm.x86 import abi_flow
from gccllm.x86.abi_state import FLAGS
from gccllm.x86.convention import SYSV, Convention, integer_result
from gccllm.x86.decode import GOT, Code, Insn, Relocation
from gccllm.x86.forbidden import refusal
from gccllm.x86.registers import GENERAL

MEMORY_CALLS = frozenset({"memcpy", "memmove", "memset", "memcmp"})
"""What gcc itself may make of a loop, so what a candidate may call without the baseline doing so."""

_ABSOLUTE = frozenset({"32", "32S", "64", "16", "8"})
_DIRECT = frozenset({"PC32", "PLT32"})
_DYNAMIC = frozenset({"TLSLD", "DTPOFF32"})
_THREAD = frozenset({"TPOFF32", "GOTTPOFF", "TLSGD"}) | _DYNAMIC
"""Thread-local data. The names of the two that go together are exchangeable: gcc takes any variable for the first."""

_WRITE, _ALLOC, _EXECUTE = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Context:
    """What the screen has to know about the function besides its baseline body."""

    name: str
    march: frozenset[str] = frozenset()
    """CPU features (iced-x86 names) that the unit's own flags allow without a guard."""
    max_level: int = isa.LEVELS[-1].number
    """Highest ISA level a candidate may need."""
    arguments: frozenset[str] = frozenset()
    """Argument registers of the signature (RDI, ZMM0 ...) when it is known; the baseline's own are always added."""
    unit_functions: frozenset[str] = frozenset()
    """Functions the unit defines: a unit that defines memcpy itself gets no new calls of it."""
    pointers: frozenset[str] = frozenset()
    """Argument registers that hold pointers (RDI ...)."""
    result_bytes: int = 0
    """Size of what is returned in rax and rdx; 0 when nothing is, or it is not known."""
    hardening: frozenset[str] = frozenset()
    """What options ask for, of `hardening.asked`."""
    early_exits: bool = False
    """Whether a comparison may end early that the baseline goes through to its end."""

    @classmethod
    def of(cls, name: str, convention: Convention, **more: Any) -> Context:
        """Of a function that is called so."""
        result = sum(size for register, size in convention.live_out.items() if register in GENERAL)
        return cls(
            name, arguments=convention.live_in, pointers=convention.pointers, result_bytes=result, **more
        )  # fmt: skip

    @property
    def convention(self) -> Convention:
        """An entry keeps no more of it: what a result has in vector registers, the tests compare."""
        return Convention(self.arguments, self.pointers, exits=(integer_result(self.result_bytes),))


_ROOMS = ("base", "x86", "assembly", "verify")
"""Where the code of the gate is."""


@cache
def screen_stamp() -> str:
    """Changes whenever the gate's own code does: sizes and times of the files that it is made of."""
    rooms = Path(__file__).parents[1]
    files = sorted(path for room in _ROOMS for path in (rooms / room).glob("*.py"))
    return ".".join(f"{status.st_size:x}-{status.st_mtime_ns:x}" for status in (path.stat() for path in files))


@dataclass(frozen=True, slots=True)
class Screened:
    """`level` is the ISA level that a guard must test (0: none); `features` every CPU feature used."""

    verdict: Verdict
    level: int = 0
    features: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Baseline:
    """The baseline as the screen sees it: computed once a function, compared with many candidates."""

    code: Code
    flow: abi_flow.Flow
    tolerated: frozenset[str]
    """Registers that it may read undefined even when all arguments are defined: on paths nobody takes."""
    reached: Mapping[str, frozenset[str]]
    """Symbol to the relocation kinds it is reached by."""
    has_absolute: bool
    terminal_calls: frozenset[str]
    has_speculation_traps: bool
    uses_trap: bool
    has_thread_data: bool
    uses: Uses
    needed_width: int
    tail_calls: frozenset[str]
    """Symbols that it ends by a jump to."""


def read_baseline(body: Body, context: Context, tools: Toolchain) -> Baseline:
    """Assemble and analyse the baseline. Raises BodyError(UNSUPPORTED_CODE) when it does not assemble alone."""
    try:
        code = code_of(body, tools, context.name)
    except BodyError as error:
        raise BodyError(Reason.UNSUPPORTED_CODE, error.detail) from None
    terminal = code.terminal_calls
    convention = context.convention
    flow = abi_flow.analyse(code, convention.with_live_in(frozenset()), noreturn=terminal)
    every = convention.with_live_in(convention.live_in | SYSV.live_in)
    undefined = abi_flow.analyse(code, every, noreturn=terminal).live_in
    reached: dict[str, set[str]] = {}
    for relocation in code.relocations:
        if relocation.symbol:
            reached.setdefault(relocation.symbol, set()).add(relocation.kind)
    return Baseline(
        code,
        flow,
        frozenset(undefined),
        {symbol: frozenset(kinds) for symbol, kinds in reached.items()},
        any(r.kind in _ABSOLUTE for r in code.relocations),
        terminal,
        any(is_speculation_trap(code, insn) for insn in code.insns),
        any(i.mnemonic == "UD2" for i in code.insns),
        any(r.kind in _THREAD for r in code.relocations),
        uses_of(code, convention),
        needed_width(code, convention),
        frozenset(insn.relocation.symbol for insn in code.insns if insn.is_tail_jump and insn.relocation is not None),
    )


def screen(candidate: Body, baseline: Baseline, context: Context, tools: Toolchain) -> Screened:
    """The verdict on one candidate: accepted, or refuted at stage `assemble` or `screen` with its reason."""
    try:
        code = code_of(candidate, tools, context.name)
    except BodyError as error:
        return Screened(refuted("assemble", Reason.DOES_NOT_ASSEMBLE, error.detail))
    features = code.features
    try:
        level = _check(candidate, code, baseline, context)
    except BodyError as error:
        return Screened(refuted("screen", error.reason, error.detail), features=features)
    return Screened(accepted("screen", f"{len(code.insns)} instructions, {level_name(level)}"), level, features)


def screen_compiled(candidate: Body, baseline: Baseline, context: Context, tools: Toolchain) -> Screened:
    """As `screen`, for a body that the user's gcc made of the user's source (`propose.compiled`): nobody has to suspect
    its instructions, but hardening, instruction sets, calling convention and unwinding must be the baseline's."""
    try:
        code = code_of(candidate, tools, context.name)
    except BodyError as error:
        return Screened(refuted("assemble", Reason.DOES_NOT_ASSEMBLE, error.detail))
    try:
        check_sections(code)
        check_hardening(code, baseline.code, context.hardening)
        level = check_isa(code, context)
        entry = context.convention.with_live_in(SYSV.live_in | baseline.flow.live_in | {"RAX"})
        flow = abi_flow.analyse(code, entry, noreturn=code.terminal_calls, tolerated=baseline.tolerated)
        for problem in flow.problems:
            # gcc computes with what it knows to be never used, and leaves by pointers where the source calls by them.
            if problem.reason not in (Reason.DEAD_READ, Reason.BRANCH_TARGET):
                raise BodyError(problem.reason, problem.detail)
        unwind_rows(code, flow)
    except BodyError as error:
        return Screened(refuted("screen", error.reason, error.detail), features=code.features)
    return Screened(accepted("screen", f"{len(code.insns)} instructions, {level_name(level)}"), level, code.features)


def _check(body: Body, code: Code, baseline: Baseline, context: Context) -> int:
    """The checks, in order. Returns the ISA level; raises BodyError with the reason of the first refusal."""
    check_sections(code)
    check_symbols(code, baseline, context)
    for insn in code.insns:
        check_instruction(insn, code, baseline)
    for relocation in code.relocations:
        check_relocation(relocation, code, baseline)
    check_hardening(code, baseline.code, context.hardening)
    level = check_isa(code, context)

    # From here on every branch inside lands on an instruction, so that paths can be followed.
    convention = context.convention
    flow = abi_flow.analyse(
        code,
        convention.with_live_in(_defined_at_entry(baseline, convention)),
        noreturn=baseline.terminal_calls,
        tolerated=baseline.tolerated,
    )
    for problem in flow.problems:
        raise BodyError(problem.reason, problem.detail)
    check_frame(flow, baseline.flow, is_recursive=context.name in code.calls)
    check_addresses(code, baseline.uses, convention)
    check_widths(code, baseline.needed_width, convention)
    check_merges(code, baseline.code, convention)
    check_bounds(code, baseline.code)
    if not context.early_exits:
        check_exits(code, baseline.code)
    unwind_rows(code, flow)
    return level


def check_sections(code: Code) -> None:
    for section in code.sections.values():
        if not section.flags & _ALLOC:
            raise BodyError(Reason.DIRECTIVE, f"section {section.name}")
        is_text = section.name == ".text" and section.flags & (_WRITE | _EXECUTE) == _EXECUTE
        is_constant = section.name.startswith(".rodata") and not section.flags & (_WRITE | _EXECUTE)
        is_relocated = section.name.startswith(".data.rel.ro") and not section.flags & _EXECUTE
        if not (is_text or is_constant or is_relocated):
            raise BodyError(Reason.DIRECTIVE, f"section {section.name}, flags {section.flags:#x}")
    if not code.insns or code.insns[-1].end != len(code.sections[".text"].data):
        raise BodyError(Reason.FORBIDDEN_INSTRUCTION, "the text does not decode to its end")


def check_symbols(code: Code, baseline: Baseline, context: Context) -> None:
    """No definition but its own; uses are those of the baseline, and mem* calls."""
    if code.defined - {context.name}:
        raise BodyError(Reason.DIRECTIVE, f"defines {sorted(code.defined - {context.name})[:3]}")
    allowed = set(baseline.reached) | (MEMORY_CALLS - context.unit_functions - {context.name})
    for symbol in sorted({r.symbol for r in code.relocations if r.symbol} | code.undefined):
        if symbol not in allowed and symbol != "_GLOBAL_OFFSET_TABLE_":
            raise BodyError(Reason.UNKNOWN_SYMBOL, symbol)


def check_instruction(insn: Insn, code: Code, baseline: Baseline) -> None:
    said = refusal(insn, has_thread_data=baseline.has_thread_data)
    if said is not None and not (baseline.has_speculation_traps and is_speculation_trap(code, insn)):
        raise BodyError(*said)
    if insn.mnemonic in ("UD0", "UD1", "UD2") and not (insn.mnemonic == "UD2" and baseline.uses_trap):
        raise BodyError(Reason.FORBIDDEN_INSTRUCTION, f"a trap that the baseline has not: {insn}")
    if insn.target is not None and insn.target not in code.at:
        raise BodyError(Reason.BRANCH_TARGET, str(insn))
    if insn.is_call and insn.relocation is None and insn.raw.is_call_near:
        raise BodyError(Reason.BRANCH_TARGET, f"a call into the body: {insn}")
    if insn.is_branch and insn.relocations and not insn.is_tail_jump:
        raise BodyError(Reason.BRANCH_TARGET, f"a conditional branch out of the body: {insn}")
    called = insn.relocation if insn.is_call or insn.is_tail_jump else None
    if called is not None and (called.section or called.symbol not in baseline.code.calls | MEMORY_CALLS):
        raise BodyError(Reason.UNKNOWN_SYMBOL, f"a call of what the baseline does not call: {insn}")
    if insn.is_tail_jump and called is not None and called.symbol not in baseline.tail_calls | MEMORY_CALLS:
        # The callee may look at who called it: a return address, the frames above.
        raise BodyError(Reason.BRANCH_TARGET, f"a jump to what the baseline calls: {insn}")
    check_address(insn)


def check_address(insn: Insn) -> None:
    """Memory is named by registers, by own constants or by symbols; never by a number or as a place in the code."""
    memory = insn.effects.memory
    if memory is None:
        return
    if memory.base == "RIP" and insn.relocation is None:
        raise BodyError(Reason.ABSOLUTE_ADDRESS, f"a place in the code: {insn}")
    if memory.base == "RIP" and insn.relocation is not None and insn.relocation.section == ".text":
        raise BodyError(Reason.ABSOLUTE_ADDRESS, f"a place in the code: {insn}")
    is_bare = not memory.base and insn.relocation is None and not insn.is_thread_local
    if is_bare and not memory.index and insn.mnemonic != "NOP":
        raise BodyError(Reason.ABSOLUTE_ADDRESS, str(insn))


def check_relocation(relocation: Relocation, code: Code, baseline: Baseline) -> None:
    """The kinds are the baseline's: what is legal in its output (PIE, shared) is known only from there."""
    if relocation.kind in _ABSOLUTE and not baseline.has_absolute:
        raise BodyError(Reason.ABSOLUTE_ADDRESS, f"relocation {relocation.kind}, position-independent baseline")
    kinds = baseline.reached.get(relocation.symbol, frozenset())
    if relocation.kind in _THREAD or kinds & _THREAD:
        allowed = kinds | (_DYNAMIC if kinds & _DYNAMIC else frozenset())
        if not relocation.symbol or relocation.kind not in allowed:
            raise BodyError(Reason.UNKNOWN_SYMBOL, f"relocation {relocation.kind} of {relocation.symbol or 'its own'}")
        if relocation not in code.sections[".text"].relocations:
            raise BodyError(Reason.UNKNOWN_SYMBOL, f"{relocation.symbol} in a constant")
        return
    if relocation.kind not in _ABSOLUTE | GOT | _DIRECT:
        raise BodyError(Reason.UNKNOWN_SYMBOL, f"relocation {relocation.kind}")
    if not relocation.symbol:
        if relocation.section == ".text" and relocation in code.sections[".text"].relocations:
            raise BodyError(Reason.ABSOLUTE_ADDRESS, "the address of a place in the code")
        return
    if relocation in code.sections[".text"].relocations:
        if relocation.kind == "PC32" and kinds and not kinds & {"PC32", *_ABSOLUTE}:
            raise BodyError(Reason.UNKNOWN_SYMBOL, f"{relocation.symbol} without the table that the baseline goes by")
    elif relocation.kind not in baseline.reached.get(relocation.symbol, frozenset()):
        raise BodyError(Reason.UNKNOWN_SYMBOL, f"{relocation.symbol} in a constant")


def check_isa(code: Code, context: Context) -> int:
    needed = code.features - context.march
    level = isa.level_of(needed)
    if level is None:
        unknown = sorted(f for f in needed if isa.level_of([f]) is None)
        raise BodyError(Reason.ISA, f"{unknown} in no level")
    if level > context.max_level:
        raise BodyError(Reason.ISA, f"needs {level_name(level)}, allowed is {level_name(context.max_level)}")
    return level


def _defined_at_entry(baseline: Baseline, convention: Convention) -> frozenset[str]:
    return convention.live_in | baseline.flow.live_in - frozenset({FLAGS})
