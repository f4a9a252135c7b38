"""Where the System V x86-64 ABI puts arguments and results.

Covers integers, pointers, float, double, and structs and unions by value of such members (in registers up to 16 bytes,
on the stack above). Does not cover long double, complex, vector types and __int128 as arguments or results.
Source: System V ABI, AMD64 supplement, section 3.2.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gccllm.base.core import CalleeSpec, Decline, Returned, Slot
from gccllm.base.reasons import Reason
from gccllm.harvest.types import (
    Array,
    CType,
    Floating,
    Integer,
    Param,
    Place,
    Pointer,
    Record,
    Signature,
    Void,
    describe,
)
from gccllm.x86.convention import ARGUMENTS, Convention, Exit
from gccllm.x86.registers import PARTS

INT_REGISTERS, VECTOR_REGISTERS = map(len, ARGUMENTS.values())


def place_params(
    named: Sequence[tuple[str, CType]], returns: CType | None
) -> tuple[tuple[Param, ...], tuple[Returned, ...]]:
    """Places of all parameters, a hidden result pointer first where there is one, and the result's slots.

    Raises Decline(UNSUPPORTED_TYPE).
    """
    ints = vectors = stack = 0
    params = []
    returned = _result(returns)
    if returned is None:
        assert returns is not None
        hidden = Pointer(returns, restrict=True, nonnull=True)
        params.append(Param("result", hidden, (Place("int", 0, 8),), is_result=True))
        ints = 1
        returned = (Returned(Slot.RAX, 8),)
    for name, ctype in named:
        classes = classify(ctype)
        sizes = _eightbytes(ctype)
        want_ints = classes.count("int")
        want_vectors = classes.count("vector")
        places = []
        if classes and ints + want_ints <= INT_REGISTERS and vectors + want_vectors <= VECTOR_REGISTERS:
            for file, size in zip(classes, sizes, strict=True):
                if file == "int":
                    places.append(Place("int", ints, size))
                    ints += 1
                else:
                    places.append(Place("vector", vectors, size))
                    vectors += 1
        else:
            if ctype.align > 8:
                raise Decline(Reason.UNSUPPORTED_TYPE, f"{name}: {describe(ctype)}")
            for size in sizes:
                places.append(Place("stack", stack, size))
                stack += 1
        params.append(Param(name, ctype, tuple(places)))
    return tuple(params), returned


def classify(ctype: CType) -> list[str]:
    """`int` or `vector` for each eightbyte; empty for the class MEMORY. Raises Decline(UNSUPPORTED_TYPE)."""
    if isinstance(ctype, Integer | Pointer):
        return ["int"]
    if isinstance(ctype, Floating) and ctype.size <= 8:
        return ["vector"]
    if not isinstance(ctype, Record) or ctype.in_memory or ctype.size == 0:
        raise Decline(Reason.UNSUPPORTED_TYPE, describe(ctype))
    if ctype.size > 16:
        return []
    files = [""] * ((ctype.size + 7) // 8)
    _merge(ctype, 0, files)
    if "memory" in files:
        return []
    return [f or "vector" for f in files]


def _merge(ctype: CType, offset: int, files: list[str]) -> None:
    if isinstance(ctype, Record):
        for f in ctype.fields:
            if f.bits is not None:
                files[(offset * 8 + f.bits[0]) // 64] = "int"
            else:
                _merge(f.type, offset + f.offset, files)
    elif isinstance(ctype, Array):
        for i in range(ctype.count or 0):
            _merge(ctype.of, offset + i * ctype.of.size, files)
    elif isinstance(ctype, Integer | Pointer):
        if offset % ctype.align:
            files[0] = "memory"
        else:
            files[offset // 8] = "int" if files[offset // 8] != "memory" else "memory"
    elif isinstance(ctype, Floating) and ctype.size <= 8:
        if offset % ctype.align:
            files[0] = "memory"
        else:
            files[offset // 8] = files[offset // 8] or "vector"
    else:
        raise Decline(Reason.UNSUPPORTED_TYPE, describe(ctype))


def _eightbytes(ctype: CType) -> list[int]:
    """Defined bytes of each eightbyte; a tail that is no power of two counts as 8, its padding being plain data."""
    sizes = []
    left = ctype.size
    while left > 0:
        sizes.append(left if left in (1, 2, 4) else 8)
        left -= 8
    return sizes


def _result(returns: CType | None) -> tuple[Returned, ...] | None:
    """Slots of the result; None when it is returned in memory."""
    if returns is None or isinstance(returns, Void):
        return ()
    classes = classify(returns)
    if not classes:
        return None
    slots = []
    files = {"int": [Slot.RAX, Slot.RDX], "vector": [Slot.XMM0, Slot.XMM1]}
    left = returns.size
    for file in classes:
        slots.append(Returned(files[file].pop(0), min(left, 8)))
        left -= 8
    return tuple(slots)


def callee_spec(params: Sequence[CType], returns: CType | None) -> CalleeSpec | None:
    """The stub's view of a callee; None when an argument or result has no place that we know."""
    try:
        placed, returned = place_params([("", ctype) for ctype in params], returns)
    except Decline:
        return None
    slots: dict[str, list[int]] = {"int": [], "vector": [], "stack": []}
    for param in placed:
        for place in param.places:
            slots[place.file].append(place.size)
    writes = any(isinstance(param.type, Pointer) and not param.type.const for param in placed)
    is_float = isinstance(returns, Floating) and returns.size == 4
    # A result in memory is one that the callee gives the address of.
    returns_pointer = isinstance(returns, Pointer) or any(param.is_result for param in placed)
    return CalleeSpec(
        tuple(slots["int"]), tuple(slots["vector"]), tuple(slots["stack"]), returned, is_float,
        not writes and not returns_pointer, returns_pointer,
    )  # fmt: skip


# --- the convention ----------------------------------------------------------------------------------


def convention_of(signature: Signature) -> Convention:
    """What a function of this signature is entered and left with."""
    used = [place for param in signature.params for place in param.places]
    counts = {file: max((p.index + 1 for p in used if p.file == file), default=0) for file in (*ARGUMENTS, "stack")}
    pointers = frozenset(
        param.places[i].register
        for param in signature.params
        for i in _pointers_in(param.type)
        if i < len(param.places) and param.places[i].file == "int"
    )
    results = {PARTS[f"%{one.slot}"].register: one.size for one in signature.returned}
    return Convention(
        frozenset(name for file, names in ARGUMENTS.items() for name in names[: counts[file]]),
        pointers, counts["stack"], (Exit(results),),
    )  # fmt: skip


def _pointers_in(type_: CType) -> Iterator[int]:
    """The eightbytes of a value that are pointers."""
    if isinstance(type_, Pointer):
        yield 0
    elif isinstance(type_, Record):
        yield from (one.offset // 8 + i for one in type_.fields for i in _pointers_in(one.type))
