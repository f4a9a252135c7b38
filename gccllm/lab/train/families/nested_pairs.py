"""All pairs of elements, and rows of a table against themselves some places to the left.

Covered: counts of pairs i < j of one array and of pairs of two arrays, whether there is a pair and which, a falling
pass over a[j] and a[j - d], tables of amounts paid by coins. Not covered: 8- and 16-bit pairs, rising passes other than
modulo a constant (a vector would wait for its own stores).
"""

from __future__ import annotations

import random

from gccllm.lab.train.families.nested_parts import F32, F64, I32, I64, SIDES, U32, U64, Scalar, named
from gccllm.lab.train.shapes import Pair, Signature, const_word, make


def _test(rng: random.Random, t: Scalar, sig: Signature) -> tuple[str, str, str, tuple[int, ...]]:
    """A test of X (the later, or of the second array) and Y: name, C, answer's lanes, constants."""
    names = ["less", "less", "equal", "more", "sumlt", "sumgt", "absle"]
    if not t.is_float:
        names += ["sum", "sum", "sum", "difference", "xor", "odd", "and", "multiple"]
    name = rng.choice(names)
    simple = {"less": ("Y > X", "y > x"), "more": ("Y < X", "y < x"), "equal": ("Y == X", "y == x")}
    if name in simple:
        return name, *simple[name], ()
    if name == "odd":
        wanted = rng.choice(["!= 0", "== 0"])
        return name + wanted[0], f"((X + Y) & 1) {wanted}", f"(x + y & 1) {wanted}", ()
    if name == "and":
        return name, "(X & Y) == 0", "(x & y) == 0", ()
    values: tuple[int, ...] = ()
    number = "{v}"
    if t.is_float or rng.random() < 0.6:
        sig.add("v", f"{t.c} v", t.argument)
    else:
        value = rng.choice([10, 100, 7, 1000, 50, rng.randint(2, 500)])
        number, values = str(value), (value,)
    spelled = number.replace("{v}", "v")
    text, lanes = {
        "sum": ("Y + X == V", "x == V - y"), "difference": ("X - Y == V", "x == V + y"),
        "xor": ("(X ^ Y) == V", "x == (y ^ V)"), "multiple": ("X * Y == V", "x * y == V"),
        "sumlt": ("X + Y < V", "x + y < V"), "sumgt": ("X + Y > V", "x + y > V"),
        "absle": ("(X - Y <= V && Y - X <= V)", "(x - y <= V) & (y - x <= V)"),
    }[name]  # fmt: skip
    if values and name == "sumlt":
        number, lanes = str(values[0] - 1), lanes.replace("<", "<=")
    return name + "-arg" * (not values), text.replace("V", spelled), lanes.replace("V", number), values


_PAIR_TYPES = (I32, I32, I32, U32, I64, U64, F32, F64)


def pairs(rng: random.Random) -> Pair:
    """How many pairs i < j of one array have a property."""
    t = rng.choice(_PAIR_TYPES)
    sig = Signature()
    count = rng.choice(["int", "int", "long", "size_t"])
    sig.add("a", f"{const_word(rng)}{t.c} *a", f"p{t.shape}")
    sig.add("n", f"{count} n", f"n:{SIDES[count]}")
    name, text, lanes, values = _test(rng, t, sig)
    sig.shuffle(rng)
    result = rng.choice(["int", "int", "long", "size_t"])
    form = rng.choice(["up", "up", "down", "row"])
    if form == "up":
        loops, x, y = f"for ({count} i = 0; i < n; i++) for ({count} j = i + 1; j < n; j++)", "a[j]", "a[i]"
    elif form == "down":
        loops, x, y = f"for ({count} i = 1; i < n; i++) for ({count} j = 0; j < i; j++)", "a[i]", "a[j]"
    else:
        loops = f"for ({count} i = 0; i < n; i++) {{ {t.c} e = a[i]; for ({count} j = i + 1; j < n; j++)"
        x, y = "a[j]", "e"
    test = text.replace("X", x).replace("Y", y)
    body = f"if ({test}) k++;" if rng.random() < 0.7 else f"k += ({test});"
    c = f"{result} k = 0; {loops} {body} {'}' * (form == 'row')} return k;"
    answer = f"return PAIRS({{n}}, {{a}}, {lanes});"
    return make("nested", f"pairs/{t.c}/{name}/{form}", sig, result, c, named(sig, answer), values)


