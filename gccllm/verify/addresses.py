"""Bits of addresses may flow only where addresses belong: a body that computes with them may know where it is tested.

Sources: the stack pointer, the return address, addresses of symbols, and the arguments that are pointers. Such a value
may be used to reach memory, be moved, added to, stored, returned and passed on; two may be compared or subtracted; its
place in the page (the low 12 bits) may be looked at. Anything else is refused, unless the baseline does it too: its
upper half cut off and used, shifted, multiplied, mixed into a result, compared with a number.

One forward dataflow over registers and stack slots (`address_values`). Not covered: pointers loaded from memory, the
distance between two objects, numbers for comparison that are computed from inputs, stores through computed addresses
that hit the frame, what an index into an array of the frame reaches below it, and the return
address above it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from iced_x86 import FlowControl, OpAccess, OpKind

from gccllm.assembly import BodyError
from gccllm.base.reasons import Reason
from gccllm.verify.address_operands import RETURN_ADDRESS, Operands, State, merge
from gccllm.verify.address_values import ADDRESS, BITS, CLEAN, LOW, Known, added, joined, masked, mixed, signed
from gccllm.x86.convention import CALL_RESULTS, CALLER_SAVED, INTEGER_ARGUMENTS, Convention
from gccllm.x86.decode import Code, Insn
from gccllm.x86.effects import ARITHMETIC_FLAGS, full_name, info_of
from gccllm.x86.paths import successors

_MOVES = re.compile(
    r"V?(MOV(Q|APS|APD|UPS|UPD|DQA|DQU|DQA32|DQA64|DQU64|DQU32|DDUP|LHPS|HLPS|HPS|LPS|HPD|LPD)|PUNPCK[LH]QDQ"
    r"|UNPCK[LH]PD|PINSRQ|PEXTRQ|PSHUFD|SHUFPD|PERMQ|BROADCASTSD|PBROADCASTQ|INSERT[FI]\w*|EXTRACT[FI]\w*|PALIGNR"
    r"|PBLENDW|PBLENDD|BLENDPS|BLENDPD)"
)
"""They carry whole 8-byte lanes from place to place."""
_STRINGS = re.compile(r"(MOVS|STOS|LODS|SCAS|CMPS)[BWDQ]")
_BY_FLAGS = re.compile(r"(CMOV|SET|J)(?!MP|CXZ|ECXZ|RCXZ)|ADC|SBB|ADCX|ADOX|RCL|RCR|LAHF|CMC")


@dataclass(frozen=True, slots=True)
class Uses:
    """What a baseline does with addresses."""

    odd: frozenset[str]
    """Kinds of use that no address is for."""
    results: frozenset[str]
    """Registers that may hold its result: of those that can, the ones it writes."""


def uses_of(baseline: Code, convention: Convention) -> Uses:
    written = frozenset().union(*(insn.effects.writes for insn in baseline.insns))
    return Uses(frozenset(_Flow(baseline, pointers=convention.pointers).run()), CALL_RESULTS & written)


def check_addresses(code: Code, theirs: Uses, convention: Convention) -> None:
    """Raises BodyError(ADDRESS_BITS)."""
    found = _Flow(code, pointers=convention.pointers, results=theirs.results).run()
    if new := {use: at for use, at in found.items() if use not in theirs.odd}:
        use, at = min(new.items(), key=lambda row: row[1].offset)
        raise BodyError(Reason.ADDRESS_BITS, f"{use}: {at}")


@dataclass
class _Flow(Operands):
    pointers: frozenset[str] = frozenset()
    results: frozenset[str] = CALL_RESULTS

    def run(self) -> dict[str, Insn]:
        """Follow every path, and say what was found."""
        edges = successors(self.code)
        entry = State(dict.fromkeys(self.pointers, ADDRESS), {RETURN_ADDRESS: BITS})
        entry.registers["RSP"] = Known(stack=1, place=RETURN_ADDRESS)
        states: dict[int, State] = {0: entry} if self.code.insns else {}
        todo = list(states)
        while todo:
            at = todo.pop()
            after = states[at].copy()
            self.step(self.code.insns[at], after)
            for to in edges[at]:
                if (merged := merge(states.get(to), after)) is not None:
                    states[to] = merged
                    todo.append(to)
        self.found.clear()  # what was said on the way stood on less than all paths
        for at in sorted(states):
            self.step(self.code.insns[at], states[at].copy())
        return self.found

    # --- one instruction ----------------------------------------------------------------------------

    def step(self, insn: Insn, state: State) -> None:
        self.check_reach(insn, state)
        if insn.effects.flags_read and state.flags.is_bits and _BY_FLAGS.match(insn.mnemonic):
            self.say("a decision by bits of an address", insn)
        if insn.is_call or insn.is_tail_jump or insn.flow == FlowControl.RETURN:
            self.leave(insn, state)
            return
        if (handler := _HANDLERS.get(insn.mnemonic)) is not None:
            handler(self, insn, state)
        elif _STRINGS.fullmatch(insn.mnemonic):
            state.flags = CLEAN
        elif insn.mnemonic.startswith("CMOV"):
            self.write(insn, 0, joined(self.operand(insn, 0, state), self.operand(insn, 1, state)), state)
        elif _MOVES.fullmatch(insn.mnemonic):
            self.carry(insn, state)
        else:
            self.mix(insn, state)

    def check_reach(self, insn: Insn, state: State) -> None:
        memory = insn.effects.memory
        if memory is None or insn.mnemonic in ("LEA", "NOP") or not (memory.is_read or memory.is_written):
            return
        if self.reached(insn, state).is_bits and not insn.is_thread_local:
            self.say("memory is reached by bits of an address", insn)

    def leave(self, insn: Insn, state: State) -> None:
        passed = self.results if insn.flow == FlowControl.RETURN else frozenset(INTEGER_ARGUMENTS)
        if any(state.of(register).is_bits for register in passed):
            self.say("bits of an address are passed on", insn)
        for register in CALLER_SAVED & state.registers.keys():
            state.put(register, CLEAN)
        state.flags = CLEAN

    def carry(self, insn: Insn, state: State) -> None:
        """Whole lanes move: the target holds either of what the sources and, where it stays, the target held."""
        raw = insn.raw
        if not raw.op_count:
            return
        sources = [self.operand(insn, i, state) for i in range(1, raw.op_count) if self._is_value(insn, i)]
        is_register = raw.op_kind(0) == OpKind.REGISTER
        if raw.op_count == 2 and is_register and full_name(raw.op_register(0)) in insn.effects.reads:
            sources.append(self.operand(insn, 0, state))
        value = sources[0] if sources else CLEAN
        for more in sources[1:]:
            value = joined(value, more)
        self.write(insn, 0, value if value.number is None else CLEAN, state)

    @staticmethod
    def _is_value(insn: Insn, i: int) -> bool:
        return insn.raw.op_kind(i) in (OpKind.REGISTER, OpKind.MEMORY)

    def mix(self, insn: Insn, state: State, dropped: int = 64) -> None:
        """Anything: what it writes is made of what it reads."""
        values = list(self.inputs(insn, state))
        result = mixed(*values, dropped=dropped)
        effects = insn.effects
        for register in effects.writes | effects.keeps:
            if register != "RSP":
                state.put(register, result)
        if effects.memory is not None and effects.memory.is_written:
            self.store(insn, result, state)
        if (effects.flags_written | effects.flags_undefined) & ARITHMETIC_FLAGS:
            state.flags = result

    def inputs(self, insn: Insn, state: State) -> Iterator[Known]:
        memory, raw = insn.effects.memory, insn.raw
        beside = {memory.base, memory.index} if memory is not None else set()
        info = info_of(raw)
        explicit = {
            full_name(raw.op_register(i)) for i in range(raw.op_count)
            if raw.op_kind(i) == OpKind.REGISTER and info.op_access(i) != OpAccess.WRITE
        }  # fmt: skip
        for register in insn.effects.reads - (beside - explicit):
            yield state.of(register)
        if memory is not None and memory.is_read:
            yield self.loaded(insn, state)

    # --- instructions that addresses go through -------------------------------------------------------

    def mov(self, insn: Insn, state: State) -> None:
        self.write(insn, 0, self.operand(insn, 1, state), state)

    def lea(self, insn: Insn, state: State) -> None:
        self.write(insn, 0, self.reached(insn, state), state)

    def xchg(self, insn: Insn, state: State) -> None:
        a, b = self.operand(insn, 0, state), self.operand(insn, 1, state)
        self.write(insn, 0, b, state)
        self.write(insn, 1, a, state)

    def push(self, insn: Insn, state: State) -> None:
        value = self.operand(insn, 0, state)
        state.put("RSP", added(state.of("RSP"), Known(number=8), -1))
        if (place := state.of("RSP").place) is not None:
            state.slots.pop(place, None)
            if not value.is_clean:
                state.slots[place] = value

    def pop(self, insn: Insn, state: State) -> None:
        place = state.of("RSP").place
        state.put("RSP", added(state.of("RSP"), Known(number=8)))
        self.write(insn, 0, state.slots.get(place, CLEAN) if place is not None else CLEAN, state)

    def pop_frame(self, insn: Insn, state: State) -> None:
        state.put("RSP", state.of("RBP"))
        place = state.of("RSP").place
        state.put("RBP", state.slots.get(place, CLEAN) if place is not None else CLEAN)
        state.put("RSP", added(state.of("RSP"), Known(number=8)))

    def sum(self, insn: Insn, state: State) -> None:
        factor = 1 if insn.mnemonic == "ADD" else -1
        a, b = self.operand(insn, 0, state), self.operand(insn, 1, state)
        value = added(a, b, factor)
        state.flags = self.compared(insn, a, b) if factor == -1 else mixed(value) if value.is_bits else CLEAN
        self.write(insn, 0, value, state)

    def cmp(self, insn: Insn, state: State) -> None:
        state.flags = self.compared(insn, self.operand(insn, 0, state), self.operand(insn, 1, state))

    def compared(self, insn: Insn, a: Known, b: Known) -> Known:
        """The flags of a - b."""
        if a.is_clean and b.is_clean:
            return CLEAN
        if a.is_bits or b.is_bits:
            return BITS if not added(a, b, -1).is_clean or a.is_mixed or b.is_mixed else CLEAN
        number = a.number if a.number is not None else b.number
        if number is not None and abs(signed(number)) > LOW + 1:
            return BITS
        return BITS if a.is_address and b.is_address and a.stack != b.stack else CLEAN

    def test(self, insn: Insn, state: State) -> None:
        a, b = self.operand(insn, 0, state), self.operand(insn, 1, state)
        is_null_test = insn.raw.op_kind(1) == OpKind.REGISTER and a == b
        state.flags = CLEAN if is_null_test and not a.is_bits else self.conjunction(a, b)

    @staticmethod
    def conjunction(a: Known, b: Known) -> Known:
        for value, other in ((a, b), (b, a)):
            if other.number is not None:
                return masked(value, other.number)
        return mixed(a, b)

    def conjoin(self, insn: Insn, state: State) -> None:
        a, b = self.operand(insn, 0, state), self.operand(insn, 1, state)
        value = self.conjunction(a, b)
        raw = insn.raw
        if raw.op_kind(0) == OpKind.REGISTER and full_name(raw.op_register(0)) == "RSP":
            value = Known(stack=1, place=(insn.offset, 0))
        state.flags = mixed(value) if value.is_bits else CLEAN
        self.write(insn, 0, value, state)

    def bitwise(self, insn: Insn, state: State) -> None:
        a, b = self.operand(insn, 0, state), self.operand(insn, 1, state)
        is_zero = insn.mnemonic == "XOR" and insn.raw.op_kind(1) == OpKind.REGISTER and not insn.effects.reads
        value = Known(number=0) if is_zero else mixed(a, b)
        state.flags = CLEAN if is_zero else value
        self.write(insn, 0, value, state)

    def neg(self, insn: Insn, state: State) -> None:
        a = self.operand(insn, 0, state)
        value = added(Known(number=0), a, -1)
        state.flags = a if a.is_bits else CLEAN
        self.write(insn, 0, value, state)

    def invert(self, insn: Insn, state: State) -> None:
        self.write(insn, 0, added(Known(number=(1 << 64) - 1), self.operand(insn, 0, state), -1), state)

    def count(self, insn: Insn, state: State) -> None:
        a = self.operand(insn, 0, state)
        state.flags = a if a.is_bits else CLEAN
        self.write(insn, 0, added(a, Known(number=1), 1 if insn.mnemonic == "INC" else -1), state)

    def shl(self, insn: Insn, state: State) -> None:
        a, by = self.operand(insn, 0, state), self.operand(insn, 1, state)
        value = added(CLEAN, a, 1 << (by.number & 63)) if by.number is not None and not a.is_mixed else mixed(a, by)
        state.flags = value if value.is_bits else CLEAN
        self.write(insn, 0, value, state)

    def shr(self, insn: Insn, state: State) -> None:
        a, by = self.operand(insn, 0, state), self.operand(insn, 1, state)
        value = mixed(a, by, dropped=by.number & 63 if by.number is not None else 64)
        state.flags = value
        self.write(insn, 0, value, state)

    def lanes(self, insn: Insn, state: State) -> None:
        """8-byte lanes are added or subtracted."""
        first = 1 if insn.raw.op_count > 2 else 0
        factor = 1 if "ADD" in insn.mnemonic else -1
        value = added(self.operand(insn, first, state), self.operand(insn, first + 1, state), factor)
        self.write(insn, 0, value, state)


_HANDLERS: dict[str, Callable[[_Flow, Insn, State], None]] = {
    "ADD": _Flow.sum, "AND": _Flow.conjoin, "CMP": _Flow.cmp, "DEC": _Flow.count, "INC": _Flow.count,
    "LEA": _Flow.lea, "LEAVE": _Flow.pop_frame, "MOV": _Flow.mov, "MOVSX": _Flow.mov, "MOVSXD": _Flow.mov,
    "MOVZX": _Flow.mov, "NEG": _Flow.neg, "NOT": _Flow.invert, "OR": _Flow.bitwise, "PADDQ": _Flow.lanes,
    "POP": _Flow.pop, "PSUBQ": _Flow.lanes, "PUSH": _Flow.push, "SAL": _Flow.shl, "SAR": _Flow.shr, "SHL": _Flow.shl,
    "SHR": _Flow.shr, "SUB": _Flow.sum, "TEST": _Flow.test, "VPADDQ": _Flow.lanes, "VPSUBQ": _Flow.lanes,
    "XCHG": _Flow.xchg, "XOR": _Flow.bitwise,
}  # fmt: skip
