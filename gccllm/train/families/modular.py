"""Remainders: by a variable divisor over an array, in a recurrence, of a position, of a sum.

A division by a variable costs an idiv; by a constant a multiply chain. In each family the remainder is known to follow
from something cheaper: a division in double precision (exact for 32-bit integers), one conditional subtraction, a
counter that wraps, or one remainder of the whole sum.
"""

from __future__ import annotations

import random

from gccllm.train import emit
from gccllm.train.shapes import COUNTS, ELEMS, I32, U8, U32, Elem, Pair, Signature, Walk, const_word


def draw(rng: random.Random) -> Pair:
    return rng.choice(
        [_each, _each, _each, _recurrence, _recurrence, _recurrence, _position, _position, _position, _lazy]
    )(rng)


def _each(rng: random.Random) -> Pair:
    """Sum, count or extreme of a[i] % m or a[i] / m, m a variable of 32 bits.

    Exact: for |a|, |m| < 2^32 the quotient of two doubles truncates to the integer quotient, because a quotient that
    is no integer is at least 1/|m| away from the next one, far more than half a unit in the last place.
    """
    elem = rng.choice([I32, I32, I32, U32])
    walk = Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, elem, rng)
    sig.add("m", f"{elem.c} m", f"c:32:{int(elem.signed)}")
    kind = rng.choice(["sum", "sum", "divisible", "divisible", "not", "equal", "quotient", "bits"])
    if kind == "equal":
        sig.add("r", f"{elem.c} r", f"c:32:{int(elem.signed)}")
    sig.shuffle(rng)
    total = rng.choice(["long", "long", "int" if elem.signed else "unsigned"])
    body = {
        "sum": "k += x % m;", "quotient": "k += x / m;", "bits": "k ^= x % m;",
        "divisible": "if (x % m == 0) k++;", "not": "if (x % m) k++;", "equal": "if (x % m == r) k++;",
    }[kind]  # fmt: skip
    c = f"{total} KERN({sig.c}) {{ {total} k = 0; {walk.loop(elem, body)} return k; }}"
    u = "" if elem.signed else "u"
    m = sig.where("m", 32)
    setup = [f"vpbroadcastd {m},%ymm2", f"vcvt{u}dq2pd %ymm2,%zmm3"]
    setup = setup if elem.signed else [f"vpbroadcastd {m},%ymm2", "vcvtudq2pd %ymm2,%zmm3"]
    quotient = [
        emit.load(elem, width="ymm"), f"vcvt{u}dq2pd %ymm0,%zmm4", "vdivpd %zmm3,%zmm4,%zmm4",
        f"vcvttpd2{u}dq %zmm4,%ymm4",
    ]  # fmt: skip
    remainder = [*quotient, "vpmulld %ymm2,%ymm4,%ymm4", "vpsubd %ymm4,%ymm0,%ymm0"]
    extend = "vpmovsxdq" if elem.signed else "vpmovzxdq"
    if kind in ("sum", "quotient", "bits"):
        source = "4" if kind == "quotient" else "0"
        add = "vpxorq" if kind == "bits" else "vpaddq"
        work = [
            *(quotient if kind == "quotient" else remainder),
            f"{extend} %ymm{source},%zmm0",
            f"{add} %zmm0,%zmm1,%zmm1{{%k1}}",
        ]
        start = ["vpxor %xmm1,%xmm1,%xmm1"]
        finish = [*emit.reduce("vpxor" if kind == "bits" else "vpaddq", 64), ".L3:", "vmovq %xmm1,%rax"]
    else:
        if kind == "equal":
            setup.append(f"vpbroadcastd {sig.where('r', 32)},%ymm5")
            test = "vpcmpd $0,%ymm5,%ymm0,%k2{%k1}"
        else:
            test = f"vptest{'n' if kind == 'divisible' else ''}md %ymm0,%ymm0,%k2{{%k1}}"
        work = [*remainder, test, "kmovb %k2,%eax", "popcntl %eax,%eax", "addq %rax,%rdx"]
        start = ["xorl %edx,%edx"]
        finish = [".L3:", "movq %rdx,%rax"]
    lines = [
        *walk.count_into_r10(sig, elem), *setup, *start, "testq %r10,%r10", "jle .L3",
        *emit.counted(elem, work, lanes=8), *finish, "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"modular/each-{kind}/{elem.c}/{walk.count}/{total}"
    return Pair("modular", key, c, emit.body(lines), "8" if total == "long" else "4", sig.kinds, 4)


_MODULI = [1000000007, 1000000007, 998244353, 1000000009, 1000003, 65537, 10007, 1000, 10000, 100000, 12345, 97, 1009]


def _recurrence(rng: random.Random) -> Pair:
    """x' = (sum of earlier terms and constants) % M, all terms below M: one subtraction for each term too many."""
    kind = rng.choice(["int", "unsigned", "long", "uint64_t"])
    wide = kind in ("long", "uint64_t")
    q = "q" if wide else "l"
    modulus = rng.choice([*_MODULI, rng.randint(50, 1 << 20), rng.randint(1 << 20, (1 << 29) - 1)])
    terms = rng.choice([2, 2, 2, 3])
    plus = rng.choice([0, 0, 0, rng.randint(1, 49)]) if terms == 2 else 0
    if (terms + (plus > 0)) * modulus >= 1 << 31 and not wide:
        modulus = rng.choice([998244353 // 2, 1000003, 10007, rng.randint(50, (1 << 29) - 1)])
    start = [rng.choice([0, 1, 1, 2, rng.randint(0, 40)]) for _ in range(terms)]
    count = rng.choice(["int", "int", "unsigned", "long"])
    names = ["a", "b", "c"][:terms]
    expression = " + ".join([*rng.sample(names, terms), *([str(plus)] if plus else [])])
    shifts = " ".join(f"{x} = {y};" for x, y in zip(names, [*names[1:], "t"], strict=True))
    result = rng.choice(names[:2])
    declare = ", ".join(f"{x} = {v}" for x, v in zip(names, start, strict=True))
    form = rng.choice(["for (N i = 0; i < n; i++)", "for (N i = 1; i <= n; i++)", "while (n-- > 0)"])
    loop = f"{form.replace('N', count)} {{ {kind} t = ({expression}) % {modulus}; {shifts} }}"
    c = f"{kind} KERN({count} n) {{ {kind} {declare}; {loop} return {result}; }}"
    # a, b, c live in rax, rcx, rdx; the new term is made in rsi, the trial subtraction in rdi
    r = (lambda name: "%r" + name) if wide else (lambda name: "%e" + name)
    registers = [r("ax"), r("cx"), r("dx")]
    new, trial = r("si"), r("di")
    lines = [{"int": "movslq %edi,%r10", "long": "movq %rdi,%r10", "unsigned": "movl %edi,%r10d"}[count]]
    lines += [f"movl ${v},%e{x}" if v else f"xorl %e{x},%e{x}" for v, x in zip(start, ["ax", "cx", "dx"], strict=False)]
    lines += ["testq %r10,%r10", "jle .L2", ".L1:", f"lea{q} (%rax,%rcx),{new}"]
    correct = [f"mov{q} {new},{trial}", f"sub{q} ${modulus},{trial}", f"cmovns{q} {trial},{new}"]
    lines += correct
    if terms == 3:
        lines += [f"add{q} {registers[2]},{new}", *correct]
    if plus:
        lines += [f"add{q} ${plus},{new}", *correct]
    for target, source in zip(registers, [*registers[1:terms], new], strict=False):
        lines.append(f"mov{q} {source},{target}")
    lines += ["decq %r10", "jne .L1", ".L2:"]
    if result == "b":
        lines.append(f"mov{q} {registers[1]},{registers[0]}")
    lines.append("ret")
    key = f"modular/recurrence{terms}/{kind}/{count}/{int(plus > 0)}/{result}"
    return Pair("modular", key, c, emit.body(lines), "8" if wide else "4", (f"m:{COUNTS[count]}",), 0, (modulus,))


def _position(rng: random.Random) -> Pair:
    """a[i] op= key[i % k]: a counter that starts again at k instead of a division. In order, so overlap is harmless."""
    elem = rng.choice([U8, U8, *ELEMS])
    count = rng.choice(["int", "int", "unsigned", "size_t"])
    kind = rng.choice(["update", "update", "update", "sum"])
    sig = Signature()
    shape = f":{elem.bits}:{int(elem.signed)}"
    sig.add("a", f"{'const ' if kind == 'sum' else ''}{elem.c} *a", "p" + shape)
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.add("b", f"{const_word(rng)}{elem.c} *b", "k" + shape)
    sig.add("k", f"{count} k", f"d:{COUNTS[count]}")
    sig.shuffle(rng)
    operator, mnemonic = rng.choice([("^", "xor"), ("^", "xor"), ("+", "add"), ("-", "sub"), ("&", "and"), ("|", "or")])
    wide = count == "size_t"
    if kind == "sum":
        loop = f"for ({count} i = 0; i < n; i++) s += a[i] {operator} b[i % k];"
        c = f"int KERN({sig.c}) {{ int s = 0; {loop} return s; }}"
    else:
        body = rng.choice([f"a[i] {operator}= b[i % k];", f"a[i] = a[i] {operator} b[i % k];"])
        c = f"void KERN({sig.c}) {{ for ({count} i = 0; i < n; i++) {body} }}"
    t = elem.suffix if elem.bits != 32 else "l"
    t = {"b": "b", "w": "w", "l": "l", "q": "q"}[t]
    ax = {8: "%al", 16: "%ax", 32: "%eax", 64: "%rax"}[elem.bits]
    load = {
        8: "movzbl (%r9,%rcx),%eax", 16: "movzwl (%r9,%rcx,2),%eax", 32: "movl (%r9,%rcx,4),%eax",
        64: "movq (%r9,%rcx,8),%rax",
    }[elem.bits]  # fmt: skip
    k64, k32 = sig.where("k"), sig.where("k", 32)
    if count == "int":
        divisor = [f"movl {k32},%r8d", f"movl {k32},%eax", "negl %eax", "cmovns %eax,%r8d"]
    else:
        divisor = [f"movq {k64},%r8" if wide else f"movl {k32},%r8d"]
    if kind == "sum":
        if elem.bits < 32 and elem.signed:
            load = load.replace("movz", "movs")
        element = emit.load_scalar(elem, "(%r11)").replace("%eax", "%esi").replace("%rax", "%rsi")
        work = [
            element,
            load,
            f"{mnemonic}{'q' if elem.bits == 64 else 'l'} {'%rax,%rsi' if elem.bits == 64 else '%eax,%esi'}",
            "addl %esi,%edx",
        ]
        start, finish = ["xorl %edx,%edx"], ["movl %edx,%eax"]
    else:
        work, start, finish = [load, f"{mnemonic}{t} {ax},(%r11)"], [], []
    lines = [
        *Walk(count, "for").count_into_r10(sig, elem), f"movq {sig.where('b')},%r9", *divisor, *start,
        "testq %r10,%r10", "jle .L2", "xorl %ecx,%ecx", "xorl %edi,%edi",
        ".L1:", *work, f"addq ${elem.size},%r11", "incq %rcx" if wide else "incl %ecx",
        "cmpq %r8,%rcx" if wide else "cmpl %r8d,%ecx", "cmove %rdi,%rcx" if wide else "cmove %edi,%ecx",
        "decq %r10", "jne .L1", ".L2:", *finish, "ret",
    ]  # fmt: skip
    key = f"modular/position-{kind}-{mnemonic}/{elem.c}/{count}"
    return Pair("modular", key, c, emit.body(lines), "4" if kind == "sum" else "v", sig.kinds, 0)


def _lazy(rng: random.Random) -> Pair:
    """s = (s + x) % M over unsigned elements: the remainder of the whole sum, taken once."""
    elem = rng.choice([U8, Elem(16, False), U32])
    walk = Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, elem, rng)
    sig.shuffle(rng)
    modulus = rng.choice([*_MODULI, rng.randint(50, 1 << 30)])
    square = rng.random() < 0.4 and elem.bits < 32
    term = "(uint64_t)x * x" if square else "x"
    c = f"uint64_t KERN({sig.c}) {{ uint64_t s = 0; {walk.loop(elem, f's = (s + {term}) % {modulus};')} return s; }}"
    widen = {8: "vpmovzxbq", 16: "vpmovzxwq", 32: "vpmovzxdq"}[elem.bits]
    width = {8: "xmm", 16: "xmm", 32: "ymm"}[elem.bits]
    work = [emit.load(elem, width=width), f"{widen} %{width}0,%zmm0"]
    if square:
        work.append("vpmuludq %zmm0,%zmm0,%zmm0")
    work.append("vpaddq %zmm0,%zmm1,%zmm1")
    lines = [
        *walk.count_into_r10(sig, elem), "vpxor %xmm1,%xmm1,%xmm1", "testq %r10,%r10", "jle .L3",
        *emit.counted(elem, work, lanes=8), *emit.reduce("vpaddq", 64), ".L3:", "vmovq %xmm1,%rax", "xorl %edx,%edx",
        f"movl ${modulus},%ecx", "divq %rcx", "movq %rdx,%rax", "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"modular/lazy{int(square)}/{elem.c}/{walk.count}"
    return Pair("modular", key, c, emit.body(lines), "8", sig.kinds, 4, (modulus,))
