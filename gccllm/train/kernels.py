"""The benchmark's kernels as the model sees them: which it solves, and how fast, by the corpus's own quick check."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gccllm.propose.llama import Gguf
from gccllm.propose.tokens import Tokens
from gccllm.toolchain import Toolchain
from gccllm.train.checking import Checked, build_checker, check
from gccllm.train.corpus import KERNELS, read, reserved_texts
from gccllm.train.shapes import Pair
from gccllm.train.text import kernel_texts

# Argument kinds of native/check.c, bytes returned, and constants worth meeting.
SHAPES: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "all_positive": ("p:32:1 n:i32", "4", (0,)),
    "argmax_i32": ("p:32:1 n:i32", "4", ()),
    "caesar": ("z x:32:0", "v", (97, 122, 65, 90)),
    "clamp_i32": ("p:32:1 n:i32 c:32:1 c:32:1", "v", ()),
    "cond_sum": ("p:32:1 n:i32", "8", (128,)),
    "count_byte_n": ("p:8:0 n:u64 c:8:0", "8", ()),
    "count_words": ("z", "4", (32, 10, 9)),
    "digit_sum": ("x:32:0", "4", ()),
    "dot_i32": ("p:32:1 q:32:1 n:i32", "4", ()),
    "fib_mod": ("m:i32", "4", ()),
    "filter_gt": ("p:32:1 n:i32 c:32:1 o:32:1", "4", ()),
    "hamming_dist": ("p:8:0 q:8:0 n:i32", "4", ()),
    "json_skip_ws": ("z", "8", (32, 10, 13, 9)),
    "kadane": ("p:32:1 n:i32", "4", ()),
    "log2_loop": ("x:32:0", "4", ()),
    "max_i32": ("p:32:1 n:i32", "4", ()),
    "memchr_loop": ("p:8:0 w n:u64", "8", ()),
    "memcmp_loop": ("p:8:0 q:8:0 n:u64", "4", ()),
    "modpow_const": ("x:32:0 m:i64", "8", ()),
    "pair_sum_count": ("p:32:1 n:i32 c:32:1", "4", ()),
    "popcnt_swar": ("p:64:0 n:i32", "8", ()),
    "prefix_sum": ("p:32:1 o:32:1 n:i32", "v", ()),
    "reverse_array": ("p:32:1 n:i32", "v", ()),
    "strcmp_loop": ("z y", "4", ()),
    "strided_sum": ("p:32:1 n:i32 d:i32", "8", ()),
    "sum_i32": ("p:32:1 n:i32", "4", ()),
    "sum_i32_to_i64": ("p:32:1 n:i32", "8", ()),
    "sum_mod_var": ("p:32:1 n:i32 c:32:1", "8", ()),
    "sum_u8": ("p:8:0 n:i32", "4", ()),
    "sumprod_modconst": ("p:32:1 q:32:1 n:i32", "8", ()),
    "to_upper": ("z", "v", (97, 122)),
    "xor_cipher": ("p:8:0 n:i32 k:8:0 d:i32", "v", ()),
}


def kernel_pair(name: str, folder: Path = KERNELS) -> Pair:
    kinds, returns, values = SHAPES[name]
    source = re.split(r"#ifdef (?:DRIVER|HARNESS)", (folder / f"{name}.c").read_text())[0]
    source = re.sub(r"\bkern\b", "KERN", re.sub(r'#include "kernel.h"', "", source))
    return Pair("kernel", name, source, "", returns, tuple(kinds.split()), 5, values)


def solve(gguf: Path, tokens_path: Path, out: Path, n: int = 16) -> dict[str, Any]:
    """For each kernel with a row in SHAPES: how many of `n` samples pass, and the fastest one's speed-ups."""
    from gccllm.train.evaluate import TESTS, answers

    tools = Toolchain.find()
    checker = build_checker(tools, out)
    tokens = Tokens.load(tokens_path)
    model = Gguf(gguf, 1)
    reserved = reserved_texts(tools)
    taught = set()
    for row in read(out / "corpus.jsonl"):
        if row["split"] == "train" and row["prompt"] not in reserved:
            try:
                taught.add(tuple(tokens.encode_text(row["prompt"], 5)))
            except ValueError:
                continue
    result: dict[str, Any] = {}
    texts = kernel_texts(tools, KERNELS)
    for name in SHAPES:
        prompt = texts.get(name)
        if prompt is None:
            result[name] = {"status": "no prompt"}
            continue
        try:
            known = tuple(tokens.encode_text(prompt, 5)) in taught
        except ValueError as error:
            result[name] = {"status": str(error)}
            continue
        bodies = [text for text in answers(model, tokens, prompt, n, seed=1) if text]
        pair = kernel_pair(name)
        verdicts: list[Checked] = []
        if bodies:
            verdicts = check(tools, checker, [pair] * len(bodies), bodies, tests=TESTS, seed=4242)
        good = [(v.over_o3, v.over_avx512, text) for v, text in zip(verdicts, bodies, strict=True) if v.is_pass]
        best = max(good, default=None)
        result[name] = {
            "distinct": len(bodies), "pass": len(good), "first": verdicts[0].status if verdicts else "none",
            "over_o3": round(best[0], 2) if best else 0, "over_avx512": round(best[1], 2) if best else 0,
            "same_but_constants_taught": known, "body": best[2] if best else "",
        }  # fmt: skip
    model.close()
    return result
