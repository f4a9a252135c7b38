"""Campaign 7, unwind and debug: the stack is as our unwind tables say, at every instruction of a rewritten function.

A case is a random project, rewritten by construction, whose program runs under `stepper.c`: a trap at each instruction,
and there _Unwind_Backtrace must find the return address and the CFA that were read off the stack at the entry. Every
fourth case throws C++ exceptions through a rewritten C function instead (`thrower.cc`). Every tenth is stepped by gdb
besides, which reads the same tables by itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from string import Template
from typing import Any

from gccllm.store import Store
from tests.campaign.builder import Broken, Builder, command, link, output, place
from tests.campaign.engine import Engine
from tests.campaign.projects import make, render, sources

HERE = Path(__file__).resolve().parent
CASES = 600
LEAST = {"instructions": 200, "functions": 1}
LIVES = ("sum += weigh(p[i]);", "d[i] = sum; sum += p[i] ^ (unsigned)n;", "sum = sum * 3u + weigh(p[i]) * weigh(sum);",
         "unsigned k = p[i] * 5u, l = k ^ sum, m = l * 3u;", "double x = p[i], y = x * 0.5;")  # fmt: skip
AFTER = ("", "", "", "sum += k + l + m;", "sum += (unsigned)(x + y) % 97u;")
THROWING = """void visit(unsigned);
static __attribute__((noinline)) unsigned weigh(unsigned x) { return x * ${A}u + ${B}u; }
__attribute__((noinline)) unsigned target_0(const unsigned *p, unsigned *d, long n) {
    unsigned sum = ${A}u;
    for (long i = 0; i < n; i++) {
        $LIVE
        if (p[i] % ${M}u == 0) visit(sum);
        d[i] = sum + p[i];
        $AFTER
    }
    return sum;
}
"""
GDB = """
import gdb
limit, names = 300, open("names").read().split()
gdb.execute("set pagination off"); gdb.execute("set confirm off"); gdb.execute("set backtrace past-main on")
for name in names: gdb.Breakpoint("*" + name)
gdb.execute("run > gdb.out")
checked, seen = 0, {}
while gdb.selected_inferior().pid and checked < 4000:
    frame = gdb.newest_frame()
    name = frame.name()
    sp = int(frame.read_register("rsp"))
    word = gdb.selected_inferior().read_memory(sp, 8).tobytes()
    back = int.from_bytes(word, "little")
    if seen.setdefault(name, 0) >= 2 or name not in names:
        gdb.execute("continue", to_string=True)
        continue
    seen[name] += 1
    start = frame.function().symtab if frame.function() else None
    for step in range(limit):
        frame = gdb.newest_frame()
        if frame.name() == name:
            older = frame.older()
            ok = older is not None and older.pc() == back and int(older.read_register("rsp")) == sp + 8
            if not ok:
                print("WRONG", name, hex(frame.pc()), older and hex(older.pc()), hex(back)); gdb.execute("quit 99")
            checked += 1
        gdb.execute("stepi", to_string=True)
        if not gdb.selected_inferior().pid or gdb.newest_frame().pc() == back: break
    if gdb.selected_inferior().pid: gdb.execute("continue", to_string=True)
