"""What is known of one value on its way through a body: is it an address, a multiple of one, or bits of one?

A value is `stack * S + other * A + anything`, where S is some address on the stack and A some other address; both
coefficients zero: it says nothing of addresses. `is_mixed` when it is no such sum any more; then `dropped` counts the
low bits that were shifted out. Low bits of such values depend on low bits of addresses only, until they are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LOW = 0xFFF
"""Bits of an address that say how it lies in its page: code may look at them."""
_MOST = 64


@dataclass(frozen=True, slots=True)
class Known:
    stack: int = 0
    other: int = 0
    is_mixed: bool = False
    dropped: int = 0
    is_cut: bool = False
    """Its upper half is gone."""
    place: tuple[object, int] | None = None
    """(frame, offset) of an address on the stack whose place is known."""
    number: int | None = None
    """The value itself, where it is a constant."""
    may_point: bool = False
    """It was loaded whole from memory that no body can have prepared, so it may be a pointer; otherwise clean."""

    @property
    def is_clean(self) -> bool:
        return not (self.stack or self.other or self.is_mixed)

    @property
    def is_address(self) -> bool:
        return not self.is_mixed and not self.is_cut and (self.stack, self.other) in ((1, 0), (0, 1))

    @property
    def is_bits(self) -> bool:
        """Neither clean nor an address."""
        return not self.is_clean and not self.is_address


CLEAN = Known()
ADDRESS = Known(other=1)
LOADED = Known(may_point=True)
BITS = Known(is_mixed=True, dropped=_MOST)


def mixed(*values: Known, dropped: int = 0) -> Known:
    """What an operation on bits makes; clean when all operands are. `dropped`: low bits it moves out of their place."""
    if all(v.is_clean for v in values):
        return CLEAN
    return Known(is_mixed=True, dropped=min(max(v.dropped for v in values) + dropped, _MOST))


def added(a: Known, b: Known, factor: int = 1) -> Known:
    """a + factor * b."""
    if a.number is not None and b.number is not None:
        return Known(number=(a.number + factor * b.number) & (1 << 64) - 1)
    if a.is_mixed or b.is_mixed:
        return mixed(a, b)
    if factor == -1 and ((a.may_point and b.is_address) or (b.may_point and a.is_address)):
        return CLEAN  # the distance of two objects, as vectorised code asks for it
    if (a.may_point and b.number is not None) or (b.may_point and a.number is not None and factor == 1):
        return LOADED
    stack, other = a.stack + factor * b.stack, a.other + factor * b.other
    if max(abs(stack), abs(other)) > _MOST:
        return mixed(a, b)
    place = None
    if a.place is not None and b.number is not None:
        place = a.place[0], a.place[1] + factor * signed(b.number)
    elif b.place is not None and a.number is not None and factor == 1:
        place = b.place[0], b.place[1] + signed(a.number)
    return Known(stack, other, is_cut=(a.is_cut or b.is_cut) and bool(stack or other), place=place)


def masked(a: Known, mask: int) -> Known:
    """a & mask."""
    if a.number is not None:
        return Known(number=a.number & mask)
    if a.is_clean or mask << a.dropped <= LOW:
        return CLEAN
    clears = (1 << 64) - mask
    if a.is_address and clears <= LOW + 1 and clears & (clears - 1) == 0:
        return replace(a, place=None)
    return mixed(a)


def cut(a: Known, size: int) -> Known:
    """The low `size` bytes of a."""
    if size >= 8:
        return a
    if a.number is not None:
        return Known(number=a.number & (1 << 8 * size) - 1)
    if a.is_clean or (size == 1 and not a.dropped):
        return CLEAN
    return replace(a, is_cut=True, place=None)


def joined(a: Known, b: Known) -> Known:
    """Either of the two."""
    if a == b:
        return a
    if a.is_clean and b.is_clean:
        return CLEAN
    if a.is_address and b.is_address:
        return Known(stack=1) if a.stack and b.stack else ADDRESS
    if a.is_clean or b.is_clean:
        return replace(b if a.is_clean else a, place=None)
    return Known(is_mixed=True, dropped=max(a.dropped, b.dropped))


def signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
