"""What the calling convention asks of a body, decided by one forward dataflow over its decoded instructions.

Followed on every path: the stack pointer (also through a frame pointer and through gcc's realigned frames), where
callee-saved registers are kept and that they are back at every return, what is undefined at entry or after a call,
the flags, dirty upper vector halves, the depth of the x87 stack, use of the red zone, and gcc's jump tables.

Undefined is a "may" property: a register that is undefined on one path to its use is undefined there.

Not covered: stores through computed addresses that hit the frame (the replayer compares the ABI state of every run),
the bounds check in front of a jump table, uninitialised stack slots, the upper bits of narrow arguments, and 8- and
16-bit writes, which count as defining the whole register. The last four are covered by running with two poisons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from iced_x86 import OpKind, Register

from gccllm.base.reasons import Reason
from gccllm.base.runtime import GET_ADDRESS, NORETURN
from gccllm.x86.abi_moves import MOVES
from gccllm.x86.abi_state import (
    DEFINED,
    ENTRY_FRAME,
    FLAGS,
    RED_ZONE_BYTES,
    UNDEFINED_AFTER_CALL,
    UNDEFINED_AT_ENTRY,
    State,
    Value,
    entry_state,
    merge,
)
from gccllm.x86.convention import CALL_RESULTS, CALLER_SAVED, Convention
from gccllm.x86.decode import GOT, Code, Insn
from gccllm.x86.effects import ARITHMETIC_FLAGS, full_name
from gccllm.x86.registers import GENERAL, MASKS, VECTORS


@dataclass(frozen=True, slots=True)
class Problem:
    reason: Reason
    detail: str


@dataclass(slots=True)
class Flow:
    """The result. `problems` in order of offset."""

    problems: list[Problem] = field(default_factory=list)
    live_in: set[str] = field(default_factory=set)
    """Registers whose undefined value at entry may be read (FLAGS too)."""
    depth: int = 0
    """Bytes below the return address that the stack pointer reaches at most, where it can be followed."""
    stride: int = 0
    """Bytes by which one instruction moves it down at most."""
    states: dict[int, State] = field(default_factory=dict)
    """Index of a reached instruction to what is known before it."""


def analyse(
    code: Code,
    convention: Convention,
    *,
    noreturn: frozenset[str] = frozenset(),
    tolerated: frozenset[str] = frozenset(),
) -> Flow:
    """Follow every path from the first instruction, and from those of the body that calls name.

    Nothing but the live-in registers of `convention` holds a value at entry. Branch targets must already be known to be
    instructions of the body. Undefined reads of `tolerated` registers are not reported: gcc's own code has some, on
    paths that it cannot exclude and the program does.
    """
    return _Analysis(code, convention, noreturn | NORETURN, tolerated).run(entry_state(convention))


class _Analysis:
    def __init__(self, code: Code, convention: Convention, noreturn: frozenset[str], tolerated: frozenset[str]) -> None:
        self.code = code
        self.convention = convention
        self.noreturn = noreturn
        self.tolerated = tolerated
        self.has_call = any(i.is_call for i in code.insns)
        self.flow = Flow()
        self.bottoms: dict[object, int] = {ENTRY_FRAME: 0}
        """Frame -> bytes that its origin lies below the return address at most."""
        self.reporting = False

    def run(self, entry: State) -> Flow:
        states = self.flow.states
        # A subroutine of the body (`propose.compiled`) is entered by calls, as the body itself is.
        work = [0, *sorted(self.code.subroutines)]
        states.update({at: entry.copy() for at in work})
        while work:
            at = work.pop()
            insn = self.code.insns[at]
            after = states[at].copy()
            targets = list(self.successors(insn, states[at]))
            self.step(insn, after)
            for offset in targets:
                to = self.code.at.get(offset)
                if to is None:
                    continue
                joined = merge(states.get(to), after)
                if joined is not None:
                    states[to] = joined
                    work.append(to)
        self.reporting = True
        for at in sorted(states):
            insn = self.code.insns[at]
            self.check_edges(insn, states[at])
            self.step(insn, states[at].copy())
        return self.flow

    def say(self, reason: Reason, detail: str, insn: Insn) -> None:
        if self.reporting:
            self.flow.problems.append(Problem(reason, f"{detail} at {insn}"))

    # --- where control goes ---------------------------------------------------------------------

    def successors(self, insn: Insn, before: State) -> Iterator[int]:
        if insn.target is not None:
            yield insn.target
        if insn.is_indirect_jump:
            yield from self.table_targets(insn, before) or ()
        if not insn.ends_flow and not self.never_returns(insn):
            yield insn.end

    def never_returns(self, insn: Insn) -> bool:
        return insn.is_call and insn.relocation is not None and insn.relocation.symbol in self.noreturn

    def table_targets(self, insn: Insn, before: State) -> tuple[int, ...] | None:
        value = self.jump_value(insn, before)
        if value[0] != "targets":
            return None
        return self.code.jump_table(value[1], value[2])

    def jump_value(self, insn: Insn, before: State) -> Value:
        raw = insn.raw
        if raw.op_kind(0) == OpKind.REGISTER:
            return before.general.get(full_name(raw.op_register(0)), DEFINED)
        return self.loaded(insn, before)

    def check_edges(self, insn: Insn, before: State) -> None:
        is_local = insn.is_indirect_jump and not self.goes_to_function(insn, before)
        if is_local and self.table_targets(insn, before) is None:
            self.say(Reason.BRANCH_TARGET, "an indirect jump through no jump table of its own", insn)
        if insn.is_call and insn.relocation is None and not self.goes_to_function(insn, before):
            self.say(Reason.BRANCH_TARGET, "an indirect call", insn)
        falls = not insn.ends_flow and not self.never_returns(insn)
        if falls and insn.end not in self.code.at:
            self.say(Reason.FALLS_OFF, "control runs past the end", insn)

    def goes_to_function(self, insn: Insn, before: State) -> bool:
        return bool(insn.raw.op_count == 1 and self.jump_value(insn, before)[0] == "function")

    # --- one instruction ------------------------------------------------------------------------

    def step(self, insn: Insn, state: State) -> None:
        """Check `insn` in `state` and bring `state` behind it."""
        self.check_memory(insn, state)
        self.check_reads(insn, state)
        rsp = state.general["RSP"]
        if rsp[0] != "stack":
            self.say(Reason.STACK_DEPTH, "the stack pointer differs between paths or cannot be followed", insn)
        if insn.is_call:
            self.call(insn, state)
        elif insn.mnemonic == "RET" or insn.is_tail_jump or (
            insn.is_indirect_jump and self.goes_to_function(insn, state)
        ):  # fmt: skip
            self.leave_function(insn, state)
        else:
            self.move(insn, state)
            self.measure(rsp, state.general["RSP"])
        self.x87(insn, state)

    def measure(self, before: Value, after: Value) -> None:
        """Note how far down an instruction brings the stack pointer."""
        if before[0] != "stack" or after[0] != "stack" or before == after:
            return
        depths = [self.bottoms.get(frame, 0) - offset for _, frame, offset in (before, after)]
        self.flow.depth = max(self.flow.depth, depths[1])
        self.flow.stride = max(self.flow.stride, depths[1] - depths[0])

    def realigned(self, insn: Insn, value: Value, align: int) -> None:
        """Note where the frame that `insn` makes of the address `value` begins. The alignment loses less than `align`
        bytes; an origin that depends on itself is not followed (the pointer then differs between paths)."""
        below = self.bottoms.get(value[1], 0) - value[2] + align
        self.bottoms.setdefault(insn.offset, below)

    def check_reads(self, insn: Insn, state: State) -> None:
        effects = insn.effects
        copied = self.copied_register(insn, state)
        for register in sorted(effects.reads):
            if register in state.general:
                value = state.general[register]
                if value[0] == "undefined" and not (insn.mnemonic == "PUSH" and register == copied):
                    self.read_undefined(register, value[1], insn)
                elif value[0] == "kept" and register != copied:
                    self.read_undefined(register, str(UNDEFINED_AT_ENTRY[1]), insn)
            elif register in state.undefined:
                self.read_undefined(register, "at entry or after a call", insn)
        if effects.flags_read & state.flags:
            self.read_undefined(FLAGS, "at entry, after a call or after an instruction that leaves it undefined", insn)

    def read_undefined(self, register: str, when: str, insn: Insn) -> None:
        if self.reporting and register not in self.tolerated:
            self.flow.live_in.add(register)
            self.flow.problems.append(Problem(Reason.DEAD_READ, f"{register} is undefined {when} at {insn}"))

    def copied_register(self, insn: Insn, state: State) -> str:
        """The register that the instruction only moves elsewhere, where what it held at entry may go."""
        raw = insn.raw
        if insn.mnemonic == "PUSH" and raw.op_kind(0) == OpKind.REGISTER:
            return full_name(raw.op_register(0))
        if insn.mnemonic != "MOV" or raw.op_count != 2 or raw.op_kind(1) != OpKind.REGISTER:
            return ""
        if raw.op_kind(0) == OpKind.MEMORY and self.address(insn, state) is None:
            return ""
        return full_name(raw.op_register(1))

    def address(self, insn: Insn, state: State) -> tuple[object, int] | None:
        """(frame, offset) of the memory operand when it is a fixed place on the stack."""
        memory = insn.effects.memory
        if memory is None or memory.index or memory.base not in state.general or insn.is_thread_local:
            return None
        value = state.general[memory.base]
        if value[0] != "stack":
            return None
        return value[1], value[2] + memory.displacement

    def check_memory(self, insn: Insn, state: State) -> None:
        memory, rsp = insn.effects.memory, state.general["RSP"]
        if memory is None or memory.base not in state.general or not (memory.is_read or memory.is_written):
            return
        if insn.is_thread_local:
            return
        value = state.general[memory.base]
        if value[0] != "stack":
            return
        start = value[2] + memory.displacement
        if memory.is_written and value[1] == ENTRY_FRAME and not memory.index and start < 8 and start + memory.size > 0:
            self.say(Reason.STACK_DEPTH, "the return address is overwritten", insn)
        if rsp[0] != "stack" or rsp[1] != value[1] or start >= rsp[2]:
            return
        if memory.index:
            return  # the index may lead back up
        below = rsp[2] - start
        if below > RED_ZONE_BYTES:
            self.say(Reason.RED_ZONE, f"{below} bytes below the stack pointer", insn)
        elif self.has_call:
            self.say(Reason.RED_ZONE, "below the stack pointer in a function that calls", insn)
        state.red = True

    def move(self, insn: Insn, state: State) -> None:
        """Everything but calls and exits."""
        handler = MOVES.get(insn.mnemonic)
        new = handler(self, insn, state) if handler is not None else None
        effects = insn.effects
        if insn.mnemonic not in ("PUSH", "POP", "LEAVE"):
            self.forget_slots(insn, state, new)
        for register in effects.writes | {r for r in effects.keeps if state.general.get(r, DEFINED)[0] != "undefined"}:
            if register in state.general:
                state.general[register] = DEFINED
        if "RBP" in effects.writes:
            state.framed = insn.mnemonic == "MOV" and insn.raw.op1_register == Register.RSP
        state.undefined -= effects.writes
        state.flags = (state.flags | effects.flags_undefined) & ~effects.flags_written
        if insn.mnemonic in ("VZEROUPPER", "VZEROALL"):
            state.dirty = False
        elif effects.wide_write:
            state.dirty = True
        for register, value in (new or {}).items():
            state.general[register] = value
        if state.general["RSP"][0] == "defined" and "RSP" in effects.writes:
            self.say(Reason.STACK_DEPTH, "the stack pointer cannot be followed", insn)

    def forget_slots(self, insn: Insn, state: State, new: dict[str, Value] | None) -> None:
        memory, place = insn.effects.memory, self.address(insn, state)
        if memory is None or place is None or not memory.is_written:
            return
        frame, start = place
        for key in [k for k in state.slots if k[0] == frame and k[1] < start + memory.size and start < k[1] + 8]:
            del state.slots[key]
        raw = insn.raw
        if insn.mnemonic == "MOV" and memory.size == 8 and raw.op_kind(1) == OpKind.REGISTER:
            value = state.general[full_name(raw.op_register(1))]
            if value[0] in ("kept", "stack"):
                state.slots[place] = value

    def loaded(self, insn: Insn, state: State) -> Value:
        """What an 8-byte load by `insn` gives."""
        place = self.address(insn, state)
        if place is not None:
            return state.slots.get(place, DEFINED)
        relocation = insn.relocation
        if relocation is not None and relocation.kind in GOT:
            return ("function", relocation.symbol)
        memory = insn.effects.memory
        if relocation is not None and memory is not None and memory.scale == 8 and relocation.kind in ("32", "32S"):
            return ("targets", relocation.section, relocation.addend)
        if memory is not None and memory.scale == 8 and memory.displacement == 0 and memory.base in state.general:
            value = state.general[memory.base]
            if value[0] == "table" and memory.index:
                return ("targets", value[1], value[2])
        return DEFINED

    def call(self, insn: Insn, state: State) -> None:
        symbol = insn.relocation.symbol if insn.relocation is not None else ""
        rsp = state.general["RSP"]
        if rsp[0] == "stack" and rsp[2] % 16 != (8 if rsp[1] == ENTRY_FRAME else 0):
            self.say(Reason.STACK_DEPTH, "rsp is not a multiple of 16 at a call", insn)
        self.check_clean(insn, state)
        if state.x87 != 0:
            self.say(Reason.X87_STACK, "the x87 stack is not empty at a call", insn)
        # An image has no such call any more: that its other registers hold nothing is to be seen here only.
        results = CALL_RESULTS & {"RAX"} if symbol == GET_ADDRESS else CALL_RESULTS
        for register in GENERAL:
            if register in CALLER_SAVED:
                state.general[register] = UNDEFINED_AFTER_CALL
            if register in results:
                state.general[register] = DEFINED
        state.undefined = (state.undefined | {*VECTORS, *MASKS}) - results
        state.flags = ARITHMETIC_FLAGS
        state.dirty = state.red = False

    def leave_function(self, insn: Insn, state: State) -> None:
        rsp = state.general["RSP"]
        if rsp[0] == "stack" and rsp[1:] != (ENTRY_FRAME, 0):
            what = f"rsp is off by {rsp[2]}" if rsp[1] == ENTRY_FRAME else "rsp is realigned"
            self.say(Reason.STACK_DEPTH, what, insn)
        for register in sorted(self.convention.preserved):
            if state.general[register] != ("kept", register):
                self.say(Reason.CALLEE_SAVED, f"{register} is not what it was", insn)
        self.check_clean(insn, state)
        if state.x87 != 0:
            self.say(Reason.X87_STACK, "the x87 stack is not empty at a return", insn)

    def check_clean(self, insn: Insn, state: State) -> None:
        if state.dirty:
            self.say(Reason.VZEROUPPER, "upper vector halves may be dirty", insn)

    def x87(self, insn: Insn, state: State) -> None:
        info = insn.raw.fpu_stack_increment_info()
        if not info.increment and not info.writes_top:
            return
        if state.x87 is None or info.conditional or (info.writes_top and not info.increment):
            self.say(Reason.X87_STACK, "the depth of the x87 stack cannot be followed", insn)
            state.x87 = None
            return
        state.x87 -= info.increment
        if not 0 <= state.x87 <= 8:
            self.say(Reason.X87_STACK, f"depth {state.x87}", insn)
            state.x87 = None
