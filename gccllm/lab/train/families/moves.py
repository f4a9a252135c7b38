"""Loops that store: reversal, elements kept, running sums and extremes, recurrences, repeating keys; and maps.

Covered: any overlap of the arrays that the plain loop allows. Not covered: stores under a condition that is not a
compaction, recurrences of higher order.
"""

from __future__ import annotations

import random

from gccllm.lab.train.families import maps
from gccllm.lab.train.families.maps import Copy, arrays, expression
from gccllm.lab.train.predicates import draw_predicate
from gccllm.lab.train.shapes import COUNTS, ELEMS, I32, I64, U8, U16, U32, U64, Elem, Pair, Signature, const_word, make


def draw(rng: random.Random) -> Pair:
    kinds = {maps.draw: 12, _reverse: 4, _backward: 2, _keep: 8, _running: 6, _recurrence: 4, _key: 4, _fill: 1}
    return rng.choices(list(kinds), list(kinds.values()))[0](rng)


def draw_held(rng: random.Random) -> Pair:
    """Ideas no pair of `draw` has, of the same macros in another combination."""
    return rng.choice([_held_rotate, _held_level])(rng)


def _spelled(value: int, bits: int) -> str:
    """A number as gcc writes it: of 32 and 64 bits as signed."""
    return str(value - (1 << bits) if value >= 1 << (bits - 1) else value)


