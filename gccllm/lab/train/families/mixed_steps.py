"""Searches for what an expression says, steps one after the other, stores, and words put together.

Covered: the first, the last, whether any or all, of one array, two, neighbours, or both ends; a fold of what lies
before or behind what was found; a number made of all elements, then a walk that compares with it; elements kept or
changed and folded; two tricks with one word or two. Not covered: stores to an array that may overlap another one.
"""

from __future__ import annotations

import re
from random import Random

from gccllm.lab.train.families.mixed_folds import fold, population
from gccllm.lab.train.families.mixed_parts import (
    Again,
    Condition,
    Draft,
    X,
    condition,
    expression,
    source,
    string_loop,
    unary,
)
from gccllm.lab.train.shapes import ELEMS, I8, I32, I64, U8, U16, U32, U64, Elem, Pair

_WIDE = (I32, U32, U32, I64, U64)


def _ends(rng: Random, count: str, indexed: bool) -> tuple[str, str, str, str, str]:
    """What a search gives: name, C type, what is returned where it is found and where not, and the answer's choice."""
    yes, no = rng.sample(range(2, 100), 2)
    index = rng.choice(["int", "long"]) if count in ("long", "size_t") else "int"
    choices = [("any", "int", "1", "0", "B"), ("all", "int", "0", "1", "!(B)"),
               ("choice", "int", str(yes), str(no), f"B ? {yes} : {no}")]  # fmt: skip
    if indexed:
        choices += [("find", index, "i", "-1", "B ? k : -1"), ("where", count, "i", "n", "B ? k : @n"),
                    ("left", count, "n - i", "0", "B ? @n - k : 0"),
                    ("number", index, "i", str(no), f"B ? k : {no}")]  # fmt: skip
    return rng.choice(choices)


def find(rng: Random) -> Pair:
    """The first element of which an expression, or two conditions, say something."""
    d = Draft(rng, rng.choice(ELEMS))
    indexed = rng.random() < 0.6
    s = source(d, "one", indexed=indexed)
    test = condition(d, is_two=False, simple=0.1)
    name, ctype, hit, miss, said = _ends(rng, s.count, indexed)
    value = rng.random() < 0.2
    if value:
        e = unary(d, X) if rng.random() < 0.5 else X
        name, ctype, hit, miss, said = f"value.{e.name}", d.elem.c, e.c, "0", ""
        # the element is met again as a number
        if re.search(r"[A-Z]\(", e.lanes) or e.before:
            raise Again
        met = re.sub(r"\bx\b", "@a[k]", e.lanes)
        said = f"B ? {met} : 0"
    if not value and rng.random() < 0.15:
        name, ctype, hit, miss, said = "place", "void *", _here(s.walk), "0", "B ? @a + k : 0"
    c = f"{s.loop(d, f'{test.before}if ({test.c}) return {hit};')} return {miss};"
    answer = f"u64 k = FIND({s.n}, @a, {test.lanes}); return {said.replace('B', f'k < LEN({s.n})')};"
    return d.pair(f"find-{name.split('.')[0]}/{d.elem.c}/{test.name}{name}/{s.count}", ctype, c, answer)


def _here(walk: object) -> str:
    return "(void *)(a - 1)" if getattr(walk, "form", "") in ("pointer", "countdown", "endlt", "endne") else (
        "(void *)(a + i)"
    )  # fmt: skip


