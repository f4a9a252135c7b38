"""What GCCLLM_ISA means: which instruction sets a rewrite may use, and whether it needs a guard.

baseline  only what the unit's own -march permits; no guard is ever needed
guarded   anything this CPU can run (so that it can be tested); a guard in front where -march does not permit it
native    anything this CPU can run, no guard; the binary is for CPUs like this one
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from gccllm.assembly import isa


@cache
def cpu_name() -> str:
    """The CPU's model name as the kernel prints it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def allowed_level(setting: str, march_level: int) -> int:
    """The highest ISA level that a candidate may need."""
    return march_level if setting == "baseline" else max(march_level, isa.host_level())


def guard_level(entry_level: int, march_level: int, setting: str) -> int:
    """The level that the guard tests; 0: no guard."""
    return 0 if setting == "native" or entry_level <= march_level else entry_level


def key_word(setting: str) -> str:
    """What of the allowance belongs in a function's key."""
    return f"native:{cpu_name()}" if setting == "native" else setting
