"""Matrices and other loops in loops that gcc leaves scalar: many chains, each in its own order.

Covered: square matrices by rows (product, transposed product, sums of other operations, with the chain in a variable or
in memory, steps outside the columns), vector times matrix, polynomials at many points, filters, rows of floats whose
sums keep their order, residues modulo a constant; with `nested_pairs`, all pairs and rows with a lag. Not covered:
matrices of structs or of fixed second dimension, 8- and 16-bit matrices, integer row sums (gcc has them), one chain.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from gccllm.lab.train.families import nested_pairs
from gccllm.lab.train.families.nested_parts import F32, F64, I32, I64, SIDES, U32, U64, Scalar, named
from gccllm.lab.train.shapes import Pair, Signature, const_word, make


def draw(rng: random.Random) -> Pair:
    kinds: list[tuple[int, Callable[[random.Random], Pair]]] = [
        (6, _product), (3, _added), (3, _column), (2, _points), (2, _filter), (4, _rows), (3, _residues),
        (5, nested_pairs.pairs), (3, nested_pairs.cross), (3, nested_pairs.twosum), (4, nested_pairs.lag),
        (2, nested_pairs.coins),
    ]  # fmt: skip
    return rng.choices([k for _, k in kinds], [w for w, _ in kinds])[0](rng)


def _matrices(rng: random.Random, t: Scalar, names: str = "abo", scalar: Scalar | None = None) -> tuple[Signature, str]:
    """Arrays called by `names` (a, b read, o written) and their side n; the side's C type."""
    sig = Signature()
    side = rng.choice(["int", "int", "int", "long", "size_t"])
    for name in names:
        const = "" if name == "o" else const_word(rng)
        sig.add(name, f"{const}{t.c} *{name}", {"a": "p", "b": "q", "o": "o"}[name] + t.shape)
    sig.add("n", f"{side} n", f"N:{SIDES[side]}")
    if scalar is not None:
        sig.add("v", f"{scalar.c} v", scalar.argument)
    if rng.random() < 0.3:
        sig.params.insert(0, sig.params.pop([p.name for p in sig.params].index("n")))
    sig.shuffle(rng)
    return sig, side


def _operation(rng: random.Random, t: Scalar) -> tuple[str, str, str]:
    """Name, C statement over s, X and Y, answer's expression over s, x, y."""
    draws = [("mul", "s += X * Y;", "s + x * y")] * 5 + [
        ("submul", "s -= X * Y;", "s - x * y"),
        ("square", f"{{ {t.c} d = X - Y; s += d * d; }}", "s + (x - y) * (x - y)"),
        ("minplus", f"{{ {t.c} d = X + Y; if (d < s) s = d; }}", "LESSER(x + y, s)"),
        ("minplus", "if (X + Y < s) s = X + Y;", "LESSER(x + y, s)"),
        ("maxplus", f"{{ {t.c} d = X + Y; if (d > s) s = d; }}", "GREATER(x + y, s)"),
    ]
    if not t.is_float:
        draws += [
            ("orand", "s |= X & Y;", "s | x & y"), ("xorand", "s ^= X & Y;", "s ^ x & y"),
            ("sumand", "s += X & Y;", "s + (x & y)"), ("sumxor", "s += X ^ Y;", "s + (x ^ y)"),
            ("less", "s += X < Y;", "s - (x < y)"), ("equal", "if (X == Y) s++;", "s - (x == y)"),
        ]  # fmt: skip
    else:
        draws += [("div", "s += X / Y;", "s + x / y"), ("mulmax", f"{{ {t.c} d = X * Y; if (d > s) s = d; }}",
                                                         "GREATER(x * y, s)")]  # fmt: skip
    return rng.choice(draws)