def find_two(rng: Random) -> Pair:
    """The first pair of two arrays, or of neighbours, of which expressions say something."""
    kind = rng.choice(["two", "two", "two", "lag", "ends"])
    d = Draft(rng, rng.choice([U8, I8, U16, *ELEMS]))
    indexed = kind != "two" or rng.random() < 0.6
    s = source(d, "one" if kind == "ends" else kind, indexed=indexed)
    if s.lag > 1 or (kind == "ends" and s.count in ("end", "unsigned", "size_t")):
        raise Again
    test = condition(d, is_two=True)
    if not re.search(r"[A-Z+*^&|]|REM|QUO|>>|- ", test.lanes):
        raise Again  # `twins` has plain relations
    if kind != "two":
        name, ctype, hit, miss, said = rng.choice([
            ("any", "int", "1", "0", "B"), ("all", "int", "0", "1", "!(B)"), ("find", "int", "i", "-1", "B ? k : -1"),
        ])  # fmt: skip
        loop = rng.choice([
            "for (T i = 0; i + 1 < n; i++) { E x = a[i], y = a[i + 1]; S }",
            "for (T j = 1; j < n; j++) { E x = a[j - 1], y = a[j]; S }",
        ])  # fmt: skip
        if kind == "ends":
            loop = rng.choice([
                "for (T i = 0; i < n / 2; i++) { E x = a[i], y = a[n - 1 - i]; S }",
                "T i = 0, j = n; while (i + 1 < j) { j--; E x = a[i], y = a[j]; S i++; }",
            ])  # fmt: skip
        hit = hit if "T i" in loop or hit != "i" else "j - 1"
        step = f"{test.before}if ({test.c}) return {hit};"
        loop = loop.replace("T ", f"{s.count} ").replace("E ", f"{d.elem.c} ").replace(" S ", f" {step} ")
        search = "ENDS(@n, @a, " if kind == "ends" else "NEXT(@n, @a, "
    else:
        name, ctype, hit, miss, said = _ends(rng, s.count, indexed)
        loop = s.loop(d, f"{test.before}if ({test.c}) return {hit};")
        search = "FIND2(@n, @a, @b, "
    answer = f"u64 k = {search}{test.lanes}); return {said.replace('B', 'k < LEN(@n)')};"
    return d.pair(
        f"find2-{kind}-{name}/{d.elem.c}/{test.name}{name}/{s.count}", ctype, f"{loop} return {miss};", answer
    )


def last(rng: Random) -> Pair:
    """The last element with something; how far it lies from the first one."""
    d = Draft(rng, rng.choice(ELEMS))
    s = source(d, "one", indexed=True)
    if s.count == "end":
        raise Again
    test = condition(d, is_two=False, simple=0.6)
    t, i = d.elem.c, s.count
    load = f"{t} x = a[i]; {test.before}"
    kind = rng.choice(["index", "index", "span", "value", "behind"])
    index = rng.choice(["int", "long"]) if i in ("long", "size_t") else "int"
    search = f"FINDLAST(@n, @a, {test.lanes})"
    if kind == "span":
        loop = f"{index} k = -1, j = -1; {s.loop(d, f'{test.before}if ({test.c}) {{ if (k < 0) k = i; j = i; }}')}"
        c = f"{loop} return j - k;"
        answer = f"u64 k = FIND(@n, @a, {test.lanes}); u64 m = {search}; return m - k;"
        return d.pair(f"last-span/{t}/{test.name}/{i}", index, c, answer)
    hit, miss, ctype, said = {
        "index": ("i", "-1", index, "k : -1"), "value": ("x", "0", t, "@a[k] : 0"),
        "behind": ("n - i", "0", i, "@n - k : 0"),
    }[kind]  # fmt: skip
    # a count of 64 bits that is not meant as one leads back to the array, behind which it is not the same
    down = f"for ({i} i = n; i-- > 0;) {{ {load}if ({test.c}) return {hit}; }} return {miss};"
    forms = [down] * (i != "size_t")
    if i == "int":
        forms.append(f"for ({i} i = n - 1; i >= 0; i--) {{ {load}if ({test.c}) return {hit}; }} return {miss};")
    if kind == "index" and i != "size_t":
        forms.append(f"while (n > 0) {{ n--; {load.replace('a[i]', 'a[n]')}if ({test.c}) return n; }} return -1;")
    if kind == "index":
        forms.append(f"{index} k = -1; {s.loop(d, f'{test.before}if ({test.c}) k = i;')} return k;")
    elif kind == "value":
        forms.append(f"{t} k = 0; {s.loop(d, f'{test.before}if ({test.c}) k = x;')} return k;")
    if not forms:
        raise Again
    c = rng.choice(forms)
    return d.pair(f"last-{kind}/{t}/{test.name}/{i}", ctype, c, f"u64 k = {search}; return k < LEN(@n) ? {said};")


