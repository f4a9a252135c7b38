"""From C to the canonical texts the model reads: many functions a compile, one body each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from gccllm.assembly import Body, BodyError, canonical
from gccllm.base.toolchain import Toolchain

HEADER = "#include <stdint.h>\n#include <stddef.h>\n#include <stdlib.h>\n#include <string.h>\n"
SCALAR = ("-O3", "-fno-tree-vectorize", "-fno-tree-slp-vectorize", "-fno-tree-loop-distribute-patterns")
"""How the prompt side is compiled; inference adds the same to the user's own flags."""
ALONE = ("-fno-ipa-icf", "-fno-ipa-cp", "-fno-inline", "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-w")
"""Keeps the functions of one text apart; changes none of the bodies."""
VARIANTS: tuple[tuple[str, ...], ...] = (
    (),
    (),
    (),
    (),
    ("-fwrapv",),
    ("-fno-strict-aliasing", "-fPIC"),
    ("-fwrapv", "-fno-strict-aliasing"),
)
"""Flags that users add, as often as a row is drawn with them."""

_START = re.compile(r"^([A-Za-z_]\w*):$")
_DROPPED = re.compile(r"\s*\.(cfi_|loc|p2align|align|type|globl|section|text|file|ident|weak|hidden)")


def compile_text(tools: Toolchain, source: str, flags: Sequence[str], deadline_s: float = 300.0) -> str:
    """gcc's assembly of `source`. Raises RuntimeError with gcc's words."""
    ran = tools.compile(["-xc", "-S", "-o-", *ALONE, *flags, "-"], stdin=source.encode(), deadline_s=deadline_s)
    if not ran.ok:
        raise RuntimeError(ran.err[:2000])
    return ran.out.decode("latin-1")


def bodies(text: str) -> dict[str, str]:
    """Canonical text of every function that has no calls, data or jump tables; the others are left out."""
    found: dict[str, str] = {}
    name = ""
    lines: list[str] = []
    for line in text.splitlines():
        start = _START.match(line)
        if start and not line.startswith(".L"):
            name, lines = start[1], []
        elif line.startswith("\t.size") and name:
            body = _clean(lines)
            if body is not None:
                found[name] = body
            name = ""
        elif name and not _DROPPED.match(line):
            lines.append(line)
    return found


def _clean(lines: list[str]) -> str | None:
    kept = [line for line in lines if not line.strip().startswith("endbr64")]
    text = "\n".join(kept) + "\n"
    if re.search(r"\.LC|\bcall\b|\(%rip\)|^\s*\.[a-z]|\bjmp\s+[a-z_A-Z]|\bjmp\s+\*", text, re.MULTILINE):
        return None
    try:
        return canonical(Body.parse(text))
    except BodyError:
        return None


def kernel_texts(tools: Toolchain, folder: Path, flags: Sequence[str] = ()) -> dict[str, str]:
    """Canonical scalar text of each kernel of a suite: files with a function `kern` (see docs); others left out."""
    texts: dict[str, str] = {}
    for path in sorted(folder.glob("*.c")):
        source = path.read_text()
        if not re.search(r"\bkern\s*\(", source):
            continue
        source = re.split(r"#ifdef (?:DRIVER|HARNESS)", source)[0]
        ran = tools.compile(
            ["-xc", "-S", "-o-", f"-I{folder}", *ALONE, *SCALAR, *flags, "-"],
            stdin=("#include <math.h>\n#include <limits.h>\n" + HEADER + source).encode(),
        )
        body = bodies(ran.out.decode("latin-1")).get("kern") if ran.ok else None
        if body:
            texts[path.stem] = body
    return texts
