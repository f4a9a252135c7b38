"""What the fuzzed readers are fed at first: made on the spot, nothing stored."""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from gccllm.assembly import Module
from gccllm.base import config
from gccllm.base.core import PAGE_BYTES
from gccllm.harvest.wire import facts_of
from gccllm.record.capture import RecordedCall, RecordedPage, Registers
from gccllm.record.reservoir import Reservoir
from gccllm.record.testfile import Benched, dump_bench, dump_tests
from gccllm.store import Entry
from gccllm.store.entry import Bench, EvidenceRecord, TimingRecord
from gccllm.verify.screen import Context
from tests.kit.calls import write_capture
from tests.kit.targets import target_of

ROOT = Path(__file__).resolve().parents[2]
KEY = "ab" * 32
C = """\
#include <string.h>
struct node { struct node *next; unsigned bits : 3; double d; const char *name; union { int i; float f; } u[4]; };
static const int table[] = {1, 2, 3, 5, 8};
_Thread_local long count;
int tally(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) if (a[i] > 3) s += a[i]; return s; }
enum colour { RED, GREEN = 7 };
long walk(const struct node *n, enum colour c) {
  long s = 0; for (; n; n = n->next) s += n->bits * table[c % 5]; return s; }
double sum(const double *a, int n) { double s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
int pick(int x) { switch (x) { case 0: return 4; case 1: return 9; case 2: return 16; case 3: return 3;
  case 4: return 1; case 5: return 77; } count++; return (int)strlen("text"); }
"""
CXX = "#include <vector>\nint total(const std::vector<int> &v) { int s = 0; for (int x : v) s += x; return s; }\n"
FLAGS = ("-O3", "-O2 -g -fPIC", "-O2 -march=x86-64-v4 -ffunction-sections", "-O1 -fcf-protection=none")


@cache
def compiled(language: str, *flags: str) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / f"x.{language}"
        source.write_text(CXX if language == "cc" else C)
        out = Path(name) / "out"
        subprocess.run(["g++" if language == "cc" else "gcc", *flags, "-w", str(source), "-o", str(out)], check=True)
        return out.read_bytes()


@cache
def assembly() -> tuple[bytes, ...]:
    return tuple(compiled(language, *flags.split(), "-S") for language in ("c", "cc") for flags in FLAGS)


@cache
def bodies() -> tuple[bytes, ...]:
    found = []
    for text in assembly():
        for function in Module.parse(text.decode("latin-1")).functions.values():
            found.append(function.body.text().encode("latin-1"))
    return tuple(found)


@cache
def objects() -> tuple[bytes, ...]:
    return tuple(compiled("c", "-O2", dwarf, "-c") for dwarf in ("-gdwarf-5", "-gdwarf-4"))


@cache
def entries() -> tuple[Entry, ...]:
    """Accepted entries as the engine would write them, with a plain compile as the rewrite."""
    return tuple(_entry(name) for name in ("tally", "walk", "sum"))


def _entry(name: str) -> Entry:
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "x.c"
        source.write_text(C)
        target = target_of(source, name, ["-O3"], Path(place))
        bench = Bench(
            slice=target.text, baseline=target.body.text(), facts=facts_of(target, Context(name)),
            ubsan=target.ubsan_text or "",
        )  # fmt: skip
    other = Module.parse(compiled("c", "-O2", "-fno-tree-vectorize", "-S").decode("latin-1")).functions[name].body
    timing = TimingRecord(
        speedup=2.0, low=1.9, high=2.1, classes={"small": 2.0}, baseline_ns=9.0, aa=1.0, rounds=9, processes=2
    )
    evidence = EvidenceRecord(
        level="tested+covered", tests=9, seed=1, edges_baseline=(3, 3), edges_candidate=(3, 3), mutants=(9, 9),
        timing=timing, cpu="any",
    )  # fmt: skip
    return Entry(
        key=KEY, situation={}, function=name, source="x.c", outcome="accepted", body=other.text(), proposer="recompile",
        recipe="gcc", evidence=evidence, bench=bench, created=1.0, refusals={"copy": 1},
        attempts=[{"proposer": "recompile", "outcome": "accepted"}],
    )  # fmt: skip


def _call(number: int) -> RecordedCall:
    before = Registers(rdi=0x5000_0000, rsi=number, rsp=0x7FFF_0000_1000, xmm=(number,) * 8, mxcsr=0x1F80)
    after = Registers(rax=number, rsp=0x7FFF_0000_1008, xmm=(0, 0), mxcsr=0x1F80)
    pages = tuple(
        RecordedPage(0x5000_0000 + i * PAGE_BYTES, bytes([i, number]) * (PAGE_BYTES // 2), None, bool(i % 2), i == 2)
        for i in range(3)
    )
    return RecordedCall(KEY, number, number + 5, 900, 0x40_1000, 0x7000_0000, before, after, ((0x40_2000, 8),), pages)


@cache
def captures() -> tuple[bytes, ...]:
    return tuple(write_capture(_call(number)) for number in range(3))


@cache
def tests_files() -> tuple[bytes, ...]:
    kept = Reservoir()
    kept.add([_call(number) for number in range(4)], 400)
    return (dump_tests(KEY, kept, 2),)


@cache
def bench_files() -> tuple[bytes, ...]:
    benches = [entry.bench for entry in entries() if entry.bench is not None]
    return tuple(
        dump_bench(Benched(key=KEY, function="f", source="f.c", symbols=("table",), bench=bench)) for bench in benches
    )


def settings_files() -> tuple[bytes, ...]:
    rows = []
    for setting in config.SETTINGS:
        value = setting.default
        word = json.dumps(list(value)) if isinstance(value, tuple) else json.dumps(value)
        rows.append(f"{setting.name} = {word}")
    whole = "\n".join(rows) + "\n"
    return (
        whole.encode(), b"mode = 'off' # no\n[other]\nmode = \"inline\"\n", b'profile = "a/b"\nisa = "baseline"\n',
        b'cc = "/bin/sh"\ncache_dir = """\n/x"""\n"model" = "y"\n',
        b"exclude = ['a*', \"b\"]\nseed = 3\nmode = 'record'\n",
    )  # fmt: skip


ROW = {"object": "x", "function": "f", "samples": 8, "share": 0.5}
PROFILE = json.dumps(
    {"format": "gccllm-profile", "version": 1, "way": "perf", "command": ["x"], "samples": 8, "functions": [ROW]}
).encode()
COUNTS = f"{KEY} walk 400 4 busy=3 limit=1\n{KEY} sum 1 0\n".encode()
REQUEST = (
    b"unit_key\t" + KEY.encode() + b"\ncompiler\tgcc\nassembler\tas\ncwd\t/tmp\nmode\tinline\nas_arg\t--64\n"
    b"gcc_option\t-O2\ngcc_option\t-DX=a\\tb\\\\c\\n\ndriver_arg\tx.c\n"
)
EVENTS = (
    b'{"at": 1.5, "event": "function", "function": "f", "word": "admitted"}\n'
    b'{"at": 2, "event": "unit", "reason": "budget"}\n'
)
OPTIONS = (b"'-O2' '-c' '-o' 'x.o' '-D' 'X='\\''a b'\\'''", b"'-O3' '-march=x86-64' '-I' 'a\\b'", b"'-D' '-O0' '-O1'")
RESPONSE = (b"-O2 -DX='a b' \"c d\" x.c\n@words @other -o y\\ z", b"-O1\n-O3\n-I x -I y a.c b.c")
