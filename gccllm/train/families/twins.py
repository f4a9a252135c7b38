"""Two arrays (or neighbours in one array) walked together until they differ: memcmp, strcmp, equal, is_sorted.

Two pointers are rarely aligned alike, so the expert goes in steps that end at the nearer of the two block ends: no
step reads from a block in which the naive loop reads nothing.
"""

from __future__ import annotations

import random

from gccllm.train import emit
from gccllm.train.predicates import EQ, GE, GT, LE, LT, NE, compare
from gccllm.train.shapes import COUNTS, ELEMS, I8, U8, Elem, Pair, Signature, const_word, reg

_OPS = {"ne": ("!=", NE), "lt": ("<", LT), "le": ("<=", LE), "gt": (">", GT), "ge": (">=", GE), "eq": ("==", EQ)}


def draw(rng: random.Random) -> Pair:
    return rng.choice([_compare, _compare, _neighbours, _strings])(rng)


def _step(elem: Elem, *, counted: bool) -> list[str]:
    """Bytes to the nearer block end into %rcx (at most %r10 elements), live lanes into %k1. %r8 is all ones."""
    rax = reg("rax", 64 if elem.lanes == 64 else 32)
    wide = "q" if elem.lanes == 64 else "l"
    ones = reg("r8", 64 if elem.lanes == 64 else 32)
    rcx = reg("rcx", 64 if elem.lanes == 64 else 32)
    lines = [
        "movl %r11d,%eax",
        "movl %r9d,%ecx",
        "orl $-64,%eax",
        "orl $-64,%ecx",
        "cmpl %eax,%ecx",
        "cmovl %eax,%ecx",
        "negl %ecx",
    ]
    if elem.log:
        lines.append(f"shrl ${elem.log},%ecx")
    if counted:
        lines += ["cmpq %r10,%rcx", "cmova %r10,%rcx"]
    return [*lines, f"bzhi{wide} {rcx},{ones},{rax}", emit.to_mask(elem, "rax", 1)]


def _loads(elem: Elem) -> list[str]:
    return [emit.load(elem, "r11", 0), emit.load(elem, "r9", 1)]


def _advance(elem: Elem) -> list[str]:
    if elem.log:
        return [f"leaq (%r11,%rcx,{elem.size}),%r11", f"leaq (%r9,%rcx,{elem.size}),%r9"]
    return ["addq %rcx,%r11", "addq %rcx,%r9"]


def _counted(elem: Elem, op: int) -> list[str]:
    return [
        ".L1:", *_step(elem, counted=True), *_loads(elem), compare(elem, op, 1),
        f"kortest{elem.mask_suffix} %k2,%k2", "jne .L2", *_advance(elem), "subq %rcx,%r10", "jne .L1",
    ]  # fmt: skip


def _to_r10(count: str, where64: str, where32: str) -> str:
    if count == "int":
        return f"movslq {where32},%r10"
    return f"movl {where32},%r10d" if count == "unsigned" else f"movq {where64},%r10"


def _three_way(rng: random.Random, elem: Elem) -> tuple[str, list[str]]:
    """C of the answer at the first difference, and code with x at (%r11,%rax), y at (%r9,%rax)."""
    at_x, at_y = emit.element_address(elem, "r11"), emit.element_address(elem, "r9")
    load_y = emit.load_scalar(elem, at_y).replace("%rax", "%rcx") if elem.bits == 64 else None
    if load_y is None:
        load_y = emit.load_scalar(elem, at_y)[: -len("%eax")] + "%ecx"
    else:
        load_y = f"movq {at_y},%rcx"
    load_x = emit.load_scalar(elem, at_x)
    wide = "q" if elem.bits == 64 else "l"
    rax, rcx = ("%rax", "%rcx") if elem.bits == 64 else ("%eax", "%ecx")
    if elem.bits < 32 and rng.random() < 0.5:
        return "x - y", [load_y, load_x, "subl %ecx,%eax"]
    less = "l" if elem.signed and elem.bits >= 32 else "b" if elem.bits >= 32 else "l"
    order = rng.random() < 0.6
    text = "x < y ? -1 : 1" if order else "x > y ? 1 : -1"
    lines = [load_y, load_x, f"cmp{wide} {rcx},{rax}", f"set{less} %al", "movzbl %al,%eax", "negl %eax", "orl $1,%eax"]
    return text, lines


