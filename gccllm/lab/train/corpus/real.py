"""Stage `real`: functions of real C programs, judged by the gates: rows whose answer is `KEEP`.

    package ── source archive ── every .c file compiled ── functions with a loop, no calls, no data, types with words
            ── once each, by canonical text ── recompiled by every recipe, verified, timed ── row

Source archives come from the package index by name when this runs; nothing of them is part of this project. A package
whose metadata names no permissive licence is left out, and so is a file whose head names the GPL alone. Name, version
and licence stand in every row; the licence is the package's own word, and nobody has compared it with each file.

Two sorts of rows, by `status`. `verified`: the gate (tests, coverage, mutants, timing) ended with an admitted recipe,
whose name is in `recipe`, or with none that was shown equal and faster (`none`); these are taught. Anything else is of
split `context` and never taught: `unverified-recipe` has not been tried yet, `text_differs` is not what a build would
ask about, another word is the gate's reason for having no answer (docs/reasons.md). `ticks` are time(gcc -O3),
time(best recipe), 0, scaled so that the second is 1000.

Resumable: `real.done` remembers the packages that were read and their counts, `real.jsonl` every decision, the store
`real.store` every entry with its evidence. A run that is stopped loses the function under work.

Covered: C files that compile with the include directories of the archive and of Python. Not covered: generated headers
and sources, defines that a package's own set-up decides on, flags for single files (SIMD files fail, and are counted),
C++, functions that are inlined everywhere. The prompt is the text that a build with plain -O3 would ask about.
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import Parser
from functools import cache
from pathlib import Path
from typing import Any

from gccllm.assembly import Body, BodyError, canonical, cfg
from gccllm.base import config
from gccllm.base.core import Decline
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log
from gccllm.base.reasons import TRANSIENT, Reason
from gccllm.base.toolchain import Ran, Toolchain
from gccllm.commands.oneshot import request_for
from gccllm.harvest.dwarf import signatures_of
from gccllm.harvest.prompt_types import words_of
from gccllm.lab.bench.objects import BuildFailed
from gccllm.lab.bench.programs import Program, fetch
from gccllm.lab.train import config as training
from gccllm.lab.train.corpus import REAL, read
from gccllm.lab.train.corpus.real_rows import CONTEXT, NONE, UNTRIED, VERIFIED, done, remember, save, summary
from gccllm.lab.train.text import SCALAR, bodies
from gccllm.pipeline import Decision, decide
from gccllm.propose import csource
from gccllm.propose.c_words import KEEP
from gccllm.store import Store
from gccllm.unit.plan import plan
from gccllm.unit.session import UnitSession

PACKAGES = ("xxhash", "lz4", "zopfli", "brotli", "zstandard", "pycryptodome", "mmh3", "ujson", "bitarray", "webrtcvad")
"""Plain C under a permissive licence, and a set-up that pip can ask for metadata without other tools."""
STORE, ARCHIVES = "real.store", "real.archives"
FLAGS = (
    "-O3", "-DNDEBUG",
    *(f"-DHAVE_{name}_H" for name in ("STDINT", "INTTYPES", "STDDEF", "STDLIB", "STRING", "LIMITS", "UNISTD")),
    "-DHAVE_POSIX_MEMALIGN", "-DHAVE_UINT128",
)  # fmt: skip
"""As Python builds extensions, and what any configuration script would find here."""
DIFFERS = "text_differs"
"""Status of a row whose function has another text in a build, or is inlined everywhere."""
PER_FUNCTION_S = 60.0
COMPILE_S = 120.0
MOST_BYTES = 4 << 20
"""Of a source file; larger ones are amalgamations that are in the archive in pieces too, or tables."""
AGAIN = frozenset({UNTRIED, Reason.BUDGET.label, *(reason.label for reason in TRANSIENT)})
"""Of these rows nothing is known yet."""

_PERMISSIVE = re.compile(
    r"\bMIT\b|BSD|Apache|\bISC\b|\bzlib\b|\bPSF|Python Software|Public Domain|Unlicense|CC0|HPND", re.I
)
_COPYLEFT = re.compile(r"GPL|\bGNU\b|\bMPL|Mozilla|\bEPL|CDDL", re.I)
_GPL_HEAD = re.compile(r"GNU (?:Lesser |Library )?General Public License|\bL?GPL", re.I)
_FUNCTION = re.compile(r"^\t\.type\t[\w.$]+, @function$", re.M)
_SYSTEM_FIRST = "-idirafter"


@dataclass(frozen=True, slots=True)
class Source:
    """An unpacked source archive."""

    package: str
    version: str
    licence: str
    root: Path


# --- from a name to C files ---------------------------------------------------------------------------


def fetch_source(package: str, folder: Path) -> Source:
    """The newest source archive of a package, unpacked below `folder`. Raises BuildFailed."""
    root = fetch(Program(package, (), ""), folder)
    try:
        metadata = (root / "PKG-INFO").read_text(errors="replace")
    except OSError as error:
        raise BuildFailed(f"{package}: no metadata: {error}") from error
    version, licence = version_and_licence(metadata)
    return Source(package, version, licence, root)


def version_and_licence(metadata: str) -> tuple[str, str]:
    """Out of a PKG-INFO: the licence expression, else the classifiers, else the first line of `License`."""
    found = Parser().parsestr(metadata, headersonly=True)
    kinds = [str(value).rpartition(" :: ")[2] for value in found.get_all("Classifier", []) if "License ::" in value]
    line = next(iter(str(found.get("License", "")).strip().splitlines()), "")
    return str(found.get("Version", "?")), str(found.get("License-Expression", "")) or ", ".join(kinds) or line or "?"


def is_permissive(licence: str) -> bool:
    """Whether a licence, in a package's own words, is one of the permissive ones, or offers one as a choice."""
    if _COPYLEFT.search(licence) and not re.search(r"\bor\b", licence, re.I):
        return False
    return _PERMISSIVE.search(licence) is not None


