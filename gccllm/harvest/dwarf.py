"""Signatures and types out of the DWARF of an object compiled with -g.

Covers C and the C-like part of C++ (references, classes as records, methods' `this`). Templates and namespaces need
nothing special: functions are found by linkage name. Not covered: types in separate .dwo files or type units.
Source: DWARF 5, chapters 3 and 5.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from elftools.elf.elffile import ELFFile

from gccllm.base.core import Decline, External
from gccllm.base.dump import Prototype, prototypes
from gccllm.base.names import original_name
from gccllm.base.reasons import Reason
from gccllm.harvest.abi import callee_spec, place_params
from gccllm.harvest.dies import (
    ABSTRACT,
    Die,
    attribute,
    base_type,
    constant,
    enumeration,
    is_const,
    number,
    origin,
    text,
)
from gccllm.harvest.prototypes import check, clone_parameters, is_clone_of
from gccllm.harvest.types import (
    Array,
    CType,
    Field,
    Opaque,
    Pointer,
    Record,
    Signature,
    Variable,
    Void,
    qualified,
    unmakeable,
)

_THREAD_OFFSETS = {17, 21}  # R_X86_64_DTPOFF64, R_X86_64_DTPOFF32
_REGISTERS = {*range(0x50, 0x70), 0x90}  # DW_OP_reg0 .. DW_OP_reg31, DW_OP_regx
_ADDRESS, _THREAD_ADDRESS = 0x03, {0x9B, 0xE0}  # DW_OP_addr; DW_OP_form_tls_address, DW_OP_GNU_push_tls_address
_PASS_BY_REFERENCE = 4  # DW_CC_pass_by_reference
_NAMED_POINTERS = {"DW_TAG_pointer_type", "DW_TAG_reference_type", "DW_TAG_rvalue_reference_type"}
_KEYWORDS = {
    "DW_TAG_structure_type": "struct", "DW_TAG_class_type": "struct", "DW_TAG_union_type": "union",
    "DW_TAG_enumeration_type": "enum",
}  # fmt: skip
_NAMED = {"DW_TAG_base_type", "DW_TAG_typedef", *_KEYWORDS}
_RECORDS = {"DW_TAG_structure_type", "DW_TAG_class_type", "DW_TAG_union_type"}


class UnitTypes:
    """Signatures of a unit's functions: its DWARF is read once, at the first question.

    dump  gcc's last tree dump of the same compile, for the signatures of clones (`prototypes`)
    """

    def __init__(self, object_file: bytes, dump: str = "") -> None:
        self._object = object_file
        self._dump = dump

    @cached_property
    def _reader(self) -> _Reader:
        elf = ELFFile(io.BytesIO(without_thread_offsets(self._object)))
        if not elf.has_dwarf_info():
            raise Decline(Reason.NO_TYPES, "no DWARF")
        return _Reader(elf.get_dwarf_info(), self._dump)

    def signature(self, name: str) -> Signature:
        """That of function `name` (its assembler name).

        Raises Decline: NO_TYPES when it is not described there, REGISTER_VARIABLE, VARIADIC, VOLATILE, ATOMIC, or
        UNSUPPORTED_TYPE for what has no place that we know. What pointers point to may be anything: see
        `types.unmakeable`.
        """
        try:
            return self._reader.signature(name)
        except Decline:
            raise
        except Exception as error:  # elftools lets through whatever odd bytes lead it to
            raise Decline(Reason.NO_TYPES, f"{type(error).__name__}: {error}") from error

    def declaration(self, clone: str) -> str:
        """gcc's of a clone; empty for any other function."""
        declared = self._reader.declared_in_code.get(clone) if original_name(clone) else None
        return declared.text if declared is not None else ""


def signature_of(object_path: Path, name: str) -> Signature:
    """As `UnitTypes.signature`, of the object in a file."""
    try:
        return UnitTypes(object_path.read_bytes()).signature(name)
    except OSError as error:
        raise Decline(Reason.NO_TYPES, f"{type(error).__name__}: {error}") from error


