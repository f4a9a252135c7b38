"""NUL-terminated strings: spans, searches, counts, runs (words), and maps in place.

The expert walks 64-byte aligned blocks; lanes before the start and after the terminator are masked away. A map stores
only the bytes that change, which are bytes the naive loop stores.
"""

from __future__ import annotations

import random

from gccllm.train import emit
from gccllm.train.predicates import Predicate, bind, broadcast, draw_predicate
from gccllm.train.shapes import I8, U8, Elem, Pair, Signature


def draw(rng: random.Random) -> Pair:
    kind = rng.choice(["span", "span", "find", "find", "count", "count", "runs", "runs", "map", "map", "map"])
    return {"span": _span, "find": _find, "count": _count, "runs": _runs, "map": _map}[kind](rng)


def _string(rng: random.Random, const: bool) -> tuple[Elem, Signature]:
    elem = rng.choice([I8, I8, U8])
    sig = Signature()
    name = "char" if elem.signed else rng.choice(["unsigned char", "uint8_t"])
    sig.add("a", f"{'const ' if const else ''}{name} *a", "z")
    return elem, sig


def _element(elem: Elem) -> str:
    return "char" if elem.signed else "unsigned char"


def _walk(rng: random.Random, elem: Elem, body: str) -> str:
    """C loop over the string; `body` uses x."""
    t = _element(elem)
    form = rng.choice(["for", "while", "index", "assign"])
    if form == "for":
        return f"for (; *a; a++) {{ {t} x = *a; {body} }}"
    if form == "while":
        return f"while (*a != 0) {{ {t} x = *a; {body} a++; }}"
    if form == "index":
        i = rng.choice(["int", "size_t", "long"])
        return f"for ({i} i = 0; a[i] != '\\0'; i++) {{ {t} x = a[i]; {body} }}"
    return f"{t} x; while ((x = *a)) {{ a++; {body} }}"


_NEXT = ["kxnorq %k1,%k1,%k1", "addq $64,%r11"]
_ZERO = "vptestnmb %zmm0,%zmm0,%k3{%k1}"


def _predicate(rng: random.Random, elem: Elem, sig: Signature) -> Predicate:
    return draw_predicate(rng, elem, sig, string=rng.random() < 0.75)


def _span(rng: random.Random) -> Pair:
    """How far the string stays inside (or outside) a class: p past the blanks, length of the prefix."""
    elem, sig = _string(rng, True)
    t = _element(elem)
    predicate = draw_predicate(rng, elem, sig, string=True)
    while "arg" in predicate.name:
        sig.params = sig.params[:1]
        predicate = draw_predicate(rng, elem, sig, string=True)
    until = rng.random() < 0.4
    sig.shuffle(rng)
    test = predicate.c.replace("x", "*a")
    indexed = predicate.c.replace("x", "a[i]")
    stop = f"*a && !({test})" if until else test
    stop_i = f"a[i] && !({indexed})" if until else indexed
    result = rng.choice(["pointer", "int", "size_t"])
    if result == "pointer":
        loop = rng.choice([f"while ({stop}) a++;", f"for (; {stop}; a++) ;"])
        c = f"const {t} *KERN({sig.c}) {{ {loop} return a; }}"
    else:
        c = f"{result} KERN({sig.c}) {{ {result} i = 0; while ({stop_i}) i++; return i; }}"
    mask = [*predicate.mask]
    mask += [_ZERO, "korq %k3,%k2,%k2"] if until else ["kandnq %k1,%k2,%k2"]
    start = sig.where("a")
    saved = ["movq %rcx,%r9"] if start == "%rcx" else []
    start = "%r9" if saved else start
    lines = [
        f"movq {sig.where('a')},%r11", *bind(predicate.setup, sig, elem), *saved, *emit.align_down(elem, count=False),
        ".L1:", "vmovdqa64 (%r11),%zmm0", *mask, "kortestq %k2,%k2", "jne .L2", *_NEXT, "jmp .L1",
        ".L2:", "kmovq %k2,%rax", "tzcntq %rax,%rax", "addq %r11,%rax",
        *([] if result == "pointer" else [f"subq {start},%rax"]), "vzeroupper", "ret",
    ]  # fmt: skip
    key = f"string/span{'until' if until else ''}/{elem.c}/{predicate.name}/{result}"
    returns = "4" if result == "int" else "8"
    return Pair("string", key, c, emit.body(lines), returns, sig.kinds, 4, predicate.values)


