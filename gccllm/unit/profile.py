"""`gccllm profile -- CMD`: which functions a command's CPU time goes to.

Two ways, one result: `perf` where it works, else our own timer sampling (`native/sampler.c`, preloaded). The command
keeps its input, output and exit status; its children are counted. The result is a JSON file:

    {"format": "gccllm-profile", "version": 1, "way": "perf", "command": [...], "samples": 812,
     "functions": [{"object": "demo", "function": "hot", "samples": 640, "share": 0.788}, ...]}

`share` is of all samples, those in code without symbols included. Function names are those of the symbol table.

Covers PIE and shared objects, threads, forks and execs. Does not cover kernel time; inlined functions count for the
function that they were inlined into; timer sampling does not see static or set-user-id programs, and libraries that
were unloaded, or loaded late by a process that was killed, stay without names.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gccllm.base.command import run_through
from gccllm.base.elf import STT_FUNC, STT_GNU_IFUNC, Elf, ELFError
from gccllm.base.limits import LIMITS
from gccllm.base.regular import read_regular

FORMAT = "gccllm-profile"
VERSION = 1
SAMPLER_SOURCE = Path(__file__).parent / "native" / "sampler.c"

Counts = Counter[tuple[str, str]]
"""Samples of (basename of the object, function); the function is `` where the object has no symbol for the address."""


# --- the profile file ---------------------------------------------------------------------------------------------


def load_profile(path: Path) -> dict[str, float] | None:
    """Share of the samples by function name, over all objects; None when the file is absent or not a profile.

    None and an empty profile differ: without a profile the static guess decides, with an empty one nothing is hot.
    """
    try:
        document = json.loads(read_regular(path, LIMITS.profile_bytes)[0])
        if document["format"] != FORMAT or document["version"] != VERSION:
            return None
        shares: dict[str, float] = {}
        for row in document["functions"]:
            name, share = str(row["function"]), float(row["share"])
            shares[name] = shares.get(name, 0.0) + share
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    shares.pop("", None)
    return shares


def write_profile(path: Path, counts: Counts, command: Sequence[str], way: str) -> None:
    """Put the profile in place whole (temporary file and rename). OSError is the caller's."""
    total = sum(counts.values())
    document = {
        "format": FORMAT,
        "version": VERSION,
        "way": way,
        "command": list(command),
        "samples": total,
        "functions": [
            {"object": obj, "function": name, "samples": n, "share": round(n / total, 6)}
            for (obj, name), n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ],
    }
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    fresh.replace(path)


# --- the subcommand -----------------------------------------------------------------------------------------------


def run(command: Sequence[str], output: Path, way: str = "auto", *, is_quiet: bool = False) -> int:
    """Run `command`, write its profile to `output` and a line about it to stderr unless it `is_quiet`; the exit status.

    `way` is `perf`, `sampler` or `auto`. 127 and 126 when the command is not found or cannot be run, 128 + n when
    signal n ended it, as a shell reports them.
    """
    program = shutil.which(command[0])
    if program is None:
        found = Path(command[0]).exists()
        _say(f"{command[0]}: {'cannot be run' if found else 'not found'}")
        return 126 if found else 127
    with tempfile.TemporaryDirectory(prefix="gccllm-profile-") as name:
        work = Path(name)
        event = perf_event() if way in ("auto", "perf") else None
        if event is None and way == "perf":
            _say("perf does not work here")
            return 126
        if event is not None:
            code, counts = _with_perf(command, event, work)
        else:
            code, counts = _with_sampler(command, work)
            if not counts and is_static(Path(program)):
                _say(f"{command[0]} is a static executable: timer sampling cannot see it (perf could)")
                return code
        way = "perf" if event is not None else "sampler"
    if not counts:
        _say("no samples: the command used too little CPU time; nothing was written")
        return code
    write_profile(output, counts, command, way)
    if not is_quiet:
        _say(f"{_headline(counts)} -> {output} ({way}, {sum(counts.values())} samples)")
    return code


def _headline(counts: Counts) -> str:
    total = sum(counts.values())
    named = [(name, n) for (_, name), n in counts.most_common() if name]
    return ", ".join(f"{name} {100 * n / total:.0f}%" for name, n in named[:3]) or "no function has a name"


def _say(line: str) -> None:
    print(f"gccllm profile: {line}", file=sys.stderr)


# --- perf ---------------------------------------------------------------------------------------------------------

_SPIN = ["sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"]
_SAMPLE = re.compile(r"^\s*[0-9a-f]+ (?P<name>.*) \((?P<object>.*)\)$")


@cache
def perf_event() -> str | None:
    """The first event that perf samples here without a word on the program's streams; None when perf does not work."""
    if shutil.which("perf") is None:
        return None
    with tempfile.TemporaryDirectory(prefix="gccllm-profile-") as work:
        data = Path(work) / "probe.data"
        for event in ("cycles:u", "cpu-clock:u"):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                argv = _perf_record(event, data, _SPIN)
                ran = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
                if ran.returncode == 0 and not ran.stdout and not ran.stderr and _perf_counts(data):
                    return event
    return None


