"""What the screen has to know about a function besides its baseline: the rest of its unit.

gcc (-fipa-ra) lets a caller keep values in caller-saved registers over a call of a function of the same unit, local or
not, that it saw leave them alone; and it calls functions that need no aligned stack with rsp at an odd multiple of 8.
Neither can be seen in the callee. What callers really rely on is read from their code: those registers are `protected`,
also in all functions that they reach through others. So every function of the unit may be rewritten independently.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.assembly import BodyError, Module
from gccllm.toolchain import Toolchain
from gccllm.verify import abi_flow
from gccllm.verify.abi_state import CALLER_SAVED, UPPER
from gccllm.verify.decode import Decoded, Refused, assemble

_EVERYTHING = CALLER_SAVED | {UPPER}


@dataclass(frozen=True, slots=True)
class Context:
    """What the screen has to know about the function besides its baseline body."""

    name: str
    protected: frozenset[str] = frozenset()
    """Registers (FLAGS, UPPER) that callers in the unit expect the function to leave alone, beyond the ABI."""
    is_entry_aligned: bool = True
    """False when a caller in the unit calls it with rsp at an odd multiple of 8 (gcc does so where it sees that
    the callee does not care)."""
    march: frozenset[str] = frozenset()
    """CPU features (iced-x86 names) that the unit's own flags allow without a guard."""
    max_level: int = 99
    """Highest ISA level a candidate may need: of what the setting allows and what this machine can test."""
    arguments: frozenset[str] = frozenset()
    """Argument registers of the signature (RDI, ZMM0 ...) when it is known; the baseline's own are always added."""
    x87_results: int = 0
    """Values returned on the x87 stack."""
    pointers: frozenset[str] = frozenset()
    """Argument registers that hold pointers (RDI ...)."""
    result_bytes: int = 0
    """Size of what is returned in rax and rdx; 0 when nothing is, or it is not known."""
    hardening: frozenset[str] = frozenset()
    """What options ask for, of `hardening.asked`."""
    early_exits: bool = False
    """Whether a comparison may end early that the baseline goes through to its end."""
    unit_functions: frozenset[str] = frozenset()
    """Functions the unit defines: a unit that defines memcpy itself gets no new calls of it."""
    callee_clobbers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What calls of functions of the unit may clobber: less than the ABI allows where the baseline relies on it."""


def context_of(
    module: Module,
    name: str,
    tools: Toolchain,
    workdir: Path,
    *,
    march: frozenset[str] = frozenset(),
    max_level: int = 99,
    has_ipa_ra: bool = True,
    arguments: frozenset[str] = frozenset(),
    x87_results: int = 0,
    pointers: frozenset[str] = frozenset(),
    result_bytes: int = 0,
    hardening: frozenset[str] = frozenset(),
    early_exits: bool = False,
) -> Context:
    """The context of one function of a unit. `has_ipa_ra` is False for units compiled with -fno-ipa-ra."""
    above = _callers_of(module, name)
    codes = _CODES.setdefault(module, _Codes(module, tools))
    direct = [one for one in above if name in module.functions[one].calls and one != name]
    protected: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    if has_ipa_ra:
        protected = protected.union(*(codes.relied(one, workdir) for one in above))
        own = codes.relied(name, workdir)
    callees = [one for one in module.functions[name].calls if one in module.functions]
    return Context(
        name,
        protected=protected,
        is_entry_aligned=all(_calls_aligned(codes.decoded(one, workdir), name) for one in direct),
        march=march,
        max_level=max_level,
        arguments=arguments,
        x87_results=x87_results,
        pointers=pointers,
        result_bytes=result_bytes,
        hardening=hardening,
        early_exits=early_exits,
        unit_functions=frozenset(module.functions),
        callee_clobbers=dict.fromkeys(callees, _EVERYTHING - own - protected),
    )


def _callers_of(module: Module, name: str) -> frozenset[str]:
    """Functions of the unit that can reach `name` by calls; itself when it is recursive."""
    found: set[str] = set()
    todo = [name]
    while todo:
        fresh = module.callers.get(todo.pop(), frozenset()) - found
        found |= fresh
        todo += sorted(fresh)
    return frozenset(found)


class _Codes:
    """The functions of a unit, decoded, and what they expect of calls: each looked at once."""

    def __init__(self, module: Module, tools: Toolchain) -> None:
        self._module = weakref.proxy(module)
        self._tools = tools
        self._decoded: dict[str, Decoded | None] = {}
        self._relied: dict[str, frozenset[str]] = {}

    def decoded(self, name: str, workdir: Path) -> Decoded | None:
        """None when it cannot be read."""
        if name not in self._decoded:
            try:
                code = assemble(name, self._module.functions[name].body.text(), self._tools, workdir)
                self._decoded[name] = None if isinstance(code, Refused) else code
            except BodyError:
                self._decoded[name] = None
        return self._decoded[name]

    def relied(self, name: str, workdir: Path) -> frozenset[str]:
        """What a body expects of calls; everything when it cannot be read."""
        if name not in self._relied:
            code = self.decoded(name, workdir)
            if code is None:
                self._relied[name] = _EVERYTHING
            else:
                self._relied[name] = abi_flow.relies_on(code, terminal_calls(code)) if code.calls else frozenset()
        return self._relied[name]


_CODES: weakref.WeakKeyDictionary[Module, _Codes] = weakref.WeakKeyDictionary()


def _calls_aligned(code: Decoded | None, callee: str) -> bool:
    """Whether every call of `callee` leaves rsp a multiple of 16; False where that cannot be read."""
    if code is None:
        return False
    return callee not in abi_flow.analyse(code, frozenset(), noreturn=terminal_calls(code)).unaligned_calls


def terminal_calls(code: Decoded) -> frozenset[str]:
    """Callees whose call is the last instruction: gcc knows that they do not return."""
    last = code.insns[-1] if code.insns else None
    if last is None or not last.is_call or last.relocation is None:
        return frozenset()
    return frozenset({last.relocation.symbol})
