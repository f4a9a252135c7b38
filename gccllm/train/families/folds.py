"""Order-safe reductions: counts, guarded sums, extremes and where they are.

Integers only, so any order of the operations gives the same bits. Every element is read by the naive side, so plain
vector loads under a mask for the last round are enough.
"""

from __future__ import annotations

import random

from gccllm.train import emit
from gccllm.train.predicates import GE, GT, LE, LT, NE, bind, compare, draw_predicate
from gccllm.train.shapes import COUNTS, ELEMS, I32, I64, U32, U64, Elem, Pair, Signature, Walk, const_word


def draw(rng: random.Random) -> Pair:
    return rng.choice([_count, _count, _sum, _extreme, _arg, _arg, _arg, _spread, _count_two])(rng)


_BYTES = {"int": "4", "unsigned": "4", "long": "8", "size_t": "8"}


def _post(rng: random.Random, total: str) -> tuple[str, str, list[str]]:
    """What people do with a total before they return it: C suffix type, C expression, code on %rax."""
    draw = rng.random()
    if draw < 0.75:
        return total, "k", []
    if draw < 0.83:
        value = rng.randint(2, 100)
        wide = "q" if _BYTES[total] == "8" else "l"
        return total, f"k + {value}", [f"add{wide} ${value},{'%rax' if wide == 'q' else '%eax'}"]
    if draw < 0.92:
        wide = "q" if _BYTES[total] == "8" else "l"
        register = "%rax" if wide == "q" else "%eax"
        return "int", "k != 0", ["xorl %ecx,%ecx", f"test{wide} {register},{register}", "setne %cl", "movl %ecx,%eax"]
    return total, "-k", ["negq %rax" if _BYTES[total] == "8" else "negl %eax"]