def _start(rng: random.Random, name: str, t: Scalar) -> tuple[str, bool]:
    """What a chain starts with: a number, or the argument v."""
    if rng.random() < 0.15:
        return "v", True
    if "min" in name or "max" in name:
        if t.is_float:
            return "v", True
        number = rng.choice([1000000000, 2147483647, 1000000, 1 << 30])
        return str(number if "min" in name else -number), False
    return ("1" if rng.random() < 0.1 and not t.is_float else "0"), False


def _product(rng: random.Random) -> Pair:
    """o[i][j] from row i (or column i) of a and column j of b."""
    t = rng.choice([F32, F32, F64, F64, I32, I32, U32, I64])
    name, statement, lanes = _operation(rng, t)
    start, has_argument = _start(rng, name, t)
    in_memory = rng.random() < 0.35 and name in ("mul", "submul", "orand", "xorand", "sumand", "sumxor")
    turned = rng.random() < 0.25
    sig, side = _matrices(rng, t, scalar=t if has_argument else None)
    left, right = "a[k * n + i]" if turned else "a[i * n + k]", "b[k * n + j]"
    head = f"for ({side} i = 0; i < n; i++) for ({side} j = 0; j < n; j++)"
    steps = f"for ({side} k = 0; k < n; k++)"
    if in_memory:
        body = statement.replace("X", left).replace("Y", right).replace("s", "o[i * n + j]", 1)
        c = f"{head} {{ o[i * n + j] = {start}; {steps} {body} }}"
    else:
        body = statement.replace("X", left).replace("Y", right)
        form = rng.randrange(3)
        c = f"{head} {{ {t.c} s = {start}; {steps} {body} o[i * n + j] = s; }}"
        if form == 1 and not turned:
            body = statement.replace("X", "p[k]").replace("Y", "q[k * n]")
            c = (
                f"for ({side} i = 0; i < n; i++) {{ const {t.c} *p = a + i * n; for ({side} j = 0; j < n; j++) {{ "
                f"const {t.c} *q = b + j; {t.c} s = {start}; {steps} {body} o[i * n + j] = s; }} }}"
            )
        elif form == 2:
            body = statement.replace("X", left).replace("Y", "*q")
            walk = f"const {t.c} *q = b + j; {steps} {{ {body} q += n; }}"
            c = f"{head} {{ {t.c} s = {start}; {walk} o[i * n + j] = s; }}"
    x = "{a}[k * {n} + i]" if turned else "{a}[i * {n} + k]"
    first = "{v}" if has_argument else start
    macro = "DOTSIN" if in_memory else "DOTS"
    answer = f"{macro}({{n}}, {{n}}, {{n}}, {{o}}[i * {{n}}], {first}, {x}, {{b}}[k * {{n}}], {lanes});"
    key = f"product/{t.c}/{name}{'-turned' * turned}{'-memory' * in_memory}/{side}"
    return make("nested", key, sig, "void", c, named(sig, answer))


def _added(rng: random.Random) -> Pair:
    """o += a b with the steps outside the columns."""
    t = rng.choice([F32, F32, F64, F64, I32, I64])
    names = ("mul", "submul", "orand", "xorand", "sumand", "sumxor")
    name, statement, lanes = _operation(rng, t)
    while name not in names:
        name, statement, lanes = _operation(rng, t)
    turned = rng.random() < 0.25
    sig, side = _matrices(rng, t)
    left, right, out = "a[k * n + i]" if turned else "a[i * n + k]", "b[k * n + j]", "o[i * n + j]"
    body = statement.replace("X", left).replace("Y", right).replace("s", out, 1)
    loops = [f"for ({side} {v} = 0; {v} < n; {v}++)" for v in "ikj"]
    c = f"{' '.join(loops)} {body}"
    x = "{a}[k * {n} + i]" if turned else "{a}[i * {n} + k]"
    answer = f"DOTSADD({{n}}, {{n}}, {{n}}, {{o}}[i * {{n}}], {x}, {{b}}[k * {{n}}], {lanes});"
    return make("nested", f"added/{t.c}/{name}{'-turned' * turned}/{side}", sig, "void", c, named(sig, answer))