def until(rng: Random) -> Pair:
    """A fold of what lies before the first element of a kind, or from there on."""
    string = rng.random() < 0.5
    d = Draft(rng, rng.choice([U8, I8] if string else [U8, I8, U16, *_WIDE]))
    s = source(d, "string" if string else "one", indexed=not string)
    if s.count == "end":
        raise Again
    before = rng.random() < 0.5
    stop = rng.choice([0, 10, 13, 32, 44, 58, 59, 61, 124, d.number()]) if not string else (
        rng.choice([10, 32, 44, 46, 58, 59, 61, 64, 124])
    )  # fmt: skip
    t = d.elem.c
    d.values.append(stop)
    test = Condition(f"eq{stop}", f"x == {stop}", f"x == {stop}")
    if not string and rng.random() < 0.6:
        test = condition(d, is_two=False, simple=0.7)
    names = "sum sum max min xor or pops runs hash" if before else "sum max min xor pops runs count count hash"
    if string:
        n, arrays = ("k", "@a") if before else ("m", "@a + k")
        f = fold(d, s, names, part=(n, arrays))
        step = f.c("s")
        if before:
            loop = rng.choice([
                f"for (; *a && *a != {stop}; a++) {{ {t} x = *a; {step} }}",
                f"while (*a != {stop} && *a) {{ {t} x = *a; {step} a++; }}",
                f"for (int i = 0; a[i]; i++) {{ {t} x = a[i]; if (x == {stop}) break; {step} }}",
            ])  # fmt: skip
        else:
            loop = f"while (*a && *a != {stop}) a++; {string_loop(rng, t, step)}"
        answer = f"u64 k = FINDZ(@a, (x == {stop}) | (x == 0)); "
        answer += "" if before else "u64 m = FINDZ(@a + k, x == 0); "
    else:
        n, arrays = ("k", "@a") if before else ("LEN(@n) - k", "@a + k")
        f = fold(d, s, names, part=(n, arrays))
        if before:
            loop = s.loop(d, f"{test.before}if ({test.c}) break; {{ {f.c('s')} }}")
        else:
            if test.before:
                raise Again
            i, there = s.count, re.sub(r"\bx\b", "a[i]", test.c)
            first = rng.choice([f"while (i < n && !({there})) i++;", f"for (; i < n; i++) if ({there}) break;"])
            loop = f"{i} i = 0; {first} for (; i < n; i++) {{ {t} x = a[i]; {f.c('s')} }}"
        answer = f"u64 k = FIND({s.n}, @a, {test.lanes}); "
    c = f"{f.declared('s')} {loop} return s;"
    kind = f"{'before' if before else 'behind'}-{f.name}-{s.kind}"
    total = f.ctype.split("; ")[-1]
    return d.pair(f"{kind}/{t}/{test.name}/{f.detail}/{s.count}", total, c, f"{answer}return {f.value};")


