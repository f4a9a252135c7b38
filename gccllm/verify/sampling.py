"""One timing process: copies of a baseline and of a candidate, linked side by side, sampled on classes of inputs.

What a sample is and how it is drawn: `timing`, which decides by the samples.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from gccllm.assembly import Body, Module, layout_text
from gccllm.assembly.isa import LEVEL_SYMBOL, guard
from gccllm.assembly.slice import function_rows
from gccllm.base.core import Decline, External, Returned, Test
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.sandbox.compare import Raw
from gccllm.sandbox.image import build_image
from gccllm.sandbox.replay import Replayer, Sampling, Sides

PASSES = 1


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of one process goes into its samples."""

    rounds: int = LIMITS.timing_rounds
    copies: int = 4
    """Places of the candidate; the baseline has twice as many."""
    sample_ns: int = 40_000
    limit_s: float = LIMITS.class_s
    """Most seconds that the inputs of one class may take."""


FULL = Effort()
QUICK = Effort(rounds=9, copies=2, sample_ns=20_000, limit_s=LIMITS.quick_s)
"""It takes some hundredths of a second. What nothing is known of yet may be a thousand times slower than the baseline
and still terminate."""


class Bench(Protocol):
    """What timing needs of a function under test (`workbench.Workbench` is one)."""

    @property
    def name(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def returns(self) -> tuple[Returned, ...]: ...
    @property
    def tools(self) -> Toolchain: ...
    @property
    def workdir(self) -> Path: ...
    @property
    def callees(self) -> Mapping[str, External]: ...


@dataclass(frozen=True, slots=True)
class Pair:
    """A function's baseline, and the body that is timed against it."""

    bench: Bench
    body: Body
    level: int = 0
    """ISA level that the guard in front of the body tests; 0: no guard."""


def sample(pair: Pair, classes: Mapping[str, Sequence[Test]], seed: int, effort: Effort = FULL) -> dict[str, Raw]:
    """Samples of one fresh process with one link.

    Raises Decline(NO_TIMING_INPUT) when a call does not terminate normally, or the time is over.
    """
    bench, copies = pair.bench, effort.copies
    rng = random.Random(seed)
    # Half of the baseline's copies are the control's: all three sides are equally many and equally often run.
    ours = [f"gccllm_baseline.{i}" for i in range(2 * copies)]
    theirs = [f"gccllm_candidate.{i}" for i in range(copies)]
    pieces = [baseline_copy(bench.text, bench.name, label) for label in ours]
    pieces += [candidate_copy(pair, label) for label in theirs]
    rng.shuffle(pieces)
    spaced = [f"\t.text\n\t.p2align 6\n\t.skip {64 * rng.randrange(64)}, 0xcc\n{piece}" for piece in pieces]
    if pair.level:
        spaced.append(f"\t.section .rodata\n{LEVEL_SYMBOL}:\t.byte 127\n")
    text = bench.text + "".join(spaced) + f"\t.text\n\t.p2align 6\n\t.globl {_EMPTY}\n{_EMPTY}:\n\tret\n"
    image = build_image(bench.workdir, text, bench.tools, bench.callees, plain=True, name=f"timing{seed}")
    out: dict[str, Raw] = {}
    try:
        with Replayer(image, bench.returns) as replayer:
            for label, tests in classes.items():
                ticks = int(effort.sample_ns * ticks_per_ns())
                how = Sampling(effort.rounds, PASSES, ticks, rng.getrandbits(63), effort.limit_s)
                rows = replayer.time(Sides(ours, theirs, _EMPTY), tests, how)
                if len(rows) != effort.rounds:
                    raise Decline(Reason.NO_TIMING_INPUT, f"class {label}: a timed call did not end as it should")
                out[label] = rows
    finally:
        for left in bench.workdir.glob(f"timing{seed}.*"):
            left.unlink(missing_ok=True)
    return out


_EMPTY = "gccllm_empty"


@lru_cache(maxsize=8)
def _parsed(text: str) -> Module:
    return Module.parse(text)


def baseline_copy(text: str, name: str, label: str) -> str:
    """A copy of function `name` of a slice under another name, with gcc's own loop alignment; 64-byte aligned."""
    function = _parsed(text).functions[name]
    rows = function_rows(function)
    own = {row[:-1] for row in rows if row.endswith(":") and not row.startswith("\t")}
    own |= {row.split("\t")[-1] for row in rows if row.startswith("\t.globl\t")}
    end = "".join(c if c.isalnum() else "_" for c in label)
    rename = {one: f".L{end}_{one.removeprefix('.L')}" if one.startswith(".L") else f"{one}.{end}" for one in own}
    rename[name] = label
    names = "|".join(re.escape(one) for one in sorted(own, key=len, reverse=True))
    token = re.compile(rf"(?<![\w.$@%])({names})(?![\w.$])")
    rows = [token.sub(lambda match: rename[match[1]], row) for row in rows]
    rows[0] = "\t.text"
    rows[1] = "\t.p2align 6"
    return "\n".join(rows) + "\n"


def candidate_copy(pair: Pair, label: str) -> str:
    """A body as a 64-byte-aligned global function, endbr64 first where the baseline has it, then the guard if any."""
    bench = pair.bench
    own = pair.body.renamed("".join(c if c.isalnum() else "_" for c in label)).replace_symbol(bench.name, label)
    first = next((line for line in own.lines if not line.is_label), None)
    endbr = _parsed(bench.text).functions[bench.name].has_endbr64 and (first is None or first.mnemonic != "endbr64")
    head = f"\t.text\n\t.p2align 6\n\t.globl {label}\n\t.type {label}, @function\n{label}:\n"
    guarded = "\n".join([*guard(pair.level, bench.name), ""]) if pair.level else ""
    return head + ("\tendbr64\n" if endbr else "") + guarded + layout_text(own)


@lru_cache(maxsize=1)
def ticks_per_ns() -> float:
    """Rate of the time-stamp counter; from the kernel's BogoMIPS, which is twice it in MHz. For limits and display."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("bogomips"):
                return float(line.split(":")[1]) / 2000
    return 2.5