def _find(rng: random.Random) -> Pair:
    """First character of a class before the terminator: pointer, index, any or all."""
    elem, sig = _string(rng, True)
    predicate = _predicate(rng, elem, sig)
    sig.shuffle(rng)
    kind = rng.choice(["pointer", "index", "any", "all"])
    t = _element(elem)
    if kind == "pointer":
        c = f"{t} *KERN({sig.c}) {{ for (; *a; a++) {{ {t} x = *a; if ({predicate.c}) return ({t} *)a; }} return 0; }}"
    elif kind == "index":
        loop = f"for (int i = 0; a[i]; i++) {{ {t} x = a[i]; if ({predicate.c}) return i; }}"
        c = f"int KERN({sig.c}) {{ {loop} return -1; }}"
    else:
        hit, miss = ("1", "0") if kind == "any" else ("0", "1")
        c = f"int KERN({sig.c}) {{ {_walk(rng, elem, f'if ({predicate.c}) return {hit};')} return {miss}; }}"
    start = sig.where("a")
    saved = ["movq %rcx,%r9"] if start == "%rcx" else []
    start = "%r9" if saved else start
    hit_lines = {
        "pointer": ["leaq (%r11,%rax),%rax"], "index": ["leaq (%r11,%rax),%rax", f"subq {start},%rax"],
        "any": ["movl $1,%eax"], "all": ["xorl %eax,%eax"],
    }[kind]  # fmt: skip
    miss_lines = {
        "pointer": ["xorl %eax,%eax"], "index": ["movl $-1,%eax"], "any": ["xorl %eax,%eax"], "all": ["movl $1,%eax"],
    }[kind]  # fmt: skip
    lines = [
        f"movq {sig.where('a')},%r11", *bind(predicate.setup, sig, elem), *saved, *emit.align_down(elem, count=False),
        ".L1:", "vmovdqa64 (%r11),%zmm0", *predicate.mask, _ZERO, "kortestq %k3,%k2", "jne .L2", *_NEXT, "jmp .L1",
        ".L2:", "kmovq %k3,%rcx", "kmovq %k2,%rax", "andnq %rax,%rcx,%rax", "tzcntq %rcx,%rcx", "tzcntq %rax,%rax",
        "cmpq %rcx,%rax", "jae .L3", *hit_lines, "vzeroupper", "ret",
        ".L3:", *miss_lines, "vzeroupper", "ret",
    ]  # fmt: skip
    returns = "8" if kind == "pointer" else "4"
    key = f"string/find-{kind}/{elem.c}/{predicate.name}"
    return Pair("string", key, c, emit.body(lines), returns, sig.kinds, 4, predicate.values)


def _accumulate(
    elem: Elem, sig: Signature, predicate: Predicate, block: list[str], carry: list[str], before: list[str]
) -> list[str]:
    """Walk to the terminator, adding up in %rdx; `block` sees the matching lanes before the terminator in %rax."""
    return [
        f"movq {sig.where('a')},%r11", *bind(predicate.setup, sig, elem), "xorl %edx,%edx", *before,
        *emit.align_down(elem, count=False),
        ".L1:", "vmovdqa64 (%r11),%zmm0", *predicate.mask, _ZERO, "kmovq %k2,%rax", "kortestq %k3,%k3", "jne .L2",
        *block, *carry, *_NEXT, "jmp .L1",
        ".L2:", *_BELOW, "andq %rcx,%rax", *block, "movq %rdx,%rax", "vzeroupper", "ret",
    ]  # fmt: skip


# Bits of %rcx below the lane of the terminator.
_BELOW = ["kmovq %k3,%rcx", "blsmskq %rcx,%rcx", "shrq $1,%rcx"]


def _count(rng: random.Random) -> Pair:
    elem, sig = _string(rng, True)
    predicate = _predicate(rng, elem, sig)
    sig.shuffle(rng)
    total = rng.choice(["int", "int", "size_t", "long", "unsigned"])
    body = rng.choice([f"if ({predicate.c}) k++;", f"k += ({predicate.c}) ? 1 : 0;"])
    c = f"{total} KERN({sig.c}) {{ {total} k = 0; {_walk(rng, elem, body)} return k; }}"
    lines = _accumulate(elem, sig, predicate, ["popcntq %rax,%rax", "addq %rax,%rdx"], [], [])
    returns = "4" if total in ("int", "unsigned") else "8"
    key = f"string/count/{elem.c}/{predicate.name}/{total}"
    return Pair("string", key, c, emit.body(lines), returns, sig.kinds, 4, predicate.values)


