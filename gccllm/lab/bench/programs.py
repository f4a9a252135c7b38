"""Suite `programs`: real C programs, fetched from the package index at run time, built with gcc and with gcc-llm.

Each program's C files are compiled one by one with both compilers and linked with a driver of ours (`roundtrips/`) that
packs, unpacks, hashes or runs a script. Both builds must pass and print the same bytes on every input. What became of
every function is counted from gcc-llm's log. With `--pip` the packages are also built by their own set-up, as
`CC=gcc-llm pip install --no-binary`, and imported.

Covers: behaviour on a few megabytes of input, counts by reason, whole-program time. Whole-program time says little of a
function: it holds start-up and everything that was left alone. Nothing fetched is kept or distributed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

from rich.console import Console

from gccllm.base import events
from gccllm.lab.bench import show
from gccllm.lab.bench.decisions import Count, count
from gccllm.lab.bench.objects import HERE, BuildFailed, run_tool, wrapper_environment

DRIVERS = HERE / "roundtrips"


@dataclass(frozen=True, slots=True)
class Program:
    package: str
    sources: tuple[str, ...]
    """Globs below the unpacked archive."""
    driver: str
    """File of `roundtrips/`: C to link, or a Lua script to run."""
    include: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    """Names of files that the globs find and the program does not want."""
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    module: str = ""
    """Python that exercises the installed package (`--pip`)."""
    setting: str = ""
    """NAME=VALUE for the package's set-up, which pip runs even to fetch it."""

    def __str__(self) -> str:
        return self.package


_PACK = "import {0} as m; d = open(__import__('sys').argv[1], 'rb').read(); assert m.decompress(m.compress(d)) == d"

PROGRAMS = (
    Program("brotli", ("c/common/*.c", "c/enc/*.c", "c/dec/*.c"), "brotli.c", ("c/include",), libraries=("-lm",),
            module=_PACK.format("brotli")),
    Program("lupa", ("third-party/lua54/*.c",), "lua.lua", leave=("ltests.c", "onelua.c"), libraries=("-lm", "-ldl"),
            flags=("-DLUA_USE_LINUX",),
            module="import lupa; assert lupa.LuaRuntime().eval('#{1, 2, 3}') == 3",
            setting="LUPA_NO_LUAJIT=true"),  # LuaJIT's build takes minutes and holds little C
    Program("lz4", ("lz4libs/*.c",), "lz4.c", ("lz4libs",), module=_PACK.format("lz4.frame")),
    Program("xxhash", ("deps/xxhash/xxhash.c",), "xxhash.c", ("deps/xxhash",),
            module="import xxhash; assert xxhash.xxh64(b'').hexdigest() == 'ef46db3751d8e999'"),
    Program("zopfli", ("zopfli/src/zopfli/*.c",), "zopfli.c", ("zopfli/src/zopfli",), libraries=("-lm",),
            module="import zlib, zopfli.zlib as m; d = b'aaaaab' * 999; assert zlib.decompress(m.compress(d)) == d"),
    Program("zstandard", ("zstd/zstd.c",), "zstandard.c", ("zstd",), libraries=("-lpthread",),
            module=_PACK.format("zstandard")),
)  # fmt: skip


@dataclass(slots=True)
class Outcome:
    program: str
    version: str = ""
    files: int = 0
    count: Count | None = None
    same: str = ""
    """`yes`, or the first thing that failed."""
    speedup: float = 1.0
    """Median over interleaved runs of time(gcc build) / time(gcc-llm build), whole program."""
    aa: float = 1.0
    pip: str = ""
    seconds: float = 0.0


def inputs() -> dict[str, bytes]:
    """Deterministic inputs: nothing, a byte, words, noise, runs, binary records."""
    rng = random.Random(20)
    words = ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(2, 9))) for _ in range(900)]
    text = " ".join(rng.choice(words) + rng.choice([",", ".", "", "", "", "\n"]) for _ in range(40000))
    records = b"".join(i.to_bytes(4, "little") + rng.randbytes(2) + bytes(6) for i in range(9000))
    return {
        "nothing": b"",
        "a byte": b"x",
        "words": text.encode(),
        "noise": rng.randbytes(30000),
        "runs": b"".join(bytes([rng.randrange(4)]) * rng.randint(1, 700) for _ in range(500)),
        "records": records,
    }


def fetch(program: Program, directory: Path) -> Path:
    """Unpack the newest source archive of a package below `directory`; its root. BuildFailed when there is none."""
    package = program.package
    archives = directory / package
    archives.mkdir(parents=True, exist_ok=True)
    if not any(archives.glob("*.*")):
        run_tool([sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--no-binary", ":all:",
                  "--no-deps", "-d", str(archives), package], env=os.environ | _setting(program))  # fmt: skip
    archive = next((p for p in sorted(archives.iterdir()) if p.suffix in (".gz", ".zip")), None)
    if archive is None:
        raise BuildFailed(f"no source archive of {package}")
    unpacked = directory / f"{package}.unpacked"
    if not unpacked.exists():
        unpack(archive, unpacked)
    return next(p for p in sorted(unpacked.iterdir()) if p.is_dir())


