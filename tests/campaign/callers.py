"""Campaign 2, callers: every admitted rewrite, called in every way the ABI allows, beside gcc's own body.

A case is an entry: those of the project's `cache/`, then those that the campaign's own builds found and left in
`STATE/admitted`. `caller.c` is compiled at six levels and linked with both bodies; what the two programs print must be
equal. Inputs are harvested anew, by another seed than the entry's.

Not covered: results in memory or in two registers, vectors as arguments, functions that call out of their unit.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gccllm.assembly import Body, BodyError, Module, Rewrite, splice
from gccllm.base.core import ARENA_BYTES, ARENAS, Decline, Slot, Test
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.harvest import QUICK, harvest
from gccllm.harvest.types import CType, Integer, Pointer, Record, Signature, flat
from gccllm.harvest.wire import target_and_context
from gccllm.sandbox.layout import IMAGE_BASE
from gccllm.sandbox.placement import Moves, Placement, moved_test
from gccllm.store.entry import Entry, EntryError
from tests.campaign.builder import command, output, place

HERE = Path(__file__).resolve().parent
LEVELS = (("-O0",), ("-O1",), ("-O2",), ("-O3",), ("-O2", "-fPIC"), ("-O3", "-march=native"))
BASE, STRIDE = 0x6100_0000_0000, 0x1000_0000
"""Of the arenas in `caller.c`."""
TESTS = 40
SEED = 77
CASES = 10
"""Entries of the project; those of the campaign's own builds come on top (`entries`)."""
LEAST = {"calls compared": 1}


def entries(state: Path) -> list[Path]:
    root = HERE.parent.parent
    return [*sorted((root / "cache" / "rewrites").glob("*.entry")), *sorted((state / "admitted").glob("*.entry"))]


def worker(state: Path, options: tuple[str, ...]) -> Callable[[int], dict[str, Any]]:
    return lambda number: case(number, state)


def count(state: Path) -> int:
    return len(entries(state))


def says(counts: Counter[str]) -> str:
    return (
        f"{counts['entries']} rewrites, {counts['programs']} pairs of programs, {counts['calls compared']} calls "
        f"compared in {counts['ways']} ways; left out: {counts['old']} of an earlier schema, {counts['not callable']} "
        "with arguments, results or callees that the caller has no words for"
    )


def case(number: int, state: Path) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    known = entries(state)
    if number < len(known):
        try:
            entry = Entry.load(known[number].read_bytes())
        except EntryError:
            return {"case": number, "wrong": [], "old": 1}
        with place() as here:
            found = compared(entry, here, counts)
            if found:
                kept = state / "failed" / f"callers-{entry.function}-{entry.key[:12]}"
                keep(kept, here, known[number], found)
                wrong.append(f"{kept.name}: {found}")
    return {"case": number, "wrong": wrong, **counts}


def compared(entry: Entry, here: Path, counts: Counter[str], levels: Sequence[tuple[str, ...]] = LEVELS) -> str:
    """What differs, in words; empty when nothing does."""
    if entry.bench is None or entry.outcome != "accepted":
        return ""
    tools = Toolchain.find()
    try:
        target, _ = target_and_context(entry.bench, tools, here)
        tests = callable_tests(target.signature, harvest(target, SEED, 10.0, QUICK).tests)
        module = Module.parse(entry.bench.slice)
        own = splice(module, {entry.function: Rewrite(Body.parse(entry.body), entry.isa_level)}, tools)
    except (Decline, BodyError, ValueError):
        counts["not callable"] += 1
        return ""
    if not tests or undefined(entry.bench.slice, here):
        counts["not callable"] += 1
        return ""
    counts["entries"] += 1
    (here / "call.h").write_text(header(target.signature, tests, writes_globals=bool(target.symbols)))
    for name, text in (("gcc", entry.bench.slice), ("own", own)):
        (here / f"{name}.s").write_text(text, "latin-1")
        command(["as", "--64", f"{name}.s", "-o", f"{name}.o"], here)
    for flags in levels:
        word = "".join(flags)
        command(["gcc", *flags, "-w", "-I", str(here), "-c", str(HERE / "caller.c"), "-o", f"caller{word}.o"], here)
        outputs = []
        for name in ("gcc", "own"):
            program = here / f"{name}{word}"
            command(["gcc", *flags, f"caller{word}.o", f"{name}.o", "-pthread", "-o", str(program)], here)
            outputs.append(output(program))
        want, got = outputs
        counts["programs"] += 1
        if want[0] == 0:
            counts["ways"] += len(want[1].splitlines())
            counts["calls compared"] += len(want[1].splitlines()) * len(tests)
        if want != got:
            lines = [a.decode() for a, b in zip(want[1].splitlines(), got[1].splitlines(), strict=False) if a != b]
            return f"{word}: {lines[:3] or f'exit {got[0]}, gcc has {want[0]}'}"
    return ""