def signatures_of(object_path: Path, names: Iterable[str]) -> dict[str, Signature]:
    """As `signature_of`, of many functions; those for which it would raise, or of which no values can be made, are
    left out. Raises OSError."""
    found: dict[str, Signature] = {}
    types = UnitTypes(object_path.read_bytes())
    for name in names:
        with contextlib.suppress(Decline):
            signature = types.signature(name)
            if not unmakeable(signature):
                found[name] = signature
    return found


def without_thread_offsets(content: bytes) -> bytes:
    """The object without the relocations of thread-local variables' places, which elftools does not know: it would read
    nothing of the unit. Only that there is such a place is asked."""
    out = bytearray(content)
    for section in ELFFile(io.BytesIO(content)).iter_sections():
        if section["sh_type"] != "SHT_RELA" or not section.name.startswith(".rela.debug"):
            continue
        for at in range(section["sh_offset"], min(section["sh_offset"] + section["sh_size"], len(out)), 24):
            # Elf64_Rela: offset, type (4 bytes), symbol (4), addend
            if int.from_bytes(out[at + 8 : at + 12], "little") in _THREAD_OFFSETS:
                out[at + 8 : at + 12] = bytes(4)
    return bytes(out)


def is_strict_aliasing(options: Sequence[str]) -> bool:
    """Whether gcc with these options assumes that objects of different types do not alias.

    From -O2 on, unless an option says otherwise.
    """
    strict, level = None, "0"
    for option in options:
        if option in ("-fstrict-aliasing", "-fno-strict-aliasing"):
            strict = option == "-fstrict-aliasing"
        elif option.startswith("-O"):
            level = option[2:] or "1"
    return level not in ("0", "1", "g") if strict is None else strict