def unpack(archive: Path, to: Path) -> None:
    """The files of a source archive. Python before 3.11.4 has no filter for members that lead out of `to`."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(to)
        return
    with tarfile.open(archive) as opened:
        if hasattr(tarfile, "data_filter"):
            opened.extractall(to, filter="data")
        else:
            opened.extractall(to)


def _setting(program: Program) -> dict[str, str]:
    name, _, value = program.setting.partition("=")
    return {name: value} if name else {}


def build(
    program: Program, root: Path, compiler: str, place: Path, env: Mapping[str, str], tick: Callable[[], None]
) -> Path:
    """Compile every file, link; the executable. The driver itself is always gcc's work."""
    place.mkdir(parents=True, exist_ok=True)
    include = [f"-I{root / path}" for path in program.include]
    found = []
    for source in sources(program, root):
        target = place / f"{source.parent.name}-{source.stem}.o"
        run_tool(
            [compiler, "-O3", *program.flags, *include, "-c", str(source), "-o", str(target)], env=env, deadline_s=7200
        )
        found.append(str(target))
        tick()
    driver = [str(DRIVERS / program.driver)] if program.driver.endswith(".c") else []
    executable = place / program.package
    run_tool(["gcc", "-O1", *include, "-o", str(executable), *driver, *found, *program.libraries])
    return executable


def sources(program: Program, root: Path) -> list[Path]:
    return sorted(p for glob in program.sources for p in root.glob(glob) if p.name not in program.leave)


def run_one(program: Program, executable: Path, data: bytes) -> tuple[int, bytes, float]:
    """(exit status, output, CPU seconds) of one run."""
    argv = [str(executable)]
    if program.driver.endswith(".lua"):
        argv.append(str(DRIVERS / program.driver))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(argv, input=data, capture_output=True, timeout=600, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return ran.returncode, ran.stdout + ran.stderr, used


def compare(program: Program, gcc: Path, ours: Path) -> str:
    """`yes`, or what differs first."""
    for name, data in inputs().items():
        want, got = run_one(program, gcc, data), run_one(program, ours, data)
        if want[0]:
            return f"gcc's own build fails on {name}: {want[1][-200:].decode(errors='replace')}"
        if got[:2] != want[:2]:
            return f"NO: {name}: exit {got[0]}, {len(got[1])} bytes of output where gcc's build prints {len(want[1])}"
        if program.package == "zopfli" and zlib.decompress(got[1], 31) != data:
            return f"NO: {name}: the stream does not unpack to its input"
    return "yes"


def whole_program(program: Program, gcc: Path, ours: Path, rounds: int = 9) -> tuple[float, float]:
    """(gcc / ours, gcc / gcc) by the median of paired ratios of CPU seconds, in random order."""
    rng, data = random.Random(1), inputs()["words"]
    ratios, controls = [], []
    for _ in range(rounds):
        order = [("gcc", gcc), ("ours", ours), ("again", gcc)]
        rng.shuffle(order)
        took = {who: max(run_one(program, path, data)[2], 1e-4) for who, path in order}
        ratios.append(took["gcc"] / took["ours"])
        controls.append(took["gcc"] / took["again"])
    return statistics.median(ratios), statistics.median(controls)


def by_pip(program: Program, work: Path, env: Mapping[str, str], compiler: str) -> str:
    """Build and import the package through its own set-up with CC set to the compiler; `yes` or the failure."""
    target = work / "site"
    sample = work / "sample"
    sample.write_bytes(inputs()["words"])
    try:
        run_tool(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps", "--no-binary",
             program.package, "--no-cache-dir", "--target", str(target), program.package],
            env={**env, "CC": compiler}, deadline_s=7200,
        )  # fmt: skip
        run_tool([sys.executable, "-c", program.module, str(sample)], env={**env, "PYTHONPATH": str(target)})
    except BuildFailed as failure:
        return f"NO: {str(failure)[-300:]}"
    return "yes"