def units(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.c") if path.is_file() and path.stat().st_size <= MOST_BYTES)


@cache
def _header_folders(root: Path) -> tuple[Path, ...]:
    """Folders with headers, and the folders that hold those (`#include <package/header.h>`)."""
    folders = {path.parent for path in root.rglob("*.h")}
    return tuple(sorted(folders | {folder.parent for folder in folders if folder != root}))


def flags_of(root: Path, unit: Path) -> tuple[str, ...]:
    """A guess at how the package compiles a file: the folders above it first, any other after the system's own."""
    near = [folder for folder in unit.parents if folder == root or root in folder.parents]
    near += [folder / "include" for folder in near if (folder / "include").is_dir()]
    far = [folder for folder in _header_folders(root) if folder not in near]
    far.append(Path(sysconfig.get_path("include")))
    return (*FLAGS, *(f"-I{folder}" for folder in near), *(w for folder in far for w in (_SYSTEM_FIRST, str(folder))))


def why_not(ran: Ran) -> str:
    """The kind of a failed compile, in a word or two."""
    if ran.code == -1:
        return "time"
    first = next((line for line in ran.err.splitlines() if "error:" in line), ran.err[:200])
    for word, pattern in (
        ("header missing", r"No such file"),
        ("#error", r"#error"),
        ("other -m flags", r"target specific option|inlining failed|undeclared.*_mm|unrecognized command-line"),
        ("type or name missing", r"unknown type name|undeclared|implicit declaration|incomplete type|has no member"),
    ):
        if re.search(pattern, first):
            return word
    return "other error"


# --- from C files to rows -----------------------------------------------------------------------------


def scan_unit(tools: Toolchain, source: Source, unit: Path) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Rows of one C file, none of them tried yet; and counts of what was seen.

    Counts: `units`, `failed: WHY`, `functions` that gcc printed, `plain` of them (no calls, no data), `loops` of those,
    `typed` of those.
    """
    counts: Counter[str] = Counter(units=1)
    original = unit.read_bytes().decode("latin-1")
    head = original[:4000]
    if _GPL_HEAD.search(head) and not _PERMISSIVE.search(head):
        return [], counts + Counter({"failed: licence": 1})
    argv = [*flags_of(source.root, unit), *SCALAR, "-g", "-w", "-S", "-o-", str(unit)]
    ran = tools.compile(argv, cwd=source.root, deadline_s=COMPILE_S)
    if not ran.ok:
        return [], counts + Counter({f"failed: {why_not(ran)}": 1})
    text = ran.out.decode("latin-1")
    code = text.partition("\t.section\t.debug_info")[0]
    plain = {name: body for name, body in bodies(code).items() if _is_alone(name, body)}
    loops = {name: body for name, body in plain.items() if cfg(Body.parse(body)).loops}
    counts.update(functions=len(_FUNCTION.findall(code)), plain=len(plain), loops=len(loops))
    rows = []
    for name, words in _types(tools, text, list(loops)).items():
        found = csource.find(original, name)
        rows.append({
            "prompt": loops[name], "split": CONTEXT, "answer": KEEP, "expert": "", "c": found.text if found else "",
            "types": [words.returns, list(words.params)], "kinds": [], "values": [],
            "family": f"real/{source.package}", "key": f"real/{source.package}/{unit.stem}/{name}",
            "status": UNTRIED, "tests": 0, "ticks": [0, 0, 0], "recipe": "",
            "package": source.package, "version": source.version, "licence": source.licence,
            "unit": str(unit.relative_to(source.root)), "unit_bytes": len(code), "function": name,
        })  # fmt: skip
    counts.update(typed=len(rows))
    return rows, counts


def _is_alone(name: str, body: str) -> bool:
    """Whether the text names no symbol but itself: conditional jumps to cold parts and to other functions do."""
    try:
        return not Body.parse(body).externals - {name}
    except BodyError:
        return False


def _types(tools: Toolchain, text: str, names: Sequence[str]) -> Mapping[str, Any]:
    """The words of the functions whose types have some; the text is assembled for its own debugging information."""
    if not names:
        return {}
    with tempfile.TemporaryDirectory(prefix="gccllm-real-") as folder:
        typed = Path(folder) / "typed.o"
        if not tools.assemble(text, typed, deadline_s=COMPILE_S).ok:
            return {}
        found = {name: words_of(signature) for name, signature in signatures_of(typed, names).items()}
    return {name: words for name, words in found.items() if words is not None}


def scan(tools: Toolchain, source: Source, seen: set[str]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Rows of a package whose text is not in `seen`, to which theirs are added; counts, with `new` rows."""
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for unit in units(source.root):
        found, counted = scan_unit(tools, source, unit)
        counts.update(counted)
        for row in found:
            if row["prompt"] not in seen:
                seen.add(row["prompt"])
                rows.append(row)
    counts["new"] = len(rows)
    return rows, counts


# --- from rows to verified rows -----------------------------------------------------------------------


def verify(rows: Sequence[dict[str, Any]], source: Source, out: Path, end: Deadline) -> Iterator[dict[str, Any]]:
    """The rows of one unit put to the gate, with the recompile proposer alone; changed in place, as they are decided.

    What the time cut off stays as it was.
    """
    settings = config.load(out, {}).with_values(
        mode="inline", proposers="recompile", cache_dir=str(out / STORE), isa="guarded"
    )
    store = Store(settings.store_dir, None)
    unit_path = source.root / rows[0]["unit"]
    log = Log(settings.store_dir, unit=rows[0]["unit"], package=source.package)
    try:
        unit = plan(request_for(unit_path, flags_of(source.root, unit_path), cwd=source.root), settings)
    except Decline as decline:
        for row in rows:
            row["status"] = decline.reason.label
            yield row
        return
    session = UnitSession(unit, settings, log)
    for row in rows:
        function = unit.module.functions.get(row["function"])
        if end.is_over:
            return
        if function is None or _text_of(session, row["function"]) != row["prompt"]:
            row["status"] = DIFFERS
            yield row
            continue
        limit = end.within(PER_FUNCTION_S)
        decision = decide(function, session, store, limit)
        if decision.reason is Reason.BUDGET and not limit.is_over:
            return
        yield decided(row, decision)


def _text_of(session: UnitSession, name: str) -> str:
    """What a model would be shown of the function in a build."""
    scalar = session.side.module(SCALAR)
    twin = scalar.functions.get(name) if scalar is not None else None
    try:
        return canonical(twin.body.without_endbr()) if twin is not None else ""
    except BodyError:
        return ""


def decided(row: dict[str, Any], decision: Decision) -> dict[str, Any]:
    """The row with what the gate said of it, in place."""
    entry = decision.entry
    if decision.word == "admitted" and entry is not None and entry.evidence is not None:
        speedup = entry.evidence.timing.speedup
        row |= {"recipe": entry.recipe.partition(":")[0], "ticks": [round(1000 * speedup), 1000, 0]}
        row |= {"status": VERIFIED, "tests": entry.evidence.tests, "split": split_of(row["prompt"])}
    elif decision.reason is Reason.NOTHING_FASTER:
        row |= {"recipe": NONE, "ticks": [1000, 1000, 0], "status": VERIFIED, "split": split_of(row["prompt"])}
    else:
        row["status"] = decision.reason.label if decision.reason else decision.word
    return row


def split_of(prompt: str) -> str:
    """One in a hundred is held out, by the corpus's rule for rows of known compositions."""
    return "random" if int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big") % 100 == 0 else "train"


# --- the whole ------------------------------------------------------------------------------------------


def harvest_real(out: Path, packages: Sequence[str | Source], seconds: float) -> None:
    """Read the packages that `out/real.done` does not name yet, then put functions to the gate until the time is over.

    `packages`: names to fetch, or sources that are there. Small units come first: every recipe compiles the whole file.
    """
    out.mkdir(parents=True, exist_ok=True)
    end = Deadline(seconds)
    tools = Toolchain.find()
    rows = list(read(out / REAL)) if (out / REAL).exists() else []
    seen = {row["prompt"] for row in rows}
    known = {line["package"] for line in done(out)}
    sources: dict[str, Source] = {}
    for package in packages:
        name = package if isinstance(package, str) else package.package
        if end.is_over:
            break
        try:
            source = fetch_source(package, out / ARCHIVES) if isinstance(package, str) else package
        except BuildFailed as failure:
            print(f"real: {name}: {str(failure)[:200]}", flush=True)
            continue
        if not is_permissive(source.licence):
            print(f"real: {name}: left out, licence {source.licence!r}", flush=True)
            continue
        sources[name] = source
        if name not in known:
            found, counts = scan(tools, source, seen)
            rows += found
            save(out, rows)
            remember(out, {"package": name, "version": source.version, "licence": source.licence} | counts)
            print(f"real: {name} {source.version}: {counts['new']} functions of {counts['functions']}", flush=True)
    for group in _groups(rows, sources):
        for row in verify(group, sources[group[0]["package"]], out, end):
            save(out, rows)
            print(f"real: {row['key']}: {row['status']} {row['recipe']} {row['ticks'][0] / 1000:.2f}", flush=True)
        if end.is_over:
            break


def _groups(rows: Sequence[dict[str, Any]], sources: Mapping[str, Source]) -> list[list[dict[str, Any]]]:
    """Rows still to be tried, by unit: never tried ones first, then units that gcc makes little text of."""
    groups: dict[tuple[bool, int, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        source = sources.get(row["package"])
        if source is None or row["status"] not in AGAIN or row["version"] != source.version:
            continue
        if (source.root / row["unit"]).is_file():
            key = (row["status"] != UNTRIED, row["unit_bytes"], row["package"], row["unit"])
            groups.setdefault(key, []).append(row)
    return [groups[key] for key in sorted(groups)]


def stage(settings: training.Config, packages: Sequence[str]) -> None:
    """Read and judge until the time is over."""
    out = settings.out.resolve()
    harvest_real(out, packages or PACKAGES, settings.real.minutes * 60)
    print(summary(out))


def main(arguments: Sequence[str]) -> None:
    training.run(stage, "real", __doc__, arguments, words=True)
