"""Suite `kernels`: 77 everyday functions, gcc -O3 against gcc-llm -O3, under a harness of its own.

For every kernel: compile it twice as a user would, compare both objects on many random inputs (harness.c check), then
time them interleaved with a second copy of gcc's object as the A/A control. Every placement is a link and a process of
its own: all functions start at a 64-byte line, at random lines of a page and in random order. The speed-up of a
placement is the median of its rounds' paired ratios, that of a kernel the median over placements, with the interval
of the order statistics over placements.

Covers: equality on sampled inputs, registers and memory bit for bit; speed on one size with fresh values each round.
Does not cover: other sizes' speed, reads that stay in mapped pages, cold caches. Shares no code with gccllm.verify.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from gccllm.base import events
from gccllm.lab.bench import objects, show
from gccllm.lab.bench.decisions import is_eligible
from gccllm.lab.bench.numbers import Interval, correlation, geometric_mean, median_interval

LOSS = 0.98
"""An admitted rewrite below this speed-up is a loss."""


@dataclass(frozen=True, slots=True)
class Options:
    compiler: str = "gcc-llm"
    """The compiler under test with any flags of its own, e.g. `gcc -march=native`."""
    baseline: str = "gcc"
    flags: tuple[str, ...] = ("-O3",)
    """Given to both."""
    only: tuple[str, ...] = ()
    """Globs of kernel names; empty: all."""
    proposers: str = ""
    """GCCLLM_PROPOSERS for the compiler; empty: as it is set."""
    trials: int = 2000
    scale: int = 1
    """Multiplies the largest checked size."""
    rounds: int = 31
    placements: int = 7
    jobs: int = 1
    """Compilations at once; timing is always alone."""
    seed: int = 1
    work: Path | None = None
    """Where objects and the store go; kept. Default: a temporary directory, removed."""
    timing: bool = True


@dataclass(slots=True)
class Result:
    """One kernel. `speedup` is what a user gets: 1.0 unless the object differs from gcc's."""

    kernel: str
    eligible: bool | None = None
    """None when the compiler leaves no log (it is not gcc-llm)."""
    admitted: bool = False
    """The compiler's log says so, or, without a log, its object differs from gcc's."""
    proposer: str = ""
    recipe: str = ""
    reason: str = ""
    """Why not, in the compiler's words."""
    changed: bool = False
    """The loaded bytes of the object differ from gcc's."""
    equal: str = ""
    """`yes`, or how it differs."""
    speedup: Interval = field(default_factory=lambda: Interval(1.0, 1.0, 1.0))
    aa: Interval | None = None
    ns: float = 0.0
    seconds: float = 0.0
    """Wall time of the compilation under test."""


def run_kernels(options: Options, out: Console | None = None) -> list[Result]:
    """Run the suite; one Result a kernel. Raises BuildFailed when a compiler or the linker fails."""
    out = out or show.console()
    names = [n for n in objects.kernel_names() if not options.only or any(fnmatch.fnmatch(n, g) for g in options.only)]
    with contextlib.ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gccllm-bench-")))
        work = work.resolve()
        work.mkdir(parents=True, exist_ok=True)
        results = _compile_all(names, work, options, out)
        for name in show.progress(out, names, "check and time"):
            _measure(results[name], work / name, options)
            if not out.is_terminal:
                out.print(_line(results[name]), markup=False, soft_wrap=True)
    return list(results.values())