def _perf_record(event: str, data: Path, command: Sequence[str]) -> list[str]:
    return ["perf", "record", "-q", "-e", event, "-F", "997", "-N", "-B", "-o", str(data), "--", *command]


def _with_perf(command: Sequence[str], event: str, work: Path) -> tuple[int, Counts]:
    data = work / "perf.data"
    code = run_through(_perf_record(event, data, command), None, _say)
    return code, _perf_counts(data)


def _perf_counts(data: Path) -> Counts:
    """Samples of a perf.data file; empty when perf cannot read it."""
    counts: Counts = Counter()
    argv = ["perf", "script", "--no-demangle", "-F", "ip,sym,dso", "-i", str(data)]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
    ) as script:
        assert script.stdout is not None
        for line in script.stdout:
            if (match := _SAMPLE.match(line)) and match["object"] != "[kernel.kallsyms]":
                name = "" if match["name"] == "[unknown]" else match["name"]
                counts[Path(match["object"]).name, name] += 1
    return counts


# --- timer sampling -----------------------------------------------------------------------------------------------


def build_sampler(directory: Path) -> Path:
    """Compile the sampler; OSError with gcc's words when that fails."""
    from gccllm.base.toolchain import Toolchain

    library = directory / "sampler.so"
    ran = Toolchain.find().compile(["-O2", "-shared", "-fPIC", "-o", str(library), str(SAMPLER_SOURCE)])
    if not ran.ok:
        raise OSError(f"the sampler could not be built: {ran.err.strip()}")
    return library


def _with_sampler(command: Sequence[str], work: Path) -> tuple[int, Counts]:
    tables = work / "tables"
    tables.mkdir()
    preload = [str(build_sampler(work)), *os.environ.get("LD_PRELOAD", "").split()]
    env = dict(os.environ) | {"LD_PRELOAD": " ".join(preload), "GCCLLM_SAMPLER_DIR": str(tables)}
    code = run_through(command, env, _say)
    return code, read_tables(tables)


@dataclass(frozen=True, slots=True)
class MappedFile:
    """One line of /proc/PID/maps that is a file."""

    start: int
    end: int
    offset: int
    path: str


def read_tables(directory: Path) -> Counts:
    """Samples of all processes that the sampler left in `directory`, with names."""
    counts: Counts = Counter()
    for table in sorted(p for p in directory.iterdir() if p.suffix != ".maps"):
        maps = _parse_maps(table.with_name(f"{table.name}.maps"))
        starts = [m.start for m in maps]
        for pc, count in _slots(table.read_bytes()):
            at = bisect.bisect_right(starts, pc) - 1
            if pc and at >= 0 and pc < maps[at].end:
                where = maps[at]
                name = _symbols(where.path).name_at(pc - where.start + where.offset)
                counts[Path(where.path).name, name] += count
            else:
                counts["", ""] += count
    return counts


def _slots(data: bytes) -> Iterator[tuple[int, int]]:
    """(program counter, samples); the first slot has no program counter and counts what found no room."""
    for pc, count in struct.iter_unpack("<QQ", data[: len(data) // 16 * 16]):
        if count:
            yield pc, count


def _parse_maps(path: Path) -> list[MappedFile]:
    found = []
    with contextlib.suppress(OSError):
        for line in path.read_text("utf-8", "surrogateescape").splitlines():
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].startswith("/"):
                start, _, end = fields[0].partition("-")
                found.append(MappedFile(int(start, 16), int(end, 16), int(fields[2], 16), fields[5]))
    return sorted(found, key=lambda m: m.start)


class Symbols:
    """Functions of an ELF file by file offset: .symtab, or .dynsym where that was stripped."""

    def __init__(self, path: str) -> None:
        self._starts: list[int] = []
        self._rows: list[tuple[int, int, str]] = []
        with contextlib.suppress(Exception):  # whatever is wrong with somebody's file, it has no names then
            self._rows = sorted(self._read(path))
            self._starts = [row[0] for row in self._rows]

    @staticmethod
    def _read(path: str) -> Iterator[tuple[int, int, str]]:
        with open(path, "rb") as file:
            elf = Elf(file)
            loads = [part for part in elf.segments if part.kind == "PT_LOAD"]
            for symbol in elf.symbols:
                if symbol.kind in (STT_FUNC, STT_GNU_IFUNC) and not symbol.is_undefined:
                    for part in loads:
                        if part.address <= symbol.value < part.address + part.file_size:
                            yield symbol.value - part.address + part.file_offset, symbol.size, symbol.name

    def name_at(self, offset: int) -> str:
        """The function whose bytes hold this file offset; empty when none does."""
        at = bisect.bisect_right(self._starts, offset) - 1
        if at < 0:
            return ""
        start, size, name = self._rows[at]
        return name if offset < start + max(size, 1) else ""


@cache
def _symbols(path: str) -> Symbols:
    return Symbols(path)


def is_static(program: Path) -> bool:
    """Whether an ELF executable has no dynamic loader; False for anything that is not ELF."""
    try:
        with program.open("rb") as file:
            return all(part.kind != "PT_INTERP" for part in Elf(file).segments)
    except (ELFError, OSError):
        return False
