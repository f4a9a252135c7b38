"""Idioms that are one instruction: bit counts and positions; and scans whose step is a maximum (Kadane's and kin).

gcc knows some spellings of a bit count, not all of them, and counts over arrays with an inner loop stay scalar.
"""

from __future__ import annotations

import random

from gccllm.train import emit
from gccllm.train.shapes import COUNTS, I32, I64, U8, U32, U64, Elem, Pair, Signature, Walk, const_word, reg

U16 = Elem(16, False)


def draw(rng: random.Random) -> Pair:
    return rng.choice([_total, _total, _total, _word, _word, _running, _running, _running])(rng)


def _population(rng: random.Random, elem: Elem, add: str) -> tuple[str, str]:
    """Statements that add the number of set bits of `x` with `add` (which has a %s); the spelling's name."""
    w = elem.bits
    kind = rng.choice(["shift", "shift", "clear", "clear", "for"] + ["swar"] * (2 * (w >= 32)))
    if kind == "shift":
        return f"while (x) {{ {add % 'x & 1'} x >>= 1; }}", kind
    if kind == "clear":
        return f"while (x) {{ x &= x - 1; {add % '1'} }}", kind
    if kind == "for":
        return f"for (int j_ = 0; j_ < {w}; j_++) {add % '(x >> j_) & 1'}", kind
    u = "ull" if w == 64 else "u"
    m = [0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x0101010101010101]
    m = [v & ((1 << w) - 1) for v in m]
    first = rng.choice(
        [
            f"x -= (x >> 1) & {m[0]:#x}{u};",
            f"x = x - ((x >> 1) & {m[0]:#x}{u});",
            f"x = (x & {m[0]:#x}{u}) + ((x >> 1) & {m[0]:#x}{u});",
        ]
    )
    return (
        f"{first} x = (x & {m[1]:#x}{u}) + ((x >> 2) & {m[1]:#x}{u}); x = (x + (x >> 4)) & {m[2]:#x}{u}; "
        + add % f"(x * {m[3]:#x}{u}) >> {w - 8}"
    ), kind