def _compile_all(names: Sequence[str], work: Path, options: Options, out: Console) -> dict[str, Result]:
    env = objects.wrapper_environment(work / "store")
    if options.proposers:
        env["GCCLLM_PROPOSERS"] = options.proposers
    results = {name: Result(name) for name in names}
    began = time.time()

    def compile_both(name: str) -> None:
        place = work / name
        place.mkdir(exist_ok=True)
        objects.compile_kernel([*shlex.split(options.baseline), *options.flags], name, place / "gcc.o")
        started = time.monotonic()
        objects.compile_kernel([*shlex.split(options.compiler), *options.flags], name, place / "ours.o", env)
        results[name].seconds = round(time.monotonic() - started, 2)

    with ThreadPoolExecutor(options.jobs) as pool:
        for name, _ in zip(show.progress(out, names, "compile"), pool.map(compile_both, names), strict=True):
            if not out.is_terminal and results[name].seconds > 5:
                out.print(f"compiled {name} in {results[name].seconds:.0f} s", markup=False)
    # A second run gets the unit cache's answers, which leave no line: the log of the first one still says why.
    log = list(events.read(work / "store"))
    decisions = {str(e.get("function")): e for e in log if e["event"] == "function"}
    for name, result in results.items():
        gcc, ours = (objects.code_of(work / name / f"{who}.o") for who in ("gcc", "ours"))
        result.changed = gcc != ours
        _note_decision(result, decisions.get(name), bool(log))
    for failure in {str(e.get("detail")) for e in log if e["event"] == "engine" and e["at"] >= began}:
        out.print(f"the engine failed: {failure}", style="red", markup=False, soft_wrap=True)
    return results


def _note_decision(result: Result, event: dict[str, Any] | None, has_log: bool) -> None:
    """What the compiler's log says of the kernel; without a log a changed object counts as admitted.

    Admitted is what is linked: when the log says so and the object is gcc's, the reason is `not in the object`.
    """
    if not has_log:
        result.admitted = result.changed
        return
    result.eligible = event is not None and is_eligible(event)
    if event is not None:
        result.admitted = event.get("word") == "admitted" and result.changed
        result.proposer, result.recipe = str(event.get("proposer") or ""), str(event.get("recipe") or "")
        result.reason = str(event.get("reason") or "not in the object" * (not result.changed))


def _measure(result: Result, place: Path, options: Options) -> None:
    harness = place / "harness.o"
    objects.compile_harness(shlex.split(options.baseline)[0], result.kernel, harness)
    sources = {"kern__a": "gcc.o", "kern__b": "ours.o", "kern__c": "gcc.o"}
    variants = {
        symbol: objects.renamed(place / source, result.kernel, symbol, place / f"{symbol}.o")
        for symbol, source in sources.items()
    }
    ratios, controls, ticks = [], [], []
    for placement in range(options.placements if options.timing else 1):
        seed = options.seed * 1000 + placement
        program = objects.link_placement(
            shlex.split(options.baseline)[0], harness, variants, seed, place / f"placement{placement}"
        )
        if placement == 0:
            result.equal = check(program, options.trials, options.seed, options.scale)
            if result.equal != "yes" or not options.timing:
                return  # what is wrong is not timed
        rounds = _time(program, options.rounds, seed)
        ratios.append(median(a / b for a, b, _ in rounds))
        controls.append(median(a / c for a, _, c in rounds))
        ticks.append(median(a for a, _, _ in rounds))
    result.aa = median_interval(controls)
    result.ns = median(ticks) * _tick_ns()
    if result.changed:
        result.speedup = median_interval(ratios)


def check(program: Path, trials: int, seed: int, scale: int, deadline_s: float = 300.0) -> str:
    """`yes`, or what differs; a fault, a hang and a difference are answers, never exceptions."""
    argv = [str(program), "check", str(trials), str(seed), str(scale)]
    try:
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=deadline_s, check=False)
    except subprocess.TimeoutExpired:
        return f"died: no end within {deadline_s:.0f} s"
    said = ran.stdout.strip()
    if ran.returncode == 0 and said == f"equal {trials}":
        return "yes"
    if said.startswith("differ"):
        _, trial, inputs, size, what, gcc, ours = said.split()
        return f"NO: {what} at trial {trial} (inputs {inputs}, size {size}): gcc {gcc}, ours {ours}"
    if said.startswith("died b"):
        return "died: a fault in ours"
    name = signal.Signals(-ran.returncode).name if ran.returncode < 0 else f"exit {ran.returncode}"
    return f"died: {name} {said} {ran.stderr.strip()}".rstrip()