def _column(rng: random.Random) -> Pair:
    """Sums of columns, or a vector times a matrix: o[j] over b[k] and a[k][j]."""
    t = rng.choice([F32, F32, F64, F64, I32, I64])
    name, statement, lanes = _operation(rng, t)
    kind = rng.choice(["plain", "plain", "vector", "vector", "vector"])
    if kind == "plain":
        name, statement, lanes = rng.choice([
            ("sum", "s += Y;", "s + y"), ("sum", "s += Y;", "s + y"), ("squares", "s += Y * Y;", "s + y * y"),
            ("least", "if (Y < s) s = Y;", "LESSER(y, s)"), ("most", "if (Y > s) s = Y;", "GREATER(y, s)"),
        ])  # fmt: skip
    start, has_argument = _start(rng, {"least": "min", "most": "max"}.get(name, name), t)
    sig, side = _matrices(rng, t, "ao" if kind == "plain" else "abo", t if has_argument else None)
    body = statement.replace("X", "b[k]").replace("Y", "a[k * n + j]")
    c = f"for ({side} j = 0; j < n; j++) {{ {t.c} s = {start}; for ({side} k = 0; k < n; k++) {body} o[j] = s; }}"
    first = "{v}" if has_argument else start
    x = "{a}[k * {n}]" if kind == "plain" else "{b}[k]"
    answer = f"DOTS(1, {{n}}, {{n}}, {{o}}[0], {first}, {x}, {{a}}[k * {{n}}], {lanes});"
    return make("nested", f"column/{t.c}/{kind}/{name}/{side}", sig, "void", c, named(sig, answer))


def _points(rng: random.Random) -> Pair:
    """One polynomial at many points: o[j] = r after r = r * a[j] + b[k] for every k, up or down."""
    t = rng.choice([F32, F64, F32, F64, I32])
    sig = Signature()
    count = rng.choice(["int", "long"])
    sig.add("a", f"{const_word(rng)}{t.c} *a", f"p{t.shape}")
    sig.add("n", f"{count} n", f"n:{SIDES[count]}")
    sig.add("b", f"{const_word(rng)}{t.c} *b", f"k{t.shape}")
    sig.add("m", "int m", "d:i32")
    sig.add("o", f"{t.c} *o", f"o{t.shape}")
    sig.shuffle(rng)
    down = rng.random() < 0.6
    start = rng.choice(["0", "0", "1"]) if not t.is_float else "0"
    if rng.random() < 0.2:
        body, lanes, name = "s += b[k] * a[j];", "s + x * y", "scale"
    elif rng.random() < 0.2:
        body, lanes, name = f"{{ {t.c} d = a[j] - b[k]; s += d * d; }}", "s + (y - x) * (y - x)", "distance"
    else:
        body, lanes, name = "s = s * a[j] + b[k];", "s * y + x", "horner"
    loop = "for (int k = m - 1; k >= 0; k--)" if down else "for (int k = 0; k < m; k++)"
    c = f"for ({count} j = 0; j < n; j++) {{ {t.c} s = {start}; {loop} {body} o[j] = s; }}"
    x = "{b}[{m} - 1 - k]" if down else "{b}[k]"
    answer = f"DOTS(1, {{n}}, {{m}}, {{o}}[0], {start}, {x}, {{a}}[0], {lanes});"
    return make("nested", f"points/{t.c}/{name}{'-down' * down}/{count}", sig, "void", c, named(sig, answer))


