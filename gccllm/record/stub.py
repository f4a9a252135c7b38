"""The text of a recorded unit: gcc's, with a stub at the entry of each recorded function, and the recorder itself.

The recorder is one COMDAT group, hidden: however many recorded units are linked, an image has one copy. A function's
descriptor and the cold half of its stub lie in sections of their own, in the function's group when it has one, so that
the linker drops them with the function.

Covers what `assembly.Module` parses. Not covered, and refused with BodyError: functions whose text has several
statements on a line, names that a section name cannot hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gccllm.assembly import BodyError, Function, Module, reachable, tls
from gccllm.assembly.syntax import Kind, Statement, lex, split_commas, substitute, symbols
from gccllm.base.core import Decline
from gccllm.base.reasons import Reason
from gccllm.base.runtime import GET_ADDRESS
from gccllm.base.toolchain import Toolchain

ENTRY = "__gccllm_record_v2"
"""The recorder's entry, and its COMDAT group. Another layout of stub or descriptor needs another name."""
OWN = "gccllm.record."
"""Prefix of the recorder's other symbols, which no C program can have."""
NATIVE = Path(__file__).parent / "native"
DESCRIPTOR_BYTES = 64
THREAD_LOCAL = 1 << 63
"""Bit of a size in a descriptor's table: the address is of a function that tells the address."""

