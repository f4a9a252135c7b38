"""Simple sorts of short arrays, as people write them, and what is done with the sorted array.

For most the answer is one insertion that moves a vector of elements at a time: integers end up the same by any sort,
and it stores an element only where one out of order has to pass, as every sort by neighbours does. Selections that
exchange only unequal elements leave out more, so that their answer makes the same exchanges and finds them by vectors.

Covered: bubble (also with early end, from the back, or both ways), selection (smallest first or largest last),
insertion by moves or exchanges, gnome; rising and falling; all integer types, floats by insertion; a value read off at
the end; how many exchanges were made. Not covered: exchange with every later element (it stores less than neighbours
do), keys, partial and recursive sorts.
"""

from __future__ import annotations

import random

from gccllm.lab.train.families.nested_parts import F32, F64, SIDES, Scalar
from gccllm.lab.train.shapes import ELEMS, Pair, Signature, make

_KINDS = ("bubble", "bubble", "bubble", "early", "early", "back", "both", "least", "least", "most", "unequal", "insert",
          "insert", "insert", "exchanges", "gnome")  # fmt: skip
_COUNTED = ("bubble", "early", "back", "insert", "exchanges", "gnome")
"""Sorts that exchange or move one neighbour at a time: as often as there are pairs out of order."""


def draw(rng: random.Random) -> Pair:
    return _sort(rng, rng.choice(["none"] * 6 + ["end", "end", "middle"]))


def draw_held(rng: random.Random) -> Pair:
    """How many exchanges a sort has made: the pairs out of order, counted before the sort."""
    return _sort(rng, "count")


def _swap(rng: random.Random, t: Scalar, p: str, q: str) -> str:
    if rng.random() < 0.2:
        return f"{{ {t.c} x = {p}, y = {q}; {p} = y; {q} = x; }}"
    return f"{{ {t.c} t = {p}; {p} = {q}; {q} = t; }}"


def _sort(rng: random.Random, after: str) -> Pair:
    kind = rng.choice(_KINDS if after != "count" else _COUNTED)
    if kind == "insert" and rng.random() < 0.3:
        t = rng.choice([F32, F64])
    else:
        elem = rng.choice([*ELEMS[4:], *ELEMS[4:]] + ([*ELEMS[:4]] if after != "count" else []))
        t = Scalar(elem.c, elem.word, elem.bits, int(elem.signed))
    count = rng.choice(["int", "int", "int", "long"])
    sig = Signature()
    sig.add("a", f"{t.c} *a", f"p{t.shape}")
    sig.add("n", f"{count} n", f"n:{SIDES[count]}")
    if after == "middle" and rng.random() < 0.5:
        sig.add("k", f"{count} k", f"d:{SIDES[count]}")
    if rng.random() < 0.3:
        sig.params.reverse()
    sig.shuffle(rng)
    falling = rng.random() < 0.35
    over, tally = ("<" if falling else ">"), ("s++; " if after == "count" else "")
    c = _plain(rng, kind, t, count, over, tally)
    result = "void"
    letters = {name: sig.at(name) for name in (p.name for p in sig.params)}
    order = "x < y" if falling else "x > y"
    answer = _answer(kind, t, letters["a"], letters["n"], order)
    if after == "count":
        result = rng.choice(["int", "long"])
        c = f"{result} s = 0; {c} return s;"
        turned = "x > y" if falling else "x < y"
        answer = f"{result_word(result)} k = PAIRS({letters['n']}, {letters['a']}, {turned}); {answer} return k;"
    elif after != "none":
        result = t.c
        index = {"end": rng.choice(["0", "n - 1"]), "middle": "k" if "k" in letters else "n / 2"}[after]
        c += f" return a[{index}];"
        spelled = index.replace("n", letters["n"]).replace("k", letters.get("k", "k"))
        answer += f" return {letters['a']}[{spelled}];"
    family = "held-exchanges" if after == "count" else "sort"
    key = f"{kind}/{t.c}/{'falling' if falling else 'rising'}/{after}/{count}"
    return make(family, key, sig, result, c, answer)


def _answer(kind: str, t: Scalar, a: str, n: str, order: str) -> str:
    sign = order[2]
    if kind == "unequal":
        fold, under = ("MIN", "<") if sign == ">" else ("MAX", ">")
        return (
            f"for (i64 i = 0; i < {n}; i++) {{ {t.word} m = {fold}({a}[i], {n} - i - 1, {a} + i + 1, x); "
            f"if (m {under} {a}[i]) {{ u64 k = FINDZ({a} + i, x == m); {a}[i + k] = {a}[i]; {a}[i] = m; }} }}"
        )
    return f"SORT({n}, {a}, {order});"