def _total(rng: random.Random) -> Pair:
    """Set bits of a whole array, or of where two arrays differ or agree."""
    elem = rng.choice([U8, U8, U16, U32, U32, U64])
    two = rng.random() < 0.5
    walk = Walk(rng.choice(list(COUNTS)), rng.choice(["for", "while", "countdown"])) if two else Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, elem, rng)
    if two:
        sig.add("b", f"{const_word(rng)}{elem.c} *b", f"q:{elem.bits}:0")
    sig.shuffle(rng)
    total = rng.choice(["int", "int", "unsigned", "long", "uint64_t"])
    statements, kind = _population(rng, elem, "k += %s;")
    operator = rng.choice(["^", "^", "&", "|"])
    combine = f"x = x {operator} y;" if two else ""
    naive = walk.loop(elem, combine + statements, two=elem if two else None)
    c = f"{total} KERN({sig.c}) {{ {total} k = 0; {naive} return k; }}"
    vector = {"^": "vpxorq", "&": "vpandq", "|": "vporq"}[operator]
    work = [emit.load(elem)]
    if two:
        work += [emit.load(elem, "r9", 2), f"{vector} %zmm2,%zmm0,%zmm0"]
    work += ["vpopcntq %zmm0,%zmm0", "vpaddq %zmm0,%zmm1,%zmm1"]
    lines = [
        *walk.count_into_r10(sig, elem), *([f"movq {sig.where('b')},%r9"] if two else []), "vpxor %xmm1,%xmm1,%xmm1",
        "testq %r10,%r10", "jle .L3", *emit.counted(elem, work, pointers=("r11", "r9") if two else ("r11",)),
        *emit.reduce("vpaddq", 64), ".L3:", "vmovq %xmm1,%rax", "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"bits/total-{kind}{operator if two else ''}/{elem.c}/{walk.count}/{total}"
    return Pair("bits", key, c, emit.body(lines), "4" if total in ("int", "unsigned") else "8", sig.kinds, 5)


def _word(rng: random.Random) -> Pair:
    """One word in, one count or position out."""
    elem = rng.choice([U32, U32, U64])
    q = "q" if elem.bits == 64 else "l"
    w = elem.bits
    ax, di = reg("rax", w), reg("rdi", w)
    kind = rng.choice(["popcount", "parity", "log2", "log2", "length", "length", "trailing", "leading"])
    k = rng.choice(["int", "int", "unsigned"])
    start = rng.choice([0, 0, 0, rng.randint(1, 9)]) if kind in ("log2", "length", "popcount") else 0
    t = elem.c
    if kind == "popcount":
        statements, how = _population(rng, elem, "k += %s;")
        text = f"{k} k = {start}; {statements} return k;"
        lines = [f"popcnt{q} {di},{ax}"]
        kind += how
    elif kind == "parity":
        text = rng.choice(
            [
                "int k = 0; while (x) { k ^= x & 1; x >>= 1; } return k;",
                "int k = 0; while (x) { k = !k; x &= x - 1; } return k;",
            ]
        )
        lines = [f"popcnt{q} {di},{ax}", "andl $1,%eax"]
    elif kind == "log2":
        loop = rng.choice(["while (x >>= 1) k++;", "while (x > 1) { x >>= 1; k++; }", "while (x > 1) { x /= 2; k++; }"])
        text = f"{k} k = {start}; {loop} return k;"
        lines = [f"or{q} $1,{di}", f"bsr{q} {di},{ax}"]
    elif kind == "length":
        loop = rng.choice(["while (x) { x >>= 1; k++; }", "for (; x; x >>= 1) k++;", "while (x != 0) { k++; x /= 2; }"])
        text = f"{k} k = {start}; {loop} return k;"
        lines = [f"lzcnt{q} {di},{ax}", f"subl ${w},%eax", "negl %eax"]
    elif kind == "trailing":
        guard = rng.choice([f"if (x == 0) return {w};", "if (!x) return -1;"])
        text = f"{guard} int k = 0; while (!(x & 1)) {{ x >>= 1; k++; }} return k;"
        lines = [f"tzcnt{q} {di},{ax}"]
        if "-1" in guard:
            lines += ["movl $-1,%ecx", f"cmovc{q} {reg('rcx', w)},{ax}"]
    else:
        top = f"{t}" + f" top = ({t})1 << {w - 1}"
        text = f"int k = 0; {top}; while (top && !(x & top)) {{ k++; top >>= 1; }} return k;"
        lines = [f"lzcnt{q} {di},{ax}"]
    if start:
        lines.append(f"addl ${start},%eax")
    c = f"{'int' if kind in ('trailing', 'leading', 'parity') else k} KERN({t} x) {{ {text} }}"
    key = f"bits/word-{kind}/{t}/{k}/{start > 0}"
    return Pair("bits", key, c, emit.body([*lines, "ret"]), "4", (f"x:{w}:0",), 3, (start,))


def _running(rng: random.Random) -> Pair:
    """Best sum of a run, best rise or fall: a carried maximum, kept in vector registers where it has one cycle."""
    elem = rng.choice([I32, I32, I32, I64])
    s = elem.suffix
    count = rng.choice(["int", "int", "long", "size_t", "unsigned"])
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{elem.c} *a", f"p:{elem.bits}:1")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.shuffle(rng)
    kind = rng.choice(["run", "run", "run", "rise"])
    smallest = rng.random() < 0.25
    up, down = ("vpmins", "vpmaxs") if smallest else ("vpmaxs", "vpmins")
    gt, lt = ("<", ">") if smallest else (">", "<")
    t = elem.c
    empty = kind == "run" and rng.random() < 0.3
    if kind == "run":
        better = rng.choice([f"if (cur {gt} best) best = cur;", f"best = cur {gt} best ? cur : best;"])
        steps = [
            f"cur = cur + a[i] {gt} a[i] ? cur + a[i] : a[i];", f"if (cur {lt} 0) cur = a[i]; else cur += a[i];",
            f"cur = (cur {gt} 0 ? cur : 0) + a[i];", f"cur = cur {gt} 0 ? cur + a[i] : a[i];",
        ]  # fmt: skip
        if empty:
            c = (
                f"{t} KERN({sig.c}) {{ {t} best = 0, cur = 0; for ({count} i = 0; i < n; i++) {{ cur += a[i]; "
                f"if (cur {lt} 0) cur = 0; {better} }} return best; }}"
            )
        else:
            c = (
                f"{t} KERN({sig.c}) {{ {t} best = a[0], cur = a[0]; for ({count} i = 1; i < n; i++) {{ "
                f"{rng.choice(steps)} {better} }} return best; }}"
            )
    else:
        order = [f"if (a[i] {lt} lo) lo = a[i];", f"if (a[i] - lo {gt} best) best = a[i] - lo;"]
        steps_text = f"for ({count} i = 1; i < n; i++) {{ {' '.join(order)} }}"
        c = f"{t} KERN({sig.c}) {{ {t} lo = a[0], best = 0; {steps_text} return best; }}"
    move = "vmovq" if elem.bits == 64 else "vmovd"
    out = "%rax" if elem.bits == 64 else "%eax"
    head = Walk(count, "for").count_into_r10(sig, elem)
    guard = "jbe" if count in ("size_t", "unsigned") else "jle"
    begin = [f"{move} (%r11),%xmm1", "vmovdqa %xmm1,%xmm2", "cmpq $1,%r10", f"{guard} .L2", "vpxor %xmm3,%xmm3,%xmm3"]
    if kind == "run" and not empty:
        work = [f"{up}{s} %xmm3,%xmm1,%xmm1", f"vpadd{s} %xmm0,%xmm1,%xmm1", f"{up}{s} %xmm1,%xmm2,%xmm2"]
        loop = [".L1:", f"addq ${elem.size},%r11", f"{move} (%r11),%xmm0", *work]
    elif kind == "run":
        begin = ["vpxor %xmm1,%xmm1,%xmm1", "vmovdqa %xmm1,%xmm2", "vmovdqa %xmm1,%xmm3", "incq %r10"]
        begin += ["cmpq $1,%r10", f"{guard} .L2"]
        work = [f"vpadd{s} %xmm0,%xmm1,%xmm1", f"{up}{s} %xmm3,%xmm1,%xmm1", f"{up}{s} %xmm1,%xmm2,%xmm2"]
        loop = [".L1:", f"{move} (%r11),%xmm0", f"addq ${elem.size},%r11", *work]
    else:
        begin = [f"{move} (%r11),%xmm1", "vpxor %xmm2,%xmm2,%xmm2", "cmpq $1,%r10", f"{guard} .L2"]
        work = [f"{down}{s} %xmm0,%xmm1,%xmm1", f"vpsub{s} %xmm1,%xmm0,%xmm0", f"{up}{s} %xmm0,%xmm2,%xmm2"]
        loop = [".L1:", f"addq ${elem.size},%r11", f"{move} (%r11),%xmm0", *work]
    lines = [*head, *begin, *loop, "decq %r10", "cmpq $1,%r10", "jne .L1", ".L2:", f"{move} %xmm2,{out}", "ret"]
    key = f"bits/running-{kind}{int(empty)}{int(smallest)}/{t}/{count}"
    return Pair("bits", key, c, emit.body(lines), str(elem.size), sig.kinds, 3 if elem.bits == 32 else 4)
