"""Objects of the benchmark: compile, rename, pad, link. Plain gcc and binutils; nothing of the verifier."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gccllm.base.elf import Elf

HERE = Path(__file__).parent
KERNELS = HERE / "kernels"
LINE = 64
"""Alignment in bytes that every timed function gets: layout luck is no speed."""


class BuildFailed(Exception):
    """A tool refused; the message holds its command and what it said."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a function lies in its object."""

    section: str
    offset: int
    alignment: int


def run_tool(argv: Sequence[str], *, env: Mapping[str, str] | None = None, deadline_s: float = 600.0) -> str:
    """Standard output of a tool; BuildFailed when it fails, is absent or does not end."""
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildFailed(f"{' '.join(argv)}: {error}") from error
    if done.returncode:
        raise BuildFailed(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def wrapper_environment(store: Path) -> dict[str, str]:
    """The caller's environment with a store of the benchmark's own; a build waits until all work is done."""
    return dict(os.environ) | {"GCCLLM_CACHE_DIR": str(store), "GCCLLM_BUILD_BUDGET": "900000"}


def kernel_names() -> list[str]:
    return sorted(p.stem for p in KERNELS.glob("*.c"))


def compile_kernel(command: Sequence[str], name: str, output: Path, env: Mapping[str, str] | None = None) -> None:
    """Compile one kernel the way a user would; its function is named after the file."""
    run_tool([*command, f"-Dkern={name}", "-c", str(KERNELS / f"{name}.c"), "-o", str(output)], env=env)


def compile_harness(gcc: str, name: str, output: Path) -> None:
    kernel = f'-DKERNEL="{KERNELS / (name + ".c")}"'
    run_tool([gcc, "-O2", "-DHARNESS", kernel, "-c", str(HERE / "harness.c"), "-o", str(output)])


def renamed(source: Path, old: str, new: str, output: Path) -> Path:
    shutil.copyfile(source, output)
    run_tool([os.environ.get("OBJCOPY", "objcopy"), "--redefine-sym", f"{old}={new}", str(output)])
    return output


def code_of(path: Path) -> dict[str, tuple[object, ...]]:
    """Contents of everything an object loads, relocations included: what two equal compilations share."""
    elf = Elf.of(path)
    return {
        f"{section.number}{section.name}": (section.data, section.size, elf.relocations(section))
        for section in elf.sections
        if section.is_loaded
    }


def place_of(path: Path, symbol: str) -> Place:
    elf = Elf.of(path)
    for found in elf.symbols:
        if found.name == symbol:
            section = elf.sections[found.section]
            return Place(section.name, found.value, section.align)
    raise BuildFailed(f"{path}: no function {symbol}")


def _pad(assembler: str, place: Place, lines: int, output: Path) -> Path:
    """An object that, linked in front of `place`, brings its function to a multiple of LINE, `lines` lines on."""
    skip = LINE * lines + (-place.offset % LINE if place.alignment < LINE else 0)
    text = f'.section {place.section},"ax",@progbits\n.p2align 6\n.skip {skip}, 0x90\n'
    source = output.with_suffix(".s")
    source.write_text(text, "ascii")
    run_tool([assembler, "-o", str(output), str(source)])
    return output


def link_placement(gcc: str, harness: Path, variants: Mapping[str, Path], seed: int, output: Path) -> Path:
    """Link the harness with kern__a, kern__b and kern__c (`variants`) in a random order, each at a random line of
    some page: one placement. The same seed gives the same executable."""
    rng = random.Random(seed)
    order = sorted(variants)
    rng.shuffle(order)
    objects: list[str] = []
    for symbol in order:
        place = place_of(variants[symbol], symbol)
        pad = _pad("as", place, rng.randrange(64), output.with_name(f"{output.name}.{symbol}.pad.o"))
        objects += [str(pad), str(variants[symbol])]
    run_tool([gcc, "-o", str(output), str(harness), *objects, "-lm"])
    return output
