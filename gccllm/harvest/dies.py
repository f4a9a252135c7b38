"""Single entries of DWARF (elftools calls them DIEs): their attributes, and the types that one entry says all of."""

from __future__ import annotations

from typing import Any

from gccllm.harvest.types import CType, Floating, Integer, Opaque

Die = Any  # elftools has no types
ABSTRACT = "DW_AT_abstract_origin"
# DW_ATE encodings (DWARF 5, table 7.11)
_BOOL, _COMPLEX, _FLOAT, _SIGNED, _SIGNED_CHAR, _UNSIGNED, _UNSIGNED_CHAR, _UTF = 2, 3, 4, 5, 6, 7, 8, 16


def base_type(die: Die) -> CType:
    encoding = number(die, "DW_AT_encoding")
    size = number(die, "DW_AT_byte_size")
    name = text(die, "DW_AT_name")
    if encoding == _FLOAT and size in (4, 8):
        return Floating(size)
    if size not in (1, 2, 4, 8) or encoding in (_FLOAT, _COMPLEX):
        return Opaque(name or "base", size, min(size, 16) or 1)
    return Integer(
        size,
        signed=encoding in (_SIGNED, _SIGNED_CHAR),
        is_bool=encoding == _BOOL,
        is_text=name == "char" or encoding == _UTF,
    )


def enumeration(die: Die) -> CType:
    values = sorted({number(c, "DW_AT_const_value") for c in die.iter_children() if c.tag == "DW_TAG_enumerator"})
    size = number(die, "DW_AT_byte_size")
    if size not in (1, 2, 4, 8):
        return Opaque("enum", size)
    signed = bool(values and values[0] < 0)
    return Integer(size, signed, values=tuple(values))


def is_const(pointer: Die) -> bool:
    """Whether the pointee of a pointer type is const, seen through typedefs and arrays."""
    die = pointer
    while "DW_AT_type" in die.attributes:
        die = die.get_DIE_from_attribute("DW_AT_type")
        if die.tag == "DW_TAG_const_type":
            return True
        if die.tag not in ("DW_TAG_typedef", "DW_TAG_array_type", "DW_TAG_restrict_type"):
            return False
    return False


def origin(die: Die) -> Die | None:
    """The declaration or abstract instance that `die` completes."""
    for name in (ABSTRACT, "DW_AT_specification"):
        if name in die.attributes:
            return die.get_DIE_from_attribute(name)
    return None


def attribute(die: Die, name: str) -> Any:
    """An attribute, looked up through origins; None when there is none."""
    at: Die | None = die
    while at is not None:
        if name in at.attributes:
            return at.attributes[name]
        at = origin(at)
    return None


def text(die: Die, name: str) -> str:
    found = attribute(die, name)
    return found.value.decode("latin-1") if found is not None and isinstance(found.value, bytes) else ""


def number(die: Die, name: str) -> int:
    value = constant(die, name)
    return value if isinstance(value, int) else 0


def constant(die: Die, name: str) -> int | None:
    """An attribute's constant; None when it is missing or an expression (the bound of a variable-length array)."""
    found = die.attributes.get(name)
    if found is None or not isinstance(found.value, int) or found.form.startswith("DW_FORM_ref"):
        return None
    return found.value
