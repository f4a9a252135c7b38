"""Models of external symbols: data and functions of other units, where there are recorded calls.

    data        an image has as many bytes, of which each recorded call says what they hold
    functions   those that write memory or return pointers run for real: the test store has their slices
                (`record.callees`)

Covered of data: objects that the unit declares with a complete type, and names as the assembly does. Not covered, and
FAR_DATA as before: arrays of unknown length, weak data, names that the C++ compiler makes, functions whose address is
taken, whatever holds volatile members.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from gccllm.assembly import Module, reachable
from gccllm.base.core import CalleeSpec, External, FarCode, FarData
from gccllm.harvest.types import Signature, qualified

MOST_FURTHER = 32
"""Functions of other units that one call may lead to."""


def with_far(module: Module, name: str, signature: Signature, replaceable: AbstractSet[str] = frozenset()) -> Signature:
    """`signature` with models of the external data that function `name`, its callees and their data can name.

    Raises what `assembly.reachable` raises.
    """
    functions, objects = reachable(module, name, replaceable)
    named = {ref for one in functions for ref in module.functions[one].refs}
    named |= {ref for one in objects for ref in module.objects[one].references}
    called = {callee for one in functions for callee in module.functions[one].calls}
    found: dict[str, External] = {}
    for one in sorted(named - called):
        variable = signature.variables.get(one)
        if variable is None or module.defines(one) or module.binding(one) == "weak":
            continue
        if variable.type.size > 0 and not qualified(one, variable.type):
            found[one] = FarData(variable.type.size)
    return replace(signature, callees=signature.callees | found) if found else signature


def far_symbols(signature: Signature) -> tuple[tuple[str, int], ...]:
    """(name, size) of the modelled data."""
    return tuple((name, one.size) for name, one in signature.callees.items() if isinstance(one, FarData))


def with_code(signature: Signature, text_of: Callable[[str], str]) -> Signature:
    """`signature` with the functions themselves where no stub is possible; `text_of` a name is its slice, or empty."""
    found: dict[str, External] = {}
    for name, spec in signature.callees.items():
        if isinstance(spec, CalleeSpec) and not spec.is_pure and (text := text_of(name)):
            found[name] = FarCode(spec, text, _further(name, text, text_of))
    return replace(signature, callees=signature.callees | found) if found else signature


def _further(name: str, text: str, text_of: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    """What a function calls in further units, and what that calls, as far as `text_of` knows it."""
    found = {name: text}
    todo = [text]
    while todo and len(found) < MOST_FURTHER:
        module = Module.parse(todo.pop())
        called = {callee for one in module.functions.values() for callee in one.calls if not module.defines(callee)}
        for one in sorted(called - found.keys()):
            if its := text_of(one):
                found[one] = its
                todo.append(its)
    del found[name]
    return tuple(sorted(found.items()))