RUNTIME_FLAGS = (
    "-x", "c", "-std=gnu17", "-Os", "-fPIC", "-ffreestanding", "-fno-builtin", "-mgeneral-regs-only", "-mno-red-zone",
    "-fno-stack-protector", "-fcf-protection=branch", "-fvisibility=hidden", "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables", "-fno-exceptions", "-fno-jump-tables", "-fno-tree-loop-distribute-patterns", "-fno-common",
    "-fno-lto", "-fno-sanitize=all", "-U_FORTIFY_SOURCE", "-w", "-pipe",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stub:
    """A function to record. `symbols`: data of the unit whose addresses its captures name, in this order."""

    function: Function
    key: str
    symbols: tuple[tuple[str, int], ...] = ()
    """(name, size)"""

    @property
    def thread_models(self) -> dict[str, str]:
        """Those among `symbols` that are thread-local, and how the unit's own code reaches them (`tls.models_of`)."""
        module = self.function.module
        code = [s for one in reachable(module, self.function.name)[0] for s in module.functions[one].code]
        models = tls.models_of(code)
        return {name: models[name] for name, _ in self.symbols if name in models}


def recorded_text(module: Module, stubs: Sequence[Stub], recorder: str) -> str:
    """The unit's text with the stubs, and `recorder` (of `recorder_text`) behind it. Raises BodyError."""
    before: dict[int, list[str]] = {}
    for number, stub in enumerate(stubs):
        before.setdefault(entry_line(stub.function), []).extend(_hot_rows(number))
        before.setdefault(stub.function.last + 1, []).extend(_cold_rows(stub, number))
    rows: list[str] = []
    for at, line in enumerate(module.lines):
        rows.extend(before.get(at, ()))
        rows.append(line)
    rows.extend(before.get(len(module.lines), ()))
    text = "\n".join(rows)
    return (text if text.endswith("\n") else text + "\n") + recorder


def data_symbols(
    module: Module, function: Function, replaceable: AbstractSet[str] = frozenset()
) -> tuple[tuple[str, int], ...]:
    """(name, size) of the data of the unit that the function's slice names and its descriptor can name as well."""
    out = []
    for name in reachable(module, function.name, replaceable)[1]:
        known = module.objects[name]
        words = known.common.split(",")
        size = known.size if known.size else words[1].strip(" \t") if len(words) > 1 else ""
        # The linker may have dropped another group, with what is local in it.
        elsewhere = known.section.group not in ("", function.comdat) and known.binding == "local"
        if size.isdigit() and int(size) > 0 and not name.startswith(".L") and not elsewhere:
            out.append((name, int(size)))
    return tuple(out)


# --- one function -----------------------------------------------------------------------------------


def entry_line(function: Function) -> int:
    """The line before which the stub goes: behind endbr64, but before any label that code branches to.

    Raises BodyError when the function's text has no such place.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.$]+", function.name + function.comdat):
        raise BodyError(Reason.UNSUPPORTED_CODE, f"the name {function.name!r}")
    return function.entry.at + (function.entry.statement.name == "endbr64")


def _hot_rows(number: int) -> list[str]:
    return [
        f"\tsubq\t$1, .Lgccllm_record_{number}(%rip)",
        f"\tjs\t.Lgccllm_record_slow_{number}",
        f".Lgccllm_record_resume_{number}:",
    ]


def _cold_rows(stub: Stub, number: int) -> list[str]:
    """The way to the recorder, and the descriptor. Every register is kept: callers may know which are (-fipa-ra)."""
    function = stub.function
    group = f",{function.comdat},comdat" if function.comdat else ""
    letter = "G" if group else ""
    has_cfi = function.has_cfi
    mark = f".Lgccllm_record_{number}"
    models = stub.thread_models
    tellers = [name for name, _ in stub.symbols if name in models]
    return [
        f'\t.pushsection\t.text.unlikely.gccllm_record.{function.name},"ax{letter}",@progbits{group}',
        f".Lgccllm_record_slow_{number}:",
        *(["\t.cfi_startproc"] if has_cfi else []),
        "\tpushq\t%r11",
        *(["\t.cfi_adjust_cfa_offset\t8"] if has_cfi else []),
        f"\tleaq\t{mark}(%rip), %r11",
        f"\tcall\t{ENTRY}",
        "\tpopq\t%r11",
        *(["\t.cfi_adjust_cfa_offset\t-8"] if has_cfi else []),
        f"\tjmp\t.Lgccllm_record_resume_{number}",
        *(["\t.cfi_endproc"] if has_cfi else []),
        *(row for n, name in enumerate(tellers) for row in _teller_rows(f"{mark}_thread_{n}", name, models[name])),
        "\t.popsection",
        f'\t.pushsection\t.data.rel.gccllm_record.{function.name},"aw{letter}",@progbits{group}',
        f"\t.balign\t{DESCRIPTOR_BYTES}",  # a cache line: counts of other functions do not meet in it
        f"{mark}:",
        "\t.quad\t0, 0, 0",
        f"\t.quad\t.Lgccllm_record_resume_{number}",
        f"\t.quad\t{mark}_key, {mark}_name, {mark}_symbols",
        "\t.quad\t0",
        f"{mark}_symbols:",
        f"\t.quad\t{len(stub.symbols)}",
        *(
            f"\t.quad\t{mark}_thread_{tellers.index(name)}, {size | THREAD_LOCAL:#x}"
            if name in models
            else f"\t.quad\t{name}, {size}"
            for name, size in stub.symbols
        ),
        f"{mark}_key:",
        f'\t.string\t"{stub.key}"',
        f"{mark}_name:",
        f'\t.string\t"{function.name}"',
        "\t.popsection",
    ]


def _teller_rows(label: str, name: str, model: str) -> list[str]:
    """A function that tells the address of thread-local data, by the model that the unit's own code has.

    Another might ask too much of the image: an offset that is fixed when a shared object is loaded leaves it no place
    in a program that is running already.
    """
    if model == "tlsgd":
        address = [
            "\tsubq\t$8, %rsp", f"\tdata16\tleaq\t{name}@tlsgd(%rip), %rdi", "\t.value\t0x6666", "\trex64",
            f"\tcall\t{GET_ADDRESS}@PLT", "\taddq\t$8, %rsp",
        ]  # fmt: skip
    elif model == "gottpoff":
        address = [f"\tmovq\t{name}@gottpoff(%rip), %rax", "\taddq\t%fs:0, %rax"]
    else:
        address = ["\tmovq\t%fs:0, %rax", f"\tleaq\t{name}@tpoff(%rax), %rax"]
    return [f"{label}:", "\tendbr64", *address, "\tret"]


# --- the recorder -----------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def recorder_text(gcc: str) -> str:
    """The recorder as text to put behind a unit's. Raises Decline(RECORDER) when `gcc` does not compile it to what is
    expected."""
    ran = Toolchain(gcc=gcc).compile([*RUNTIME_FLAGS, "-S", "-o", "-", str(NATIVE / "recorder.c")])
    if not ran.ok:
        raise Decline(Reason.RECORDER, ran.err.strip().splitlines()[-1][:200] if ran.err.strip() else "no answer")
    try:
        return _with_end(grouped(ran.out.decode("latin-1"), ENTRY, OWN))
    except ValueError as error:
        raise Decline(Reason.RECORDER, str(error)) from error


def _with_end(recorder: str) -> str:
    rows = [
        _code(ENTRY),
        f"\t.weak\t{ENTRY}",
        f'\t.section\t.fini_array.00090,"awG",@fini_array,{ENTRY},comdat',
        "\t.balign\t8",
        f"\t.quad\t{OWN}end_recording",
    ]
    return recorder + "\n".join(rows) + "\n"


def grouped(text: str, group: str, prefix: str, others: AbstractSet[str] = frozenset()) -> str:
    """gcc's text of a runtime as one COMDAT group, its names but for the group's own out of the program's way.

    Its constants lie among its code: a child that has locked all data must reach them. `others`: symbols that it may
    need. Raises ValueError for what a runtime must not have: variables but for one in .bss, or a need of other code.
    """
    module = Module.parse(text)
    own = {item.statement.name for item in module.items if item.statement.kind is Kind.LABEL} - {group}

    instructions = [item.statement for item in module.items if item.statement.kind is Kind.INSTRUCTION]
    needs = {name for s in instructions for name in _named(s) if not name.startswith(".L")} - own - {group} - others
    if needs:
        raise ValueError(f"the runtime needs {', '.join(sorted(needs))}")

    def renamed(name: str) -> str:
        if name.startswith(".L"):
            return f".L{prefix}{name[2:]}"
        return f"{prefix}{name}" if name in own else name

    rows = [_code(group), "\t.p2align 4"]
    keeps = True
    for line in module.lines:
        for s in [] if line.startswith("#") else lex(line):
            if s.name in (".text", ".data", ".bss", ".section"):
                section, keeps = _section_of(s, group)
                rows.append(section)
            elif keeps and s.name not in (".file", ".ident"):
                rows.append(_printed(s, renamed))
    return "\n".join(row for row in rows if row) + "\n"


def _code(group: str) -> str:
    return f'\t.section\t.text.{group},"axG",@progbits,{group},comdat'


def _named(s: Statement) -> Iterator[str]:
    """Symbols of an instruction's operands; after a prefix the first word is the instruction."""
    return symbols(s.args.partition(" ")[2] if s.name in ("lock", "rep", "repz", "repnz") else s.args)


def _section_of(s: Statement, group: str) -> tuple[str, bool]:
    """Where a section's contents go instead; whether they are kept at all."""
    name = split_commas(s.args)[0] if s.name == ".section" else s.name
    if name.startswith((".text", ".rodata")):
        return _code(group), True
    if name.startswith(".bss"):
        return f'\t.section\t.bss.{group},"awG",@nobits,{group},comdat', True
    if name.startswith(".note"):
        return "", False
    raise ValueError(f"the runtime has a section {name}")


def _printed(s: Statement, renamed: Callable[[str], str]) -> str:
    if s.kind is Kind.LABEL:
        return f"{renamed(s.name)}:"
    if s.kind is Kind.ASSIGN:
        raise ValueError(f"the runtime assigns {s.name}")
    if s.name == ".globl":
        return ""
    args = s.args if s.name in (".string", ".ascii") else substitute(s.args, renamed)
    return f"\t{s.name}\t{args}" if args else f"\t{s.name}"
