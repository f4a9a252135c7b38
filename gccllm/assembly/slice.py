"""A self-contained text around one function: itself, its callees in the unit, the data they touch; nothing else.

Functions and data of the unit become global and hidden, so that a linker map shows them. CFI, debug information,
exception tables and COMDAT are dropped; loop alignment and cold sections stay as gcc printed them.

What another unit may replace (`linkage`) is not the unit's to link: such a function stays undefined, and such an object
is writable, so that tests can fill it with other contents than the unit's.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from gccllm.assembly.function import Function
from gccllm.assembly.module import DataObject, Module
from gccllm.assembly.section import Item, Section
from gccllm.assembly.syntax import BodyError, Kind, callee, split_commas, symbols
from gccllm.base.core import Decline
from gccllm.base.reasons import Reason

_GROUP = re.compile(r"^(\t\.section\t[^,]*,\")([^\"]*)(\".*?)(,[^,]*,comdat)$")
_MOST_ALIGNED = 32
"""Bytes; the next power is what the widest aligned access asks for."""
_DROPPED = (
    ".cfi_", ".loc", ".file", ".type", ".size", ".globl", ".hidden", ".weak", ".internal", ".protected", ".ident",
)  # fmt: skip


def slice_text(module: Module, name: str, *, replaceable: AbstractSet[str] = frozenset()) -> str:
    """Assembler text that defines function `name` and everything of the unit it can reach.

    It ends in .text. `replaceable`: names that may be another unit's. Raises BodyError(UNSUPPORTED_CODE) when something
    reachable is not a compiler's plain function or data object (top-level asm, indirect functions), and
    Decline(REPLACEABLE) when one name would have to mean both the unit's function and another's.
    """
    functions, objects, aliases = _reach(module, name, replaceable)
    rows: list[str] = []
    for one in functions:
        rows.extend(function_rows(module.functions[one]))
    for one in objects:
        rows.extend(_object_rows(module.objects[one], one in replaceable))
    for alias in aliases:
        if not alias.startswith(".L"):
            rows.extend((f"\t.globl\t{alias}", f"\t.hidden\t{alias}"))
        rows.append(f"\t.set\t{alias},{module.aliases[alias]}")
    rows.append("\t.text")
    rows.append('\t.section\t.note.GNU-stack,"",@progbits')
    return "\n".join(rows) + "\n"


def reachable(
    module: Module, name: str, replaceable: AbstractSet[str] = frozenset()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Functions (`name` first) and data objects of the unit that `name` can reach through code and data.

    Raises BodyError as `slice_text` does.
    """
    functions, objects, _ = _reach(module, name, replaceable)
    return functions, objects


def _reach(module: Module, name: str, replaceable: AbstractSet[str]) -> tuple[tuple[str, ...], ...]:
    """Functions, objects and aliases; remembered, as one function is asked for several times."""
    key = name, frozenset(replaceable)
    if key not in module.reached:
        module.reached[key] = _walk(module, name, replaceable)
    return module.reached[key]


def _walk(module: Module, name: str, replaceable: AbstractSet[str]) -> tuple[tuple[str, ...], ...]:
    if name not in module.functions:
        raise BodyError(Reason.UNSUPPORTED_CODE, f"{name} is not a function of the unit")
    owners = module.owners
    functions: dict[str, None] = {}
    objects: dict[str, None] = {}
    aliases: dict[str, None] = {}
    todo = [name]
    while todo:
        one = owners.get(todo[0], todo[0])
        del todo[0]
        if one in functions or one in objects or one in aliases:
            continue
        if one in replaceable and one != name and one not in module.objects:
            continue  # another unit's, as far as this one knows
        if one in module.functions:
            functions[one] = None
            todo.extend(sorted(module.functions[one].refs))
        elif one in module.objects:
            objects[one] = None
            todo.extend(sorted(module.objects[one].references))
        elif one in module.aliases:
            aliases[one] = None
            todo.extend(symbols(module.aliases[one]))
            if hidden := replaceable & set(symbols(module.aliases[one])) - {name}:
                raise Decline(Reason.REPLACEABLE, f"{one} is the unit's own {min(hidden)}")
        elif module.symbol_types.get(one) in ("function", "gnu_indirect_function") and module.defines(one):
            raise BodyError(Reason.UNSUPPORTED_CODE, f"{one} is defined in a way that is not modelled")
    if name in replaceable and _is_named(module, name, functions, objects):
        raise Decline(Reason.REPLACEABLE, f"{name} is called by its name")
    # An object whose contents name labels inside a function (a jump table) travels with that function's lines.
    apart = tuple(one for one in objects if module.inside.get(one) not in functions)
    return tuple(functions), apart, tuple(aliases)