def level(rng: Random) -> Pair:
    """A number made of all elements, then a walk that compares or puts them together with it."""
    d = Draft(rng, rng.choice([U8, I8, U16, *_WIDE, *_WIDE]))
    elem, t = d.elem, d.elem.c
    then = rng.choice(["count", "count", "count", "find", "find", "last", "last", "last", "sum", "change", "where"])
    s = source(d, "one", const=then not in ("change", "where"), indexed=True)
    if s.count == "end":
        raise Again
    i, w = s.count, elem.word
    way = rng.choice(["max", "min", "max", "min", "xor", "or", "and"] + ["mean"] * (2 * (elem.bits >= 32)))
    nothing = {"count": "0", "find": "-1", "last": "-1", "sum": "0"}.get(then, "")
    guard, own_guard = f"if (n <= 0) return {nothing}; ", f"if (@n <= 0) return {nothing}; "
    if way in ("max", "min"):
        sign = ">" if way == "max" else "<"
        start = rng.choice([0, 1])
        first = f"{t} m = a[0]; for ({i} i = {start}; i < n; i++) "
        first += rng.choice([f"if (a[i] {sign} m) m = a[i];", f"m = a[i] {sign} m ? a[i] : m;"])
        own = f"{w} m = {way.upper()}(@a[0], @n, @a, x);"
    elif way == "mean":
        first = f"{t} m = 0; for ({i} i = 0; i < n; i++) m += a[i]; m /= ({t})n;"
        own = f"{w} m = SUM({w}, @n, @a, x) / ({w})@n;"
    else:
        sign, none = {"xor": ("^", "0"), "or": ("|", "0"), "and": ("&", "-1")}[way]
        first = f"{t} m = {none}; for ({i} i = 0; i < n; i++) m {sign}= a[i];"
        own = f"{w} m = {way.upper()}S({'' if way == 'xor' else none + ', '}@n, @a, x);"
        guard = own_guard = ""
    sign = rng.choice([">", "<", "==", "!="])
    number = d.number(2, 40)
    shape = rng.choice(["plain", "plain", "near", "bits"])
    if way in ("max", "min") and shape == "plain":
        sign = rng.choice(["==", "!="])
    test, lanes = {
        "plain": (f"x {sign} m", f"x {sign} m"), "bits": (f"(x ^ m) & {number}", f"((x ^ m) & {number}) != 0"),
        "near": (f"x {'> m - ' if way == 'max' else '< m + '}{number}",
                 f"x {'> m - ' if way == 'max' else '< m + '}{number}"),
    }[shape]  # fmt: skip
    if shape == "near" and (way not in ("max", "min") or elem.bits < 32 or elem.signed):
        raise Again
    loop = f"for ({i} i = 0; i < n; i++) {{ {t} x = a[i]; "
    key = f"level-{way}-{then}/{t}/{sign if shape == 'plain' else shape}"
    if then in ("change", "where"):
        guard, own_guard = guard.replace("return ;", "return;"), own_guard.replace("return ;", "return;")
        name, text, said = rng.choice([
            ("xor", "x ^ m", "x ^ m"), ("and", "x & m", "x & m"), ("plus", "x + m", "x + m"), ("zero", "0", "0"),
            ("or", "x | m", "x | m"), ("m", "m", "m"), (f"number{number}", str(number), str(number)),
        ])  # fmt: skip
        if then == "change":
            if name in ("zero", "m") or name.startswith("number"):
                raise Again
            return d.pair(f"{key}/{name}/{i}", "void", f"{guard}{first} {loop}a[i] = {text}; }}",
                          f"{own_guard}{own} MAP(@n, @a, @a, {said});")  # fmt: skip
        if name in ("m", "or", "and") and sign == "==":
            raise Again  # nothing changes
        return d.pair(f"{key}/{name}/{i}", "void", f"{guard}{first} {loop}if ({test}) a[i] = {text}; }}",
                      f"{own_guard}{own} WHERE(@n, @a, @a, {lanes}, {said});")  # fmt: skip
    if then == "count":
        c, ctype, answer = f"{i} k = 0; {loop}if ({test}) k++; }} return k;", i, f"return COUNT(@n, @a, {lanes});"
    elif then == "sum":
        word, c_type = (w, t) if elem.bits >= 32 else ("i32", "int")
        c, ctype = f"{c_type} k = 0; {loop}if ({test}) k += x; }} return k;", c_type
        answer = f"return SUM({word}, @n, @a, SEL({lanes}, x, 0));"
    elif then == "find":
        c, ctype = f"{loop}if ({test}) return i; }} return -1;", "int" if i in ("int", "unsigned") else "long"
        answer = f"u64 k = FIND(@n, @a, {lanes}); return k < LEN(@n) ? k : -1;"
    else:
        ctype = "int" if i in ("int", "unsigned") else "long"
        c = f"{ctype} k = -1; {loop}if ({test}) k = i; }} return k;"
        answer = f"u64 k = FINDLAST(@n, @a, {lanes}); return k < LEN(@n) ? k : -1;"
    return d.pair(f"{key}/{i}", ctype, f"{guard}{first} {c}", f"{own_guard}{own} {answer}")


