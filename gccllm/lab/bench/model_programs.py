"""The whole-program protocol of SuperCoder (arXiv 2505.11480), beside what it cannot see.

Programs of `whole/` read standard input and print a few numbers; inputs are made by seed, large enough that most of the
time is computing. Each is built by gcc -O3 and by gcc-llm; both must print the same bytes. Whole processes are timed,
interleaved in random order with gcc's build again (A/A) and with an empty `main` (start-up).

Reported: median of paired ratios of CPU time and their geometric mean, losses counted; and, beside it, the paper's
figure: the mean of ratios of mean wall times of 10 runs, each ratio below 1 raised to 1. The paper's figure of the A/A
row says what that is worth. `ceiling`: the program's time over that of an empty `main`, the most that any rewrite could
give.

Hot functions are kept out of line in both builds (`HOT`). Not covered: reading of input, which is the C library's and
in every figure; what rewriting would give after inlining; memory.
"""

from __future__ import annotations

import random
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.base import events
from gccllm.lab.bench import objects
from gccllm.lab.bench.decisions import count
from gccllm.lab.bench.numbers import geometric_mean

FOLDER = objects.HERE / "whole"
NUMBERS = frozenset({"summod", "extremes", "stretch", "queries", "collatz"})
"""Programs that read integers; the others read text."""
WARM_UPS, RUNS = 3, 10
"""As in the paper."""
LOSS = 0.98
EMPTY = "int main(void) { return 0; }\n"


@dataclass
class Program:
    """One program; a run's time is (CPU seconds, wall seconds)."""

    name: str
    same: str = ""
    """`yes`, or how the outputs differ."""
    admitted: int = 0
    times: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By build: `gcc`, `ours`, `again` (gcc's once more), `empty`."""

    def cpu(self, build: str) -> list[float]:
        return [cpu for cpu, _ in self.times[build]]

    def speedup(self, other: str = "ours") -> float:
        """Median of the paired ratios of gcc's build over another; 1.0 for a build that prints something else."""
        if not self.times:
            return 1.0
        return float(statistics.median(a / b for a, b in zip(self.cpu("gcc"), self.cpu(other), strict=True)))

    def papers(self, other: str = "ours") -> float:
        """As the paper scores: ratio of means of wall time, failures and losses 1.0."""
        if not self.times:
            return 1.0
        gcc, theirs = ([wall for _, wall in self.times[build]] for build in ("gcc", other))
        return max(1.0, statistics.fmean(gcc) / statistics.fmean(theirs))

    @property
    def ceiling(self) -> float:
        return statistics.median(self.cpu("gcc")) / statistics.median(self.cpu("empty")) if self.times else 1.0

    @property
    def ms(self) -> float:
        return 1e3 * statistics.median(self.cpu("gcc")) if self.times else 0.0


def program_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.c"))


def input_of(name: str, scale: float = 1.0, seed: int = 1) -> bytes:
    """About `scale` times 4 MB of text, or 500,000 numbers below a million, the same for the same seed."""
    rng = random.Random(f"{seed}/{name}")
    if name in NUMBERS:
        return "\n".join(str(rng.randrange(1, 1_000_000)) for _ in range(int(500_000 * scale))).encode() + b"\n"
    words = ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(1, 10))) for _ in range(5000)]
    chosen = (rng.choice(words) + rng.choice(("", "", "", ",", "\n")) for _ in range(int(630_000 * scale)))
    return " ".join(chosen).encode()


def build(name: str, compiler: Sequence[str], target: Path, env: dict[str, str] | None = None) -> None:
    objects.run_tool([*compiler, "-O3", str(FOLDER / f"{name}.c"), "-o", str(target)], env=env, deadline_s=7200)


def run_once(program: Path, data: Path) -> tuple[int, bytes, tuple[float, float]]:
    """(exit status, output, (CPU seconds, wall seconds)) of one run."""
    with data.open("rb") as file:
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        ran = subprocess.run([str(program)], stdin=file, capture_output=True, timeout=600, check=False)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return ran.returncode, ran.stdout, (max(cpu, 1e-4), wall)


def run_programs(
    compiler: Sequence[str], work: Path, *, names: Sequence[str] = (), scale: float = 1.0, runs: int = RUNS,
    env: dict[str, str] | None = None, tick: Callable[[str], object] = lambda name: None,
) -> list[Program]:  # fmt: skip
    """Build, compare and time every program. `work` keeps inputs, programs and the store of rewrites."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "empty.c").write_text(EMPTY)
    objects.run_tool(["gcc", "-O3", str(work / "empty.c"), "-o", str(work / "empty")])
    found = []
    for name in names or program_names():
        one = Program(name)
        found.append(one)
        data, store = work / f"{name}.in", work / "store"
        data.write_bytes(input_of(name, scale))
        build(name, ["gcc"], work / f"{name}.gcc")
        build(name, compiler, work / f"{name}.ours", objects.wrapper_environment(store) | (env or {}))
        own = (event for event in events.read(store) if str(event.get("source", "")).endswith(f"/{name}.c"))
        one.admitted = count(own).admitted
        _measure(one, work, data, runs)
        tick(name)
    return found


def _measure(one: Program, work: Path, data: Path, runs: int) -> None:
    gcc, ours = work / f"{one.name}.gcc", work / f"{one.name}.ours"
    want, got = run_once(gcc, data), run_once(ours, data)
    one.same = "yes" if want[:2] == got[:2] else f"NO: exit {got[0]}, {len(got[1])} bytes of output, not gcc's"
    if one.same != "yes":
        return
    rng = random.Random(one.name)
    for turn in range(WARM_UPS + runs):
        order = [("gcc", gcc), ("ours", ours), ("again", gcc), ("empty", work / "empty")]
        rng.shuffle(order)
        for who, program in order:
            took = run_once(program, data)[2]
            if turn >= WARM_UPS:
                one.times.setdefault(who, []).append(took)


COLUMNS = ("program", "same output", "admitted", "ms", "speed-up", "A/A", "ceiling", "paper's", "paper's A/A")


def rows(found: Sequence[Program]) -> list[list[str]]:
    """A row a program, then the sums: geometric means, unclamped, and the paper's arithmetic means, clamped."""
    made = [
        [
            one.name, one.same, str(one.admitted), f"{one.ms:.1f}",
            f"{one.speedup():.3f}", f"{one.speedup('again'):.3f}", f"{one.ceiling:.1f}", f"{one.papers():.3f}",
            f"{one.papers('again'):.3f}",
        ]
        for one in found
    ]  # fmt: skip
    losses = sum(one.speedup() < LOSS for one in found)
    made.append([
        "all", f"{sum(one.same == 'yes' for one in found)} of {len(found)}", str(sum(one.admitted for one in found)),
        f"{losses} losses", *(f"{geometric_mean(one.speedup(who) for one in found):.3f}" for who in ("ours", "again")),
        f"{geometric_mean(one.ceiling for one in found):.1f}",
        *(f"{statistics.fmean(one.papers(who) for one in found):.3f}" for who in ("ours", "again")),
    ])  # fmt: skip
    return made
