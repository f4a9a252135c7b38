"""Early-exit scans of one array: where is, is there any, are all, the first value that ...

gcc does not vectorise a loop with two exits. The expert reads whole 64-byte aligned blocks, so it never touches a
block in which the naive loop reads nothing, and rejects a hit at or past the end.
"""

from __future__ import annotations

import random

from gccllm.train import emit
from gccllm.train.predicates import bind, draw_predicate
from gccllm.train.shapes import ELEMS, Pair, Signature, Walk


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
        sig.add("d", f"{elem.c} d", f"c:{elem.bits}:{int(elem.signed)}")
    sig.shuffle(rng)
    n_type = walk.count if walk.count != "end" else "long"
    index_type = rng.choice(["int", "long"]) if n_type in ("long", "size_t") else "int"
    stepping = walk.form in ("pointer", "countdown", "endlt", "endne")
    here = "a - 1" if stepping else "a + i"
    hit, miss, ctype, returns = {
        "find": ("i", "-1", index_type, "4" if index_type == "int" else "8"),
        "where": ("i", "n", n_type, "4" if n_type in ("int", "unsigned") else "8"),
        "any": ("1", "0", "int", "4"),
        "all": ("0", "1", "int", "4"),
        "pointer": (f"(void *)({here})", "0", "void *", "8"),
        "value": ("x", "d", elem.c, str(elem.size)),
    }[kind]
    # (an argument that no element can equal makes `all of them equal it` false, not a miss)
    negated = kind == "all" and rng.random() < 0.3 and not predicate.misses_if
    test = f"!({predicate.c})" if negated else predicate.c
    c = f"{ctype} KERN({sig.c}) {{ {walk.loop(elem, f'if ({test}) return {hit};')} return {miss}; }}"

    miss_lines = {
        "find": ["movl $-1,%eax"] if index_type == "int" else ["movq $-1,%rax"],
        "where": [],
        "any": ["xorl %eax,%eax"],
        "all": ["movl $1,%eax"],
        "pointer": ["xorl %eax,%eax"],
        "value": [],
    }[kind]
    if kind == "where":
        miss_lines = [f"movq {sig.where('n')},%rax"] if returns == "8" else [f"movl {sig.where('n', 32)},%eax"]
    if kind == "value":
        miss_lines = [f"movq {sig.where('d')},%rax" if elem.bits == 64 else f"movl {sig.where('d', 32)},%eax"]
    address = emit.element_address(elem)
    log = [f"sarq ${elem.log},%rax"] if elem.log else []
    hit_lines = {
        "find": [f"leaq {address},%rax", f"subq {sig.where('a')},%rax", *log],
        "where": [f"leaq {address},%rax", f"subq {sig.where('a')},%rax", *log],
        "any": ["movl $1,%eax"],
        "all": ["xorl %eax,%eax"],
        "pointer": [f"leaq {address},%rax"],
        "value": [emit.load_scalar(elem, address)],
    }[kind]
    early = miss_lines
    saved: list[str] = []
    if sig.where("a") == "%rcx":  # the alignment needs %rcx; what arrives in it and is used later moves away
        saved = ["movq %rcx,%r9"]
        hit_lines = [line.replace("subq %rcx,", "subq %r9,") for line in hit_lines]
    elif any("cx," in line for line in miss_lines):
        saved = ["movq %rcx,%r8"]
        miss_lines = [line.replace("%rcx,", "%r8,").replace("%ecx,", "%r8d,") for line in miss_lines]
    mask = list(predicate.mask)
    if negated:
        mask.append(f"kandn{elem.mask_suffix} %k1,%k2,%k2")
    guard = "je" if walk.count in ("unsigned", "size_t") or walk.form == "endne" else "jle"
    kortest = f"kortest{elem.mask_suffix} %k2,%k2"
    lines = [*walk.count_into_r10(sig, elem), "testq %r10,%r10", f"{guard} .L4"]
    if predicate.misses_if:
        lines += [*bind(predicate.misses_if, sig, elem), "ja .L4"]
    lines += [
        *bind(predicate.setup, sig, elem),
        *saved,
        *emit.align_down(elem, count=True, saturate=walk.count == "size_t"),
        ".L1:",
        "vmovdqa64 (%r11),%zmm0",
        *mask,
        kortest,
        "jne .L2",
        emit.all_live(elem),
        "addq $64,%r11",
        f"subq ${elem.lanes},%r10",
        "ja .L1",
        ".L3:",
        "vzeroupper",
        *miss_lines,
        "ret",
        ".L2:",
        emit.from_mask(elem, 2, "rax"),
        "tzcntq %rax,%rax",
        "cmpq %r10,%rax",
        "jae .L3",
        *hit_lines,
        "vzeroupper",
        "ret",
        ".L4:",
        *early,
        "ret",
    ]
    key = f"scan/{kind}/{elem.c}/{predicate.name}/{walk.count}"
    return Pair("scan", key, c, emit.body(lines), returns, sig.kinds, 4, predicate.values)