def _compare(rng: random.Random) -> Pair:
    """memcmp, equal, first mismatch, all of a below b ..."""
    elem = rng.choice([U8, U8, I8, *ELEMS])
    kind = rng.choice(["equal", "equal", "order", "order", "find", "all"])
    count = rng.choice(["int", "int", "size_t", "size_t", "unsigned", "long"])
    sig = Signature()
    word = const_word(rng)
    kind_text = f":{elem.bits}:{int(elem.signed)}"
    sig.add("a", f"{word}{elem.c} *a", "p" + kind_text)
    sig.add("b", f"{word}{elem.c} *b", "q" + kind_text)
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.shuffle(rng)
    name = "ne" if kind in ("equal", "order") else rng.choice(list(_OPS))
    operator, op = _OPS[name]
    at = emit.element_address(elem)
    tail: list[str]
    if kind == "order":
        answer, tail = _three_way(rng, elem)
        miss, miss_lines, returns, ctype = "0", ["xorl %eax,%eax"], "4", "int"
    elif kind == "find":
        wide = count in ("size_t", "long") and rng.random() < 0.5
        ctype, returns = ("long", "8") if wide else ("int", "4")
        answer, miss = "i", "-1"
        miss_lines = ["movq $-1,%rax"] if wide else ["movl $-1,%eax"]
        log = [f"sarq ${elem.log},%rax"] if elem.log else []
        tail = [f"leaq {at},%rax", "subq %rdx,%rax", *log]
    else:
        one = rng.random() < 0.75
        answer, miss = ("0", "1") if one else ("1", "0")
        miss_lines = ["movl $1,%eax"] if one else ["xorl %eax,%eax"]
        tail = ["xorl %eax,%eax"] if one else ["movl $1,%eax"]
        ctype, returns = "int", "4"
    load = f"{elem.c} x = a[i], y = b[i];"
    step = f"if (x {operator} y) return {answer};"
    form = "for" if kind == "find" else rng.choice(["for", "for", "pointer", "while"])
    loop = {
        "for": f"for ({count} i = 0; i < n; i++) {{ {load} {step} }}",
        "while": f"{count} i = 0; while (i < n) {{ {load} {step} i++; }}",
        "pointer": f"while (n-- > 0) {{ {elem.c} x = *a++, y = *b++; {step} }}",
    }[form]
    c = f"{ctype} KERN({sig.c}) {{ {loop} return {miss}; }}"
    index = ["tzcntq %rax,%rax"] if kind in ("order", "find") else []
    mask = [emit.from_mask(elem, 2, "rax")] if index else []
    start = ["movq %r11,%rdx"] if kind == "find" else []
    guard = "je" if count in ("unsigned", "size_t") else "jle"
    lines = [
        f"movq {sig.where('a')},%r11", f"movq {sig.where('b')},%r9",
        _to_r10(count, sig.where("n"), sig.where("n", 32)), "testq %r10,%r10", f"{guard} .L3", *start, "movq $-1,%r8",
        *_counted(elem, op), "vzeroupper", ".L3:", *miss_lines, "ret",
        ".L2:", *mask, *index, *tail, "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"twin/{kind}-{name}/{elem.c}/{count}"
    return Pair("twin", key, c, emit.body(lines), returns, sig.kinds, 4)


def _neighbours(rng: random.Random) -> Pair:
    """is_sorted and its like: a relation between a[i] and a[i + 1]."""
    elem = rng.choice(ELEMS)
    count = rng.choice(["int", "int", "long", "size_t", "unsigned"])
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{elem.c} *a", f"p:{elem.bits}:{int(elem.signed)}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.shuffle(rng)
    name = rng.choice(["gt", "gt", "lt", "ge", "le", "eq", "ne"])
    operator, op = _OPS[name]
    find = rng.random() < 0.3
    one = rng.random() < 0.7
    answer, miss = ("i", "-1") if find else ("0", "1") if one else ("1", "0")
    form = rng.choice(["previous", "next"])
    if form == "previous":
        loop = f"for ({count} i = 1; i < n; i++) if (a[i - 1] {operator} a[i]) return {answer};"
    else:
        loop = f"for ({count} i = 0; i + 1 < n; i++) if (a[i] {operator} a[i + 1]) return {answer};"
    c = f"int KERN({sig.c}) {{ {loop} return {miss}; }}"
    at = emit.element_address(elem, "r11" if form == "next" else "r9")
    log = [f"sarq ${elem.log},%rax"] if elem.log else []
    if find:
        tail = [emit.from_mask(elem, 2, "rax"), "tzcntq %rax,%rax", f"leaq {at},%rax", "subq %rdx,%rax", *log]
    else:
        tail = ["xorl %eax,%eax"] if one else ["movl $1,%eax"]
    miss_lines = ["movl $-1,%eax"] if find else ["movl $1,%eax"] if one else ["xorl %eax,%eax"]
    guard = "jbe" if count in ("unsigned", "size_t") else "jle"
    lines = [
        f"movq {sig.where('a')},%r11", _to_r10(count, sig.where("n"), sig.where("n", 32)),
        "cmpq $1,%r10", f"{guard} .L3", "decq %r10", f"leaq {elem.size}(%r11),%r9",
        *(["movq %r11,%rdx"] if find else []), "movq $-1,%r8",
        *_counted(elem, op), "vzeroupper", ".L3:", *miss_lines, "ret", ".L2:", *tail, "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"twin/neighbours{'-find' if find else ''}-{name}/{elem.c}/{count}"
    return Pair("twin", key, c, emit.body(lines), "4", sig.kinds, 4)


def _strings(rng: random.Random) -> Pair:
    """strcmp, streq, common prefix: until the characters differ or the first string ends."""
    elem = U8
    sig = Signature()
    t = rng.choice(["char", "char", "char", "unsigned char", "uint8_t"])
    word = const_word(rng)
    sig.add("a", f"{word}{t} *a", "z")
    sig.add("b", f"{word}{t} *b", "y")
    sig.shuffle(rng)
    kind = rng.choice(["order", "order", "sign", "equal"])  # all read both at the end
    u = "*(unsigned char *)" if t == "char" else "*"
    signed = t == "char" and rng.random() < 0.3
    if signed:
        u = "*"
    move = "movsbl" if signed else "movzbl"
    difference = [f"{move} (%r11,%rax),%ecx", f"{move} (%r9,%rax),%eax", "subl %eax,%ecx", "movl %ecx,%eax"]
    form = rng.choice(["while", "for"])
    walk = "while (*a && *a == *b) { a++; b++; }" if form == "while" else "for (; *a == *b; a++, b++) if (!*a) break;"
    stop = ["vptestnmb %zmm0,%zmm0,%k3{%k1}", "kortestq %k3,%k2"]
    if kind == "order":
        c = f"int KERN({sig.c}) {{ {walk} return {u}a - {u}b; }}"
        tail = difference
    elif kind == "sign":
        c = f"int KERN({sig.c}) {{ {walk} return {u}a == {u}b ? 0 : {u}a < {u}b ? -1 : 1; }}"
        tail = [
            *difference[:2],
            "xorl %edx,%edx",
            "cmpl %eax,%ecx",
            "setg %dl",
            "setl %al",
            "movzbl %al,%eax",
            "subl %eax,%edx",
            "movl %edx,%eax",
        ]
    else:
        c = f"int KERN({sig.c}) {{ {walk} return *a == *b; }}"
        tail = ["movzbl (%r11,%rax),%ecx", "movzbl (%r9,%rax),%edx", "xorl %eax,%eax", "cmpl %edx,%ecx", "sete %al"]
    lines = [
        f"movq {sig.where('a')},%r11", f"movq {sig.where('b')},%r9",
        "movq $-1,%r8",
        ".L1:", *_step(elem, counted=False), *_loads(elem), compare(elem, NE, 1), *stop, "jne .L2",
        *_advance(elem), "jmp .L1",
        ".L2:", "korq %k3,%k2,%k2", "kmovq %k2,%rax", "tzcntq %rax,%rax", *tail, "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"twin/strings-{kind}/{t}/{form}"
    return Pair("twin", key, c, emit.body(lines), "4", sig.kinds, 4)