print("CHECKED", checked)
"""


def worker(state: Path, options: tuple[str, ...]) -> Callable[[int], dict[str, Any]]:
    engine = Engine({})
    engine.install("construction")
    return lambda number: case(number, state, engine, options)


def says(counts: Counter[str]) -> str:
    return (
        f"{counts['programs']} programs, {counts['functions']} rewritten functions, unwound at "
        f"{counts['instructions']} instructions; {counts['throws']} exceptions through {counts['throwing']} rewritten "
        f"functions; {counts['gdb']} instructions stepped by gdb"
    )


def case(number: int, state: Path, engine: Engine, options: tuple[str, ...]) -> dict[str, Any]:
    rng = Random(f"unwind {number}")
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    with place() as here:
        builder = Builder(engine, here, here / "store", options=options)
        try:
            found = throwing(builder, rng, counts) if number % 4 == 3 else stepped(builder, rng, number, counts)
        except Broken as error:
            counts["broken"] += 1
            found = f"broken: {error}"
        if found:
            kept = state / "failed" / f"unwind-{number}"
            keep(kept, here / "src", number, found)
            wrong.append(f"{kept.name}: {found}")
    return {"case": number, "wrong": wrong, **counts}


def stepped(builder: Builder, rng: Random, number: int, counts: Counter[str]) -> str:
    project = make(rng)
    source = builder.here / "src"
    built = builder.build(render(project), sources(project), project.flags, shim=False, afresh=True)
    if built.is_wrong:
        return f"another output: {built.got[1][:80]!r}"
    rewritten = {found.entry.function for found in Store(builder.store).entries() if found.entry.outcome == "accepted"}
    if not rewritten:
        return ""
    command(["gcc", "-O2", "-w", "-c", str(HERE / "stepper.c"), "-o", "stepper.o"], source)
    objects = [known[2] for known in builder.objects.values()]
    link([*objects, source / "stepper.o"], source / "stepped", ("-lgcc_eh",))
    rows = []
    for line in command(["nm", "-S", "stepped"], source).splitlines():
        words = line.split()
        if len(words) == 4 and words[2] in "tT" and words[3] in rewritten:
            rows.append(f"{words[0]} {words[1]} {words[3]}")
    (source / "ranges").write_text("\n".join(rows) + "\n")
    env = {**os.environ, "CAMPAIGN_RANGES": str(source / "ranges"), "CAMPAIGN_STEPS": str(source / "steps")}
    done = subprocess.run([str(source / "stepped")], env=env, capture_output=True, timeout=120)
    if (done.returncode, done.stdout) != built.want:
        return done.stderr.decode(errors="replace").strip()[:300] or f"another output, exit {done.returncode}"
    steps, entered = (source / "steps").read_text().split()
    counts["programs"] += 1
    counts["instructions"] += int(steps)
    counts["functions"] += int(entered)
    if number % 10 == 0 and shutil.which("gdb"):
        return by_gdb(source, sorted({row.split()[2] for row in rows}), counts)
    return ""


def by_gdb(source: Path, names: list[str], counts: Counter[str]) -> str:
    (source / "names").write_text(" ".join(names))
    (source / "steps.py").write_text(GDB)
    argv = ["gdb", "-nx", "-batch", "-x", "steps.py", "got"]
    done = subprocess.run(argv, cwd=source, capture_output=True, text=True, timeout=300)
    for line in done.stdout.splitlines():
        if line.startswith("WRONG"):
            return f"gdb: {line}"
        if line.startswith("CHECKED"):
            counts["gdb"] += int(line.split()[1])
            return ""
    raise Broken(f"gdb: {done.stdout[-300:]} {done.stderr[-300:]}")


def throwing(builder: Builder, rng: Random, counts: Counter[str]) -> str:
    index = rng.randrange(len(LIVES))
    text = Template(THROWING).substitute(
        A=rng.choice((3, 5, 40503)),
        B=rng.choice((1, 2, 3)),
        M=rng.choice((3, 5, 7)),
        LIVE=LIVES[index],
        AFTER=AFTER[index],
    )
    source = builder.here / "src"
    source.mkdir(parents=True)
    (source / "unit.c").write_text(text)
    plain, ours = source / "plain.o", source / "ours.o"
    flags = (
        rng.choice(("-O2", "-O3", "-O1")),
        "-fexceptions",
        *rng.choice(((), ("-fPIC",), ("-fno-omit-frame-pointer",))),
    )
    changed = builder.in_process(source, "unit.c", flags, plain, ours, counts)
    outputs = []
    for body in (plain, ours):
        command(["g++", "-O2", str(HERE / "thrower.cc"), str(body), "-o", f"{body.stem}"], source)
        outputs.append(output(source / body.stem))
    counts["throws"] += 59 if changed else 0
    counts["throwing"] += counts.pop("admitted", 0)
    return "" if outputs[0] == outputs[1] else f"exceptions: exit {outputs[1][0]}, gcc has {outputs[0][0]}"


def keep(directory: Path, source: Path, number: int, found: str) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(source, directory)
    (directory / "why").write_text(found + "\n")
    script = directory / "run.sh"
    script.write_text(
        "#!/bin/sh\n# The case again, from the repository's root, its python in PYTHON.\n"
        f'exec "${{PYTHON:-.venv/bin/python}}" -m tests.campaign --state "$(mktemp -d)" --part unwind --case {number}\n'
    )
    script.chmod(0o755)