def _filter(rng: random.Random) -> Pair:
    """o[i] from the m elements of a at i and those of b (a convolution, or a search for the nearest place)."""
    t = rng.choice([F32, F64, F32, F64, I32, U32])
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{t.c} *a", f"p{t.shape}")
    sig.add("n", "int n", "n:i32")
    sig.add("b", f"{const_word(rng)}{t.c} *b", f"k{t.shape}")
    sig.add("m", "int m", "d:i32")
    sig.add("o", f"{t.c} *o", f"o{t.shape}")
    sig.shuffle(rng)
    name, statement, lanes = _operation(rng, t)
    start = "0"
    if "min" in name or "max" in name:
        name, statement, lanes = "mul", "s += X * Y;", "s + x * y"
    down = rng.random() < 0.3
    body = statement.replace("X", "b[m - 1 - k]" if down else "b[k]").replace("Y", "a[i + k]")
    head = rng.choice(["i + m <= n", "i <= n - m", "i < n - m + 1"])
    c = f"for (int i = 0; {head}; i++) {{ {t.c} s = {start}; for (int k = 0; k < m; k++) {body} o[i] = s; }}"
    x = "{b}[{m} - 1 - k]" if down else "{b}[k]"
    answer = f"DOTS(1, (i64){{n}} - {{m}} + 1, {{m}}, {{o}}[0], {start}, {x}, {{a}}[k], {lanes});"
    return make("nested", f"filter/{t.c}/{name}{'-down' * down}", sig, "void", c, named(sig, answer))


def _rows(rng: random.Random) -> Pair:
    """Sums along the rows of a matrix of floats, each in its order: matrix times vector, row sums, a times b turned."""
    t = rng.choice([F32, F64])
    kind = rng.choice(["vector", "vector", "sum", "squares", "horner", "distance", "turned", "turned"])
    names = "abo" if kind in ("vector", "distance", "turned") else "ao"
    sig, side = _matrices(rng, t, names, t if kind == "horner" else None)
    first, second = "a[i * n + k]", "b[k]"
    statement, lanes = {
        "vector": ("s += X * Y;", "s + x * y"), "sum": ("s += X;", "s + x"), "squares": ("s += X * X;", "s + x * x"),
        "horner": ("s = s * v + X;", "s * {v} + x"), "turned": ("s += X * Y;", "s + x * y"),
        "distance": (f"{{ {t.c} d = X - Y; s += d * d; }}", "s + (x - y) * (x - y)"),
    }[kind]  # fmt: skip
    if kind == "turned":
        first, second = "a[i * n + k]", "b[j * n + k]"
        if rng.random() < 0.3:
            statement, lanes = f"{{ {t.c} d = X - Y; s += d * d; }}", "s + (x - y) * (x - y)"
    body = statement.replace("X", first).replace("Y", second)
    form = rng.randrange(2)
    if form and kind != "turned":
        body = f"const {t.c} *p = a + i * n; for ({side} k = 0; k < n; k++) " + statement.replace("X", "p[k]").replace(
            "Y", second
        )
    else:
        body = f"for ({side} k = 0; k < n; k++) {body}"
    if kind == "turned":
        c = f"for ({side} i = 0; i < n; i++) for ({side} j = 0; j < n; j++) {{ {t.c} s = 0; {body} o[i * n + j] = s; }}"
        answer = (
            "for (i64 j = 0; j < {n}; j++) LINES({n}, {n}, {o}[j * {n} + i], 0, {b}[i * {n} + k], {a}[j * {n} + k], "
            + ("s + y * x);" if "d" not in statement else "s + (y - x) * (y - x));")
        )
    else:
        c = f"for ({side} i = 0; i < n; i++) {{ {t.c} s = 0; {body} o[i] = s; }}"
        y = "{b}[k]" if names == "abo" else "{a}[i * {n} + k]"
        answer = f"LINES({{n}}, {{n}}, {{o}}[i], 0, {{a}}[i * {{n}} + k], {y}, {lanes});"
    return make("nested", f"rows/{t.c}/{kind}/{side}", sig, "void", c, named(sig, answer))