def _turn(rng: random.Random, elem: Elem, count: str) -> str:
    """C that reverses n elements of a in place."""
    swap = "T t = a[i]; a[i] = a[j]; a[j] = t;"
    if count == "end":
        loop = rng.choice(
            [
                "while (a < e) { e--; if (a >= e) break; T t = *a; *a = *e; *e = t; a++; }",
                "if (a != e) { e--; while (a < e) { T t = *a; *a++ = *e; *e-- = t; } }",
            ]
        )
    elif count in ("size_t", "unsigned"):
        loop = rng.choice(
            [
                "for (N i = 0; i < n / 2; i++) { T t = a[i]; a[i] = a[n - 1 - i]; a[n - 1 - i] = t; }",
                "for (N i = 0, j = n; i + 1 < j; i++) { j--; T t = a[i]; a[i] = a[j]; a[j] = t; }",
                f"if (n == 0) return; N i = 0, j = n - 1; while (i < j) {{ {swap} i++; j--; }}",
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
    return loop.replace("T ", elem.c + " ").replace("N ", count + " ")


def _reverse(rng: random.Random) -> Pair:
    """Both ends swapped towards the middle; the middle element of an odd count is not stored, as in the plain loop."""
    elem = rng.choice([I32, U8, *ELEMS])
    count = rng.choice(["int", "int", "long", "size_t", "end", "unsigned"])
    sig = Signature()
    sig.add("a", f"{elem.c} *a", f"p{elem.shape}")
    if count == "end":
        sig.add("e", f"{elem.c} *e", "e")
    else:
        sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.shuffle(rng)
    n = f"{sig.at('e')} - {sig.at('a')}" if count == "end" else sig.at("n")
    answer = f"REVERSE({n}, {sig.at('a')});"
    return make("moves", f"reverse/{elem.c}/{count}", sig, "void", _turn(rng, elem, count), answer)


def _backward(rng: random.Random) -> Pair:
    """Copied in opposite order, perhaps with a change."""
    elem = rng.choice([I32, U8, *ELEMS])
    count = rng.choice(["int", "int", "long", "size_t"])
    sig, _ = arrays(rng, elem, count, place=0)
    plain, lanes, name = "x", "x", "x"
    if rng.random() < 0.4:
        name, plain, lanes = expression(rng, elem, sig)
    sig.shuffle(rng)
    if name.startswith("arg"):
        lanes = lanes.replace("{c}", sig.at("c"))
    else:
        sig.params = [p for p in sig.params if p.name != "c"]
    t = elem.c
    loops = [
        f"for ({count} i = 0; i < n; i++) {{ {t} x = a[n - 1 - i]; o[i] = {plain}; }}",
        f"{count} j = n; for ({count} i = 0; i < n; i++) {{ {t} x = a[--j]; o[i] = {plain}; }}",
        f"{sig.params[[p.name for p in sig.params].index('a')].c.replace('*a', '*p')} = a + n; "
        f"while (n-- > 0) {{ {t} x = *--p; *o++ = {plain}; }}",
    ]
    answer = f"BACKWARD({sig.at('n')}, {sig.at('o')}, {sig.at('a')}, {lanes});"
    return make("moves", f"backward/{t}/{name}/{count}", sig, "void", rng.choice(loops), answer)


def _keep(rng: random.Random) -> Pair:
    """Elements of a class moved to the front of another array or of their own; how many there are."""
    elem = rng.choice([I32, I32, I32, U32, I64, U64, U8, U8, U16, *ELEMS])
    count = rng.choice(["int", "int", "unsigned", "long", "size_t"])
    sig, target = arrays(rng, elem, count, place=0.35)
    predicate = draw_predicate(rng, elem, sig)
    sig.shuffle(rng)
    result = rng.choice(["int", count])
    drop = rng.random() < 0.2
    test = f"!({predicate.c})" if drop else predicate.c
    lanes = f"~({predicate.text(sig)})" if drop else predicate.text(sig)
    t = elem.c
    store = f"{target}[k++] = x;"
    forms = [
        f"for ({count} i = 0; i < n; i++) {{ {t} x = a[i]; if ({test}) {store} }}",
        f"{count} i = 0; while (i < n) {{ {t} x = a[i]; if ({test}) {store} i++; }}",
        f"for ({count} i = 0; i < n; i++) {{ {t} x = a[i]; if ({test}) {{ {target}[k] = x; k++; }} }}",
    ]
    if target == "o":
        forms.append(f"while (n-- > 0) {{ {t} x = *a++; if ({test}) o[k++] = x; }}")
    c = f"{result} k = 0; {rng.choice(forms)} return k;"
    answer = f"return KEEP({sig.at('n')}, {sig.at(target)}, {sig.at('a')}, {lanes});"
    key = f"keep-{'place' if target == 'a' else 'copy'}/{t}/{predicate.name}{'-not' * drop}/{count}"
    return make("moves", key, sig, result, c, answer, predicate.values)


def _running(rng: random.Random) -> Pair:
    """Running sums, of elements or an expression, and running extremes; perhaps the last one is returned."""
    elem = rng.choice([I32, I32, U32, I64, U64, *ELEMS])
    copy = Copy.draw(rng)
    kind = rng.choice(["sum", "sum", "sum", "max", "min"])
    sig, target = arrays(rng, elem, copy.count, place=0.3)
    plain, lanes, name, start = "x", "x", "x", "0"
    if kind != "sum" and elem.bits == 64:
        kind = "sum"
    if kind == "sum" and rng.random() < 0.4:
        name, plain, lanes = expression(rng, elem, sig)
        plain = f"({plain})"
    if rng.random() < 0.25:
        sig.add("s0", f"{elem.c} s0", f"c{elem.shape}")
        start = "s0"
    sig.shuffle(rng)
    if not name.startswith("arg"):
        sig.params = [p for p in sig.params if p.name != "c"]
    lanes = lanes.replace("{c}", sig.at("c") if name.startswith("arg") else "")
    n, o, a = sig.at("n"), sig.at(target), sig.at("a")
    first = sig.at("s0") if start == "s0" else "0"
    step = {"sum": f"s += {plain}; ", "max": "if (x > s) s = x; ", "min": "if (x < s) s = x; "}[kind]
    if kind == "min" and start == "0" and not elem.signed:
        start, first = elem.literal(elem.high), "-1"
    gives = rng.random() < 0.25
    macro = {"sum": "SUMS", "max": "MAXES", "min": "MINS"}[kind]
    c = f"{elem.c} s = {start}; {copy.loop(target, {'a': elem.c}, 's', step)}{' return s;' * gives}"
    answer = f"{'return ' * gives}{macro}({first}, {n}, {o}, {a}, {lanes});"
    key = f"running-{kind}/{elem.c}/{name}/{'place' if target == 'a' else 'copy'}/{int(gives)}/{copy.count}"
    return make("moves", key, sig, elem.c if gives else "void", c, answer)


_MULTIPLIERS = (
    1664525,
    22695477,
    1103515245,
    69069,
    134775813,
    214013,
    16807,
    48271,
    31,
    33,
    5,
    9,
    1812433253,
    747796405,
)


_STEPS = (1013904223, 1, 12345, 2531011, 11, 7, 2891336453, 0, 3)


def _recurrence(rng: random.Random) -> Pair:
    """An array filled by s = s * m + c, with s or some bits of it; jumps of a vector's length."""
    elem = rng.choice([U32, U32, U32, I32, U64])
    count = rng.choice(["int", "int", "long", "size_t", "unsigned"])
    multiplier = rng.choice([*_MULTIPLIERS, rng.randrange(1, 1 << 20) * 2 + 1])
    step = rng.choice([*_STEPS, rng.randrange(1, 1 << 20)])
    if elem.bits == 64 and rng.random() < 0.5:
        multiplier, step = 6364136223846793005, rng.choice([1442695040888963407, 1, step])
    sig = Signature()
    sig.add("a", f"{elem.c} *a", f"p{elem.shape}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.add("s", f"{elem.c} s", f"c{elem.shape}")
    sig.shuffle(rng)
    shift = rng.choice([16, 8, 4, 1, 24, 33 % elem.bits])
    mask = rng.choice([255, 127, 32767, 1023])
    name, plain, lanes = rng.choice(
        [
            ("x", "s", "x"),
            ("x", "s", "x"),
            ("x", "s", "x"),
            ("right", f"s >> {shift}", f"x >> {shift}"),
            ("and", f"s & {mask}", f"x & {mask}"),
            ("bits", f"(s >> {shift}) & {mask}", f"(x >> {shift}) & {mask}"),
            ("mix", f"s ^ (s >> {shift})", f"x ^ (x >> {shift})"),
        ]
    )
    suffix = "ULL" if elem.bits == 64 else "u"
    change = f"s = s * {multiplier}{suffix}" + (f" + {step}{suffix}" if step else "") + ";"
    loop = rng.choice(
        [
            f"for ({count} i = 0; i < n; i++) {{ {change} a[i] = {plain}; }}",
            f"while (n-- > 0) {{ {change} *a++ = {plain}; }}",
            f"{count} i = 0; while (i < n) {{ {change} a[i++] = {plain}; }}",
        ]
    )
    gives = rng.random() < 0.2
    numbers = f"{_spelled(multiplier, elem.bits)}, {_spelled(step, elem.bits)}"
    answer = f"RECUR({sig.at('s')}, {numbers}, {sig.at('n')}, {sig.at('a')}, {lanes});"
    key = f"recur/{elem.c}/{name}/{int(step > 0)}/{int(gives)}/{count}"
    return make("moves", key, sig, elem.c if gives else "void", loop + " return s;" * gives, "return " * gives + answer)


def _key(rng: random.Random) -> Pair:
    """A repeating key under each element: the place in the key is not divided for."""
    elem = rng.choice([U8, U8, U8, U16, U32, U64])
    count = rng.choice(["int", "int", "unsigned", "long", "size_t"])
    sig, target = arrays(rng, elem, count, place=0.6)
    sig.add("key", f"{const_word(rng)}{elem.c} *key", f"k{elem.shape}")
    sig.add("k", f"{count} k", f"d:{COUNTS[count]}")
    sig.shuffle(rng)
    operator = rng.choice(["^", "^", "^", "+", "-"])
    if target == "a" and rng.random() < 0.7:
        body = f"a[i] {operator}= key[i % k];"
    else:
        body = f"{target}[i] = a[i] {operator} key[i % k];"
    forms = [f"for ({count} i = 0; i < n; i++) {{ {body} }}", f"{count} i = 0; while (i < n) {{ {body} i++; }}"]
    a, n, key, k, o = (sig.at(p) for p in ("a", "n", "key", "k", target))
    size = f"{k} < 0 ? -{k} : {k}" if count in ("int", "long") else k
    answer = f"KEYED({n}, {o}, {a}, {size}, {key}, x {operator} y);"
    where = "place" if target == "a" else "copy"
    return make("moves", f"key-{where}/{elem.c}/{operator}/{count}", sig, "void", rng.choice(forms), answer)


def _fill(rng: random.Random) -> Pair:
    """The same value everywhere: an argument or a number (not of equal bytes: compilers call memset)."""
    elem = rng.choice([I32, U16, U32, I64])
    copy = Copy.draw(rng)
    sig = Signature()
    sig.add("a", f"{elem.c} *a", f"p{elem.shape}")
    sig.add("n", f"{copy.count} n", f"n:{COUNTS[copy.count]}")
    argument = rng.random() < 0.6
    value = str(rng.randint(1, 100))
    if argument:
        sig.add("c", f"{elem.c} c", f"c{elem.shape}")
    sig.shuffle(rng)
    c = copy.loop("a", {}, "c" if argument else value)
    answer = f"FILL({sig.at('n')}, {sig.at('a')}, {sig.at('c') if argument else value});"
    return make("moves", f"fill/{elem.c}/{int(argument)}/{copy.count}", sig, "void", c, answer)


def _held_rotate(rng: random.Random) -> Pair:
    """The two halves of an array exchanged, by three reversals."""
    elem = rng.choice([I32, U8, I64, U16])
    sig = Signature()
    sig.add("a", f"{elem.c} *a", f"p{elem.shape}")
    sig.add("n", "int n", "n:i32")
    sig.shuffle(rng)
    part = rng.choice([2, 4])
    swap = f"{elem.c} t = a[i]; a[i] = a[j]; a[j] = t;"
    loops = " ".join(
        f"for (int i = {low}, j = {high} - 1; i < j; i++, j--) {{ {swap} }}"
        for low, high in (("0", "k"), ("k", "n"), ("0", "n"))
    )
    a, n = sig.at("a"), sig.at("n")
    c = f"if (n <= 0) return; int k = n / {part}; {loops}"
    answer = (
        f"if ({n} <= 0) return; i32 k = {n} / {part}; REVERSE(k, {a}); REVERSE({n} - k, {a} + k); REVERSE({n}, {a});"
    )
    return make("held-rotate", f"{elem.c}/{part}", sig, "void", c, answer)


def _held_level(rng: random.Random) -> Pair:
    """Every element as a distance from the largest or smallest: a fold, then a map."""
    elem = rng.choice([I32, U8, I64, U16])
    count = rng.choice(["int", "long", "size_t"])
    sig = Signature()
    sig.add("a", f"{elem.c} *a", f"p{elem.shape}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.shuffle(rng)
    largest = rng.random() < 0.5
    operator, value, lanes, macro = (">", "m - a[i]", "m - x", "MAX") if largest else ("<", "a[i] - m", "x - m", "MIN")
    a, n = sig.at("a"), sig.at("n")
    c = (
        f"if (n <= 0) return; {elem.c} m = a[0]; for ({count} i = 1; i < n; i++) if (a[i] {operator} m) m = a[i]; "
        f"for ({count} i = 0; i < n; i++) a[i] = {value};"
    )
    test = "<=" if count != "size_t" else "=="
    answer = f"if ({n} {test} 0) return; {elem.word} m = {macro}({a}[0], {n}, {a}, x); MAP({n}, {a}, {a}, {lanes});"
    return make("held-level", f"{operator}/{elem.c}/{count}", sig, "void", c, answer)
