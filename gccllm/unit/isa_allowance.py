"""What GCCLLM_ISA means: which instruction sets a rewrite may use, and whether it needs a guard.

baseline  only what the unit's own -march permits; no guard is ever needed
guarded   anything this CPU can run (so that it can be tested); a guard in front where -march does not permit it
native    anything this CPU can run, no guard; the binary is for CPUs like this one
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from gccllm.assembly import LEVELS, level_name, march_features
from gccllm.base.toolchain import Toolchain
from gccllm.propose.protocol import Isa


@cache
def cpu_name() -> str:
    """The CPU's model name as the kernel prints it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return "unknown"


def level_within(features: frozenset[str]) -> int:
    """The highest level all of whose features, and those of the levels below, are among `features`."""
    best = 0
    for level in LEVELS:
        if not level.features <= features:
            break
        best = level.number
    return best


def isa_for(setting: str, march: frozenset[str], tools: Toolchain) -> Isa:
    """Levels for a unit whose own options permit `march`."""
    permitted = level_within(march)
    if setting == "baseline":
        return Isa(permitted, permitted)
    return Isa(permitted, max(permitted, level_within(march_features(("-march=native",), tools))))


def beyond_this_cpu(level: int, tools: Toolchain) -> str | None:
    """Why a rewrite of an ISA level cannot be run here, hence neither checked nor found wrong; None where it can."""
    here = level_within(march_features(("-march=native",), tools))
    return None if level <= here else f"needs {level_name(level)}, this CPU has {level_name(here)}"


def key_word(setting: str) -> str:
    """What of the allowance belongs in a function's key."""
    return f"native:{cpu_name()}" if setting == "native" else setting
