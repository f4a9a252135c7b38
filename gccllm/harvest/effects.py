"""What assembly does not show: effects of functions (volatile, relaxed atomics, inline assembly) and their attributes.

gcc's last tree dump of a side compile shows both, after inlining, so that a volatile read in an inlined helper counts
for the function it ended up in. The dump is made by the compile that gives the types (`SideCompile.typed`).

A function has the effects and attributes of every function of the unit that it reaches: by calls, by tail calls, by an
address in its code. What the dump does not list, and what is called through a pointer, has unknown effects. Attributes
are an allow-list: a new one declines until it has been reviewed.

Not covered: what functions of other units do (calls of them are observed, and stay), global register variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from gccllm.assembly import Function, Module
from gccllm.base.dump import HEAD
from gccllm.base.reasons import Reason
from gccllm.x86.forbidden import FORBIDDEN

Cause = tuple[Reason, str]
"""A reason to decline, and where it was seen."""

HARMLESS = frozenset({
    "abi_tag", "access", "aligned", "alloc_align", "alloc_size", "alloca_size", "always_inline", "artificial",
    "assume_aligned", "cold", "const", "deprecated", "externally_visible", "flatten", "format", "format_arg",
    "gnu_inline", "hot", "leaf", "malloc", "no_icf", "no_instrument_function", "no_profile_instrument_function",
    "no_reorder", "no_sanitize", "no_sanitize_address", "no_sanitize_thread", "no_sanitize_undefined", "no_split_stack",
    "no_stack_limit", "noclone", "nodiscard", "noinline", "noipa", "nonnull", "noreturn", "nothrow", "pure",
    "returns_nonnull", "sentinel", "unavailable", "unused", "used", "visibility", "warn_unused_result", "weak",
})  # fmt: skip
"""Attributes that neither decide a function's code nor promise anything of it that a rewrite could break.

What they promise to callers (const, malloc, nonnull) holds for every body that does the same. Left out on purpose,
among others: `target*` and `optimize*` (other instructions, another language), `ms_abi`, `sysv_abi`, `regparm`,
`interrupt`, `naked`, `no_caller_saved_registers`, `force_align_arg_pointer` (another convention),
`zero_call_used_regs`, `stack_protect`, `no_stack_protector`, `patchable_function_entry`, `function_return`,
`indirect_branch`, `nocf_check` (hardening, or its absence, asked for by hand), `section` and `constructor` (constants
and guards of a rewrite may not be there), `returns_twice`, `ifunc`, `simd`, `symver`.
"""

_EFFECTS: tuple[tuple[re.Pattern[str], Reason], ...] = (
    (re.compile(r"__asm__"), Reason.ASM_INLINE),
    (re.compile(r"__atomic_|__sync_|\bGOMP_|\.ATOMIC_"), Reason.ATOMIC),
    # `x ={v} {CLOBBER};` marks the end of a variable's life and is no access. On paths on which a pointer is null gcc
    # itself makes the access volatile, and ends the path behind it.
    (re.compile(r"^(?!.*\[\([^()\n]*\)0B).*\{v\}(?! \{CLOBBER)", re.MULTILINE), Reason.VOLATILE),
    (re.compile(r"\{v\}(?! \{CLOBBER)"), Reason.NULL_PATH),
)
_LOCATION = re.compile(r"\[[^][\n\"{}()]*:\d+:\d+(?: discrim \d+)?\] ")
"""Where a statement or operand stands, in front of it. Neither a call, a string nor `{v}` fits in."""
_LINE = re.compile(r"\s*\[([^][\n\"{}()]*:\d+):\d+")
_SSA = re.compile(r"\b(?:([A-Za-z]\w*?)(?:\.\d+)?)?_\d+(?:\(D\))?(?!\w)")
"""gcc's name of a value: `port.1_5`, `L_7(D)`, `_6`."""
_THROUGH = re.compile(r"MEM(?: <[^>]*> )?\[\(([^()]*)\)([^]\s]*)[^]]*\]")
_ATTRIBUTES = re.compile(r"^__attribute__(.*)$", re.MULTILINE)
_ONE = re.compile(r"\s*([^,(]*[^,(\s])\s*(\((?:[^()\"]|\"(?:[^\"\\]|\\.)*\"|\([^()]*\))*\))?\s*(?:,|$)")
_HIDDEN_WORDS = frozenset(row.example.split()[0] for row in FORBIDDEN) - {"int3"}
"""Mnemonics that no rewrite may use: a callee that has one does more than its results show. (int3 is no effect: it
stands behind returns where -mharden-sls asks for it.)"""


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What the dump says of each function that it lists, by assembler name; its own code only."""

    effects: Mapping[str, Cause]
    """Functions with an effect -> (reason, the statement and its line)."""
    attributes: Mapping[str, tuple[str, ...]]
    """Every listed function -> its attributes with their arguments, as printed, sorted."""

    def decline(self, module: Module, name: str) -> Cause | None:
        """Why no rewrite of `name` may be linked, or None: the first cause among all that it reaches."""
        for one in reached(module, name):
            for reason, detail in self._causes(module, one, is_callee=one != name):
                return reason, detail if one == name else f"in {one}: {detail}"
        return None

    def words(self, module: Module, name: str) -> str:
        """Effects and attributes of all that `name` reaches, a line a function: what a key needs of them."""
        rows = []
        for one in reached(module, name):
            causes = sorted({reason.label for reason, _ in self._causes(module, one, is_callee=one != name)})
            rows.append(f"{one}: {', '.join(self.attributes.get(one, ()))}; {', '.join(causes)}")
        return "\n".join(rows)

    def _causes(self, module: Module, name: str, *, is_callee: bool) -> Iterator[Cause]:
        if name not in self.attributes:
            yield Reason.EFFECTS_UNKNOWN, f"{name} is not in gcc's dump"
        if name in self.effects:
            yield self.effects[name]
        for attribute in self.attributes.get(name, ()):
            if _bare_name(attribute) not in HARMLESS:
                yield Reason.ATTRIBUTE, attribute
        if is_callee and name in module.functions:
            yield from _seen_in_text(module.functions[name])


def _seen_in_text(function: Function) -> Iterator[Cause]:
    """What a callee's own text shows. Of the function itself, policy and screen ask the same."""
    if function.has_inline_asm:
        yield Reason.ASM_INLINE, function.name
    if function.has_lock:
        yield Reason.ATOMIC, function.name
    if function.has_indirect_call:
        yield Reason.EFFECTS_UNKNOWN, "a call through a pointer"
    for statement in function.code:
        if statement.name in _HIDDEN_WORDS:
            yield Reason.EFFECTS_UNKNOWN, statement.name


