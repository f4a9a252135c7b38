"""Two arrays, two strings, neighbours of one array or its two ends, walked together until something is found.

memcmp, equal, first mismatch, first a[i] OP b[i], with an argument as tolerance bound; strcmp, strncmp, common prefix;
is_sorted, strictly rising, first descent, equal neighbours; palindromes. gcc vectorises no loop with two exits.

Not covered: strings of which one is not read up to the end of the walk (`while (*a && *a == *b)` whose second string is
not looked at afterwards): the answers read both sides of the last pair.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from gccllm.lab.train.predicates import constant
from gccllm.lab.train.shapes import COUNTS, ELEMS, I8, U8, Elem, Pair, Signature, const_word, make

_OPS = {"ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "=="}
_RELATIONS = ("ne", "ne", "eq", "lt", "le", "gt", "ge", "and", "nand", "masked", "both", "xor", "but")
_COUNTS = ("int", "int", "size_t", "size_t", "unsigned", "long")


def draw(rng: random.Random) -> Pair:
    return rng.choice([_arrays, _arrays, _arrays, _strings, _strings, _neighbours, _neighbours, _ends])(rng)


@dataclass(frozen=True)
class Relation:
    """A test of a pair."""

    name: str
    c: str
    """Over x and y, in the plain side."""
    vector: str
    """In an answer; `{c}` stands for an argument."""
    values: tuple[int, ...] = ()


def _relation(rng: random.Random, elem: Elem, sig: Signature, names: tuple[str, ...] = ()) -> Relation:
    """One relation of x and y; arguments it needs are added to `sig`."""
    name = rng.choice(
        names or ("ne", "ne", "eq", "lt", "le", "gt", "ge", "and", "nand", "masked", "both", "xor", "but")
    )
    if name in _OPS:
        return Relation(name, f"x {_OPS[name]} y", f"x {_OPS[name]} y")
    if name in ("and", "nand"):
        operator = "!=" if name == "and" else "=="
        return Relation(name, f"(x & y) {operator} 0", f"(x & y) {operator} 0")
    if name == "masked":
        mask = rng.choice([1, 3, 7, 15, 31, 32, 64, 95, 126, 127, rng.randint(1, 127)])
        return Relation(name, f"((x ^ y) & {mask}) != 0", f"((x ^ y) & {mask}) != 0", (mask,))
    if name == "xor":
        sig.add("c", f"{elem.c} c", f"c{elem.shape}")
        return Relation(name, "(x ^ y) != c", "(x ^ y) != {c}")
    number = constant(rng, elem)
    if name == "both":
        operator = rng.choice(["==", "!="])
        # with && gcc would read y only where x passes: the answer may not read more
        text = f"(x == {elem.literal(number)}) & (y {operator} {elem.literal(number)})"
        return Relation(name, text, f"(x == {number}) & (y {operator} {number})", (number,))
    return Relation(name, f"x != y && y != {elem.literal(number)}", f"(x != y) & (y != {number})", (number,))


def _text(relation: Relation, sig: Signature) -> str:
    text = relation.vector
    for parameter in sig.params:
        text = text.replace("{" + parameter.name + "}", sig.at(parameter.name))
    return text


def _three_way(rng: random.Random, elem: Elem) -> tuple[str, str]:
    """What a comparison says of the first difference: C over x and y, and the same over {x} and {y}."""
    if elem.bits < 32 and rng.random() < 0.5:
        return rng.choice([("x - y", "{x} - {y}"), ("y - x", "{y} - {x}")])
    first, second = rng.choice([("-1", "1"), ("-1", "1"), ("1", "-1")])
    sign = "<" if first == "-1" else ">"
    answer = "{x} < {y} ? -1 : 1"
    if (first == "-1") != (sign == "<") or rng.random() < 0.15:
        # the larger one comes first
        first, second, sign = "1", "-1", "<"
        answer = "{x} < {y} ? 1 : -1"
    return f"x {sign} y ? {first} : {second}", answer


def _loop(rng: random.Random, elem: Elem, count: str, test: str, answer: str, indexed: bool) -> str:
    """C of a walk over both arrays that returns `answer` at the first pair with `test`; both may use x and y."""
    form = rng.choice(["for", "for", "while", "bare", "last"] + ["pointer", "countdown"] * (not indexed))
    load = f"{elem.c} x = a[i], y = b[i];"
    step = f"if ({test}) return {answer};"
    if form == "for":
        return f"for ({count} i = 0; i < n; i++) {{ {load} {step} }}"
    if form == "while":
        return f"{count} i = 0; while (i < n) {{ {load} {step} i++; }}"
    if form == "last":
        return f"if (n > 0) {{ {count} i = 0; do {{ {load} {step} }} while (++i < n); }}"
    if form == "bare":
        bare = test.replace("x", "a[i]").replace("y", "b[i]")
        said = answer.replace("x", "a[i]").replace("y", "b[i]")
        return f"for ({count} i = 0; i < n; ++i) if ({bare}) return {said};"
    head = "while (n-- > 0)" if form == "countdown" else f"for ({count} k_ = n; k_ > 0; k_--)"
    return f"{head} {{ {elem.c} x = *a++, y = *b++; {step} }}"


def _both(rng: random.Random, elem: Elem) -> tuple[str, Signature]:
    """The count's type and a signature of two arrays."""
    count = rng.choice(_COUNTS)
    sig = Signature()
    word = const_word(rng)
    sig.add("a", f"{word}{elem.c} *a", f"p{elem.shape}")
    sig.add("b", f"{word}{elem.c} *b", f"q{elem.shape}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    return count, sig


def _arrays(rng: random.Random) -> Pair:
    """memcmp, equal, first mismatch, all of a below b ..."""
    elem = rng.choice([U8, U8, I8, *ELEMS])
    kind = rng.choice(["equal", "order", "order", "find", "find", "where", "all", "any", "value", "pointer"])
    count, sig = _both(rng, elem)
    names = ("ne",) if kind in ("equal", "order") else ()
    relation = _relation(rng, elem, sig, names)
    sig.shuffle(rng)
    wide = count in ("size_t", "long", "unsigned") and rng.random() < 0.5
    said, answer = _three_way(rng, elem)
    a, b, n = (sig.at(name) for name in "abn")
    inside = f"k < LEN({n})"
    text = answer.format(x=f"{a}[k]", y=f"{b}[k]")
    text = f"({text})" if "?" in text else text
    plain, missed, ctype, end = {
        "order": (said, "0", "int", f"return {inside} ? {text} : 0;"),
        "equal": ("0", "1", "int", f"return !({inside});"),
        "all": ("0", "1", "int", f"return !({inside});"),
        "any": ("1", "0", "int", f"return {inside};"),
        "find": ("i", "-1", "long" if wide else "int", f"return {inside} ? k : -1;"),
        "where": ("i", "n", count, f"return {inside} ? k : {n};"),
        "value": ("x", "y", elem.c, f"return {inside} ? {a}[k] : 0;"),
        "pointer": ("(void *)(a + i)", "0", "void *", f"return {inside} ? {a} + k : 0;"),
    }[kind]
    if kind == "value":
        missed = "0"
    loop = _loop(rng, elem, count, relation.c, plain, kind in ("find", "where", "pointer"))
    c = f"{loop} return {missed};"
    answer = f"u64 k = FIND2({n}, {a}, {b}, {_text(relation, sig)}); {end}"
    return make("twin", f"{kind}/{elem.c}/{relation.name}/{count}", sig, ctype, c, answer, relation.values)


def _neighbours(rng: random.Random) -> Pair:
    """is_sorted and its like: a relation between a[i] and a[i + 1]."""
    elem = rng.choice(ELEMS)
    count = rng.choice(("int", "int", "long", "size_t", "unsigned"))
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{elem.c} *a", f"p{elem.shape}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    names = ("gt", "gt", "lt", "lt", "ge", "le", "eq", "ne", "both", "but", "and")
    relation = _relation(rng, elem, sig, names)
    sig.shuffle(rng)
    kind = rng.choice(["all", "all", "all", "find", "second", "until", "any"])
    form = rng.choice(["previous", "next", "kept"])
    x, y, after = ("a[i - 1]", "a[i]", "") if form == "previous" else ("a[i]", "a[i + 1]", " + 1")
    here, there = ("i - 1", "i") if form == "previous" else ("i", "i + 1")
    if form == "kept":
        here, there = "i - 1", "i"
    plain, missed = {
        "all": ("0", "1"), "any": ("1", "0"), "find": (here, "-1"), "second": (there, "-1"), "until": (there, "n"),
    }[kind]  # fmt: skip
    test = relation.c.replace("x", x).replace("y", y)
    head = f"for ({count} i = 0; i{after} < n; i++)" if form == "next" else f"for ({count} i = 1; i < n; i++)"
    if form == "kept":
        c = (
            f"if (n < 2) return {missed}; {elem.c} x = a[0]; {head} {{ {elem.c} y = a[i]; "
            f"if ({relation.c}) return {plain}; x = y; }} return {missed};"
        )
    else:
        c = f"{head} if ({test}) return {plain}; return {missed};"
    a, n = sig.at("a"), sig.at("n")
    inside = f"k < LEN({n})"
    end = {
        "all": f"return !({inside});", "any": f"return {inside};", "find": f"return {inside} ? k : -1;",
        "second": f"return {inside} ? k + 1 : -1;", "until": f"return {inside} ? k + 1 : {n};",
    }[kind]  # fmt: skip
    answer = f"u64 k = NEXT({n}, {a}, {_text(relation, sig)}); {end}"
    ctype = count if kind == "until" else "int"
    return make("neighbours", f"{kind}/{elem.c}/{relation.name}/{count}", sig, ctype, c, answer, relation.values)


def _ends(rng: random.Random) -> Pair:
    """Palindromes: a[i] beside a[n - 1 - i]; of an array, or of a string whose length is found first."""
    string = rng.random() < 0.4
    elem = rng.choice([I8, U8]) if string else rng.choice([U8, I8, *ELEMS])
    count = rng.choice(("int", "int", "long", "size_t"))
    sig = Signature()
    if string:
        sig.add("a", f"{const_word(rng)}{'char' if elem.signed else 'unsigned char'} *a", "z")
    else:
        sig.add("a", f"{const_word(rng)}{elem.c} *a", f"p{elem.shape}")
        sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    relation = _relation(rng, elem, sig, ("ne", "ne", "ne", "masked", "lt", "gt", "xor"))
    sig.shuffle(rng)
    kind = rng.choice(["all", "all", "find", "order"]) if relation.name == "ne" else rng.choice(["all", "find"])
    said, answer = _three_way(rng, elem)
    plain, missed = {"all": ("0", "1"), "find": ("i", "-1"), "order": (said, "0")}[kind]
    load = f"{elem.c} x = a[i], y = a[j];"
    step = f"if ({relation.c}) return {plain};"
    form = rng.choice(["two", "two", "half", "while"])
    if form == "half":
        loop = f"for ({count} i = 0; i < n / 2; i++) {{ {elem.c} x = a[i], y = a[n - 1 - i]; {step} }}"
    elif form == "while":
        loop = f"{count} i = 0, j = n; while (i + 1 < j) {{ j--; {load} {step} i++; }}"
    elif count == "size_t":
        loop = f"if (n) for (size_t i = 0, j = n - 1; i < j; i++, j--) {{ {load} {step} }}"
    else:
        guard = "if (n > 0) " if count == "long" else ""
        loop = f"{guard}for ({count} i = 0, j = n - 1; i < j; i++, j--) {{ {load} {step} }}"
    measure = f"{count} n = 0; while (a[n]) n++;" if string else ""
    c = f"{measure} {loop} return {missed};"
    a = sig.at("a")
    n = "n" if string else sig.at("n")
    inside = f"k < LEN({n})"
    text = "(" + answer.format(x=f"{a}[k]", y=f"{a}[{n} - 1 - k]") + ")"
    ended = {"all": f"!({inside})", "find": f"{inside} ? k : -1", "order": f"{inside} ? {text} : 0"}[kind]
    before = f"u64 n = FINDZ({a}, x == 0); " if string else ""
    answer = f"{before}u64 k = ENDS({n}, {a}, {_text(relation, sig)}); return {ended};"
    key = f"{kind}/{'string' if string else elem.c}/{relation.name}/{count}"
    return make("ends", key, sig, "int", c, answer, relation.values)


def _strings(rng: random.Random) -> Pair:
    """strcmp, streq, strncmp, common prefix: until the characters differ or a string ends."""
    elem = rng.choice([I8, I8, U8])
    sig = Signature()
    t = "char" if elem.signed else rng.choice(["unsigned char", "uint8_t"])
    word = const_word(rng)
    bounded = rng.random() < 0.35
    count = rng.choice(_COUNTS)
    sig.add("a", f"{word}{t} *a", "z")
    sig.add("b", f"{word}{t} *b", "y")
    if bounded:
        sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    fold = rng.choice([0, 0, 0, 32, 0x5F, 1]) if not bounded else 0
    sig.shuffle(rng)
    kind = rng.choice(["order", "order", "sign", "equal", "prefix"])
    a, b = sig.at("a"), sig.at("b")
    # plain char is signed; the standard compares unsigned characters, many hand-written loops do not
    u = "(unsigned char)" if elem.signed and rng.random() < 0.7 else ""
    x, y = f"{u}a[i]", f"{u}b[i]"
    p, q = f"{'(u8)' if u else ''}{a}[k]", f"{'(u8)' if u else ''}{b}[k]"
    same = "{p} == {q}"
    if fold:
        same = "({p} & 95) == ({q} & 95)" if fold == 0x5F else f"({{p}} | {fold}) == ({{q}} | {fold})"
    found = {
        "order": (f"{x} - {y}", f"{p} - {q}"), "sign": (f"{x} < {y} ? -1 : {x} > {y}", f"{p} < {q} ? -1 : {p} > {q}"),
        "equal": ("a[i] == b[i]", f"{a}[k] == {b}[k]"), "prefix": ("i", "k"),
    }[kind]  # fmt: skip
    lanes = "(x != y)" if not fold else "(" + same.format(p="x", q="y").replace("==", "!=") + ")"
    lanes += " | (x == 0)"
    if bounded:
        # every pair is read on both sides before a step is decided
        index = count
        missed = {"order": "0", "sign": "0", "equal": "1", "prefix": "n"}[kind]
        step = rng.choice(
            ["if (a[i] != b[i] || a[i] == 0) return {r};", "if (a[i] != b[i]) return {r}; if (!a[i]) return {r};"]
        ).format(r=found[0])
        c = f"for ({index} i = 0; i < n; i++) {{ {step} }} return {missed};"
        n = sig.at("n")
        inside = f"k < LEN({n})"
        rest = {"prefix": n, "equal": "1"}.get(kind, "0")
        text = f"({found[1]})" if "?" in found[1] else found[1]
        answer = f"u64 k = FIND2({n}, {a}, {b}, {lanes}); return {inside} ? {text} : {rest};"
        ctype = index if kind == "prefix" else "int"
        return make("strings2", f"{kind}-n/{t}/{count}", sig, ctype, c, answer)
    test = same.format(p="a[i]", q="b[i]")
    index = rng.choice(["int", "long", "size_t"])
    forms = [
        f"{index} i = 0; while ({test} && a[i]) i++;", f"{index} i = 0; for (; {test}; i++) if (!a[i]) break;",
        f"{index} i = 0; for (;; i++) {{ if (!({test})) break; if (a[i] == 0) break; }}",
    ]  # fmt: skip
    if kind != "prefix":
        forms += [f"{index} i = 0; while (a[i] && {test}) i++;"] * 3
    walk = rng.choice(forms)
    c = f"{walk} return {found[0]};"
    if kind != "prefix" and rng.random() < 0.6:
        walk = rng.choice(
            [
                f"while (*a && {same.format(p='*a', q='*b')}) {{ a++; b++; }}",
                f"for (; {same.format(p='*a', q='*b')}; a++, b++) if (!*a) break;",
                f"for (; *a && {same.format(p='*a', q='*b')}; ++a, ++b) ;",
            ]
        )
        c = f"{walk} return {found[0].replace('a[i]', '*a').replace('b[i]', '*b')};"
    answer = f"u64 k = FIND2Z({a}, {b}, {lanes}); return {found[1]};"
    ctype = index if kind == "prefix" else "int"
    return make("strings2", f"{kind}/{t}/{fold}/{ctype}", sig, ctype, c, answer)


def draw_held(rng: random.Random) -> Pair:
    return rng.choice([_held_period, _held_valid, _held_signed])(rng)


def _held_period(rng: random.Random) -> Pair:
    """Elements beside those d places on: is the array periodic, the first place where it is not."""
    elem = rng.choice(ELEMS)
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{elem.c} *a", f"p{elem.shape}")
    sig.add("n", "int n", "n:i32")
    relation = _relation(rng, elem, sig, ("ne", "ne", "ne", "lt", "gt", "eq"))
    sig.shuffle(rng)
    d = rng.choice([2, 2, 3, 4, 8])
    find = rng.random() < 0.5
    test = relation.c.replace("x", "a[i]").replace("y", f"a[i + {d}]")
    c = f"for (int i = 0; i + {d} < n; i++) if ({test}) return {'i' if find else '0'}; return {'-1' if find else '1'};"
    a, n = sig.at("a"), sig.at("n")
    inside = f"k < LEN((i64){n} - {d})"
    end = f"{inside} ? k : -1" if find else f"!({inside})"
    answer = f"u64 k = FIND2((i64){n} - {d}, {a}, {a} + {d}, {_text(relation, sig)}); return {end};"
    return make("held-period", f"{d}/{elem.c}/{relation.name}", sig, "int", c, answer, relation.values)


def _held_valid(rng: random.Random) -> Pair:
    """All elements on one side of a bound, and in order: two walks."""
    elem = rng.choice(ELEMS)
    count = rng.choice(("int", "long", "size_t"))
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{elem.c} *a", f"p{elem.shape}")
    sig.add("n", f"{count} n", f"n:{COUNTS[count]}")
    sig.add("c", f"{elem.c} c", f"c{elem.shape}")
    sig.shuffle(rng)
    bound, order = rng.choice(["<", ">", "<=", ">=", "=="]), rng.choice(["<", ">", "<=", ">="])
    c = (
        f"for ({count} i = 0; i < n; i++) if (a[i] {bound} c) return 0; "
        f"for ({count} i = 1; i < n; i++) if (a[i - 1] {order} a[i]) return 0; return 1;"
    )
    a, n, b = sig.at("a"), sig.at("n"), sig.at("c")
    answer = (
        f"u64 k = FIND({n}, {a}, x {bound} {b}); if (k < LEN({n})) return 0; "
        f"u64 m = NEXT({n}, {a}, x {order} y); return !(m < LEN({n}));"
    )
    return make("held-valid", f"{elem.c}/{bound}{order}/{count}", sig, "int", c, answer)


def _held_signed(rng: random.Random) -> Pair:
    """Place and direction of the first difference in one number."""
    elem = rng.choice(ELEMS)
    count, sig = _both(rng, elem)
    sig.shuffle(rng)
    sign = rng.choice(["<", ">"])
    said = f"a[i] {sign} b[i] ? -(long)i - 1 : (long)i + 1"
    c = f"for ({count} i = 0; i < n; i++) if (a[i] != b[i]) return {said}; return 0;"
    a, b, n = (sig.at(name) for name in "abn")
    find = f"u64 k = FIND2({n}, {a}, {b}, x != y);"
    answer = f"{find} return k < LEN({n}) ? ({a}[k] {sign} {b}[k] ? -k - 1 : k + 1) : 0;"
    return make("held-signed", f"{elem.c}/{sign}/{count}", sig, "long", c, answer)