def cross(rng: random.Random) -> Pair:
    """How many pairs of an element of each of two arrays have a property; or ordered pairs of one array."""
    t = rng.choice(_PAIR_TYPES)
    sig = Signature()
    count = rng.choice(["int", "int", "long", "size_t"])
    sig.add("a", f"{const_word(rng)}{t.c} *a", f"p{t.shape}")
    other = "a" if rng.random() < 0.2 else "b"
    if other == "b":
        sig.add("b", f"{const_word(rng)}{t.c} *b", f"q{t.shape}")
    sig.add("n", f"{count} n", f"n:{SIDES[count]}")
    name, text, lanes, values = _test(rng, t, sig)
    sig.shuffle(rng)
    result = rng.choice(["int", "int", "long", "size_t"])
    test = text.replace("X", f"{other}[j]").replace("Y", "a[i]")
    body = f"if ({test}) k++;" if rng.random() < 0.7 else f"k += ({test});"
    c = f"{result} k = 0; for ({count} i = 0; i < n; i++) for ({count} j = 0; j < n; j++) {body} return k;"
    answer = f"return CROSS({{n}}, {{a}}, {{n}}, {{{other}}}, {lanes});"
    return make("nested", f"cross/{t.c}/{name}/{other}", sig, result, c, named(sig, answer), values)


def twosum(rng: random.Random) -> Pair:
    """Whether some pair of one array has a property, or which."""
    t = rng.choice([I32, I32, U32, I64, U64, F32])
    sig = Signature()
    count = rng.choice(["int", "int", "long"])
    sig.add("a", f"{const_word(rng)}{t.c} *a", f"p{t.shape}")
    sig.add("n", f"{count} n", f"n:{SIDES[count]}")
    name, text, lanes, values = _test(rng, t, sig)
    sig.shuffle(rng)
    test = text.replace("X", "a[j]").replace("Y", "a[i]")
    kind = rng.choice(["any", "any", "none", "first", "second"])
    hit, miss = {"any": ("1", "0"), "none": ("0", "1"), "first": ("i", "-1"), "second": ("j", "-1")}[kind]
    result = "int" if kind in ("any", "none") else count
    c = f"for ({count} i = 0; i < n; i++) for ({count} j = i + 1; j < n; j++) if ({test}) return {hit}; return {miss};"
    said = {"any": "1", "none": "0", "first": "i", "second": "i + 1 + k"}[kind]
    lanes = lanes.replace("y", "{a}[i]")
    answer = (
        f"for (i64 i = 0; i < {{n}}; i++) {{ u64 k = FIND({{n}} - i - 1, {{a}} + i + 1, {lanes}); "
        f"if (k < {{n}} - i - 1) return {said}; }} return {miss};"
    )
    key = f"twosum/{kind}/{t.c}/{name}"
    return make("nested", key, sig, result, c, named(sig, answer), values)


