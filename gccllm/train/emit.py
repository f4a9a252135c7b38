"""The expert side's fixed spelling: small pieces of assembly that every family shares.

Registers: %r11 array, %r9 second array, %r10 elements left, %k1 live lanes, %k2 answer lanes, %zmm0 data, %zmm1
accumulator, %zmm2... constants, %rax/%rcx temporaries, %rdx result or start. No callee-saved register, no stack, no
private constants, so that unwind tables and contracts stay trivial.

Memory: a counted walk reads lanes below the count only (masked); an early-exit scan reads whole 64-byte aligned blocks
that hold at least one element the naive loop reads.
"""

from __future__ import annotations

from gccllm.train.shapes import Elem, reg


def body(lines: list[str]) -> str:
    """Body text: labels at the margin, instructions after a tab, one tab before the operands."""
    out = []
    for line in lines:
        if line.endswith(":"):
            out.append(line)
        else:
            mnemonic, _, operands = line.partition(" ")
            out.append("\t" + mnemonic + ("\t" + operands.replace(",", ", ") if operands else ""))
    return "\n".join(out) + "\n"


def load(elem: Elem, pointer: str = "r11", vector: int = 0, *, masked: bool = True, width: str = "zmm") -> str:
    size = elem.bits if elem.bits <= 64 else 64
    return f"vmovdqu{size} (%{pointer}),%{width}{vector}" + ("{%k1}{z}" if masked else "")


def to_mask(elem: Elem, source: str, mask: int) -> str:
    """kmov from a general register (64-bit name) of as many bits as a vector has lanes."""
    return f"kmov{elem.mask_suffix} {reg(source, 64 if elem.lanes == 64 else 32)},%k{mask}"


def from_mask(elem: Elem, mask: int, target: str) -> str:
    return f"kmov{elem.mask_suffix} %k{mask},{reg(target, 64 if elem.lanes == 64 else 32)}"


def counted(
    elem: Elem, work: list[str], *, lanes: int | None = None, pointers: tuple[str, ...] = ("r11",), label: int = 1
) -> list[str]:
    """A loop over %r10 > 0 elements; `work` runs with the live lanes in %k1, all of them but in the last round.

    Uses labels .L{label}, .L{label + 1}; clobbers %rax, %r8, %k1.
    """
    n = lanes or elem.lanes
    bits = "q" if n == 64 else "l"
    r8 = "%r8" if n == 64 else "%r8d"
    rax = "%rax" if n == 64 else "%eax"
    kmov = {64: "kmovq", 32: "kmovd", 16: "kmovw", 8: "kmovb"}[n]
    step = n * elem.size
    return [
        "movq $-1,%r8",
        f"{kmov} {r8},%k1",
        f".L{label}:",
        f"subq ${n},%r10",
        f"jae .L{label + 1}",
        f"leal {n}(%r10),%eax",
        f"bzhi{bits} {rax},{r8},{rax}",
        f"{kmov} {rax},%k1",
        f".L{label + 1}:",
        *work,
        *[f"addq ${step},%{p}" for p in pointers],
        "testq %r10,%r10",
        f"jg .L{label}",
    ]


def align_down(elem: Elem, *, count: bool, saturate: bool = False) -> list[str]:
    """%r11 down to its 64-byte block, %k1 = lanes at or after the start, %r10 counted from the block's first lane."""
    lines = ["movl %r11d,%ecx", "andl $63,%ecx", "subq %rcx,%r11"]
    if elem.log:
        lines.append(f"shrl ${elem.log},%ecx")
    if count:
        lines.append("addq %rcx,%r10")
        if saturate:
            lines += ["sbbq %rax,%rax", "orq %rax,%r10"]
    return [*lines, "movq $-1,%rax", "shlxq %rcx,%rax,%rax", to_mask(elem, "rax", 1)]


def all_live(elem: Elem) -> str:
    s = elem.mask_suffix
    return f"kxnor{s} %k1,%k1,%k1"


def reduce(operation: str, elem_bits: int, vector: int = 1, scratch: int = 0) -> list[str]:
    """Fold the lanes of a vector of 32- or 64-bit elements; the result is lane 0 of the vector.

    `operation`: an AVX-512 mnemonic such as `vpmaxsd`, `vpaddq`.
    """
    shuffle = [("vpshufd", "$78")] + ([("vpshufd", "$177")] if elem_bits == 32 else [])
    lines = [
        f"vextracti64x4 $1,%zmm{vector},%ymm{scratch}",
        f"{operation} %ymm{scratch},%ymm{vector},%ymm{vector}",
        f"vextracti128 $1,%ymm{vector},%xmm{scratch}",
        f"{operation} %xmm{scratch},%xmm{vector},%xmm{vector}",
    ]
    for name, how in shuffle:
        lines += [f"{name} {how},%xmm{vector},%xmm{scratch}", f"{operation} %xmm{scratch},%xmm{vector},%xmm{vector}"]
    return lines


def element_address(elem: Elem, base: str = "r11", index: str = "rax") -> str:
    return f"(%{base},%{index},{elem.size})" if elem.size > 1 else f"(%{base},%{index})"


def load_scalar(elem: Elem, address: str, to_bits: int = 32) -> str:
    """Load one element into %eax (or %rax), extended as C's promotions do."""
    if elem.bits == 64:
        return f"movq {address},%rax"
    if elem.bits == 32:
        return f"movslq {address},%rax" if to_bits == 64 and elem.signed else f"movl {address},%eax"
    return f"mov{'s' if elem.signed else 'z'}{'b' if elem.bits == 8 else 'w'}l {address},%eax"
