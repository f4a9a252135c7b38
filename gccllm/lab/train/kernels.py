"""The benchmark's kernels as the model sees them: rows like the corpus's, for the same quick check.

Covered: the kernels whose types have words, whose scalar text is a prompt and whose inputs the check can make. The real
figures, on a kernel's own inputs, are those of `gccllm bench --suite kernels`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train.corpus import KERNELS
from gccllm.lab.train.shapes import Pair
from gccllm.lab.train.text import kernel_texts
from gccllm.propose.signature import CSignature

# Argument kinds of native/states.h, and constants worth meeting.
SHAPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "all_positive": ("p:32:1 n:i32", (0,)),
    "argmax_i32": ("p:32:1 n:i32", ()),
    "caesar": ("z x:32:0", (97, 122, 65, 90)),
    "clamp_i32": ("p:32:1 n:i32 c:32:1 c:32:1", ()),
    "cond_sum": ("p:32:1 n:i32", (128,)),
    "count_byte_n": ("p:8:0 n:u64 c:8:0", ()),
    "count_words": ("z", (32, 10, 9)),
    "digit_sum": ("x:32:0", ()),
    "dot_i32": ("p:32:1 q:32:1 n:i32", ()),
    "fib_mod": ("m:i32", ()),
    "filter_gt": ("p:32:1 n:i32 c:32:1 o:32:1", ()),
    "hamming_dist": ("p:8:0 q:8:0 n:i32", ()),
    "json_skip_ws": ("z", (32, 10, 13, 9)),
    "kadane": ("p:32:1 n:i32", ()),
    "log2_loop": ("x:32:0", ()),
    "max_i32": ("p:32:1 n:i32", ()),
    "memchr_loop": ("p:8:0 w n:u64", ()),
    "memcmp_loop": ("p:8:0 q:8:0 n:u64", ()),
    "modpow_const": ("x:32:0 m:i64", ()),
    "pair_sum_count": ("p:32:1 n:i32 c:32:1", ()),
    "popcnt_swar": ("p:64:0 n:i32", ()),
    "prefix_sum": ("p:32:1 o:32:1 n:i32", ()),
    "reverse_array": ("p:32:1 n:i32", ()),
    "strcmp_loop": ("z y", ()),
    "strided_sum": ("p:32:1 n:i32 d:i32", ()),
    "sum_i32": ("p:32:1 n:i32", ()),
    "sum_i32_to_i64": ("p:32:1 n:i32", ()),
    "sum_mod_var": ("p:32:1 n:i32 c:32:1", ()),
    "sum_u8": ("p:8:0 n:i32", ()),
    "sumprod_modconst": ("p:32:1 q:32:1 n:i32", ()),
    "to_upper": ("z", (97, 122)),
    "xor_cipher": ("p:8:0 n:i32 k:8:0 d:i32", ()),
}


def declaration(source: str) -> str:
    """The head of function `kern`. Raises ValueError when there is none."""
    found = re.search(r"^[^\n#;{}]*\bkern\s*\([^()]*\)(?=\s*\{)", source, re.MULTILINE)
    if found is None:
        raise ValueError("no function kern")
    return found.group()


def kernel_pair(name: str, folder: Path = KERNELS) -> Pair:
    """The kernel as a pair without an answer. Raises ValueError when its types have no words."""
    kinds, values = SHAPES[name]
    source = re.split(r"#ifdef (?:DRIVER|HARNESS)", (folder / f"{name}.c").read_text())[0]
    types = CSignature.parse(declaration(source))
    if types is None:
        raise ValueError(f"{name}: types without words: {declaration(source)}")
    source = re.sub(r"\bkern\b", "KERN", re.sub(r'#include "kernel.h"', "", source))
    return Pair("kernel", f"kernel/{name}", source, "", types, tuple(kinds.split()), values)


def kernel_rows(tools: Toolchain, folder: Path = KERNELS) -> list[dict[str, Any]]:
    """Rows of the kernels, in the corpus's format, of split `kernels`; `family` is the kernel's name."""
    texts = kernel_texts(tools, folder)
    rows = []
    for name in SHAPES:
        if name not in texts or not (folder / f"{name}.c").exists():
            continue
        try:
            pair = kernel_pair(name, folder)
        except ValueError:
            continue
        rows.append({
            "prompt": texts[name], "split": "kernels", "answer": "", "expert": "", "c": pair.c,
            "types": [pair.types.returns, list(pair.types.params)], "kinds": list(pair.kinds),
            "values": list(pair.values), "family": name, "key": pair.key, "status": "pass", "tests": 0,
            "ticks": [0, 0, 0], "recipe": "",
        })  # fmt: skip
    return rows