def callable_tests(signature: Signature, tests: Sequence[Test]) -> list[Test]:
    """Those whose whole state the caller can make; none where it cannot take the result."""
    slots = {returned.slot for returned in signature.returned}
    if len(slots) > 1 or slots & {Slot.ST0, Slot.ST1} or any(p.is_result for p in signature.params):
        return []
    plain = Test()
    fit = [t for t in tests if not t.pages and not t.globals and not t.symbols and t.mxcsr == plain.mxcsr]
    fit = [t for t in fit if not t.changes and all(v < 1 << 64 for v in t.vectors)]
    fit = [t for t in fit if len(t.stack) <= 8 and all(r.offset + len(r.data) <= ARENA_BYTES for r in t.regions)]
    step = max(1, len(fit) // TESTS)
    move = Moves(Placement(arenas=tuple(BASE + i * STRIDE for i in range(ARENAS))), IMAGE_BASE, {}).of(())
    return [moved_test(test, move) for test in fit[::step][:TESTS]]


def undefined(text: str, here: Path) -> bool:
    (here / "slice.s").write_text(text, "latin-1")
    command(["as", "--64", "slice.s", "-o", "slice.o"], here)
    return bool(command(["nm", "-u", "slice.o"], here).strip())


def header(signature: Signature, tests: Sequence[Test], *, writes_globals: bool) -> str:
    returned = signature.returned[0] if signature.returned else None
    is_real = returned is not None and returned.slot is Slot.XMM0
    size = returned.size if returned is not None else 0
    rows = [f"#define NAME {signature.name}", f"#define RETURN_REAL {size if is_real else 0}",
            f"#define RETURN_INT {0 if is_real else size}", f"#define IS_ALONE {int(writes_globals)}",
            f"#define STEP {alignment(signature)}u"]  # fmt: skip
    for number, test in enumerate(tests):
        for at, region in enumerate(test.regions):
            data = ",".join(map(str, region.data)) or "0"
            rows.append(f"static const unsigned char data_{number}_{at}[] = {{{data}}};")
        regions = ", ".join(
            f"{{{r.arena}, {r.offset}u, {len(r.data)}u, data_{number}_{at}}}" for at, r in enumerate(test.regions)
        )
        rows.append(f"static const struct region regions_{number}[] = {{{regions or '{0}'}}};")
    rows.append("static const struct test tests[] = {")
    for number, test in enumerate(tests):
        lists = ", ".join(
            "{" + (", ".join(f"{value:#x}ul" for value in values) or "0") + "}"
            for values in (test.ints, test.vectors, test.stack)
        )
        rows.append(f"    {{{lists}, {test.arenas}, {len(test.regions)}, regions_{number}}},")
    return "\n".join([*rows, "};", ""])


def alignment(signature: Signature) -> int:
    """The least step by which all that arguments point to may be moved, in bytes."""

    def of(ctype: CType, depth: int) -> int:
        ctype = flat(ctype)
        if isinstance(ctype, Pointer):
            return max(8, of(ctype.to, depth + 1)) if depth < 4 else 8
        if isinstance(ctype, Record):
            return 16
        return ctype.align if isinstance(ctype, Integer) or ctype.size in (4, 8) else 16

    return max((of(p.type.to, 0) for p in signature.params if isinstance(p.type, Pointer)), default=16)


def keep(directory: Path, here: Path, entry: Path, found: str) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name in ("call.h", "gcc.s", "own.s"):
        shutil.copy(here / name, directory)
    shutil.copy(HERE / "caller.c", directory)
    shutil.copy(entry, directory)
    (directory / "why").write_text(found + "\n")
    script = directory / "run.sh"
    script.write_text(
        "#!/bin/sh\n# Both bodies under the same caller, at every level; 1 when they part.\n"
        'cd "$(dirname "$0")" || exit 2\nout=$(mktemp -d)\n'
        "for level in '-O0' '-O1' '-O2' '-O3' '-O2 -fPIC' '-O3 -march=native'; do\n"
        '    for body in gcc own; do\n        gcc $level -w caller.c $body.s -pthread -o "$out/$body" || exit 2\n'
        '        "$out/$body" >"$out/$body.out"\n        echo $? >>"$out/$body.out"\n    done\n'
        '    cmp "$out/gcc.out" "$out/own.out" || { diff "$out/gcc.out" "$out/own.out"; exit 1; }\ndone\n'
    )
    script.chmod(0o755)