def _count(rng: random.Random) -> Pair:
    elem = rng.choice(ELEMS)
    walk = Walk.draw(rng, backward=True)
    sig = Signature()
    walk.declare(sig, elem, rng)
    predicate = draw_predicate(rng, elem, sig, wide_equal=False)
    sig.shuffle(rng)
    total = rng.choice(["int", "int", "size_t", "long", "unsigned"])
    body = rng.choice([f"if ({predicate.c}) k++;", f"k += ({predicate.c}) ? 1 : 0;"])
    ctype, answer, post = _post(rng, total)
    c = f"{ctype} KERN({sig.c}) {{ {total} k = 0; {walk.loop(elem, body)} return {answer}; }}"
    work = [
        emit.load(elem), *predicate.mask, emit.from_mask(elem, 2, "rax"), "popcntq %rax,%rax", "addq %rax,%rdx",
    ]  # fmt: skip
    lines = [
        *walk.count_into_r10(sig, elem), *bind(predicate.setup, sig, elem), "xorl %edx,%edx",
        "testq %r10,%r10", "jle .L3", *emit.counted(elem, work), ".L3:", "movq %rdx,%rax", *post, "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"fold/count/{elem.c}/{predicate.name}/{walk.count}/{total}"
    return Pair("fold", key, c, emit.body(lines), _BYTES[ctype], sig.kinds, 4, predicate.values)


def _count_two(rng: random.Random) -> Pair:
    """How many positions of two arrays are in a relation."""
    elem = rng.choice(ELEMS)
    count = rng.choice(list(COUNTS))
    sig = Signature()
    word = const_word(rng)
    shape = f":{elem.bits}:{int(elem.signed)}"
    sig.add("a", f"{word}{elem.c} *a", "p" + shape)
    sig.add("b", f"{word}{elem.c} *b", "q" + shape)
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.shuffle(rng)
    name, operator, op = rng.choice(
        [("eq", "==", 0), ("ne", "!=", NE), ("lt", "<", LT), ("gt", ">", GT), ("le", "<=", LE), ("ge", ">=", GE)]
    )
    total = rng.choice(["int", "int", "size_t", "long"])
    walk = Walk(count, rng.choice(["for", "while", "countdown"]))
    c = f"{total} KERN({sig.c}) {{ {total} k = 0; {walk.loop(elem, f'if (x {operator} y) k++;', two=elem)} return k; }}"
    work = [
        emit.load(elem), emit.load(elem, "r9", 1), compare(elem, op, 1), emit.from_mask(elem, 2, "rax"),
        "popcntq %rax,%rax", "addq %rax,%rdx",
    ]  # fmt: skip
    lines = [
        *walk.count_into_r10(sig, elem), f"movq {sig.where('b')},%r9", "xorl %edx,%edx", "testq %r10,%r10", "jle .L3",
        *emit.counted(elem, work, pointers=("r11", "r9")), ".L3:", "movq %rdx,%rax", "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"fold/counttwo-{name}/{elem.c}/{count}/{total}"
    return Pair("fold", key, c, emit.body(lines), _BYTES[total], sig.kinds, 4)


def _sum(rng: random.Random) -> Pair:
    """Sum of the elements of a class."""
    elem = rng.choice([I32, I32, U32, I64, U64])
    walk = Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, elem, rng)
    predicate = draw_predicate(rng, elem, sig)
    sig.shuffle(rng)
    sign = rng.choice(["+", "+", "+", "-", "^"])
    add = {"+": "vpadd", "-": "vpsub", "^": "vpxor"}[sign] + elem.suffix
    total = elem.c if elem.bits == 64 or not elem.signed else "int"
    c = f"{total} KERN({sig.c}) {{ {total} k = 0; {walk.loop(elem, f'if ({predicate.c}) k {sign}= x;')} return k; }}"
    work = [emit.load(elem), *predicate.mask, f"{add} %zmm0,%zmm1,%zmm1{{%k2}}"]
    move = "vmovq %xmm1,%rax" if elem.bits == 64 else "vmovd %xmm1,%eax"
    fold = "vpxor" if sign == "^" else "vpadd" + elem.suffix
    lines = [
        *walk.count_into_r10(sig, elem), *bind(predicate.setup, sig, elem), "vpxor %xmm1,%xmm1,%xmm1",
        "testq %r10,%r10", "jle .L3", *emit.counted(elem, work), *emit.reduce(fold, elem.bits), ".L3:", move,
        "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"fold/sum{sign}/{elem.c}/{predicate.name}/{walk.count}"
    return Pair("fold", key, c, emit.body(lines), str(elem.size), sig.kinds, 4, predicate.values)


def _vector_extreme(elem: Elem, largest: bool) -> str:
    return f"vp{'max' if largest else 'min'}{'s' if elem.signed else 'u'}{elem.suffix}"


def _first_into(elem: Elem, vector: int) -> list[str]:
    r = "%rax" if elem.bits == 64 else "%eax"
    return [f"mov{'q' if elem.bits == 64 else 'l'} (%r11),{r}", f"vpbroadcast{elem.suffix} {r},%zmm{vector}"]


def _array(rng: random.Random, elem: Elem) -> tuple[Signature, str]:
    count = rng.choice(["int", "int", "int", "unsigned", "long", "size_t"])
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{elem.c} *a", f"p:{elem.bits}:{int(elem.signed)}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.shuffle(rng)
    return sig, count


def _extreme(rng: random.Random) -> Pair:
    """Largest or smallest element, starting from the first one (which is read whatever the count)."""
    elem = rng.choice([I32, I32, U32, I64, U64])
    sig, count = _array(rng, elem)
    largest = rng.random() < 0.5
    strict = rng.choice(["", "="])
    test = f"a[i] {'>' if largest else '<'}{strict} k"
    body = rng.choice([f"if ({test}) k = a[i];", f"k = {test} ? a[i] : k;"])
    start = rng.choice(["0", "1"])
    c = f"{elem.c} KERN({sig.c}) {{ {elem.c} k = a[0]; for ({count} i = {start}; i < n; i++) {body} return k; }}"
    operation = _vector_extreme(elem, largest)
    work = [emit.load(elem, masked=True), f"{operation} %zmm0,%zmm1,%zmm1{{%k1}}"]
    move = "vmovq %xmm1,%rax" if elem.bits == 64 else "vmovd %xmm1,%eax"
    lines = [
        *Walk(count, "for").count_into_r10(sig, elem), *_first_into(elem, 1), "testq %r10,%r10", "jle .L3",
        *emit.counted(elem, work), *emit.reduce(operation, elem.bits), ".L3:", move, "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"fold/extreme{int(largest)}{strict}/{elem.c}/{count}/{start}"
    return Pair("fold", key, c, emit.body(lines), str(elem.size), sig.kinds, 4)


def _spread(rng: random.Random) -> Pair:
    """Largest minus smallest, or both written to where the caller says (not: that may overlap the array)."""
    elem = rng.choice([I32, I32, U32, I64, U64])
    sig, count = _array(rng, elem)
    low_first = rng.random() < 0.5
    declare = f"{elem.c} lo = a[0], hi = a[0];" if low_first else f"{elem.c} hi = a[0], lo = a[0];"
    otherwise = rng.choice(["", "else "])
    body = rng.choice(
        [
            f"if (a[i] < lo) lo = a[i]; {otherwise}if (a[i] > hi) hi = a[i];",
            f"if (a[i] > hi) hi = a[i]; {otherwise}if (a[i] < lo) lo = a[i];",
        ]
    )
    c = f"{elem.c} KERN({sig.c}) {{ {declare} for ({count} i = 1; i < n; i++) {{ {body} }} return hi - lo; }}"
    up, down = _vector_extreme(elem, True), _vector_extreme(elem, False)
    work = [emit.load(elem), f"{up} %zmm0,%zmm1,%zmm1{{%k1}}", f"{down} %zmm0,%zmm2,%zmm2{{%k1}}"]
    wide = elem.bits == 64
    move = ["vmovq %xmm1,%rax", "vmovq %xmm2,%rcx"] if wide else ["vmovd %xmm1,%eax", "vmovd %xmm2,%ecx"]
    lines = [
        *Walk(count, "for").count_into_r10(sig, elem), *_first_into(elem, 1), "vmovdqa64 %zmm1,%zmm2",
        "testq %r10,%r10", "jle .L3", *emit.counted(elem, work), *emit.reduce(up, elem.bits),
        *emit.reduce(down, elem.bits, 2), ".L3:", *move, "subq %rcx,%rax" if wide else "subl %ecx,%eax",
        "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"fold/spread/{elem.c}/{count}/{otherwise.strip()}"
    return Pair("fold", key, c, emit.body(lines), str(elem.size), sig.kinds, 4)


def _arg(rng: random.Random) -> Pair:
    """Index of the first largest or smallest element. Counts of 32 bits, so that a lane can hold an index.

    Each lane keeps its best value and the index of it; equal values keep the earlier index, and the smallest index of
    the lanes that hold the best value is the answer.
    """
    elem = rng.choice([I32, I32, U32])
    count = rng.choice(["int", "int", "int", "unsigned"])
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{elem.c} *a", f"p:{elem.bits}:{int(elem.signed)}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.shuffle(rng)
    largest = rng.random() < 0.5
    operator, op = (">", GT) if largest else ("<", LT)
    kind = rng.choice(["index", "index", "value", "late"])
    if kind == "index":
        c = (
            f"{count} KERN({sig.c}) {{ {count} k = 0; for ({count} i = 1; i < n; i++) "
            f"if (a[i] {operator} a[k]) k = i; return k; }}"
        )
    elif kind == "value":
        c = (
            f"{count} KERN({sig.c}) {{ if (n <= 1) return 0; {elem.c} m = a[0]; {count} k = 0; "
            f"for ({count} i = 1; i < n; i++) if (a[i] {operator} m) {{ m = a[i]; k = i; }} return k; }}"
        )
    else:
        c = (
            f"{count} KERN({sig.c}) {{ {count} k = 0; for ({count} i = 0; i < n; i++) "
            f"if (a[i] {operator} a[k]) k = i; return k; }}"
        )
    operation = _vector_extreme(elem, largest)
    work = [
        emit.load(elem), compare(elem, op, 1), "vmovdqa32 %zmm0,%zmm1{%k2}", "vmovdqa32 %zmm3,%zmm2{%k2}",
        "vpaddd %zmm4,%zmm3,%zmm3",
    ]  # fmt: skip
    lines = [
        *Walk(count, "for").count_into_r10(sig, elem), "xorl %eax,%eax", "cmpq $1,%r10", "jle .L3",
        *_first_into(elem, 1), "vpxor %xmm2,%xmm2,%xmm2", *_IOTA, "movl $16,%eax", "vpbroadcastd %eax,%zmm4",
        *emit.counted(elem, work), "vmovdqa64 %zmm1,%zmm5", *emit.reduce(operation, 32, 1), "vpbroadcastd %xmm1,%zmm1",
        "vpcmpd $4,%zmm1,%zmm5,%k2", "vpternlogd $255,%zmm2,%zmm2,%zmm2{%k2}", *emit.reduce("vpminud", 32, 2),
        "vmovd %xmm2,%eax", "vzeroupper", ".L3:", "ret",
    ]  # fmt: skip
    key = f"fold/arg{int(largest)}-{kind}/{elem.c}/{count}"
    return Pair("fold", key, c, emit.body(lines), "4", sig.kinds, 4)


# 0..15 in %zmm3 without a table in memory.
_IOTA = [
    "movabsq $506097522914230528,%rax", "movabsq $1084818905618843912,%rcx", "vmovq %rax,%xmm3",
    "vpinsrq $1,%rcx,%xmm3,%xmm3", "vpmovzxbd %xmm3,%zmm3",
]  # fmt: skip