def kept(rng: Random) -> Pair:
    """Elements of a kind to the front; then a fold or a change of those that were kept."""
    d = Draft(rng, rng.choice([*ELEMS, *_WIDE, *_WIDE]))
    s = source(d, "one", const=False, indexed=True)
    if s.count == "end":
        raise Again
    t, i = d.elem.c, s.count
    test = condition(d, is_two=False, simple=0.4)
    e = expression(d, plain=0.3)
    loop = f"for ({i} i = 0; i < n; i++) {{ {t} x = a[i]; "
    kind = rng.choice(["count", "dropped", "change", "fold", "is"])
    keep = f"KEEP(@n, @a, @a, {test.lanes})"
    if kind in ("count", "dropped", "is"):
        store = rng.choice(["a[k++] = x;", "{ a[k] = x; k++; }"])
        text, ctype, said = {
            "count": ("k", i, f"return {keep};"), "dropped": ("n - k", i, f"return @n - {keep};"),
            "is": ("k != n", "int", f"return {keep} != @n;"),
        }[kind]  # fmt: skip
        if kind != "count" and i in ("int", "long"):
            loop, said = f"if (n <= 0) return 0; {loop}", f"if (@n <= 0) return 0; {said}"
        if kind == "is":
            said = said.replace("return KEEP", f"return ({'i32' if i == 'int' else 'u64'})KEEP")
        c = f"{i} k = 0; {loop}{test.before}if ({test.c}) {store} }} return {text};"
        return d.pair(f"kept-{kind}/{t}/{test.name}/{i}", ctype, c, said)
    if e is X or (e.before and test.before):
        raise Again
    if kind == "change":
        c = f"{i} k = 0; {loop}{test.before}{e.before}if ({test.c}) a[k++] = {e.c}; }} return k;"
        answer = f"u64 k = {keep}; MAP(k, @a, @a, {e.lanes}); return k;"
        return d.pair(f"kept-change/{t}/{test.name}/{e.name}/{i}", i, c, answer)
    d.has_inner_loop = True
    f = fold(d, s, "sum max min xor pops", part=("k", s.arrays), filtered=0.0)
    total = f.ctype
    c = f"{i} k = 0; {f.declared('s')} {loop}{test.before}if ({test.c}) {{ a[k++] = x; {f.c('s')} }} }} return s;"
    return d.pair(f"kept-{f.name}/{t}/{test.name}/{f.detail}/{i}", total, c, f"u64 k = {keep}; return {f.value};")


def stored(rng: Random) -> Pair:
    """Bytes of a kind changed in place, and a fold of what is there afterwards. (Counting them is no faster.)"""
    string = rng.random() < 0.5
    d = Draft(rng, rng.choice([U8, I8]))
    s = source(d, "string" if string else "one", const=False, indexed=True)
    if s.count == "end":
        raise Again
    test = condition(d, is_two=False, simple=0.6)
    e = unary(d, X)
    new = rng.choice([e.c, e.c, str(d.number())])
    lanes = e.lanes if new == e.c else new
    t = d.elem.c
    i = rng.choice(["int", "long", "size_t"]) if string else s.count
    head = f"for ({i} i = 0; i < n; i++)"
    if string:
        # a character that becomes the terminator is still walked past
        head = f"{i} n = 0; while (a[n]) n++; {head}"
    put = f"PUT({s.n}, @a, {test.lanes}, {lanes})"
    f = fold(d, s, "sum xor max min pops", filtered=0.0)
    if f.detail != "x~":
        raise Again
    c = f"{f.declared('s')} {head} {{ {t} x = a[i]; if ({test.c}) {{ x = {new}; a[i] = x; }} {f.c('s')} }} return s;"
    key = f"put-{f.name}-{s.kind}/{t}/{test.name}/{e.name if new == e.c else 'number'}/{i}"
    return d.pair(key, f.ctype, c, f"{s.setup}{put}; return {f.value};")


