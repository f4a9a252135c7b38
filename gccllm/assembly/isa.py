"""Instruction-set levels, and the code that finds the level of the machine at program start.

Levels are cumulative; a rewrite records the lowest level that has all it uses. Level 0 is what every x86-64 has, so a
guard with level 0 is no guard. The byte `__gccllm_isa_level_v1` holds the level of the running machine; it is 0 until
the constructor has run, so code that runs earlier (IFUNC resolvers, other constructors, -nostartfiles) takes the
baseline. Rows are added at the end only, and with another meaning of a row the symbol gets a new version.

Sources: System V psABI x86-64 (v2, v3, v4); Intel SDM vol. 1 section 14-15 (XCR0), vol. 2 CPUID.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gccllm.base.toolchain import Toolchain

LEVEL_SYMBOL = "__gccllm_isa_level_v1"


@dataclass(frozen=True, slots=True)
class Level:
    """`features` are iced CpuidFeature names this level adds; `checks` the (leaf, register, bits) that prove them."""

    number: int
    name: str
    features: frozenset[str]
    checks: tuple[tuple[str, str, tuple[int, ...]], ...]
    xcr0: int
    """Bits of XCR0 that the operating system must have set."""


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split(" "))


_LEAF_1, _LEAF_7, _LEAF_7_1, _LEAF_EXT = "1", "7", "7.1", "0x80000001"

LEVELS: tuple[Level, ...] = (
    Level(
        0, "x86-64",
        _set("INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 FPU FPU287 FPU387 CMOV CX8 FXSR MMX SSE SSE2 "
             "MULTIBYTENOP CET_IBT CET_SS PAUSE PREFETCHW"),
        (), 0,
    ),
    Level(
        2, "x86-64-v2", _set("SSE3 SSSE3 SSE4_1 SSE4_2 POPCNT CMPXCHG16B"),
        ((_LEAF_1, "ecx", (0, 9, 13, 19, 20, 23)),), 0,
    ),
    Level(
        3, "x86-64-v3+aes+pclmul", _set("AVX AVX2 BMI1 BMI2 F16C FMA LZCNT MOVBE AES PCLMULQDQ"),
        ((_LEAF_1, "ecx", (1, 12, 22, 25, 26, 27, 28, 29)), (_LEAF_7, "ebx", (3, 5, 8)), (_LEAF_EXT, "ecx", (5,))),
        0x6,
    ),
    Level(
        4, "x86-64-v4", _set("AVX512F AVX512BW AVX512CD AVX512DQ AVX512VL"),
        ((_LEAF_7, "ebx", (16, 17, 28, 30, 31)),), 0xE6,
    ),
    Level(
        5, "icelake, zen4",
        _set("AVX512_VBMI AVX512_VBMI2 AVX512_IFMA AVX512_VNNI AVX512_BITALG AVX512_VPOPCNTDQ GFNI VAES VPCLMULQDQ "
             "SHA ADX"),
        ((_LEAF_7, "ebx", (19, 21, 29)), (_LEAF_7, "ecx", (1, 6, 8, 9, 10, 11, 12, 14))), 0xE6,
    ),
    Level(
        6, "sapphire rapids", _set("AVX_VNNI AVX512_BF16 AVX512_FP16"),
        ((_LEAF_7, "edx", (23,)), (_LEAF_7_1, "eax", (4, 5))), 0xE6,
    ),
)  # fmt: skip

_LEVEL_OF = {feature: level.number for level in LEVELS for feature in level.features}


def level_name(number: int) -> str:
    """A level in the words of people: `x86-64-v4`."""
    return next((level.name for level in LEVELS if level.number == number), f"ISA level {number}, of another version")


def level_of(features: Iterable[str]) -> int | None:
    """The lowest level that has all the features (iced names); None when no level has one of them.

    PREFETCHW counts as level 0 because it is a hint: processors without it take it as a no-op.
    """
    level = 0
    for feature in features:
        found = _LEVEL_OF.get(feature)
        if found is None:
            return None
        level = max(level, found)
    return level


# gcc's predefined macro -> iced feature.
_MACROS = {
    "__SSE3__": "SSE3", "__SSSE3__": "SSSE3", "__SSE4_1__": "SSE4_1", "__SSE4_2__": "SSE4_2", "__POPCNT__": "POPCNT",
    "__GCC_HAVE_SYNC_COMPARE_AND_SWAP_16": "CMPXCHG16B", "__AVX__": "AVX", "__AVX2__": "AVX2", "__BMI__": "BMI1",
    "__BMI2__": "BMI2", "__F16C__": "F16C", "__FMA__": "FMA", "__LZCNT__": "LZCNT", "__MOVBE__": "MOVBE",
    "__AES__": "AES", "__PCLMUL__": "PCLMULQDQ", "__AVX512F__": "AVX512F", "__AVX512BW__": "AVX512BW",
    "__AVX512CD__": "AVX512CD", "__AVX512DQ__": "AVX512DQ", "__AVX512VL__": "AVX512VL",
    "__AVX512VBMI__": "AVX512_VBMI", "__AVX512VBMI2__": "AVX512_VBMI2", "__AVX512IFMA__": "AVX512_IFMA",
    "__AVX512VNNI__": "AVX512_VNNI", "__AVX512BITALG__": "AVX512_BITALG",
    "__AVX512VPOPCNTDQ__": "AVX512_VPOPCNTDQ", "__GFNI__": "GFNI", "__VAES__": "VAES",
    "__VPCLMULQDQ__": "VPCLMULQDQ", "__SHA__": "SHA", "__ADX__": "ADX", "__AVXVNNI__": "AVX_VNNI",
    "__AVX512BF16__": "AVX512_BF16", "__AVX512FP16__": "AVX512_FP16",
}  # fmt: skip


def march_features(options: Sequence[str], tools: Toolchain) -> frozenset[str]:
    """iced feature names that a unit compiled with these gcc options may use without a guard.

    Asks the real gcc for its macros; options that are no target options (`-m...`) are ignored. When gcc does not
    answer, the result is level 0. `target` attributes and pragmas of single functions are not covered.
    """
    target = tuple(option for option in options if re.fullmatch(r"-m[A-Za-z0-9_.=-]+", option))
    return _march_features(target, tools.gcc)


@lru_cache(maxsize=64)
def _march_features(options: tuple[str, ...], gcc: str) -> frozenset[str]:
    ran = Toolchain(gcc=gcc).compile([*options, "-E", "-dM", "-x", "c", "/dev/null"])
    defined = {row.split(" ")[1] for row in ran.out.decode("latin-1").split("\n") if row.startswith("#define ")}
    return LEVELS[0].features | {feature for macro, feature in _MACROS.items() if macro in defined}


def guard(level: int, baseline: str) -> list[str]:
    """Lines at a function's start: to label `baseline` unless the machine has `level`. Clobbers flags only."""
    return [f"\tcmpb\t${level}, {LEVEL_SYMBOL}(%rip)", f"\tjb\t{baseline}"]


