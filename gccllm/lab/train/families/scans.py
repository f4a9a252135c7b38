"""Early-exit scans of one array: where is, is there any, are all, the first value that ...

gcc does not vectorise a loop with two exits.
"""

from __future__ import annotations

import random

from gccllm.lab.train.predicates import draw_predicate
from gccllm.lab.train.shapes import ELEMS, Pair, Signature, Walk, make


def draw(rng: random.Random) -> Pair:
    elem = rng.choice(ELEMS)
    kind = rng.choice(["find", "find", "find", "any", "all", "all", "pointer", "pointer", "where", "value"])
    indexed = kind in ("find", "where")
    walk = Walk.draw(rng, indexed=True)
    if not indexed and rng.random() < 0.5:
        walk = Walk.draw(rng)
    sig = Signature()
    walk.declare(sig, elem, rng)
    predicate = draw_predicate(rng, elem, sig, wide_equal=True)
    if kind == "value":
        sig.add("d", f"{elem.c} d", f"c{elem.shape}")
    sig.shuffle(rng)
    n_type = walk.count if walk.count != "end" else "long"
    index_type = rng.choice(["int", "long"]) if n_type in ("long", "size_t") else "int"
    stepping = walk.form in ("pointer", "countdown", "endlt", "endne")
    here = "a - 1" if stepping else "a + i"
    hit, miss, ctype = {
        "find": ("i", "-1", index_type), "where": ("i", "n", n_type), "any": ("1", "0", "int"),
        "all": ("0", "1", "int"), "pointer": (f"(void *)({here})", "0", "void *"), "value": ("x", "d", elem.c),
    }[kind]  # fmt: skip
    negated = kind == "all" and rng.random() < 0.3 and predicate.name != "wide"
    test = f"!({predicate.c})" if negated else predicate.c
    c = f"{walk.loop(elem, f'if ({test}) return {hit};')} return {miss};"

    a, n = sig.at("a"), walk.n(sig)
    lanes = predicate.text(sig)
    lanes = f"~({lanes})" if negated else lanes
    find = f"u64 k = FIND({n}, {a}, {lanes});"
    inside = f"k < LEN({n})"
    answer = {
        "find": f"{find} return {inside} ? k : -1;",
        "where": f"{find} return {inside} ? k : {n};",
        "any": f"{find} return {inside};",
        "all": f"{find} return !({inside});",
        "pointer": f"{find} return {inside} ? {a} + k : 0;",
        "value": f"{find} return {inside} ? {a}[k] : {sig.at('d') if kind == 'value' else 0};",
    }[kind]
    # any and all of a predicate are one idea: none(P) is all(not P)
    key = f"{kind}/{elem.c}/{predicate.name}{'-not' * negated}/{walk.count}"
    return make("scan", key, sig, ctype, c, answer, predicate.values)