def _runs(rng: random.Random) -> Pair:
    """How many maximal runs of characters in (or not in) a class: words, numbers, fields."""
    elem, sig = _string(rng, True)
    predicate = _predicate(rng, elem, sig)
    sig.shuffle(rng)
    total = rng.choice(["int", "int", "size_t", "long", "unsigned"])
    outside = rng.random() < 0.6
    p = predicate.c
    test = f"!({p})" if outside else p
    state = rng.choice(["separator", "separator", "flag", "previous"])
    body = {
        "separator": f"if ({p}) in = 0; else if (!in) {{ in = 1; k++; }}" if outside
        else f"if (!({p})) in = 0; else if (!in) {{ in = 1; k++; }}",
        "flag": f"if ({test}) {{ if (!in) k++; in = 1; }} else in = 0;",
        "previous": f"int now = ({test}) ? 1 : 0; if (now && !in) k++; in = now;",
    }[state]  # fmt: skip
    first, second = rng.choice([("int in = 0", f"{total} k = 0"), (f"{total} k = 0", "int in = 0")])
    c = f"{total} KERN({sig.c}) {{ {first}; {second}; {_walk(rng, elem, body)} return k; }}"
    block = ["leaq (%r8,%rax,2),%rcx", "andnq %rax,%rcx,%rcx", "popcntq %rcx,%rcx", "addq %rcx,%rdx"]
    carry = ["movq %rax,%r8", "shrq $63,%r8"]
    if outside:
        predicate = Predicate(
            predicate.name, p, predicate.setup, (*predicate.mask, "kandnq %k1,%k2,%k2"), predicate.values
        )  # fmt: skip
    lines = _accumulate(elem, sig, predicate, block, carry, ["xorl %r8d,%r8d"])
    returns = "4" if total in ("int", "unsigned") else "8"
    key = f"string/runs-{state}-{int(outside)}/{elem.c}/{predicate.name}/{total}"
    return Pair("string", key, c, emit.body(lines), returns, sig.kinds, 4, predicate.values)


def _change(rng: random.Random, elem: Elem, vector: int) -> tuple[str, str, tuple[str, ...], list[str], int]:
    """Name, C expression of the new byte, constants in `vector`, instructions leaving it in %zmm1, the constant."""
    name = rng.choice(["add", "sub", "sub", "add", "xor", "set", "or", "and"])
    value = rng.choice([32, 32, 32, 1, 13, 26, 128, rng.randint(1, 127)])
    if name == "set":
        value = rng.choice([32, 95, 45, 46, 48, rng.randint(1, 126)])
        return name, str(value), broadcast(elem, value, vector), [f"vmovdqa64 %zmm{vector},%zmm1"], value
    if name == "and":
        value = rng.choice([0xDF, 0x7F, 0x0F, 0xFE])
    sign = {"add": "+", "sub": "-", "xor": "^", "or": "|", "and": "&"}[name]
    kept = -value if name == "sub" else value
    instruction = {"add": "vpaddb", "sub": "vpaddb", "xor": "vpxorq", "or": "vporq", "and": "vpandq"}[name]
    return name, f"x {sign} {value}", broadcast(elem, kept, vector), [f"{instruction} %zmm{vector},%zmm0,%zmm1"], value


def _map(rng: random.Random) -> Pair:
    """Change the characters of a class in place."""
    elem, sig = _string(rng, False)
    predicate = draw_predicate(rng, elem, sig, string=rng.random() < 0.9)
    sig.shuffle(rng)
    name, new, setup, work, value = _change(rng, elem, 7)
    t = _element(elem)
    form = rng.choice(["pointer", "while", "index", "ternary"])
    direct = predicate.c.replace("x", "*a")
    fresh = new.replace("x", "*a")
    c = {
        "pointer": f"for (; *a; a++) if ({direct}) *a = {fresh};",
        "while": f"while (*a) {{ if ({direct}) *a = {fresh}; a++; }}",
        "index": f"for (int i = 0; a[i]; i++) {{ {t} x = a[i]; if ({predicate.c}) a[i] = {new}; }}",
        "ternary": f"while (*a) {{ {t} x = *a; *a = ({predicate.c}) ? {new} : x; a++; }}",
    }[form]
    back = rng.random() < 0.15
    store = "vmovdqu8 %zmm1,(%r11){%k2}"
    result = [f"movq {sig.where('a')},%rdx"] if back else []
    lines = [
        f"movq {sig.where('a')},%r11", *bind(predicate.setup, sig, elem), *setup, *result,
        *emit.align_down(elem, count=False),
        ".L1:", "vmovdqa64 (%r11),%zmm0", *predicate.mask, _ZERO, *work, "kortestq %k3,%k3", "jne .L2",
        store, *_NEXT, "jmp .L1",
        ".L2:", *_BELOW, "kmovq %rcx,%k3", "kandq %k3,%k2,%k2", store,
        *(["movq %rdx,%rax"] if back else []), "vzeroupper", "ret",
    ]  # fmt: skip
    head = f"{t} *KERN({sig.c}) {{ {t} *s_ = a; {c} return s_; }}" if back else f"void KERN({sig.c}) {{ {c} }}"
    key = f"string/map-{name}/{elem.c}/{predicate.name}"
    return Pair("string", key, head, emit.body(lines), "8" if back else "v", sig.kinds, 4, (*predicate.values, value))