def run_programs(
    names: Sequence[str], compiler: str, work: Path, out: Console, *, with_pip: bool, budget: float | None
) -> list[Outcome]:
    results = []
    for program in [p for p in PROGRAMS if not names or p.package in names]:
        outcome = Outcome(program.package)
        results.append(outcome)
        store = work / f"{program.package}.store"
        env = wrapper_environment(store) | _setting(program)
        if budget is not None:
            env["GCCLLM_BUDGET"] = str(budget)
        try:
            root = fetch(program, work / "archives")
            outcome.version = root.name.rpartition("-")[2]
            outcome.files = len(sources(program, root))
            place = work / program.package
            gcc = build(program, root, "gcc", place / "gcc", env, lambda: None)
            started = time.monotonic()
            steps = iter(show.progress(out, [p.name for p in sources(program, root)] + ["link"], str(program)))
            next(steps)
            ours = build(program, root, compiler, place / "ours", env, lambda steps=steps: next(steps))  # type: ignore[misc]
            with contextlib.suppress(StopIteration):
                next(steps)
            outcome.seconds = time.monotonic() - started
            outcome.count = count(events.read(store))
            outcome.same = compare(program, gcc, ours)
            if outcome.same == "yes":
                outcome.speedup, outcome.aa = whole_program(program, gcc, ours)
            if with_pip:
                outcome.pip = by_pip(program, place, env, compiler)
        except BuildFailed as failure:
            outcome.same = f"failed: {str(failure)[-400:]}"
        out.print("  ".join(row(outcome)), markup=False, soft_wrap=True)
    return results


COLUMNS = ("program", "version", "files", "functions", "eligible", "admitted", "by", "same output", "pip install",
           "whole program", "A/A", "build s")  # fmt: skip
NUMBERS = ("files", "functions", "eligible", "admitted", "whole program", "A/A", "build s")


def row(outcome: Outcome) -> list[str]:
    counted = outcome.count or Count()
    return [
        outcome.program,
        outcome.version,
        str(outcome.files),
        str(counted.functions),
        str(counted.eligible),
        str(counted.admitted),
        " ".join(f"{who} {n}" for who, n in counted.proposers.most_common()),
        outcome.same,
        outcome.pip,
        f"{outcome.speedup:.3f}",
        f"{outcome.aa:.3f}",
        f"{outcome.seconds:.0f}",
    ]


def reason_rows(results: Sequence[Outcome]) -> list[list[str]]:
    """One row a reason: its count in every program, most frequent first."""
    totals = sum((o.count.reasons for o in results if o.count), start=Count().reasons)
    return [
        [reason, *(str(o.count.reasons[reason] if o.count else 0) for o in results), str(total)]
        for reason, total in totals.most_common()
    ]


def as_markdown(results: Sequence[Outcome]) -> str:
    reasons = ("declined because", *(o.program for o in results), "all")
    return _DOCUMENT.format(
        programs=show.markdown(COLUMNS, [row(o) for o in results]), reasons=show.markdown(reasons, reason_rows(results))
    )


_DOCUMENT = """# Real programs

Generated by `gccllm bench --suite programs -- --docs docs/internals/programs.md`: C programs from source archives of
the Python package index, every file compiled with gcc-llm in mode inline. `same output`: round trips, hash vectors and
a Lua script pass and print the same bytes as with gcc's build. `whole program`: CPU time of gcc's build over
gcc-llm's, start-up and all other functions included, beside an A/A control.

{programs}
Why functions were not admitted (docs/reasons.md explains the reasons; `unit:` counts translation units):

{reasons}"""


def _plain(item: object) -> object:
    """Records as objects; `dataclasses.asdict` makes a Counter of pairs out of a Counter."""
    return {f.name: getattr(item, f.name) for f in fields(item)} if is_dataclass(item) else str(item)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every program passes, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="gccllm bench --suite programs", description=__doc__.split("\n", 1)[0])
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"of {', '.join(p.package for p in PROGRAMS)}")
    parser.add_argument("--compiler", default="gcc-llm")
    parser.add_argument("--budget", type=float, help="GCCLLM_BUDGET: seconds of work per file")
    parser.add_argument("--pip", action="store_true", help="also build each package through pip")
    parser.add_argument(
        "--work", type=Path, help="keep archives, objects and stores here; a second run starts from them"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="write the tables as Markdown")
    given = parser.parse_args(argv)
    if unknown := set(given.programs) - {p.package for p in PROGRAMS}:
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    out = show.console()
    with contextlib.ExitStack() as stack:
        work = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gccllm-programs-")))
        results = run_programs(
            given.programs, given.compiler, work.resolve(), out, with_pip=given.pip, budget=given.budget
        )
    out.print()
    show.table(out, COLUMNS, [row(o) for o in results], NUMBERS)
    show.table(out, ("declined because", *(o.program for o in results), "all"), reason_rows(results))
    if given.json:
        given.json.write_text(json.dumps(results, indent=1, default=_plain))
    if given.docs:
        given.docs.write_text(as_markdown(results))
    return 0 if all(o.same == "yes" and o.pip in ("", "yes") for o in results) else 1