def _residues(rng: random.Random) -> Pair:
    """A product of matrices modulo a constant."""
    t = rng.choice([I64, I64, U64])
    modulus = rng.choice([1000000007, 998244353, 1000000009, 1000003, 10007, 1000, 65537, rng.randint(2, 1 << 30)])
    turned = rng.random() < 0.2
    sig, side = _matrices(rng, t)
    for i, param in enumerate(sig.params):
        if param.kind[0] in "pqo":
            sig.params[i] = type(param)(param.name, param.c, f"{param.kind[0]}:64:3")
    left, right = "a[k * n + i]" if turned else "a[i * n + k]", "b[k * n + j]"
    spelled, lanes = rng.choice([
        ("(s + X * Y) % M", "(s + x * y) % {m}"), ("(s + X * Y) % M", "(s + x * y) % {m}"),
        ("(X * Y + s) % M", "(x * y + s) % {m}"), ("(s + X * Y % M) % M", "(s + x * y % {m}) % {m}"),
    ])  # fmt: skip
    in_memory = rng.random() < 0.4
    spelled = spelled.replace("X", left).replace("Y", right).replace("M", str(modulus))
    head = f"for ({side} i = 0; i < n; i++) for ({side} j = 0; j < n; j++)"
    if in_memory:
        spelled = spelled.replace("s", "o[i * n + j]")
        c = f"{head} {{ o[i * n + j] = 0; for ({side} k = 0; k < n; k++) o[i * n + j] = {spelled}; }}"
    else:
        c = f"{head} {{ {t.c} s = 0; for ({side} k = 0; k < n; k++) s = {spelled}; o[i * n + j] = s; }}"
    x = "{a}[k * {n} + i]" if turned else "{a}[i * {n} + k]"
    macro = "DOTSINMOD" if in_memory else "DOTSMOD"
    answer = f"{macro}({{n}}, {{n}}, {{n}}, {{o}}[i * {{n}}], {modulus}, {x}, {{b}}[k * {{n}}], {lanes});"
    answer = named(sig, answer.replace("{m}", str(modulus)))
    key = f"residues/{t.c}/{lanes.count('%')}{'-turned' * turned}{'-memory' * in_memory}/{side}"
    return make("nested", key, sig, "void", c, answer, (modulus,))


def draw_held(rng: random.Random) -> Pair:
    return rng.choice([_gram, _nearest])(rng)


def _gram(rng: random.Random) -> Pair:
    """All products of two columns of one matrix."""
    t = rng.choice([F32, F64, I32])
    sig, side = _matrices(rng, t, "ao")
    c = (
        f"for ({side} i = 0; i < n; i++) for ({side} j = 0; j < n; j++) {{ {t.c} s = 0; "
        f"for ({side} k = 0; k < n; k++) s += a[k * n + i] * a[k * n + j]; o[i * n + j] = s; }}"
    )
    answer = "DOTS({n}, {n}, {n}, {o}[i * {n}], 0, {a}[k * {n} + i], {a}[k * {n}], s + x * y);"
    return make("held-gram", f"{t.c}/{side}", sig, "void", c, named(sig, answer))


def _nearest(rng: random.Random) -> Pair:
    """For each number of a the square of its distance to the nearest one of b, at most v."""
    t = rng.choice([F32, F64, I32])
    sig = Signature()
    sig.add("a", f"{const_word(rng)}{t.c} *a", f"p{t.shape}")
    sig.add("n", "int n", "n:i32")
    sig.add("b", f"{const_word(rng)}{t.c} *b", f"k{t.shape}")
    sig.add("m", "int m", "d:i32")
    sig.add("o", f"{t.c} *o", f"o{t.shape}")
    sig.add("v", f"{t.c} v", t.argument)
    sig.shuffle(rng)
    c = (
        f"for (int j = 0; j < n; j++) {{ {t.c} s = v; for (int k = 0; k < m; k++) {{ {t.c} d = a[j] - b[k]; "
        "if (d * d < s) s = d * d; } o[j] = s; }"
    )
    answer = "DOTS(1, {n}, {m}, {o}[0], {v}, {b}[k], {a}[0], LESSER((y - x) * (y - x), s));"
    return make("held-nearest", t.c, sig, "void", c, named(sig, answer))
