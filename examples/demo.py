"""Build two small projects with gcc and with gcc-llm, run their own tests, show what was gained: `make demo`.

Everything is real: the functions are worked on during the build, nothing comes from the repository's committed cache.
The second run finds the answers in its store and takes seconds. Products stay under build/demo/.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gccllm.commands import report
from gccllm.store import Store

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "demo"
STORE = PLACE / "store"
BIN = Path(sys.executable).parent
ROUNDS = 21


@dataclass
class Example:
    """A project: how to build it with a compiler, how to test it, and how to take one time of it (in ms)."""

    name: str
    source: Path
    configure: Sequence[Sequence[str]]
    build: Sequence[str]
    test: Sequence[str]
    program: Sequence[str]
    functions: int
    """How many functions with loops it has: the length of the progress bar."""
    places: dict[str, Path] = field(default_factory=dict)


EXAMPLES = (
    Example(
        "cmake", ROOT / "examples" / "cmake",
        [["cmake", "-S", ".", "-B", "build", "{toolchain}"]],
        ["cmake", "--build", "build"],
        ["ctest", "--test-dir", "build", "--output-on-failure"],
        ["build/tally-time", "9"],
        13,
    ),
    Example(
        "make", ROOT / "examples" / "make",
        [],
        ["make", "CC={cc}"],
        ["make", "CC={cc}", "check"],
        ["./words", "../text"],
        4,
    ),
)  # fmt: skip


def main() -> int:
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=140)
    PLACE.mkdir(parents=True, exist_ok=True)
    # A project of its own, so that the repository's committed rewrites are not used here.
    (PLACE / "gccllm.toml").write_text("# the demo's own project\n")
    (PLACE / "text").write_bytes(b"It was the best of times, it was the worst of times;\n" * 400_000)

    for example in EXAMPLES:
        for compiler in ("gcc", "gcc-llm"):
            build(console, example, compiler)
    entries = [found.entry for found in Store(STORE).entries()]
    accepted = [entry for entry in entries if entry.outcome == "accepted"]
    report.print_entries(console, accepted, "functions rewritten, each with its evidence (gccllm show FUNCTION)")
    for entry in entries:
        if entry.outcome != "accepted":
            console.print(f"left to gcc: {entry.function}: {entry.reason} ({entry.detail[:100]})", soft_wrap=True)
    console.print(programs(console))
    console.print(f"look closer: GCCLLM_CACHE_DIR={os.path.relpath(STORE)} {os.path.relpath(BIN)}/gccllm show FUNCTION")
    if not accepted:
        console.print("[red]nothing was rewritten[/]: run .venv/bin/gccllm doctor")
        return 1
    return 0


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GCCLLM_") and k not in ("CC", "MAKEFLAGS")}
    patient = {"GCCLLM_BUDGET": "400", "GCCLLM_BUILD_BUDGET": "400"}  # everything at once, where a build would not wait
    return {**kept, **patient, "GCCLLM_CACHE_DIR": str(STORE), "PATH": f"{BIN}:{os.environ['PATH']}"}


def build(console: Console, example: Example, compiler: str) -> None:
    """Build and test a fresh copy; a failing step ends the demo with that step's own output."""
    place = example.places[compiler] = PLACE / f"{example.name}-{compiler}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(example.source, place)
    toolchain = "-DCMAKE_TOOLCHAIN_FILE=gcc-llm.cmake" if compiler == "gcc-llm" else "-DCMAKE_C_COMPILER=gcc"
    words = {"cc": compiler, "toolchain": toolchain}
    # The baseline is gcc -O3 on both sides; gcc-llm raises the project's -O2 to it by itself.
    env = environment() | ({"CFLAGS": "-O3"} if compiler == "gcc" and example.name == "make" else {})
    flags = ["CFLAGS=-O3 -Wall -Wextra"] if compiler == "gcc" and example.name == "make" else []
    started = time.monotonic()
    for command in example.configure:
        step([word.format(**words) for word in command], place, env)
    with progress(
        console, f"{example.name}: building with {compiler}", example.functions if compiler != "gcc" else None
    ):
        step([word.format(**words) for word in example.build] + flags, place, env)
    step([word.format(**words) for word in example.test] + flags, place, env)
    console.print(f"{example.name}: built with {compiler} and its own tests passed, {time.monotonic() - started:.1f} s")


def step(command: Sequence[str], place: Path, env: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed in {place}:\n{done.stdout}")


class progress:
    """A bar that counts the functions worked on, as the log tells; nothing where there is no terminal."""

    def __init__(self, console: Console, what: str, total: int | None) -> None:
        self.total = total if console.is_terminal else None
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.bar = Progress(*columns, console=console, transient=True, disable=self.total is None)
        self.what = what

    def __enter__(self) -> None:
        if self.total is None:
            return
        import threading

        self.bar.start()
        task = self.bar.add_task(self.what, total=self.total)
        self.stop = threading.Event()
        before = sum(1 for _ in worked())

        def follow() -> None:
            while not self.stop.wait(0.5):
                self.bar.update(task, completed=sum(1 for _ in worked()) - before)

        self.thread = threading.Thread(target=follow, daemon=True)
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        if self.total is not None:
            self.stop.set()
            self.thread.join()
            self.bar.stop()


def worked() -> Iterator[dict[str, Any]]:
    try:
        lines = (STORE / "log" / "events.jsonl").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        event = json.loads(line)
        if event["event"] == "worked":
            yield event


def programs(console: Console) -> Table:
    """Whole programs: gcc, gcc-llm and gcc again (the A/A control), in random order; medians of paired ratios."""
    table = Table(title="whole programs, wall time", pad_edge=False)
    for column in ("program", "gcc -O3", "gcc-llm", "speed-up", "A/A (gcc over gcc)"):
        table.add_column(column, justify="left" if column == "program" else "right")
    rng = random.Random(1)
    for example in EXAMPLES:
        times: dict[str, list[float]] = {"gcc": [], "gcc-llm": [], "again": []}
        outputs = set()
        for _ in range(ROUNDS):
            for side in rng.sample(sorted(times), 3):
                place = example.places["gcc" if side == "again" else side]
                started = time.perf_counter()
                done = subprocess.run(example.program, cwd=place, capture_output=True, text=True, check=True)
                times[side].append(1e3 * (time.perf_counter() - started))
                lines = done.stdout.splitlines()
                outputs.add("\n".join(line for line in lines if line.startswith("result")) or done.stdout)
        if len(outputs) != 1:
            sys.exit(f"{example.name}: the programs print different results: {outputs}")
        gain = statistics.median(a / b for a, b in zip(times["gcc"], times["gcc-llm"], strict=True))
        control = statistics.median(a / b for a, b in zip(times["gcc"], times["again"], strict=True))
        medians = {side: statistics.median(values) for side, values in times.items()}
        table.add_row(
            f"{example.name}: {example.program[0]}", f"{medians['gcc']:.1f} ms", f"{medians['gcc-llm']:.1f} ms",
            f"{gain:.2f}x", f"{control:.3f}",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    sys.exit(main())