def constructor(has_cfi: bool = True) -> str:
    """The level byte and the constructor that sets it, each in one COMDAT group, hidden: one copy a linked image.

    Needs no library. Sections: .bss, .text.startup, .init_array.00090 (before constructors without priority).
    """
    group, out = LEVEL_SYMBOL, ".Lgccllm_isa_done"
    # edi: highest basic leaf; r9d: XCR0, 0 without OSXSAVE; r10d: highest leaf-7 subleaf; esi: level so far.
    code = ["\tendbr64", "\tmovq\t%rbx, %r8", *(["\t.cfi_register\t3, 8"] if has_cfi else []), "\txorl\t%esi, %esi",
            "\txorl\t%eax, %eax", "\tcpuid", "\tmovl\t%eax, %edi", "\txorl\t%r9d, %r9d"]  # fmt: skip
    for level in LEVELS[1:]:
        if level.xcr0 and level.number == 3:
            code += ["\tmovl\t$1, %eax", "\tcpuid", "\tbtl\t$27, %ecx", f"\tjnc\t{out}", "\txorl\t%ecx, %ecx",
                     "\txgetbv", "\tmovl\t%eax, %r9d"]  # fmt: skip
        if level.xcr0:
            code += ["\tmovl\t%r9d, %eax", *_demand("eax", level.xcr0, out)]
        for leaf, register, bits in level.checks:
            code += [*_read_leaf(leaf, out), *_demand(register, sum(1 << bit for bit in bits), out)]
        code.append(f"\tmovl\t${level.number}, %esi")
    code += [f"{out}:", "\tmovq\t%r8, %rbx", *(["\t.cfi_restore\t3"] if has_cfi else []),
             f"\tmovb\t%sil, {LEVEL_SYMBOL}(%rip)", "\tret"]  # fmt: skip
    rows = [
        f'\t.section\t.bss.{group},"awG",@nobits,{group},comdat',
        f"\t.weak\t{LEVEL_SYMBOL}",
        f"\t.hidden\t{LEVEL_SYMBOL}",
        f"\t.type\t{LEVEL_SYMBOL}, @object",
        f"\t.size\t{LEVEL_SYMBOL}, 1",
        f"{LEVEL_SYMBOL}:",
        "\t.zero\t1",
        f'\t.section\t.text.startup.{group},"axG",@progbits,{group},comdat',
        "\t.p2align 4",
        "\t.type\tgccllm.isa.init, @function",
        "gccllm.isa.init:",
        *(["\t.cfi_startproc"] if has_cfi else []),
        *code,
        *(["\t.cfi_endproc"] if has_cfi else []),
        "\t.size\tgccllm.isa.init, .-gccllm.isa.init",
        f'\t.section\t.init_array.00090,"awG",@init_array,{group},comdat',
        "\t.balign\t8",
        "\t.quad\tgccllm.isa.init",
    ]
    return "\n".join(rows) + "\n"


def _read_leaf(leaf: str, out: str) -> list[str]:
    if leaf == _LEAF_EXT:
        return ["\tmovl\t$0x80000000, %eax", "\tcpuid", "\tcmpl\t$0x80000001, %eax", f"\tjb\t{out}",
                "\tmovl\t$0x80000001, %eax", "\tcpuid"]  # fmt: skip
    number, _, sub = leaf.partition(".")
    rows = [f"\tcmpl\t${number}, %edi", f"\tjb\t{out}"]
    if sub:  # leaf 7 says in eax how many sub-leaves it has
        rows += [f"\tmovl\t${number}, %eax", "\txorl\t%ecx, %ecx", "\tcpuid", f"\tcmpl\t${sub}, %eax", f"\tjb\t{out}"]
    return [*rows, f"\tmovl\t${number}, %eax", f"\tmovl\t${sub or 0}, %ecx", "\tcpuid"]


def _demand(register: str, mask: int, out: str) -> list[str]:
    """On to `out` unless the register has all bits of the mask."""
    signed = mask - (1 << 32) if mask >> 31 else mask
    return [f"\tandl\t${signed}, %{register}", f"\tcmpl\t${signed}, %{register}", f"\tjne\t{out}"]