def _is_named(module: Module, name: str, functions: dict[str, None], objects: dict[str, None]) -> bool:
    """Whether code or data of the slice names the function, which then may be another's."""
    named = {symbol for one in functions for s in module.functions[one].code for symbol in symbols(s.args)}
    return name in named or any(name in module.objects[one].references for one in objects)


def _flat(section: Section) -> str:
    """The section's directive without its COMDAT group."""
    match = _GROUP.match(section.directive)
    if not match:
        return section.directive
    return f"{match[1]}{match[2].replace('G', '')}{match[3]}"


def function_rows(function: Function) -> list[str]:
    """The function in a slice; remembered, as it is in the slices of all that reach it."""
    known = function.module.rows
    if function.name not in known:
        known[function.name] = _function_rows(function)
    return known[function.name]


def _function_rows(function: Function) -> list[str]:
    name = function.name
    rows = ["\t.text", f"\t.balign\t{max(function.align, 1)}", f"\t.globl\t{name}", f"\t.hidden\t{name}",
            f"\t.type\t{name}, @function"]  # fmt: skip
    used = {s for i in function.items if _kept(i) for s in symbols(i.statement.args)}
    section = _flat(function.items[0].section)
    if section != "\t.text":
        rows[0] = section
    parts = set(function.parts)
    at_end = section
    for item in function.items:
        s = item.statement
        if not item.section.is_allocated and not item.section.is_code:
            continue
        if item.section.name.startswith(".gcc_except_table"):
            continue
        if s.kind is Kind.LABEL:
            if s.name in parts or s.name == name or s.name in used or not s.name.startswith(".L"):
                rows.extend(_switched(at_end, item))
                at_end = _flat(item.section)
                rows.append(f"{s.name}:")
        elif _kept(item):
            rows.extend(_switched(at_end, item))
            at_end = _flat(item.section)
            rows.append(f"\t{s.name}\t{s.args}" if s.args else f"\t{s.name}")
    if at_end != section:
        rows.append(section)
    rows.append(f"\t.size\t{name}, .-{name}")
    return rows


def _switched(current: str, item: Item) -> list[str]:
    wanted = _flat(item.section)
    return [wanted] if wanted != current else []


def _kept(item: Item) -> bool:
    s = item.statement
    if s.kind is Kind.INSTRUCTION or s.kind is Kind.ASSIGN:
        return True
    if s.kind is not Kind.DIRECTIVE or s.name.startswith(_DROPPED):
        return False
    return s.name not in (".section", ".text", ".data", ".bss", ".pushsection", ".popsection", ".previous")


def _exactly_aligned(align: int) -> list[str]:
    """No more than the unit asks for: a rewrite that needs more must fault here, not where the program's linker happens
    to put the data."""
    return [f"\t.balign\t{2 * align}", f"\t.zero\t{align}"] if align <= _MOST_ALIGNED else [f"\t.balign\t{align}"]


def _object_rows(thing: DataObject, is_replaceable: bool) -> list[str]:
    name = thing.name
    private = name.startswith(".L")
    shown = [] if private else [f"\t.globl\t{name}", f"\t.hidden\t{name}", f"\t.type\t{name}, @object"]
    if thing.common:
        parts = split_commas(thing.common)
        size = parts[1] if len(parts) > 1 else "8"
        align = parts[2] if len(parts) > 2 else "16"
        head = ["\t.bss", *_exactly_aligned(int(align)), *shown]
        return [*head, f"{name}:", f"\t.zero\t{size}", f"\t.size\t{name}, {size}"]
    is_merged = private or "M" in thing.section.flags
    aligned = [f"\t.balign\t{thing.align}"] if is_merged else _exactly_aligned(thing.align)
    section = _flat(thing.section) if thing.is_writable or not is_replaceable else "\t.data"
    rows = [section, *aligned, *shown, f"{name}:"]
    rows.extend(f"\t{directive}\t{args}" for directive, args in thing.directives)
    if thing.size and callee(name) == name and not private:
        rows.append(f"\t.size\t{name}, {thing.size}")
    return rows