def result_word(result: str) -> str:
    return {"int": "i32", "long": "i64"}[result]


def _plain(rng: random.Random, kind: str, t: Scalar, count: str, over: str, tally: str) -> str:
    """C of the sort; `over` is how elements out of order compare, `tally` goes with every exchange."""

    def exchange(p: str, q: str, more: str = "") -> str:
        swap = _swap(rng, t, p, q)
        return f"if ({p} {over} {q}) {{ {tally}{more}{swap[2:-2]} }}"

    i = f"{count} i"
    if kind == "bubble":
        bound = rng.choice(["n - 1 - i", "n - i - 1", "n - 1"])
        outer = rng.choice([f"for ({i} = 0; i < n - 1; i++)", f"for ({i} = 0; i < n; i++)"])
        if rng.random() < 0.3:
            return f"{outer} for ({count} j = 1; j < n - i; j++) {exchange('a[j - 1]', 'a[j]')}"
        return f"{outer} for ({count} j = 0; j < {bound}; j++) {exchange('a[j]', 'a[j + 1]')}"
    if kind == "early":
        if rng.random() < 0.5:
            inner = f"for ({i} = 0; i + 1 < n; i++) {exchange('a[i]', 'a[i + 1]', 'w = 1; ')}"
            return f"int w; do {{ w = 0; {inner} }} while (w);"
        inner = f"for ({count} j = 0; j < n - 1 - i; j++) {exchange('a[j]', 'a[j + 1]', 'w = 1; ')}"
        return f"for ({i} = 0; i < n - 1; i++) {{ int w = 0; {inner} if (!w) break; }}"
    if kind == "back":
        if rng.random() < 0.5:
            inner = f"for ({count} j = 0; j < i; j++) {exchange('a[j]', 'a[j + 1]')}"
            return f"for ({i} = n - 1; i > 0; i--) {inner}"
        return f"for ({i} = 0; i < n; i++) for ({count} j = n - 1; j > i; j--) {exchange('a[j - 1]', 'a[j]')}"
    if kind == "both":
        up = f"for ({count} j = l; j < r; j++) {exchange('a[j]', 'a[j + 1]')}"
        down = f"for ({count} j = r; j > l; j--) {exchange('a[j - 1]', 'a[j]')}"
        return f"{count} l = 0, r = n - 1; while (l < r) {{ {up} r--; {down} l++; }}"
    under = "<" if over == ">" else ">"
    if kind in ("least", "unequal"):
        test = ""
        if kind == "unequal":
            test = "if (m != i) " if rng.random() < 0.7 else f"if (a[m] {under} a[i]) "
        outer = rng.choice(["n - 1", "n - 1", "n"])
        return (
            f"for ({i} = 0; i < {outer}; i++) {{ {count} m = i; for ({count} j = i + 1; j < n; j++) "
            f"if (a[j] {under} a[m]) m = j; {test}{_swap(rng, t, 'a[i]', 'a[m]')} }}"
        )
    if kind == "most":
        return (
            f"for ({i} = n - 1; i > 0; i--) {{ {count} m = 0; for ({count} j = 1; j <= i; j++) "
            f"if (a[j] {over} a[m]) m = j; {_swap(rng, t, 'a[i]', 'a[m]')} }}"
        )
    if kind == "insert":
        if rng.random() < 0.5:
            inner = f"{count} j = i - 1; while (j >= 0 && a[j] {over} x) {{ {tally}a[j + 1] = a[j]; j--; }}"
            return f"for ({i} = 1; i < n; i++) {{ {t.c} x = a[i]; {inner} a[j + 1] = x; }}"
        inner = f"for (j = i; j > 0 && a[j - 1] {over} x; j--) {{ {tally}a[j] = a[j - 1]; }}"
        return f"for ({i} = 1; i < n; i++) {{ {t.c} x = a[i]; {count} j; {inner} a[j] = x; }}"
    if kind == "exchanges":
        swap = _swap(rng, t, "a[j - 1]", "a[j]")
        return (
            f"for ({i} = 1; i < n; i++) for ({count} j = i; j > 0 && a[j - 1] {over} a[j]; j--) "
            f"{{ {tally}{swap[2:-2]} }}"
        )
    swap = _swap(rng, t, "a[i - 1]", "a[i]")
    return (
        f"{i} = 1; while (i < n) {{ if (i == 0 || !(a[i - 1] {over} a[i])) i++; else {{ {tally}{swap[2:-2]} i--; }} }}"
    )
