"""Elements moved: reversal in place, and keeping the elements of a class (in place or into another array)."""

from __future__ import annotations

import random

from gccllm.train import emit
from gccllm.train.predicates import bind, draw_predicate
from gccllm.train.shapes import COUNTS, ELEMS, I32, I64, U8, U32, U64, Pair, Signature, Walk, reg


def draw(rng: random.Random) -> Pair:
    return rng.choice([_reverse, _keep, _keep, _keep])(rng)


def _reverse(rng: random.Random) -> Pair:
    """Both ends swapped towards the middle; the middle element of an odd count is not stored, as in the naive loop."""
    elem = rng.choice([I32, *ELEMS])
    count = rng.choice(["int", "int", "long", "size_t", "end"])
    sig = Signature()
    sig.add("a", f"{elem.c} *a", f"p:{elem.bits}:{int(elem.signed)}")
    if count == "end":
        sig.add("e", f"{elem.c} *e", "e")
    else:
        sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.shuffle(rng)
    t = elem.c
    swap = "{T} t = a[i]; a[i] = a[j]; a[j] = t;"
    if count == "end":
        loop = "while (a < e) { e--; if (a >= e) break; T t = *a; *a = *e; *e = t; a++; }"
        loop = rng.choice([loop, "if (a != e) { e--; while (a < e) { T t = *a; *a++ = *e; *e-- = t; } }"])
    elif count == "size_t":
        loop = rng.choice(
            [
                "for (N i = 0; i < n / 2; i++) { T t = a[i]; a[i] = a[n - 1 - i]; a[n - 1 - i] = t; }",
                "for (N i = 0, j = n; i + 1 < j; i++) { j--; T t = a[i]; a[i] = a[j]; a[j] = t; }",
            ]
        )
    else:
        loop = rng.choice(
            [
                f"for (N i = 0, j = n - 1; i < j; i++, j--) {{ {swap} }}",
                f"N i = 0, j = n - 1; while (i < j) {{ {swap} i++; j--; }}",
                "for (N i = 0; i < n / 2; i++) { T t = a[i]; a[i] = a[n - 1 - i]; a[n - 1 - i] = t; }",
                "T *p = a, *q = a + n - 1; while (p < q) { T t = *p; *p++ = *q; *q-- = t; }",
            ]
        )
    c = f"void KERN({sig.c}) {{ {loop.replace('{T}', t).replace('T ', t + ' ').replace('N ', count + ' ')} }}"
    control = [i ^ (16 // elem.size - 1) for i in range(16 // elem.size)]
    order = bytes(elem.size * lane + byte for lane in control for byte in range(elem.size))
    low, high = (int.from_bytes(order[i : i + 8], "little") for i in (0, 8))
    lanes = elem.lanes
    scalar = {
        8: ("movzbl", "%eax", "%al", "movb"),
        16: ("movzwl", "%eax", "%ax", "movw"),
        32: ("movl", "%eax", "%eax", "movl"),
        64: ("movq", "%rax", "%rax", "movq"),
    }[elem.bits]
    move, full, part, store = scalar
    full2, part2 = full.replace("a", "c", 1), part.replace("a", "c", 1)
    end = f"leaq (%r11,%r10,{elem.size}),%r9" if elem.size > 1 else "leaq (%r11,%r10),%r9"
    lines = [
        *Walk(count, "endlt" if count == "end" else "for").count_into_r10(sig, elem), "testq %r10,%r10", "jle .L3", end,
        f"movabsq ${low},%rax", f"movabsq ${high},%rcx", "vmovq %rax,%xmm2", "vpinsrq $1,%rcx,%xmm2,%xmm2",
        "vshufi64x2 $0,%zmm2,%zmm2,%zmm2",
        ".L1:", f"cmpq ${2 * lanes},%r10", "jl .L2",
        "vmovdqu64 (%r11),%zmm0", "vmovdqu64 -64(%r9),%zmm1", "vpshufb %zmm2,%zmm0,%zmm0", "vpshufb %zmm2,%zmm1,%zmm1",
        "vshufi64x2 $27,%zmm0,%zmm0,%zmm0", "vshufi64x2 $27,%zmm1,%zmm1,%zmm1",
        "vmovdqu64 %zmm0,-64(%r9)", "vmovdqu64 %zmm1,(%r11)", "addq $64,%r11", "subq $64,%r9",
        f"subq ${2 * lanes},%r10", "jmp .L1",
        ".L2:", "vzeroupper", "subq $2,%r10", "jl .L3",
        ".L4:", f"{move} (%r11),{full}", f"{move} -{elem.size}(%r9),{full2}", f"{store} {part2},(%r11)",
        f"{store} {part},-{elem.size}(%r9)",
        f"addq ${elem.size},%r11", f"subq ${elem.size},%r9", "subq $2,%r10", "jge .L4", ".L3:", "ret",
    ]  # fmt: skip
    key = f"moves/reverse/{t}/{count}"
    return Pair("moves", key, c, emit.body(lines), "v", sig.kinds, 4)


def _keep(rng: random.Random) -> Pair:
    """Elements of a class copied to the front of `o`. An `o` that starts inside the array is walked one by one."""
    elem = rng.choice([I32, I32, I32, U32, I64, U64, U8])
    place = rng.random() < 0.35
    count = rng.choice(["int", "int", "unsigned", "long", "size_t"])
    sig = Signature()
    shape = f":{elem.bits}:{int(elem.signed)}"
    sig.add("a", f"{'' if place else rng.choice(['const ', ''])}{elem.c} *a", "p" + shape)
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    predicate = draw_predicate(rng, elem, sig)
    if not place:
        sig.add("o", f"{elem.c} *o", "o" + shape)
    sig.shuffle(rng)
    result = rng.choice(["int", count])
    walk = Walk(count, rng.choice(["for", "for", "while", "countdown"] if not place else ["for", "while"]))
    target = "a" if place else "o"
    drop = rng.random() < 0.2
    test = f"!({predicate.c})" if drop else predicate.c
    c = f"{result} KERN({sig.c}) {{ {result} k = 0; {walk.loop(elem, f'if ({test}) {target}[k++] = x;')} return k; }}"
    lanes = elem.lanes
    wide = lanes == 64
    ones, rax, rcx, rdi = (reg(x, 64 if wide else 32) for x in ("r8", "rax", "rcx", "rdi"))
    bzhi = "bzhiq" if wide else "bzhil"
    mask = list(predicate.mask)
    if drop:
        mask.append(f"kandn{elem.mask_suffix} %k1,%k2,%k2")
    compress = f"vpcompress{elem.suffix} %zmm0,%zmm1{{%k2}}{{z}}"
    at = (
        (lambda base, index: f"leaq (%{base},%{index},{elem.size}),%{base}")
        if elem.size > 1
        else (lambda base, index: f"addq %{index},%{base}")
    )
    out = "movq %r11,%r9" if place else f"movq {sig.where('o')},%r9"
    shift = [f"shlq ${elem.log},%rax"] if elem.log else []
    overlap = [
        f"movl ${lanes},%esi", "movq %r10,%rax", *shift, "movq %r9,%rcx", "subq %r11,%rcx", "decq %rcx", "decq %rax",
        "cmpq %rax,%rcx", "movl $1,%eax", "cmovb %eax,%esi",
    ]  # fmt: skip
    step = [f"movl ${lanes},%ecx"] if place else ["movl %esi,%ecx"]
    lines = [
        *walk.count_into_r10(sig, elem), out, *bind(predicate.setup, sig, elem), "xorl %edx,%edx",
        "testq %r10,%r10", "jle .L2", "movq $-1,%r8", *([] if place else overlap),
        ".L1:", *step, "cmpq %rcx,%r10", "cmovl %r10,%rcx", f"{bzhi} {rcx},{ones},{rax}", emit.to_mask(elem, "rax", 1),
        emit.load(elem), *mask, compress, emit.from_mask(elem, 2, "rax"), "popcntq %rax,%rax",
        f"{bzhi} {rax},{ones},{rdi}", emit.to_mask(elem, "rdi", 2), f"vmovdqu{elem.bits} %zmm1,(%r9){{%k2}}",
        at("r9", "rax"), at("r11", "rcx"), "addq %rax,%rdx", "subq %rcx,%r10", "jne .L1",
        ".L2:", "movq %rdx,%rax", "vzeroupper", "ret",
    ]  # fmt: skip
    level = 5 if elem.bits == 8 else 4
    key = f"moves/keep{int(place)}{int(drop)}/{elem.c}/{predicate.name}/{count}"
    returns = "4" if result in ("int", "unsigned") else "8"
    return Pair("moves", key, c, emit.body(lines), returns, sig.kinds, level, predicate.values)
