"""Bytes through small functions: letters moved round a circle, conditional stores, tables of 16 entries.

Caesar and rot13 over strings and counted buffers, by constants and by arguments of any sign, storing only letters or
everything; strings and counted buffers in which the bytes of a class change, the others stored again or not; bytes and
nibbles through a table of 16 entries that is an argument, one or two entries for each byte.

Not covered: larger tables (an answer may not read entries which the plain side does not), tables in the program's
data (a prompt has none), base64, digits by arithmetic and pairs split or joined (compilers do these well).
"""

from __future__ import annotations

import random

from gccllm.lab.train.families.strings import characters, done, placed, spelled, string
from gccllm.lab.train.predicates import Predicate
from gccllm.lab.train.shapes import COUNTS, I8, U8, Pair, Signature, Walk, const_word, make


def draw(rng: random.Random) -> Pair:
    return rng.choice([_rotate, _rotate, _where, _where, _translate, _spell, _store, _store, _change, _change])(rng)


_OPERATORS = {"add": "+", "sub": "-", "xor": "^", "or": "|", "and": "&"}


def change(rng: random.Random, predicate: Predicate) -> tuple[str, str]:
    """What becomes of the characters of a class: name, C over x. None that leaves all of them as they are."""
    while True:
        name = rng.choice(["sub", "add", "sub", "add", "xor", "set", "or", "and"])
        value = rng.choice([32, 32, 32, 1, 13, 26, rng.randint(1, 127)])
        if name == "set":
            value = rng.choice([32, 95, 45, 46, 48, rng.randint(1, 126)])
            return name, str(value)
        if name == "and":
            value = rng.choice([0x5F, 0x7F, 0x0F, 0x7E])
        kept = {
            "or": all(v | value == v for v in predicate.values),
            "and": all(v & value == v for v in predicate.values),
        }
        if not predicate.values or not kept.get(name, False):
            return name, f"x {_OPERATORS[name]} {value}"


def _store(rng: random.Random) -> Pair:
    """Change the characters of a class in place; the others are not stored."""
    elem, sig, t = string(rng, False)
    predicate = characters(rng, elem, sig)
    sig.shuffle(rng)
    name, new = change(rng, predicate)
    form = rng.choice(["pointer", "while", "index", "assign"])
    direct, fresh = placed(predicate.c, "*a"), placed(new, "*a")
    c = {
        "pointer": f"for (; *a; a++) if ({direct}) *a = {fresh};",
        "while": f"while (*a) {{ if ({direct}) *a = {fresh}; a++; }}",
        "index": f"for (int i = 0; a[i]; i++) {{ {t} x = a[i]; if ({predicate.c}) a[i] = {new}; }}",
        "assign": f"{t} x; while ((x = *a) != 0) {{ if ({predicate.c}) *a = {new}; a++; }}",
    }[form]
    a = sig.at("a")
    answer = f"u64 k = FINDZ({a}, x == 0); PUT(k, {a}, {predicate.text(sig)}, {new});"
    return done(f"store-{name}", sig, "void", c, answer, (predicate,), elem.c + form)


def _change(rng: random.Random) -> Pair:
    """Every character is stored, changed or not; sometimes the length or the start is returned."""
    elem, sig, t = string(rng, False)
    whole = rng.random() < 0.2
    predicate = characters(rng, elem, sig, arguments=not whole)
    sig.shuffle(rng)
    name, new = change(rng, predicate)
    whole = whole and name != "set"
    expression = new if whole else f"({predicate.c}) ? {new} : x"
    lanes = new if whole else f"SEL({predicate.text(sig)}, {new}, x)"
    back = rng.choice(["", "", "length", "start"])
    form = rng.choice(["pointer", "index", "while"])
    i = rng.choice(["int", "size_t"])
    if back == "length":
        form = "index"
    if back == "start" and form != "index":
        form = "kept"
    c = {
        "pointer": f"for (; *a; a++) {{ {t} x = *a; *a = {expression}; }}",
        "while": f"while (*a) {{ {t} x = *a; *a++ = {expression}; }}",
        "kept": f"{t} *s_ = a; while (*a) {{ {t} x = *a; *a++ = {expression}; }}",
        "index": f"{i} i; for (i = 0; a[i]; i++) {{ {t} x = a[i]; a[i] = {expression}; }}",
    }[form]
    a = sig.at("a")
    end, said, ctype = {
        "": ("", "", "void"), "length": ("return i;", "return k;", i),
        "start": ("return s_;" if form == "kept" else "return a;", f"return {a};", f"{t} *"),
    }[back]  # fmt: skip
    answer = f"u64 k = FINDZ({a}, x == 0); MAP(k, {a}, {a}, {lanes}); {said}".strip()
    return done(f"change-{name}", sig, ctype, f"{c} {end}", answer, (predicate,), elem.c + form)