def reached(module: Module, name: str) -> tuple[str, ...]:
    """`name` first, then every function of the unit whose name its code, or theirs, holds, in order of name.

    Functions that gcc did not print as such (top-level assembly, indirect functions) are among them.
    """
    found: dict[str, None] = {}
    todo = [name]
    while todo:
        one = todo.pop()
        one = one if module.symbol_types.get(one) == "gnu_indirect_function" else module.resolve(one)
        one = module.owners.get(one, one)
        is_data = one in module.objects or one.startswith(".L")
        if one in found or is_data or not module.defines(one):
            continue
        found[one] = None
        if one in module.functions:
            todo += module.functions[one].refs
    return name, *sorted(found.keys() - {name})


# --- the dump -----------------------------------------------------------------------------------------


def facts_in(dump: str) -> UnitFacts:
    """The facts of a unit, out of the text of gcc's dump (`base.dump`)."""
    heads = list(HEAD.finditer(dump))
    effects: dict[str, Cause] = {}
    attributes: dict[str, tuple[str, ...]] = {}
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        name, located = head[2], dump[head.end() : after.start() if after else len(dump)]
        code = _LOCATION.sub("", located)
        attributes[name] = tuple(sorted({one for row in _ATTRIBUTES.findall(code) for one in attribute_list(row)}))
        for pattern, reason in _EFFECTS:
            if shown := pattern.search(code):
                number = code.count("\n", 0, shown.start())
                line = code.split("\n")[number].strip()
                where = _LINE.match(located.split("\n")[number])
                said = line[:100] if reason in (Reason.ASM_INLINE, Reason.ATOMIC) else volatile_access(line)
                effects[name] = (reason, f"{said} ({PurePath(where[1]).name})" if where else said)
                break
    return UnitFacts(effects, attributes)


def volatile_access(statement: str) -> str:
    """What a statement of the dump does to which volatile object, in the words of its source where they are known."""
    target, _, value = statement.rstrip(";").partition(" ={v} ")
    is_read = target == "<retval>" or (_SSA.fullmatch(target) and not re.fullmatch(r"-?\d.*", value))
    touched = _THROUGH.sub(_through, value if is_read else target)
    named = re.sub(r"\[[^]]*\]", "[]", _SSA.sub(lambda one: one[1] or "…", touched))
    has_name = re.search(r"[A-Za-z_]", re.sub(r"\([^()]*\)", "", named))
    return f"{'reads' if is_read else 'writes'} volatile {f'`{named[:80]}`' if has_name else 'memory'}"


def _through(access: re.Match[str]) -> str:
    """A use of memory through a pointer, in C."""
    said, follows = f"*({access[1]}){access[2]}", access.string[access.end() : access.end() + 1]
    return f"({said})" if follows == "." else said


def attribute_list(row: str) -> list[str]:
    """The attributes of `((a, b (x, y), c))`; the row as one attribute when it is written differently."""
    if not (row.startswith("((") and row.endswith("))")):
        return [row]
    row = row[2:-2]
    found, at = [], 0
    while at < len(row):
        one = _ONE.match(row, at)
        if one is None:
            return [row]
        found.append(one[1] if one[2] is None else f"{one[1]} {one[2]}")
        at = one.end()
    return found


def _bare_name(attribute: str) -> str:
    return attribute.partition("(")[0].strip().strip("_")