class _Reader:
    def __init__(self, dwarf: Any, dump: str) -> None:
        self.dwarf = dwarf
        self.dump = dump
        self.options: list[str] = []
        """Those that gcc says it was called with."""
        self.kept: list[str] = []
        """Global variables that live in a register, which all of the program leaves alone."""
        self.functions: dict[str, Die] = {}
        self.declared: list[Die] = []
        self.variables: dict[str, Die] = {}
        self.types: dict[int, CType] = {}
        self.members: dict[int, Die] = {}
        """By the identity of their Field, which `types` keeps alive."""
        for unit in dwarf.iter_CUs():
            self.options += text(unit.get_top_DIE(), "DW_AT_producer").split()
            self.collect(unit.get_top_DIE())

    def collect(self, top: Die) -> None:
        for die in top.iter_children():
            if die.tag == "DW_TAG_subprogram":
                self.collect_function(die)
                self.collect_statics(die)
            elif die.tag == "DW_TAG_variable":
                if (name := text(die, "DW_AT_name")) and name not in self.variables:
                    self.variables[name] = die
                location = die.attributes.get("DW_AT_location")
                if location is not None and isinstance(location.value, list) and location.value[:1]:
                    self.kept += [name] if location.value[0] in _REGISTERS else []
            elif die.tag in ("DW_TAG_namespace", *_RECORDS) and die.has_children:
                self.collect(die)

    def collect_function(self, die: Die) -> None:
        name = text(die, "DW_AT_linkage_name") or text(die, "DW_AT_name")
        if not name:
            return
        if "DW_AT_declaration" in die.attributes:
            self.declared.append(die)
        # A concrete instance refers to an abstract one of the same name: either has the parameters.
        elif name not in self.functions or "DW_AT_low_pc" in die.attributes:
            self.functions[name] = die

    def collect_statics(self, die: Die) -> None:
        for child in die.iter_children():
            if child.tag == "DW_TAG_variable" and "DW_AT_const_value" not in child.attributes:
                location = child.attributes.get("DW_AT_location")
                # The variable has an address of its own, or one in every thread, so it is a static.
                where = location.value if location is not None and isinstance(location.value, list) else []
                is_static = where[:1] == [_ADDRESS] or (len(where) > 1 and where[-1] in _THREAD_ADDRESS)
                name = text(child, "DW_AT_name")
                if is_static and name and name not in self.variables:
                    self.variables[name] = child
            elif child.tag == "DW_TAG_lexical_block":
                self.collect_statics(child)

    def signature(self, name: str) -> Signature:
        die = self.functions.get(name)
        if self.kept:
            raise Decline(Reason.REGISTER_VARIABLE, ", ".join(self.kept))
        named, returns = self.clone(name) if die is None else self.prototype(die)
        if die is not None and not attribute(die, "DW_AT_external"):
            self.check_local(name, named, returns)
        for label, ctype in [*named, ("result", returns)]:
            if ctype is not None and (found := qualified(label, ctype)):
                reason = Reason.VOLATILE if found.what == "volatile" else Reason.ATOMIC
                raise Decline(reason, f"its arguments lead to {found.what} `{found.path}`{self.place(found.member)}")
        params, returned = place_params(named, returns)
        callees, statics = dict(self.callees), dict(self.statics)
        return Signature(name, params, returns, returned, callees, statics, is_strict_aliasing(self.options))

    def prototype(self, die: Die) -> tuple[list[tuple[str, CType]], CType | None]:
        """Parameters in order and the result type. Raises Decline(VARIADIC)."""
        # A concrete instance lists what is left of its parameters, in any order.
        holder = die.get_DIE_from_attribute(ABSTRACT) if ABSTRACT in die.attributes else die
        while not any(c.tag == "DW_TAG_formal_parameter" for c in holder.iter_children()):
            follow = origin(holder)
            if follow is None:
                break
            holder = follow
        named: list[tuple[str, CType]] = []
        for child in holder.iter_children():
            if child.tag == "DW_TAG_unspecified_parameters":
                raise Decline(Reason.VARIADIC, text(die, "DW_AT_name"))
            if child.tag == "DW_TAG_formal_parameter":
                named.append((text(child, "DW_AT_name") or f"arg{len(named)}", self.type_of(child)))
        returns = self.type_of(die) if attribute(die, "DW_AT_type") else None
        return named, returns

    def clone(self, name: str) -> tuple[list[tuple[str, CType]], CType | None]:
        """As `prototype`, of a clone that gcc made of a function. Raises Decline(NO_TYPES, UNSUPPORTED_TYPE) too."""
        die, declared = self.functions.get(original_name(name)), self.declared_in_code.get(name)
        if die is None or declared is None or not is_clone_of(declared, name, text(die, "DW_AT_name")):
            raise Decline(Reason.NO_TYPES, name)
        original, returns = self.prototype(die)
        named = clone_parameters(declared, dict(original), self.spelled)
        if declared.returns == "void" or returns is None:
            return named, None
        check(declared.returns, returns, self.spelled)
        return named, returns

    def check_local(self, name: str, named: list[tuple[str, CType]], returns: CType | None) -> None:
        """Raises Decline(NO_TYPES) where gcc's code of a local function is not called as its source says: only gcc's
        own callers have to know."""
        declared = self.declared_in_code.get(name)
        if declared is None:
            return
        labels = [label for _, label in declared.params]
        is_changed = len(labels) != len(named) or (declared.returns == "void") != (returns is None)
        moved = [label for at, (label, _) in enumerate(named) if label in labels and labels.index(label) != at]
        if is_changed or moved:
            raise Decline(Reason.NO_TYPES, f"gcc changed how it is called: {declared.text}")

    @cached_property
    def declared_in_code(self) -> dict[str, Prototype]:
        return prototypes(self.dump)

    def spelled(self, words: str) -> CType | None:
        """The type that gcc's dump has these words for; None where two types of the unit share them."""
        found = self.named_types.get(words, [])
        return self.build(found[0]) if len(found) == 1 else None

    @cached_property
    def named_types(self) -> dict[str, list[Die]]:
        """Of every scope."""
        found: dict[str, list[Die]] = {}
        for die in (die for unit in self.dwarf.iter_CUs() for die in unit.iter_DIEs()):
            if die.tag in _NAMED and "DW_AT_name" in die.attributes and "DW_AT_declaration" not in die.attributes:
                found.setdefault(f"{_KEYWORDS.get(die.tag, '')} {text(die, 'DW_AT_name')}".strip(), []).append(die)
        return found

    @cached_property
    def callees(self) -> dict[str, External]:
        """What is declared, and what the unit defines and others can see: another unit may replace it."""
        specs: dict[str, External] = {}
        for die in (*(die for die in self.functions.values() if attribute(die, "DW_AT_external")), *self.declared):
            name = text(die, "DW_AT_linkage_name") or text(die, "DW_AT_name")
            try:
                named, returns = self.prototype(die)
                spec = callee_spec([ctype for _, ctype in named], returns)
            except Decline:
                continue
            # A declaration without a prototype says nothing about its arguments.
            if spec is not None and (named or "DW_AT_prototyped" in die.attributes):
                specs[name] = spec
        return specs

    @cached_property
    def statics(self) -> dict[str, Variable]:
        found = {}
        for name, die in self.variables.items():
            if attribute(die, "DW_AT_type"):
                found[name] = Variable(name, self.type_of(die))
        return found

    # --- types ---

    def type_of(self, die: Die) -> CType:
        """The type that DW_AT_type of `die` names; void where there is none."""
        owner = die
        while "DW_AT_type" not in owner.attributes:
            follow = origin(owner)
            if follow is None:
                return Void()
            owner = follow
        return self.build(owner.get_DIE_from_attribute("DW_AT_type"))

    def build(self, die: Die) -> CType:
        known = self.types.get(die.offset)
        if known is None:
            known = self.make(die)
            self.types[die.offset] = known
        return known

    def make(self, die: Die) -> CType:
        tag = die.tag
        if tag == "DW_TAG_base_type":
            return base_type(die)
        if tag in ("DW_TAG_typedef", "DW_TAG_const_type"):
            return self.type_of(die)
        if tag == "DW_TAG_volatile_type":
            return Opaque("volatile")
        if tag == "DW_TAG_atomic_type":
            return Opaque("atomic")
        if tag == "DW_TAG_restrict_type":
            inner = self.type_of(die)
            if isinstance(inner, Pointer):
                return Pointer(inner.to, inner.const, restrict=True, nonnull=inner.nonnull)
            return inner
        if tag in _NAMED_POINTERS:
            pointer = Pointer(Void(), nonnull=tag != "DW_TAG_pointer_type")
            self.types[die.offset] = pointer  # before the pointee: it may refer back
            pointer.to = self.type_of(die)
            pointer.const = is_const(die)
            return pointer
        if tag in _RECORDS:
            return self.record(die)
        if tag == "DW_TAG_enumeration_type":
            return enumeration(die)
        if tag == "DW_TAG_array_type":
            return self.array(die)
        return Opaque(tag.removeprefix("DW_TAG_").removesuffix("_type"))

    def record(self, die: Die) -> Record:
        made = Record(text(die, "DW_AT_name") or "(unnamed)", number(die, "DW_AT_byte_size"))
        made.is_union = die.tag == "DW_TAG_union_type"
        made.in_memory = number(die, "DW_AT_calling_convention") == _PASS_BY_REFERENCE
        self.types[die.offset] = made
        for child in die.iter_children():
            if child.tag not in ("DW_TAG_member", "DW_TAG_inheritance") or "DW_AT_external" in child.attributes:
                continue
            ctype = self.type_of(child)
            bits = None
            if "DW_AT_data_bit_offset" in child.attributes:
                bits = (number(child, "DW_AT_data_bit_offset"), number(child, "DW_AT_bit_size"))
            offset = bits[0] // 8 if bits else number(child, "DW_AT_data_member_location")
            made.fields.append(Field(text(child, "DW_AT_name"), offset, ctype, bits))
            self.members[id(made.fields[-1])] = child
        return made

    def place(self, member: Field | None) -> str:
        """Where a member is declared: ` (state.h:12)`; empty where that is not known."""
        die = self.members.get(id(member))
        if die is None or not (line := number(die, "DW_AT_decl_line")):
            return ""
        files = die.dwarfinfo.line_program_for_CU(die.cu).header.file_entry
        name = files[number(die, "DW_AT_decl_file")].name
        return f" ({PurePath(name.decode('latin-1')).name}:{line})"

    def array(self, die: Die) -> CType:
        if "DW_AT_GNU_vector" in die.attributes:
            return Opaque("vector")
        made = self.type_of(die)
        for bound in reversed([c for c in die.iter_children() if c.tag == "DW_TAG_subrange_type"]):
            count: int | None = None
            if isinstance(value := constant(bound, "DW_AT_count"), int):
                count = value
            elif isinstance(value := constant(bound, "DW_AT_upper_bound"), int):
                count = value + 1
            made = Array(made, count)
        return made