def _circle(rng: random.Random, sig: Signature) -> tuple[str, str]:
    """How far round a circle of {m} from {low}: C of the new character over x and an answer's macro; adds arguments."""
    kind = rng.choice(["const", "const", "arg", "arg", "back"])
    if kind == "const":
        k = "{k}"
        forms = [
            "(x - {low} + {k}) % {m} + {low}", "{low} + (x - {low} + {k}) % {m}",
            "x + {k} > {high} ? x + {k} - {m} : x + {k}", "x <= {edge} ? x + {k} : x - {rest}",
        ]  # fmt: skip
        return rng.choice(forms), "ROTATE({low}, {m}, " + k + ")"
    sig.add("k", "int k", "x:32:1")
    if kind == "back":
        return "(x - {low} + {m} - k) % {m} + {low}", "ROTATE({low}, {m}, {m} - {arg})"
    forms = ["(x - {low} + k) % {m} + {low}", "(x - {low} + k) % {m} + {low}", "{low} + (x + k - {low}) % {m}"]
    return rng.choice(forms), "ROTATE({low}, {m}, {arg})"


def _rotate(rng: random.Random) -> Pair:
    """Letters (or digits) moved round their circle; in one or two circles at a time."""
    elem = rng.choice([I8, I8, U8])
    string = rng.random() < 0.6
    sig = Signature()
    t = "char" if elem.signed else "unsigned char"
    sig.add("a", f"{t} *a", "z" if string else f"p{elem.shape}")
    count = rng.choice(["int", "size_t", "long", "unsigned"])
    if not string:
        sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    form, macro = _circle(rng, sig)
    sig.shuffle(rng)
    circles = rng.choice([[(97, 26)], [(65, 26)], [(48, 10)], [(97, 26), (65, 26)], [(97, 26), (65, 26)],
                          [(65, 26), (97, 26)], [(97, 26), (48, 10)], [(97, 6)]])  # fmt: skip
    a = sig.at("a")
    n = "k" if string else sig.at("n")
    tests, news, lanes, values = [], [], [], []
    for low, m in circles:
        k = rng.choice([13, 1, 3, 5, rng.randint(1, m - 1)]) % m or 1
        numbers = {"low": low, "m": m, "k": k, "high": low + m - 1, "edge": low + m - 1 - k, "rest": m - k}
        tests.append(f"(x >= {low} && x <= {low + m - 1})")
        news.append(form.format(**numbers))
        lanes.append((f"IN({low}, {m - 1})", macro.format(**numbers, arg=sig.at("k") if "arg" in macro else "")))
        values.append(low + m - 1 - k)
    everything = rng.random() < 0.3
    load = f"{t} x = {{at}};"
    if everything:
        inside = f"{tests[0]} ? {news[0]} : " + (f"{tests[1]} ? {news[1]} : x" if len(circles) > 1 else "x")
        body = f"{load} {{at}} = {inside};"
    else:
        other = f" else if {tests[1]} {{at}} = {news[1]};" if len(circles) > 1 else ""
        body = f"{load} if {tests[0]} {{at}} = {news[0]};{other}"
    index = rng.choice(["int", "size_t"]) if string else count
    test = "a[i]" if string else "i < n"
    loop = f"for ({index} i = 0; {test}; i++) {{ {body.format(at='a[i]')} }}"
    if string and rng.random() < 0.5:
        loop = f"for (; *a; a++) {{ {body.format(at='*a')} }}"
    find = f"u64 k = FINDZ({a}, x == 0); " if string else ""
    if everything:
        new = f"SEL({lanes[0][0]}, {lanes[0][1]}, x)"
        if len(circles) > 1:
            new = f"SEL({lanes[0][0]}, {lanes[0][1]}, SEL({lanes[1][0]}, {lanes[1][1]}, x))"
        answer = f"{find}MAP({n}, {a}, {a}, {new});"
    elif len(circles) > 1:
        new = f"SEL({lanes[0][0]}, {lanes[0][1]}, {lanes[1][1]})"
        answer = f"{find}PUT({n}, {a}, {lanes[0][0]} | {lanes[1][0]}, {new});"
    else:
        answer = f"{find}PUT({n}, {a}, {lanes[0][0]}, {lanes[0][1]});"
    way = "const" if "arg" not in macro else "back" if "- {arg}" in macro else "arg"
    places = "+".join(f"{low}-{m}" for low, m in circles)
    key = f"{'string' if string else 'counted'}-{'all' if everything else 'some'}/{way}/{places}/{count}"
    return make("rotate", key, sig, "void", loop, answer, tuple(values))


