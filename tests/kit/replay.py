"""Small programs for the tests of the replayer: compiled C plus hand-written functions that misbehave."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gccllm.base.core import Region, Returned, Slot, Test, arena_address
from gccllm.base.toolchain import Toolchain
from gccllm.sandbox.image import CalleeSpec, Image, build_image
from gccllm.unit.isa_allowance import isa_for

INT = (Returned(Slot.RAX, 4),)
TOOLS = Toolchain.find()
CPU_LEVEL = isa_for("guarded", frozenset(), TOOLS).allowed


def needs(level: int) -> pytest.MarkDecorator:
    """For tests that run instructions of this ISA level (3: AVX2, 4: AVX-512)."""
    return pytest.mark.skipif(level > CPU_LEVEL, reason=f"runs ISA level {level}, this CPU has {CPU_LEVEL}")


def compiled(source: str, *flags: str) -> str:
    ran = subprocess.run(
        [TOOLS.gcc, "-O2", *flags, "-S", "-o", "-", "-xc", "-"],
        input=source, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout


def image(
    where: Path, source: str, extra: str = "", callees: dict[str, CalleeSpec] | None = None, **how: bool
) -> Image:
    return build_image(where, compiled(source) + "\t.text\n" + extra, TOOLS, callees or {}, **how)


def function(name: str, *instructions: str) -> str:
    return f"\t.globl {name}\n\t.p2align 4\n{name}:\n" + "".join(f"\t{i}\n" for i in instructions)


def on_array(n: int, data: bytes = bytes(range(200)), arenas: int = 1, fill: int = 1) -> Test:
    """f(first arena, n), the arena starting with `data`."""
    return Test(
        ints=(arena_address(0), n | 0xDEAD_0000_0000), int_bytes=(8, 4), regions=(Region(0, 0, data),), arenas=arenas,
        fill=fill,
    )  # fmt: skip