def _time(program: Path, rounds: int, seed: int) -> list[tuple[float, float, float]]:
    said = objects.run_tool([str(program), "time", str(rounds), str(seed)])
    return [(float(a), float(b), float(c)) for a, b, c in (line.split() for line in said.splitlines())]


def _tick_ns() -> float:
    """Nanoseconds of a time-stamp-counter tick, near enough for a column that says how long a call takes."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        text = Path("/proc/cpuinfo").read_text()
        return 1e3 / float(next(line.split(":")[1] for line in text.splitlines() if line.startswith("cpu MHz")))
    return 0.0


# --- what is printed ----------------------------------------------------------------------------------------------


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """The suite in numbers; `all` counts every failure as 1.0."""
    admitted = [r for r in results if r.admitted]
    by_proposer = sorted({r.proposer for r in admitted if r.proposer})
    controls = [r.aa.median for r in results if r.aa]
    return {
        "kernels": len(results),
        "eligible": sum(r.eligible is not False for r in results),
        "admitted": len(admitted),
        "unequal": [r.kernel for r in results if r.equal != "yes"],
        "geomean_admitted": geometric_mean(r.speedup.median for r in admitted),
        "median_admitted": median([r.speedup.median for r in admitted] or [1.0]),
        "geomean_all": geometric_mean(r.speedup.median for r in results),
        "median_all": median([r.speedup.median for r in results] or [1.0]),
        "losses": [r.kernel for r in admitted if r.speedup.median < LOSS],
        "proposers": {
            who: {
                "admitted": len(theirs),
                "geomean": geometric_mean(r.speedup.median for r in theirs),
                "geomean_all": geometric_mean(r.speedup.median if r in theirs else 1.0 for r in results),
            }
            for who in by_proposer
            for theirs in [[r for r in admitted if r.proposer == who]]
        },
        "aa_geomean": geometric_mean(controls),
        "aa_outside_2_percent": sum(not 0.98 <= v <= 1.02 for v in controls) / len(controls) if controls else 0.0,
    }


COLUMNS = ("kernel", "eligible", "admitted", "proposer", "recipe", "equal", "speed-up", "95% interval", "A/A", "ns")
NUMBERS = ("speed-up", "A/A", "ns")


def row(result: Result) -> list[str]:
    eligible = {True: "yes", False: f"no: {result.reason}", None: "?"}[result.eligible]
    admitted = "yes" if result.admitted else result.reason or "no"
    interval = f"{result.speedup.low:.3f}-{result.speedup.high:.3f}"
    return [
        result.kernel,
        eligible,
        admitted,
        result.proposer,
        result.recipe[:40],
        result.equal,
        f"{result.speedup.median:.3f}",
        interval if result.changed else "",
        f"{result.aa.median:.3f}" if result.aa else "",
        f"{result.ns:.0f}",
    ]


def _line(result: Result) -> str:
    return "  ".join(row(result))


def print_report(out: Console, results: Sequence[Result]) -> None:
    out.print()
    show.table(out, COLUMNS, [row(r) for r in sorted(results, key=lambda r: -r.speedup.median)], NUMBERS)
    total = summary(results)
    out.print(
        f"\n{total['kernels']} kernels, {total['eligible']} eligible, {total['admitted']} admitted, "
        f"{len(total['unequal'])} unequal {' '.join(total['unequal'])}".rstrip(),
        markup=False,
    )
    for what, of in (("admitted", "the admitted"), ("all", "all (failures 1.0)")):
        mean, middle = total[f"geomean_{what}"], total[f"median_{what}"]
        out.print(f"geometric mean {mean:.3f}, median {middle:.3f} over {of}", markup=False)
    for who, theirs in total["proposers"].items():
        out.print(
            f"{who}: {theirs['admitted']} admitted, geometric mean {theirs['geomean']:.3f}; "
            f"{theirs['geomean_all']:.3f} over all",
            markup=False,
        )
    out.print(f"losses (< {LOSS}): {len(total['losses'])} {' '.join(total['losses'])}".rstrip(), markup=False)
    out.print(
        f"A/A: geometric mean {total['aa_geomean']:.4f}, {100 * total['aa_outside_2_percent']:.1f}% outside 2%",
        markup=False,
    )


def as_json(results: Sequence[Result], options: Options) -> str:
    setting = asdict(options) | {"work": str(options.work or "")}
    where = {"machine": platform.machine(), "cpu": _cpu_name(), "gcc": _version(options.baseline)}
    kernels = [asdict(r) for r in results]
    return json.dumps({"options": setting, "where": where, "summary": summary(results), "kernels": kernels}, indent=1)


def _cpu_name() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return ""


def _version(compiler: str) -> str:
    path = shutil.which(shlex.split(compiler)[0])
    return objects.run_tool([path, "-dumpfullversion"]).strip() if path else ""


def compare(results: Iterable[Result], reference: Path, column: str) -> tuple[int, float]:
    """(kernels in both, correlation of log speed-ups) against a CSV with a `kernel` column."""
    import csv

    with reference.open(newline="") as file:
        known = {line["kernel"]: float(line[column]) for line in csv.DictReader(file) if line[column]}
    pairs = [(r.speedup.median, known[r.kernel]) for r in results if r.kernel in known]
    return len(pairs), correlation(pairs)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every kernel is equal, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="gccllm bench --suite kernels", description=__doc__.split("\n", 1)[0])
    default = Options()
    parser.add_argument("--compiler", default=default.compiler, help="compiler under test, with flags")
    parser.add_argument("--baseline", default=default.baseline, help="what it is compared with")
    parser.add_argument("--flags", default=" ".join(default.flags), help="given to both (default: %(default)s)")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="kernels to run; may be repeated")
    parser.add_argument("--proposers", default="", help="GCCLLM_PROPOSERS, e.g. recompile")
    parser.add_argument("--trials", type=int, default=default.trials, help="random inputs per kernel")
    parser.add_argument("--scale", type=int, default=default.scale, help="multiplies the largest checked size")
    parser.add_argument("--rounds", type=int, default=default.rounds, help="timed rounds per placement")
    parser.add_argument("--placements", type=int, default=default.placements, help="links and processes per kernel")
    parser.add_argument("--jobs", type=int, default=default.jobs, help="compilations at once")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--work", type=Path, help="keep objects and the store here; a second run starts from them")
    parser.add_argument("--no-timing", action="store_true", help="only compile and compare")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--reference", metavar="CSV:COLUMN", help="also print the correlation with earlier numbers")
    given = parser.parse_args(argv)
    options = Options(
        compiler=given.compiler,
        baseline=given.baseline,
        flags=tuple(shlex.split(given.flags)),
        only=tuple(given.only),
        proposers=given.proposers,
        trials=given.trials,
        scale=given.scale,
        rounds=given.rounds,
        placements=given.placements,
        jobs=given.jobs,
        seed=given.seed,
        work=given.work,
        timing=not given.no_timing,
    )
    out = show.console()
    try:
        results = run_kernels(options, out)
    except objects.BuildFailed as failure:
        out.print(str(failure), style="red", markup=False)
        return 2
    print_report(out, results)
    if given.reference:
        path, _, column = given.reference.rpartition(":")
        count, value = compare(results, Path(path), column)
        out.print(f"correlation of log speed-ups with {column}: {value:.3f} over {count} kernels", markup=False)
    if given.json:
        given.json.write_text(as_json(results, options))
    return 1 if any(r.equal != "yes" for r in results) else 0