def _trick(rng: Random, elem: Elem, of: str, to: str) -> tuple[str, str, str]:
    """Name, statements that leave a trick of the word `of` in `to`, and the answer's expression over F."""
    t, w = elem.c, elem.bits
    head = f"{t} u_ = {of};"
    name, body, own = rng.choice([
        ("pop", "", "POP(F)"),
        ("pop", "", "POP(F)"),
        ("log2", rng.choice(["while (u_ >>= 1) V++;", "while (u_ > 1) { u_ >>= 1; V++; }"]), "LOG2(F | 1)"),
        ("width", rng.choice(["while (u_) { V++; u_ >>= 1; }", "for (; u_; u_ /= 2) V++;"]), "WIDTH(F)"),
        ("trailing", f"while (V < {w} && !(u_ & 1)) {{ V++; u_ >>= 1; }}", "TRAILING(F)"),
        ("mirror", f"for (int j_ = 0; j_ < {w}; j_++) {{ V = (V << 1) | (u_ & 1); u_ >>= 1; }}", "MIRROR(F)"),
        ("swap", f"for (int j_ = 0; j_ < {w // 8}; j_++) {{ V = (V << 8) | (u_ & 255); u_ >>= 8; }}", "SWAP(F)"),
        ("digits", rng.choice(["while (u_) { V += u_ % 10; u_ /= 10; }", "for (; u_ > 0; u_ /= 10) V += u_ % 10;"]),
         "DIGITSUM(F, 10)" if w == 32 else "DIGITSUM64(F)"),
        ("length", "while (u_) { V++; u_ /= 10; }", "DIGITS(F, 10)"),
        ("root", f"{t} b_ = ({t})1 << {w - 2}; while (b_ > u_) b_ >>= 2; while (b_) {{ if (u_ >= V + b_) "
                 "{ u_ -= V + b_; V = (V >> 1) + b_; } else V >>= 1; b_ >>= 2; }", "ISQRT(F)"),
    ])  # fmt: skip
    if name == "length" and w == 64:
        raise Again
    body = population(rng, elem) if name == "pop" else body
    statements = re.sub(r"\bV\b", to, f"{head} {body}")
    return name, f"{t} {to} = 0; {{ {statements} }}", own


def words(rng: Random) -> Pair:
    """Two tricks with words: of one or two of them, or one after the other."""
    elem = rng.choice([U32, U32, U64])
    d = Draft(rng, elem)
    kind = rng.choice(["one", "two", "two", "nested", "mix"])
    d.sig.add("x", f"{elem.c} x", f"x:{elem.bits}:0")
    if kind in ("two", "mix"):
        d.sig.add("y", f"{elem.c} y", f"x:{elem.bits}:0")
    result = elem.c
    if kind in ("one", "two"):
        other = "y" if kind == "two" else "x"
        name, first, own = _trick(rng, elem, "x", "k")
        again, second, more = _trick(rng, elem, other, "m")
        if (name, kind) == (again, "one"):
            raise Again
        join = rng.choice(["+", "-", "*", "^", "==", "<", ">"])
        result = "int" if join in ("==", "<", ">") else result
        w = elem.word
        values = f"{w} k = {own.replace('F', '@x')}; {w} m = {more.replace('F', f'@{other}')};"
        return d.pair(f"words-{kind}/{elem.c}/{name}{join}{again}", result,
                      f"{first} {second} return k {join} m;", f"{values} return k {join} m;")  # fmt: skip
    if kind == "nested":
        name, first, own = _trick(rng, elem, "x", "k")
        again, second, more = _trick(rng, elem, "k", "m")
        w = elem.word
        answer = f"{w} k = {own.replace('F', '@x')}; return {more.replace('F', 'k')};"
        return d.pair(f"words-nested/{elem.c}/{again}of{name}", result, f"{first} {second} return m;", answer)
    mixed, lanes = rng.choice([
        ("x ^ y", "@x ^ @y"), ("x & y", "@x & @y"), ("x | y", "@x | @y"), ("x & ~y", "@x & ~@y"),
        ("x + y", "@x + @y"), ("x & (x - 1)", "@x & @x - 1"), ("x & -x", "@x & -@x"),
    ])  # fmt: skip
    name, first, own = _trick(rng, elem, mixed, "k")
    if "y" not in mixed:
        d.sig.params.pop()
    answer = f"return {own.replace('F', f'({lanes})')};"
    return d.pair(f"words-mix/{elem.c}/{name}{mixed.replace(' ', '')}", result, f"{first} return k;", answer)
