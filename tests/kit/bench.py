"""A workbench for a small C function with hand-made tests, for the tests of the judge and of adequacy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from gccllm.assembly import Module, slice_text
from gccllm.base.core import ARENA_BYTES, Candidate, Region, Returned, Test, arena_address
from gccllm.verify.screen import Context
from gccllm.verify.workbench import Workbench
from tests.kit.replay import INT, TOOLS, compiled

SUM = "int target(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) if (p[i] > 3) s += p[i]; return s; }"
CLEAR = "void target(char *p, int n) { for (int i = 0; i < n; i++) if (p[i] == 7) p[i] = 1; }"


def array_tests(count: int = 120, seed: int = 1, sizes: Sequence[int] = range(80)) -> list[Test]:
    """target(p, n): n 4-byte elements that end at the guard page, n of all sizes."""
    rng = random.Random(seed)
    tests = []
    for i in range(count):
        n = sizes[i % len(sizes)]
        data = b"".join(rng.choice((rng.randrange(8), rng.getrandbits(32))).to_bytes(4, "little") for _ in range(n))
        tests.append(
            Test(
                ints=(arena_address(0) + ARENA_BYTES - len(data), rng.getrandbits(32) << 32 | n),
                int_bytes=(8, 4),
                regions=(Region(0, ARENA_BYTES - len(data), data),),
                arenas=1,
                fill=i,
            )
        )
    return tests


def bench(
    where: Path,
    source: str = SUM,
    *flags: str,
    tests: Sequence[Test] | None = None,
    returns: tuple[Returned, ...] = INT,
    scalar: bool = False,
) -> Workbench:
    def unit(*more: str) -> Module:
        return Module.parse(compiled(source, "-O3", "-fcf-protection=none", *flags, *more))

    module = unit()
    return Workbench(
        "target", slice_text(module, "target"), module.functions["target"].body,
        array_tests() if tests is None else list(tests), returns,
        Context("target", arguments=frozenset({"RDI", "RSI"}), unit_functions=frozenset(module.functions)),
        TOOLS, where,
        scalar=unit("-fno-tree-vectorize").functions["target"].body if scalar else None,
    )  # fmt: skip


def offered(body: str) -> Candidate:
    return Candidate(body, "model", "by hand")


def other_body(source: str, *flags: str) -> Candidate:
    """What gcc makes of the source with other flags."""
    return offered(Module.parse(compiled(source, "-fcf-protection=none", *flags)).functions["target"].body.text())