def _where(rng: random.Random) -> Pair:
    """The bytes of a class in a counted buffer change; the others are not stored."""
    elem = rng.choice([U8, I8])
    walk = Walk.draw(rng, indexed=rng.random() < 0.7)
    sig = Signature()
    walk.declare(sig, elem, rng, const=False)
    predicate = characters(rng, elem, sig)
    sig.shuffle(rng)
    name, new = change(rng, predicate)
    at = "a[i]" if walk.form in ("for", "while", "dowhile", "backward") else "a[-1]"
    c = walk.loop(elem, f"if ({predicate.c}) {at} = {new};")
    a, n = sig.at("a"), walk.n(sig)
    answer = f"PUT({n}, {a}, {predicate.text(sig)}, {new});"
    key = f"{name}/{elem.c}/{predicate.name}/{walk.count}"
    pair = make("where", key, sig, "void", c, answer, predicate.values)
    return make("where", key, sig, "void", c, spelled(pair.c, predicate, answer), predicate.values)


def _index(rng: random.Random) -> tuple[str, str]:
    """A number below 16 made of x: in C and in lanes."""
    k = rng.choice([1, 2, 3, 5, 8, 15, rng.randint(1, 100)])
    shift = rng.choice([1, 2, 3])
    return rng.choice([
        ("x & 15", "x & 15"), ("x & 15", "x & 15"), ("x >> 4", "x >> 4"), ("x >> 4", "x >> 4"), ("x % 16", "x & 15"),
        (f"(x >> {shift}) & 15", f"(x >> {shift}) & 15"), (f"(x ^ {k}) & 15", f"(x ^ {k}) & 15"),
        (f"(x + {k}) & 15", f"(x + {k}) & 15"), (f"x & {(k & 14) + 1}", f"x & {(k & 14) + 1}"), ("x / 32", "x >> 5"),
        ("x / 16", "x >> 4"),
    ])  # fmt: skip


