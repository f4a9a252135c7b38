"""What gcc-llm costs a compile that has nothing to gain: CPU time of gcc and of gcc-llm on the same unit.

usage: python -m gccllm.lab.bench.overhead [--launcher PATH] [--rounds N]

CPU time is user + system of the command and all its children, from wait4: clocks of the processes, not of the wall, so
other load on the machine matters little. The order within a round is drawn anew each time; gcc runs twice in a round,
so that the A/A row shows what the method itself cannot tell apart.

Rows: `nothing eligible` has no loop, `unit cache` has one and is answered by the shim, `off` is GCCLLM_MODE=off. Not
covered: the engine (seconds of work by design, and only in modes that wait for it).
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

STRAIGHT = "int twice(int x) { return x + x; }\n"
LOOP = "int sum(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }\n"


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU milliseconds of one kind of compile over gcc's of the same rounds."""

    name: str
    cpu_ms: float
    """Median."""
    over_ms: float
    """Median of the differences to gcc of the same round and unit."""
    low_ms: float
    high_ms: float
    """Quartiles of those differences."""


def cpu_ms(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> float:
    """User and system milliseconds of a command and its children. Raises RuntimeError when it fails."""
    child = subprocess.Popen(argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {child.returncode}")
    return (used.ru_utime + used.ru_stime) * 1000


def measure(launcher: str, rounds: int, seed: int = 1) -> list[Cost]:
    """One row per kind of compile; the first is A/A. Raises RuntimeError when a compile fails."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "straight.c").write_text(STRAIGHT)
        (place / "loop.c").write_text(LOOP)
        env = {k: v for k, v in os.environ.items() if not k.startswith("GCCLLM_")}
        env |= {"GCCLLM_CACHE_DIR": str(place / "store"), "GCCLLM_OPT": "keep", "LC_ALL": "C"}
        _decide(launcher, place, env)
        kinds = {
            "gcc, straight": ("gcc", "straight.c", {}),
            "gcc, loop": ("gcc", "loop.c", {}),
            "A/A: gcc over gcc": ("gcc", "straight.c", {}),
            "off": (launcher, "straight.c", {"GCCLLM_MODE": "off"}),
            "nothing eligible": (launcher, "straight.c", {}),
            "unit cache": (launcher, "loop.c", {"GCCLLM_MODE": "queue"}),
        }
        samples: dict[str, list[float]] = {kind: [] for kind in kinds}
        order = list(kinds)
        shuffle = random.Random(seed).shuffle
        for _ in range(rounds):
            shuffle(order)
            for kind in order:
                command, source, extra = kinds[kind]
                argv = [command, "-O2", "-c", source, "-o", "out.o"]
                samples[kind].append(cpu_ms(argv, place, env | extra))
    return [
        _cost(kind, samples[kind], samples["gcc, loop" if kinds[kind][1] == "loop.c" else "gcc, straight"])
        for kind in kinds
        if not kind.startswith("gcc,")
    ]


def _decide(launcher: str, place: Path, env: Mapping[str, str]) -> None:
    """Let the unit cache know the unit with the loop: an engine that only writes `gcc's own` under the unit's key."""
    engine = place / "engine"
    empty = "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"  # BLAKE2b-256 of nothing
    engine.write_text(
        "#!/bin/sh\n"
        'key=$(sed -n "s/^unit_key\t//p" "$1/request"); place=$GCCLLM_CACHE_DIR/units/$(echo "$key" | cut -c1-2)\n'
        f'mkdir -p "$place" && echo "gccllm-unit 1 {empty} 0" >"$place/$key"\n'
    )
    engine.chmod(0o755)
    extra = {"GCCLLM_ENGINE": str(engine)}
    for _ in range(2):
        cpu_ms([launcher, "-O2", "-c", "loop.c", "-o", "out.o"], place, {**env, **extra})
    if not list((place / "store" / "units").glob("*/*")):
        raise RuntimeError(f"{launcher} did not ask its engine: is its libexec/gccllm/as installed?")


def _cost(name: str, ours: Sequence[float], plain: Sequence[float]) -> Cost:
    over = [a - b for a, b in zip(ours, plain, strict=True)]
    low, middle, high = statistics.quantiles(over, n=4)
    return Cost(name, statistics.median(ours), middle, low, high)


def show(costs: Sequence[Cost], rounds: int, console: Console) -> None:
    table = Table(title=f"CPU milliseconds of one compile, median of {rounds} rounds")
    for column in ("compile", "ms", "over gcc", "quartiles"):
        table.add_column(column, justify="left" if column == "compile" else "right")
    for cost in costs:
        table.add_row(
            cost.name, f"{cost.cpu_ms:.2f}", f"{cost.over_ms:+.2f}", f"{cost.low_ms:+.2f} … {cost.high_ms:+.2f}"
        )
    console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gccllm.lab.bench.overhead", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--launcher", default=shutil.which("gcc-llm"), help="gcc-llm of an installation")
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args(argv)
    if not args.launcher:
        print("no gcc-llm in PATH; --launcher names one", file=sys.stderr)
        return 1
    show(measure(args.launcher, args.rounds), args.rounds, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
