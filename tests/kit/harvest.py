"""Helpers of the harvest's tests: C text to targets, harvests, and memory as the function under test sees it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from gccllm.assembly import Module
from gccllm.base.core import ARENA_BYTES, Candidate, Test, Verdict, arena_address
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.abi import convention_of
from gccllm.harvest.dwarf import signature_of
from gccllm.harvest.harvest import QUICK, Harvest, harvest
from gccllm.harvest.solved import Solver
from gccllm.harvest.target import HarvestTarget
from gccllm.harvest.types import Signature
from gccllm.harvest.wire import Subject
from gccllm.verdict.suite import workbench
from gccllm.verify.judge import judge
from gccllm.verify.screen import Context
from gccllm.verify.workbench import Workbench
from tests.kit.targets import target_of

PRELUDE = "#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n"
_homes: list[tempfile.TemporaryDirectory[str]] = []


def scratch() -> Path:
    _homes.append(tempfile.TemporaryDirectory(prefix="gccllm-harvest-"))
    return Path(_homes[-1].name)


def signature(code: str, name: str = "f", *flags: str) -> Signature:
    place = scratch()
    source, out = place / "t.c", place / "t.o"
    source.write_text(PRELUDE + code)
    ran = Toolchain.find().compile(["-O2", "-g", "-c", *flags, str(source), "-o", str(out)])
    assert ran.ok, ran.err
    return signature_of(out, name)


@cache
def harvested(code: str, name: str = "f", *flags: str) -> Harvest:
    """A quick harvest of function `name`, compiled at -O3."""
    place = scratch()
    source = place / "t.c"
    source.write_text(PRELUDE + code)
    return harvest(target_of(source, name, ["-O3", *flags], place), seed=7, deadline_s=600, budget=QUICK)


def signed(value: int, size: int) -> int:
    return int.from_bytes((value & (1 << 8 * size) - 1).to_bytes(size, "little"), "little", signed=True)


def memory(test: Test, address: int, size: int) -> bytes | None:
    """Bytes that regions of `test` place at `address`; None when they do not cover them."""
    for region in test.regions:
        start = arena_address(region.arena) + region.offset
        if start <= address and address + size <= start + len(region.data):
            return region.data[address - start : address - start + size]
    return None


def prefix(test: Test, address: int, size: int) -> bytes:
    """As many of `size` bytes at `address` as regions of `test` cover from the start."""
    for region in test.regions:
        start = arena_address(region.arena) + region.offset
        if start <= address <= start + len(region.data):
            return region.data[address - start : address - start + size]
    return b""


def arena_end(address: int) -> int:
    """The address of the guard page behind the arena that `address` points into, or at the end of."""
    for arena in range(12):
        if arena_address(arena) <= address <= arena_address(arena) + ARENA_BYTES:
            return arena_address(arena) + ARENA_BYTES
    raise AssertionError(f"{address:#x} is in no arena")


def target(code: str, *flags: str) -> HarvestTarget:
    """Function `f` of a unit, compiled with these flags (-O3)."""
    place = scratch()
    (place / "t.c").write_text(PRELUDE + code)
    return target_of(place / "t.c", "f", flags or ("-O3",), place)


def bench_of(target: HarvestTarget) -> Workbench:
    """The product's workbench with a quick harvest's tests; nobody is asked for more.

    The screen is not told how wide the result is, or it would refuse what the tests are to see.
    """
    context = replace(Context.of(target.name, convention_of(target.signature)), result_bytes=0)
    bench = workbench(Subject(target, context), harvest(target, 7, 600.0, QUICK).tests, 7)
    return replace(bench, more=None, solver=None, large=None)


def solved_bench(code: str) -> Workbench:
    """The solver is asked for more, and nobody else."""
    one = target(code)
    return replace(bench_of(one), solver=Solver(one, 1))


def compiled(code: str, *flags: str) -> str:
    place = scratch()
    (place / "t.c").write_text(PRELUDE + code)
    ran = Toolchain.find().compile([*flags, "-S", str(place / "t.c"), "-o", str(place / "t.s")])
    assert ran.ok, ran.err
    return (place / "t.s").read_text()


def verdicts(code: str, *others: str, flags: tuple[str, ...] = ()) -> list[Verdict]:
    """What the judge says of the code's own -O1 body of `f`, and of the bodies of other texts of `f`."""
    bench = bench_of(target(code, "-O3", *flags))
    said = []
    for text in (code, *others):
        unit = Module.parse(compiled(text, "-O1", "-fcf-protection=none", "-fno-ipa-ra", *flags))
        said.append(judge(Candidate(unit.functions["f"].body.text(), "model", "by hand"), bench).verdict)
    return said