def _table(rng: random.Random, place: bool) -> tuple[str, Signature, str]:
    """Count, signature and the output's name for a walk with a table."""
    count = rng.choice(["int", "int", "size_t", "size_t", "long", "unsigned"])
    sig = Signature()
    sig.add("a", f"{'' if place else const_word(rng)}{rng.choice(['uint8_t', 'unsigned char'])} *a", f"p{U8.shape}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    out = rng.choice(["char", "unsigned char", "uint8_t"])
    if not place:
        sig.add("o", f"{out} *o", f"o{U8.shape}")
    sig.add("t", f"const {out} *t", f"t{U8.shape}")
    sig.shuffle(rng)
    return count, sig, "a" if place else "o"


def _translate(rng: random.Random) -> Pair:
    """Each byte through a table of 16 entries."""
    count, sig, out = _table(rng, rng.random() < 0.35)
    index, lanes = _index(rng)
    forms = [
        f"for ({count} i = 0; i < n; i++) {{ uint8_t x = a[i]; {out}[i] = t[{index}]; }}",
        f"{count} i = 0; while (i < n) {{ uint8_t x = a[i]; {out}[i] = t[{index}]; i++; }}",
        f"if (n > 0) {{ {count} i = 0; do {{ uint8_t x = a[i]; {out}[i] = t[{index}]; i++; }} while (i < n); }}",
    ]
    if out == "o":
        forms.append(f"for ({count} k_ = n; k_ > 0; k_--) {{ uint8_t x = *a++; *o++ = t[{index}]; }}")
    a, n, o, t = (sig.at(name) for name in ("a", "n", out, "t"))
    c = rng.choice(forms)
    return make("translate", f"{out}/{lanes}/{count}", sig, "void", c, f"TRANSLATE({n}, {o}, {a}, {t}, {lanes});")


def _spell(rng: random.Random) -> Pair:
    """Two entries for each byte: hexadecimal and its like."""
    count, sig, _ = _table(rng, False)
    (first, p), (second, q) = ("x >> 4", "x >> 4"), ("x & 15", "x & 15")
    draw_ = rng.random()
    if draw_ < 0.2:
        first, p, second, q = second, q, first, p
    elif draw_ < 0.5:
        (first, p), (second, q) = _index(rng), _index(rng)
    load = "uint8_t x = a[i];"
    c = rng.choice([
        f"for ({count} i = 0; i < n; i++) {{ {load} o[2 * i] = t[{first}]; o[2 * i + 1] = t[{second}]; }}",
        f"for ({count} i = 0; i < n; i++) {{ {load} *o++ = t[{first}]; *o++ = t[{second}]; }}",
        f"{count} k = 0; for ({count} i = 0; i < n; i++) {{ {load} o[k++] = t[{first}]; o[k++] = t[{second}]; }}",
        f"{count} i = 0; while (i < n) {{ {load} o[0] = t[{first}]; o[1] = t[{second}]; o += 2; i++; }}",
        f"for ({count} k_ = n; k_ > 0; k_--) {{ uint8_t x = *a++; *o++ = t[{first}]; *o++ = t[{second}]; }}",
    ])  # fmt: skip
    a, n, o, t = (sig.at(name) for name in "anot")
    return make("spell", f"{p}/{q}/{count}", sig, "void", c, f"SPELL({n}, {o}, {a}, {t}, {p}, {q});")


def draw_held(rng: random.Random) -> Pair:
    """Bytes of a class change up to the first byte of another kind; the number of bytes walked is returned."""
    elem = rng.choice([U8, I8])
    count = rng.choice(["int", "size_t", "long"])
    sig = Signature()
    sig.add("a", f"{elem.c} *a", f"p{elem.shape}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    predicate = characters(rng, elem, sig, arguments=False)
    sig.shuffle(rng)
    # none that a change makes: it stays what it was when it is looked at
    stop = rng.choice([v for v in (0, 10, 13, 59, 124) if v not in predicate.values])
    name, new = change(rng, predicate)
    load = f"{elem.c} x = a[i];"
    step = f"if (x == {stop}) break; if ({predicate.c}) a[i] = {new};"
    c = f"{count} i; for (i = 0; i < n; i++) {{ {load} {step} }} return i;"
    a, n = sig.at("a"), sig.at("n")
    answer = f"u64 k = FIND({n}, {a}, x == {stop}); PUT(k, {a}, {predicate.text(sig)}, {new}); return k;"
    plain = make("held-until", f"{name}/{elem.c}/{predicate.name}/{count}", sig, count, c, answer, predicate.values)
    answer = spelled(plain.c, predicate, answer)
    return make("held-until", f"{name}/{elem.c}/{predicate.name}/{count}", sig, count, c, answer, predicate.values)
