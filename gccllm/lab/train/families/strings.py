"""NUL-terminated strings: lengths, spans, searches, counts, runs (words), folds, last occurrence, prefixes.

A search stops at the terminator or at what is looked for, whichever comes first. A loop that reads the whole string
becomes its length and then a counted walk. Sets of characters are spelled as gcc spells them: as the constant of its
bit test where it makes one.

Not covered: changes in place (tables.py), conversions to numbers beyond lengths of digits, wide characters.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Sequence

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train.predicates import Predicate, draw_predicate, members
from gccllm.lab.train.shapes import COUNTS, I8, U8, Elem, Pair, Signature, make
from gccllm.lab.train.text import ALONE, HEADER, SCALAR

_POOLS = (" \t\n\r", " \t\n\r\v\f", ",.;:!?", "aeiou", "AEIOU", "<>&\"'", "+-*/%=", "()[]{}", "_-.~", "#;\n\r", "yYnN",
          "eE+-.", "01", ":,\t|", "/\\.:", "aeiouAEIOU")  # fmt: skip


def draw(rng: random.Random) -> Pair:
    kinds = [_length, _span, _span, _find, _find, _find, _count, _count, _runs, _runs, _fold, _last, _parse, _digits]
    return rng.choice(kinds)(rng)


def characters(rng: random.Random, elem: Elem, sig: Signature, *, arguments: bool = True) -> Predicate:
    """A class of characters; the terminator is never in it, whatever the arguments."""
    if rng.random() < 0.4:
        pool = rng.choice(_POOLS)
        most = min(len(pool), 10)
        values = sorted(ord(c) for c in rng.sample(pool, rng.randint(2, most)))
        if rng.random() < 0.3:
            values = sorted(rng.sample(range(33, 96), rng.randint(4, 7)))
        order = list(values)
        rng.shuffle(order)
        spell = (lambda v: repr(chr(v))) if rng.random() < 0.5 and min(values) > 31 and 39 not in values else str
        text = "(" + " || ".join(f"x == {spell(v)}".replace("'\\\\'", "92") for v in order) + ")"
        return Predicate(f"set{len(values)}", text, members(values), tuple(values))
    params = len(sig.params)
    while True:
        predicate = draw_predicate(rng, elem, sig, string=True)
        if arguments or "arg" not in predicate.name:
            return predicate
        del sig.params[params:]


_TEST = re.compile(r"\bbtq?\b|\bbtl\b")


def spelled(c: str, predicate: Predicate, lanes: str) -> str:
    """`lanes` with a set of four or more values as the bit test that gcc makes of it in the plain side, if it does."""
    if not predicate.name.startswith(("set", "four")) or len(predicate.values) < 4:
        return lanes
    command = [Toolchain.find().gcc, "-xc", "-S", "-o-", *ALONE, *SCALAR, "-"]
    ran = subprocess.run(command, input=(HEADER + c).encode(), capture_output=True, check=False, timeout=60)
    said = ran.stdout.decode("latin-1")
    if not _TEST.search(said):
        return lanes
    masks = {int(m) for m in re.findall(r"mov(?:absq|l|q)\s+\$(-?\d+)", said)}
    lows = {0, *(int(m) for m in re.findall(r"sub[lb]\s+\$(\d+)", said))}
    lows |= {-int(m) for m in re.findall(r"(?:add[lb]\s+\$|leal\s+)(-\d+)", said)}
    values = set(predicate.values)
    for low in sorted(lows):
        span = max(values) - low
        if min(values) < low or span > 63:
            continue
        mask = sum(1 << (v - low) for v in values)
        # gcc shows the complement where a character outside the set leaves the loop
        for sign, whole in (("", mask), ("~", ~mask)):
            for shown in (whole, whole - (1 << 64) if whole >> 63 == 1 else whole):
                if shown in masks:
                    return lanes.replace(predicate.vector, f"INSET({low}, {span}, {sign}{shown})")
    return lanes


def string(rng: random.Random, const: bool) -> tuple[Elem, Signature, str]:
    elem = rng.choice([I8, I8, U8])
    sig = Signature()
    t = "char" if elem.signed else rng.choice(["unsigned char", "uint8_t"])
    sig.add("a", f"{'const ' if const and rng.random() < 0.8 else ''}{t} *a", "z")
    return elem, sig, t


def _walk(rng: random.Random, t: str, body: str) -> str:
    """C loop over the whole string; `body` uses x."""
    form = rng.choice(["for", "while", "index", "assign", "bare", "bare"])
    if form == "for":
        return f"for (; *a; a++) {{ {t} x = *a; {body} }}"
    if form == "while":
        return f"while (*a != 0) {{ {t} x = *a; {body} a++; }}"
    if form == "index":
        i = rng.choice(["int", "size_t", "long"])
        return f"for ({i} i = 0; a[i] != '\\0'; i++) {{ {t} x = a[i]; {body} }}"
    if form == "bare":
        return f"while (*a) {{ {placed(body, '*a')} a++; }}"
    return f"{t} x; while ((x = *a)) {{ a++; {body} }}"


def placed(text: str, place: str) -> str:
    return re.sub(r"\bx\b", place, text)


def done(
    kind: str, sig: Signature, ctype: str, c: str, answer: str, classes: Sequence[Predicate], detail: str = "",
    family: str = "",
) -> Pair:  # fmt: skip
    """The pair, with its sets of characters as gcc spells them."""
    values = tuple(v for p in classes for v in p.values)
    key = f"{kind}/{'+'.join(p.name for p in classes)}/{detail}"
    family = family or f"string-{kind.split('-')[0]}"
    plain = make(family, key, sig, ctype, c, answer, values)
    for predicate in classes:
        answer = spelled(plain.c, predicate, answer)
    return make(family, key, sig, ctype, c, answer, values)


def _length(rng: random.Random) -> Pair:
    """strlen, strnlen, and one past the end."""
    _, sig, t = string(rng, True)
    kind = rng.choice(["length", "length", "end", "bounded", "empty"])
    index = rng.choice(["int", "long", "size_t", "unsigned"])
    limit = rng.choice(["int", "size_t", "unsigned", "long"])
    stop = rng.choice([0, 0, 0, 10, 44, 58, 124])
    if kind == "bounded":
        sig.add("n", f"{limit} n", f"n:{COUNTS[limit]}")
        stop = 0
    sig.shuffle(rng)
    a = sig.at("a")
    test = rng.choice(["a[i]", "a[i] != 0"]) if stop == 0 else f"a[i] && a[i] != {stop}"
    lanes = "x == 0" if stop == 0 else f"(x == {stop}) | (x == 0)"
    if kind == "bounded":
        c = rng.choice([
            f"{limit} i = 0; while (i < n && {test}) i++; return i;",
            f"for ({limit} i = 0; i < n; i++) if (!a[i]) return i; return n;",
        ])  # fmt: skip
        n = sig.at("n")
        # a count below zero is no character, and some loops return it as it is
        rest = f"k < LEN({n}) ? k : {n}" if c.startswith("for") else "k"
        return done(kind, sig, limit, c, f"u64 k = FIND({n}, {a}, {lanes}); return {rest};", (), limit)
    find = f"u64 k = FINDZ({a}, {lanes});"
    if kind == "end":
        c = f"while ({test.replace('a[i]', '*a')}) a++; return ({t} *)a;"
        return done("length-end", sig, f"{t} *", c, f"{find} return {a} + k;", (), str(stop))
    c = rng.choice([
        f"{index} i = 0; while ({test}) i++; return i;", f"{index} i; for (i = 0; {test}; i++) ; return i;",
        f"const {t} *p = a; while ({test.replace('a[i]', '*p')}) p++; return p - a;",
        f"{index} k = 0; while ({test.replace('a[i]', '*a')}) {{ k++; a++; }} return k;",
    ])  # fmt: skip
    if kind == "empty":
        c = c.replace("return i;", "return i == 7;").replace("return p - a;", "return p - a == 7;")
        if " == 7" in c:
            return done("length-is", sig, "int", c, f"{find} return k == 7;", (), f"{index}{stop}")
    return done("length", sig, index, c, f"{find} return k;", (), f"{index}{stop}")


def _span(rng: random.Random) -> Pair:
    """How far the string stays inside (or outside) a class: past the blanks, the length of a prefix."""
    elem, sig, t = string(rng, True)
    until = rng.random() < 0.4
    predicate = characters(rng, elem, sig, arguments=until)
    sig.shuffle(rng)
    test = predicate.c
    stop = f"x && !({test})" if until else test
    if until and rng.random() < 0.3:
        stop = f"!({test}) && x"
    result = rng.choice(["pointer", "pointer", "int", "size_t", "after", "is"])
    a = sig.at("a")
    lanes = predicate.text(sig)
    lanes = f"{lanes} | (x == 0)" if until else f"~({lanes})"
    find = f"u64 k = FINDZ({a}, {lanes});"
    if result in ("int", "size_t"):
        c = f"{result} i = 0; while ({placed(stop, 'a[i]')}) i++; return i;"
        answer, ctype = f"{find} return k;", result
    else:
        loop = rng.choice([f"while ({placed(stop, '*a')}) a++;", f"for (; {placed(stop, '*a')}; a++) ;"])
        back, said, ctype = {
            "pointer": (f"({t} *)a", f"{a} + k", f"{t} *"), "after": ("*a", f"{a}[k]", "int"),
            "is": ("*a == 0", f"{a}[k] == 0", "int"),
        }[result]  # fmt: skip
        c, answer = f"{loop} return {back};", f"{find} return {said};"
    return done(f"span-{'until' if until else 'while'}", sig, ctype, c, answer, (predicate,), result + elem.c)


def _find(rng: random.Random) -> Pair:
    """First character of a class before the terminator: pointer, index, any, all, or the character."""
    elem, sig, t = string(rng, True)
    predicate = characters(rng, elem, sig)
    kind = rng.choice(["pointer", "index", "any", "all", "char", "notindex"])
    negated = kind in ("all", "notindex")
    with_end = kind == "pointer" and rng.random() < 0.3 and "arg" in predicate.name
    sig.shuffle(rng)
    a = sig.at("a")
    test = f"!({predicate.c})" if negated else predicate.c
    lanes = predicate.text(sig)
    lanes = f"~({lanes})" if negated else lanes
    hit, miss, ctype, said = {
        "pointer": (f"({t} *)a", "0", f"{t} *", f"{a}[k] ? {a} + k : 0"),
        "index": ("i", "-1", "int", f"{a}[k] ? k : -1"),
        "notindex": ("i", "-1", "int", f"{a}[k] ? k : -1"), "any": ("1", "0", "int", f"{a}[k] != 0"),
        "all": ("0", "1", "int", f"{a}[k] == 0"), "char": ("x", "0", "int", f"{a}[k]"),
    }[kind]  # fmt: skip
    step = f"if ({test}) return {hit};"
    if kind in ("index", "notindex"):
        c = f"for (int i = 0; a[i]; i++) {{ {placed(step, 'a[i]')} }} return {miss};"
    elif kind == "pointer" and with_end:
        # strchr proper: the terminator itself can be asked for
        c = f"for (;; a++) {{ if ({placed(test, '*a')}) return ({t} *)a; if (!*a) return 0; }}"
        said = f"{placed(lanes, f'{a}[k]')} ? {a} + k : 0"
    elif kind == "pointer":
        c = f"for (; *a; a++) {{ {placed(step, '*a')} }} return {miss};"
    else:
        c = f"{_walk(rng, t, step)} return {miss};"
    lanes = f"{lanes} | (x == 0)" if lanes.startswith(("(", "IN", "~")) else f"({lanes}) | (x == 0)"
    answer = f"u64 k = FINDZ({a}, {lanes}); return {said};"
    return done(f"find-{kind}", sig, ctype, c, answer, (predicate,), elem.c)


def _count(rng: random.Random) -> Pair:
    """How many characters of a class; two classes against each other."""
    elem, sig, t = string(rng, True)
    predicate = characters(rng, elem, sig)
    two = rng.random() < 0.25
    other = characters(rng, elem, sig, arguments=False)
    sig.shuffle(rng)
    total = rng.choice(["int", "int", "size_t", "long", "unsigned"])
    a = sig.at("a")
    plain, said, second = "k", "m", ""
    body = rng.choice([f"if ({predicate.c}) k++;", f"k += ({predicate.c}) ? 1 : 0;", f"k += ({predicate.c});"])
    lanes = predicate.text(sig)
    if two:
        body += f" if ({other.c}) j++;"
        second = f" u64 s = COUNT(k, {a}, {other.text(sig)});"
        plain, said = rng.choice(
            [("k - j", "m - s"), ("k == j", "m == s"), ("k > j", "m > s"), ("k + 2 * j", "m + 2 * s")]
        )
        total = "int"
    else:
        plain, said = rng.choice([("k", "m"), ("k", "m"), ("k", "m"), ("k + 1", "m + 1"), ("k > 0", "m > 0")])
    c = f"{total} k = 0{', j = 0' if two else ''}; {_walk(rng, t, body)} return {plain};"
    if two and said == "m > s":
        said = "(i32)m > (i32)s"
    answer = f"u64 k = FINDZ({a}, x == 0); u64 m = COUNT(k, {a}, {lanes});{second} return {said};"
    if two:
        predicate = Predicate(
            f"{predicate.name}+{other.name}", "", predicate.vector, (*predicate.values, *other.values)
        )
    return done(f"count{'2' * two}", sig, total, c, answer, (predicate, other) if two else (predicate,), total)


def _runs(rng: random.Random) -> Pair:
    """How many maximal runs of characters in (or not in) a class: words, numbers, fields."""
    elem, sig, t = string(rng, True)
    predicate = characters(rng, elem, sig)
    sig.shuffle(rng)
    total = rng.choice(["int", "int", "size_t", "long", "unsigned"])
    outside = rng.random() < 0.6
    p = predicate.c
    test, other = (f"!({p})", p) if outside else (p, f"!({p})")
    if rng.random() < 0.5 and p.startswith("("):
        other = other.replace(f"!({p})", f"!{p}")
    state = rng.choice(["separator", "separator", "flag", "previous", "ends"])
    body = {
        "separator": f"if ({other}) in = 0; else if (!in) {{ in = 1; k++; }}",
        "flag": f"if ({test}) {{ if (!in) k++; in = 1; }} else in = 0;",
        "previous": f"int now = ({test}) ? 1 : 0; if (now && !in) k++; in = now;",
        "ends": f"if ({test}) in = 1; else {{ if (in) k++; in = 0; }}",
    }[state]  # fmt: skip
    first, second = rng.choice([("int in = 0", f"{total} k = 0"), (f"{total} k = 0", "int in = 0")])
    after = " if (in) k++;" if state == "ends" else ""
    c = f"{first}; {second}; {_walk(rng, t, body)}{after} return k;"
    a = sig.at("a")
    lanes = predicate.text(sig)
    lanes = f"~({lanes})" if outside else lanes
    answer = f"u64 k = FINDZ({a}, x == 0); return RUNS(k, {a}, {lanes});"
    return done(f"runs-{'not' if outside else 'in'}", sig, total, c, answer, (predicate,), state + total)


def _fold(rng: random.Random) -> Pair:
    """Sum, xor, largest, smallest of the characters."""
    elem, sig, t = string(rng, True)
    sig.shuffle(rng)
    kind = rng.choice(["sum", "sum", "xor", "max", "min", "digits"])
    a = sig.at("a")
    total = rng.choice(["int", "unsigned", "long", "size_t"]) if kind in ("sum", "digits") else t
    low = elem.low if kind == "max" else elem.high
    word = COUNTS.get(total, elem.word)
    start, body, said = {
        "sum": ("0", "s += x;", f"SUM({word}, k, {a}, x)"),
        "digits": ("0", "s += x - 48;", f"SUM({word}, k, {a}, x) - 48 * k"),
        "xor": ("0", "s ^= x;", f"XORS(k, {a}, x)"),
        "max": (str(low), "if (x > s) s = x;", f"MAX({low}, k, {a}, x)"),
        "min": (str(low), "if (x < s) s = x;", f"MIN({low}, k, {a}, x)"),
    }[kind]
    c = f"{total} s = {start}; {_walk(rng, t, body)} return s;"
    answer = f"u64 k = FINDZ({a}, x == 0); return {said};"
    return done(f"fold-{kind}", sig, total, c, answer, (), elem.c + total)


def _last(rng: random.Random) -> Pair:
    """The last character of a class: strrchr, basename, the index of the extension."""
    elem, sig, t = string(rng, True)
    predicate = characters(rng, elem, sig)
    sig.shuffle(rng)
    kind = rng.choice(["pointer", "index", "after"])
    a = sig.at("a")
    p = predicate.c
    if kind == "pointer":
        c = f"{t} *r = 0; for (; *a; a++) if ({placed(p, '*a')}) r = ({t} *)a; return r;"
        said, ctype = f"m < k ? {a} + m : 0", f"{t} *"
    elif kind == "after":
        c = f"{t} *r = ({t} *)a; for (; *a; a++) if ({placed(p, '*a')}) r = ({t} *)a + 1; return r;"
        said, ctype = f"m < k ? {a} + m + 1 : {a}", f"{t} *"
    else:
        ctype = rng.choice(["int", "long"])
        c = f"{ctype} r = -1; for ({ctype} i = 0; a[i]; i++) if ({placed(p, 'a[i]')}) r = i; return r;"
        said = "m < k ? m : -1"
    answer = f"u64 k = FINDZ({a}, x == 0); u64 m = FINDLAST(k, {a}, {predicate.text(sig)}); return {said};"
    return done(f"last-{kind}", sig, ctype, c, answer, (predicate,), elem.c)


def _parse(rng: random.Random) -> Pair:
    """Two spans: past blanks, past a sign, then the length of the digits or the word."""
    elem, sig, t = string(rng, True)
    first = characters(rng, elem, sig, arguments=False)
    second = characters(rng, elem, sig, arguments=False)
    sig.shuffle(rng)
    sign = rng.random() < 0.5
    kind = rng.choice(["length", "pointer"])
    a = sig.at("a")
    skip = f"while ({placed(first.c, '*a')}) a++;"
    optional = " if (*a == '-' || *a == '+') a++;" if sign else ""
    take = f"int i = 0; while ({placed(second.c, 'a[i]')}) i++;"
    c = f"{skip}{optional} {take} return {'i' if kind == 'length' else f'({t} *)a + i'};"
    step = f" k += {a}[k] == 43 | {a}[k] == 45;" if sign else ""
    find = f"u64 k = FINDZ({a}, ~({first.text(sig)}));{step} u64 m = FINDZ({a} + k, ~({second.text(sig)}));"
    answer = f"{find} return {'m' if kind == 'length' else f'{a} + k + m'};"
    ctype = "int" if kind == "length" else f"{t} *"
    return done(f"parse{'-sign' * sign}", sig, ctype, c, answer, (first, second), kind)


def _digits(rng: random.Random) -> Pair:
    """Whether a string is not empty and all of it is of one class: is it a number, an identifier."""
    elem, sig, _ = string(rng, True)
    predicate = characters(rng, elem, sig, arguments=False)
    sig.shuffle(rng)
    sign = rng.random() < 0.4
    a = sig.at("a")
    step = f"if (!({placed(predicate.c, '*a')})) return 0;"
    optional = "if (*a == '-' || *a == '+') a++; " if sign else ""
    loop = rng.choice([f"for (; *a; a++) {step}", f"while (*a) {{ {step} a++; }}"])
    c = f"{optional}if (!*a) return 0; {loop} return 1;"
    text = f"~({predicate.text(sig)})"
    if sign:
        answer = f"u64 k = {a}[0] == 43 | {a}[0] == 45; u64 m = FINDZ({a} + k, {text}); return m && {a}[k + m] == 0;"
    else:
        answer = f"u64 k = FINDZ({a}, {text}); return k && {a}[k] == 0;"
    return done(f"digits{'-sign' * sign}", sig, "int", c, answer, (predicate,), elem.c)


def draw_held(rng: random.Random) -> Pair:
    return rng.choice([_held_trim, _held_field])(rng)


def _held_trim(rng: random.Random) -> Pair:
    """The length without what stands at the end: from the terminator backwards while of a class."""
    elem, sig, _ = string(rng, True)
    predicate = characters(rng, elem, sig, arguments=False)
    sig.shuffle(rng)
    i = rng.choice(["int", "long"])
    a = sig.at("a")
    c = f"{i} n = 0; while (a[n]) n++; while (n > 0 && {placed(predicate.c, 'a[n - 1]')}) n--; return n;"
    lanes = f"~({predicate.text(sig)})"
    answer = f"u64 k = FINDZ({a}, x == 0); u64 m = FINDLAST(k, {a}, {lanes}); return m < k ? m + 1 : 0;"
    return done("trim", sig, i, c, answer, (predicate,), i, "held-trim")


def _held_field(rng: random.Random) -> Pair:
    """How many characters of a class stand before the first separator."""
    elem, sig, t = string(rng, True)
    predicate = characters(rng, elem, sig, arguments=False)
    sig.shuffle(rng)
    stop = rng.choice([v for v in (58, 44, 59, 10, 61, 124) if v not in predicate.values])
    a = sig.at("a")
    c = f"int k = 0; for (; *a && *a != {stop}; a++) {{ {t} x = *a; if ({predicate.c}) k++; }} return k;"
    answer = f"u64 k = FINDZ({a}, (x == {stop}) | (x == 0)); return COUNT(k, {a}, {predicate.text(sig)});"
    return done("field", sig, "int", c, answer, (predicate,), str(stop), "held-field")
