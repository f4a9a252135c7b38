"""Replay of a recorded function's calls, and redaction: what they do not read is removed.

Whether a call replays is decided by the harvest's rules (`Probe`): the baseline terminates normally and soon under both
poisons, the trapping build does not trap, and nothing is touched but the call's own memory. What is long is looked at
as a harvest does (`harvest.long`). Not covered: redaction of calls that are too long to be traced; they are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gccllm.base.core import PAGE_BYTES, Slot, Test
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.far import with_code
from gccllm.harvest.long import Looked, look
from gccllm.harvest.probe import NO_LIMIT, Probe
from gccllm.harvest.recorded import known_of
from gccllm.harvest.run import State
from gccllm.harvest.target import HarvestTarget
from gccllm.harvest.wire import target_and_context
from gccllm.record.capture import RecordedCall, RecordedPage, Registers
from gccllm.record.lower import lower
from gccllm.record.reservoir import INTEGER, argument
from gccllm.record.testfile import Benched
from gccllm.sandbox.trace import Intervals
from gccllm.verify.screen import Context


class OnBench:
    """Replays calls of one function. A context manager.

    Raises ValueError, BodyError, AssembleError or Decline when the bench itself cannot be used.
    """

    def __init__(self, known: Benched, tools: Toolchain, workdir: Path) -> None:
        self.known = known
        self.target: HarvestTarget
        self.context: Context
        target, self.context = target_and_context(known.bench, tools, workdir)
        self.target = replace(target, signature=with_code(target.signature, known.callee))
        self.probe = Probe(self.target)

    def __enter__(self) -> OnBench:
        return self

    def __exit__(self, *exception: object) -> None:
        self.probe.__exit__(*exception)

    @property
    def addresses(self) -> Mapping[str, int]:
        return self.probe.replayer.image.symbols

    def lowered(self, call: RecordedCall) -> Test | str:
        """The call as a test; for one that is none, why."""
        try:
            return lower(call, self.target.signature, self.addresses, self.known.symbols)
        except ValueError as error:
            return str(error)

    def looked(self, calls: Sequence[RecordedCall]) -> list[Looked]:
        """For each call what the baseline does on the test it makes, or why it does not replay."""
        lowered = [self.lowered(call) for call in calls]
        tests = [one for one in lowered if isinstance(one, Test)]
        found = iter(look(self.probe, tests, known_of(self.target, self.probe.replayer.image, ())))
        return [next(found) if isinstance(one, Test) else Looked(why=one) for one in lowered]

    def redacted(self, calls: Sequence[RecordedCall]) -> list[RecordedCall]:
        """Those that replay, without a byte that the baseline does not read; they replay like that, too."""
        states = self.traced(calls)
        shorn = [self.redact(call, state.reads) for call, state in zip(calls, states, strict=True) if state is not None]
        return [call for call, state in zip(shorn, self.traced(shorn), strict=True) if state is not None]

    def traced(self, calls: Sequence[RecordedCall]) -> list[State | None]:
        """For each call what the baseline does on it, byte by byte; None where that is not known."""
        lowered = [self.lowered(call) for call in calls]
        defined = self.probe.defined_states([one for one in lowered if isinstance(one, Test)], NO_LIMIT)
        by_test = {id(state.test): state for state in defined}
        return [by_test.get(id(test)) for test in lowered]

    def redact(self, call: RecordedCall, reads: Intervals) -> RecordedCall:
        """The call with zeros for memory outside of `reads` and for all registers but arguments and results."""
        before, slots = _arguments(call, self.target)
        spans = [(int(start), int(end)) for start, end in reads]
        for name, (address, size) in zip(self.known.symbols, call.symbols, strict=False):
            # What the test has in the image, the program had where it was.
            if (moved := self.addresses.get(name)) is not None:
                inside = [(max(a, moved), min(b, moved + size)) for a, b in spans if a < moved + size and b > moved]
                spans += [(a - moved + address, b - moved + address) for a, b in inside]
        pages = tuple(_shorn(page, [*spans, *slots]) for page in call.pages)
        kept = {returned.slot for returned in self.target.signature.returned}
        xmm = (*call.after.xmm, 0, 0)
        after = Registers(
            rax=call.after.rax if Slot.RAX in kept else 0,
            rdx=call.after.rdx if Slot.RDX in kept else 0,
            rsp=call.after.rsp,
            xmm=(xmm[0] if Slot.XMM0 in kept else 0, xmm[1] if Slot.XMM1 in kept else 0),
            mxcsr=call.after.mxcsr,
        )
        return replace(call, fs_base=0, before=before, after=after, pages=pages)


def _arguments(call: RecordedCall, target: HarvestTarget) -> tuple[Registers, list[tuple[int, int]]]:
    """Registers that hold nothing but arguments, and where those on the stack are."""
    general: dict[str, int] = {}
    xmm = [0] * 8
    slots = []
    for param in target.signature.params:
        for place in param.places:
            if place.file == "int":
                general[INTEGER[place.index]] = argument(call, place)
            elif place.file == "vector":
                xmm[place.index] = argument(call, place)
            else:
                start = call.before.rsp + 8 + 8 * place.index
                slots.append((start, start + place.size))
    before = Registers(**general, rsp=call.before.rsp, xmm=tuple(xmm), mxcsr=call.before.mxcsr)
    return before, slots


def _shorn(page: RecordedPage, spans: Sequence[tuple[int, int]]) -> RecordedPage:
    content = bytearray(PAGE_BYTES)
    for start, end in spans:
        first, last = max(start - page.address, 0), min(end - page.address, PAGE_BYTES)
        if first < last:
            content[first:last] = page.content[first:last]
    return replace(page, content=bytes(content), after=None)