def lag(rng: random.Random) -> Pair:
    """a[j] from a[j] and a[j - d] for a distance d known at run time, falling."""
    t = rng.choice([I32, I32, I64, I64, U32, U64, F32, F64])
    sig = Signature()
    count = rng.choice(["int", "int", "long"])
    sig.add("a", f"{t.c} *a", f"p{t.shape}")
    sig.add("n", f"{count} n", f"n:{SIDES[count]}")
    sig.add("d", f"{count} d", f"d:{SIDES[count]}")
    name = rng.choice(["sum", "sum", "sub", "min", "max", "minplus", "maxplus"] + ["xor", "or"] * (not t.is_float))
    x, y = "a[j]", "a[j - d]"
    values: tuple[int, ...] = ()
    if "plus" in name:
        one = rng.random() < 0.5 and not t.is_float
        if not one:
            sig.add("v", f"{t.c} v", t.argument)
        y += " + 1" if one else " + v"
    sig.shuffle(rng)
    plus = "y + 1" if y.endswith("1") else "y + {v}"
    lanes = {
        "sum": "x + y", "min": "LESSER(y, x)", "max": "GREATER(y, x)", "minplus": f"LESSER({plus}, x)",
        "maxplus": f"GREATER({plus}, x)", "xor": "x ^ y", "or": "x | y", "sub": "x - y",
    }[name]  # fmt: skip
    body = {
        "sum": f"{x} += {y};", "xor": f"{x} ^= {y};", "or": f"{x} |= {y};", "sub": f"{x} -= {y};",
    }.get(name, f"{{ {t.c} e = {y}; {x} = e {'<' if 'min' in name else '>'} {x} ? e : {x}; }}")  # fmt: skip
    # n - 1 is not defined for the least long, which the check passes
    closed = count == "long" or rng.random() < 0.5
    loop = f"for ({count} j = {'n' if closed else 'n - 1'}; j >= d; j--)"
    n = "{n} + 1" if closed else "{n}"
    answer = f"LAGDOWN({n}, {{a}}, {{d}}, {lanes});"
    key = f"lag/{t.c}/{name}{'-closed' * closed}/{count}"
    return make("nested", key, sig, "void", f"{loop} {body}", named(sig, answer), values)


def coins(rng: random.Random) -> Pair:
    """Rows of a table of amounts, one item after the other: ways to pay, fewest coins, what can be reached."""
    name = rng.choice(["ways", "mod", "mod", "mod", "fewest", "reach"])
    t = rng.choice([I32, I64, I64] + [U32] * (name != "mod"))
    sig = Signature()
    sig.add("b", f"{const_word(rng)}int *b", "u")
    sig.add("m", "int m", "d:i32")
    sig.add("a", f"{t.c} *a", f"p{t.shape}")
    sig.add("n", "int n", "n:i32")
    sig.shuffle(rng)
    modulus = rng.choice([1000000007, 998244353, 1000000009, 1000003, 10007, 1000, 12345])
    large = rng.choice([1000000, 1000000000, 100000, 9999])
    down = name != "mod" or rng.random() < 0.3
    first, rest = {"fewest": ("0", str(large))}.get(name, ("1", "0"))
    body = {
        "ways": "a[j] += a[j - c];", "reach": "a[j] |= a[j - c];",
        "fewest": "{ E e = a[j - c] + 1; a[j] = e < a[j] ? e : a[j]; }",
        "mod": rng.choice(["a[j] = (a[j] + a[j - c]) % M;", "{ a[j] += a[j - c]; a[j] %= M; }"]),
    }[name].replace("E", t.c).replace("M", str(modulus))  # fmt: skip
    lanes = {"ways": "x + y", "reach": "x | y", "fewest": "LESSER(y + 1, x)", "mod": str(modulus)}[name]
    loop = "for (int j = n; j >= c; j--)" if down else "for (int j = c; j <= n; j++)"
    c = (
        f"for (int i = 0; i <= n; i++) a[i] = {rest}; a[0] = {first}; for (int i = 0; i < m; i++) {{ int c = b[i]; "
        f"{loop} {body} }} return a[n];"
    )
    macro = ("LAGDOWN" if down else "LAG") + "MOD" * (name == "mod")
    answer = (
        f"for (i64 i = 0; i <= {{n}}; i++) {{a}}[i] = {rest}; {{a}}[0] = {first}; for (i64 i = 0; i < {{m}}; i++) "
        f"{macro}({{n}} + 1, {{a}}, {{b}}[i], {lanes}); return {{a}}[{{n}}];"
    )
    key = f"coins/{t.c}/{name}{'-down' * down}"
    return make("nested", key, sig, t.c, c, named(sig, answer), (modulus,) if name == "mod" else (large,))
