"""Campaign 3, public suites: programs that others wrote to try compilers, with rewrites forced on all that is eligible.

Suites are given by directory (`--suite DIR`, any number) and are never part of the repository. Published at:
  gcc's c-torture execute   https://github.com/llvm/llvm-test-suite, SingleSource/Regression/C/gcc-c-torture/execute
  c-testsuite               https://github.com/c-testsuite/c-testsuite, tests/single-exec
Every .c file below a directory is one program. What stands on PATH of `csmith` and `yarpgen`
(https://github.com/intel/yarpgen) adds random programs, without any directory.

Each program is built twice over: by construction (another compiler's body in every function that the screen lets
pass: these programs have no undefined behaviour), and, every `GATED`-th, through all real gates. Timing is skipped.
Output and exit status must be gcc's. Left out: what gcc itself does not build or run well, what does not end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gccllm.propose.recompile import RecompileProposer
from tests.campaign.builder import Broken, Builder, place
from tests.campaign.edits import FEW
from tests.campaign.engine import Engine, Proposals

RANDOM = 500
"""Programs of each generator."""
GATED = 25
PER_PROGRAM_S = 90.0
SMALL = 40_000
"""Characters of a program of yarpgen."""
DEFINED = "-fwrapv -fno-strict-aliasing -fno-builtin"
"""Some programs of c-torture overflow, alias, or define a function of the library: what no gate looks at must not."""
WAYS = (("clang", f"-O2 {DEFINED}"), ("gcc", f"-O2 {DEFINED}"), ("gcc", f"-O3 -funroll-loops {DEFINED}"),
        ("gcc", f"-O1 {DEFINED}"))  # fmt: skip
CSMITH = ("--no-argc", "--no-volatiles", "--no-packed-struct", "--max-funcs", "6", "--max-block-size", "3",
          "--max-block-depth", "3", "--max-expr-complexity", "5", "--max-pointer-depth", "2",
          "--concise")  # fmt: skip
LEAST = {"linked": 0.5}


@dataclass(frozen=True)
class Program:
    name: str
    files: Mapping[str, str]
    headers: str
    """Directory of what it includes beside its own files."""
    generator: str = ""


def programs() -> list[Path]:
    roots = [Path(root) for root in os.environ.get("CAMPAIGN_SUITES", "").split(os.pathsep) if root]
    return sorted(path for root in roots for path in root.rglob("*.c"))


def count(state: Path) -> int:
    return len(programs()) + RANDOM * len(generators())


def generators() -> list[str]:
    return [name for name in GENERATORS if shutil.which(name)]


def says(counts: Counter[str]) -> str:
    return (
        f"{counts['programs']} programs ({counts['csmith']} of csmith, {counts['yarpgen']} of yarpgen), "
        f"{counts['left out']} left out; "
        f"{counts['linked']} rewrites linked in {counts['rewritten']} programs, {counts['gated linked']} of them in "
        f"{counts['gated']} programs through all real gates; {counts['parted by construction']} parted by a body that "
        "another compiler had made of the whole unit, which the real gates refuse"
    )


def worker(state: Path, options: tuple[str, ...]) -> Callable[[int], dict[str, Any]]:
    engine = Engine({})
    known = programs()

    def one(number: int) -> dict[str, Any]:
        counts: Counter[str] = Counter()
        wrong: list[str] = []
        with place() as here:
            if number < len(known):
                path = known[number]
                program = Program(path.stem, {"main.c": path.read_text("latin-1")}, str(path.parent))
            else:
                seed, which = divmod(number - len(known), len(generators()))
                program = GENERATORS[generators()[which]](seed + 1, here)
                counts[program.generator] += 1
            for mode in ("construction", "gates") if number % GATED == 0 else ("construction",):
                found = built(engine, mode, program, here / mode, counts, options, number % 4 in (1, 2))
                if found and mode == "construction":
                    # Another compiler may have dropped a store to a static that only its own main does not read.
                    counts["parted by construction"] += 1
                    found = built(engine, "gates", program, here / "again", counts, options, number % 4 in (1, 2))
                    mode = "again"
                if found:
                    kept = state / "failed" / f"suites-{program.name}-{mode}"
                    keep(kept, here / mode, number, found)
                    wrong.append(f"{kept.name}: {found}")
        return {"case": number, "wrong": wrong, **counts}

    return one


def built(engine: Engine, mode: str, program: Program, here: Path, counts: Counter[str], options: tuple[str, ...],
          apart: bool = False) -> str:  # fmt: skip
    """What is wrong, in words; empty when nothing is."""
    engine.install(mode)
    gated = mode == "gates"
    engine.budget_s = PER_PROGRAM_S
    engine.proposers = (
        (lambda settings: [RecompileProposer(FEW)])
        if gated
        else (lambda settings: [Proposals(WAYS, inline=False, looked=len(WAYS))])
    )
    builder = Builder(engine, here, here / "store", options=options, libraries=("-lm",))
    flags = (
        "-O2",
        *(("-fno-inline",) if apart else ()),
        *(("-std=gnu99", "-fgnu89-inline") if "torture" in program.headers else ("-std=gnu11",)),
        f"-I{program.headers}",
    )
    try:
        units = [name for name in program.files if name.endswith(".c")]
        done = builder.build(program.files, units, flags, shim=False, afresh=True)
    except (Broken, subprocess.TimeoutExpired):
        counts["left out"] += 1
        return ""
    if done.want[0] == -1 or (done.want[0] < 0 and "torture" in program.headers):
        counts["left out"] += 1
        return ""
    counts["programs"] += not gated
    counts["gated"] += gated
    counts["linked"] += done.counts["admitted"]
    counts["gated linked"] += done.counts["admitted"] if gated else 0
    counts["rewritten"] += bool(done.counts["admitted"]) and not gated
    if not done.is_wrong:
        return ""
    return f"exit {done.got[0]}, gcc has {done.want[0]}; {done.got[1][:80]!r}, gcc prints {done.want[1][:80]!r}"


def csmith(seed: int, here: Path) -> Program:
    argv = ["csmith", "--seed", str(seed), *CSMITH]
    text = subprocess.run(argv, cwd=here, capture_output=True, text=True, timeout=60).stdout
    return Program(f"csmith-{seed}", {"main.c": text}, csmith_headers(), "csmith")


def csmith_headers() -> str:
    for path in (Path("/usr/include/csmith"), Path("/usr/local/include/csmith")):
        if (path / "csmith.h").exists():
            return str(path)
    return str(next(Path("/usr/include").glob("csmith*"), Path("/usr/include")))


def yarpgen(seed: int, here: Path) -> Program:
    """The first small program from `100 * seed` on: of the large ones many are too large for gcc to link."""
    for each in range(100 * seed, 100 * seed + 100):
        made = here / f"made-{each}"
        made.mkdir()
        subprocess.run(["yarpgen", "--std=c", "-s", str(each), "-o", str(made)], capture_output=True, timeout=60)
        files = {path.name: path.read_text() for path in sorted(made.iterdir())}
        if sum(map(len, files.values())) < SMALL:
            break
    return Program(f"yarpgen-{each}", files, str(made), "yarpgen")


GENERATORS: dict[str, Callable[[int, Path], Program]] = {"csmith": csmith, "yarpgen": yarpgen}


def keep(directory: Path, here: Path, number: int, found: str) -> None:
    """The program, its assembly with our rewrites, and the two programs that part."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for path in (here / "src").iterdir():
        if path.suffix in (".c", ".h", ".s"):
            shutil.copy(path, directory)
    for program in ("want", "got"):
        if (here / "src" / program).exists():
            shutil.copy(here / "src" / program, directory)
    if (here / "store" / "rewrites").exists():
        shutil.copytree(here / "store" / "rewrites", directory / "rewrites")
    (directory / "why").write_text(f"case {number}\n{found}\n")
    script = directory / "run.sh"
    script.write_text(
        "#!/bin/sh\n# want: gcc's program; got: the same with rewrites (*.c.s)\n"
        'cd "$(dirname "$0")" || exit 2\n'
        "./want >want.out; a=$?\n./got >got.out; b=$?\ncmp want.out got.out && [ $a = $b ]\n"
    )
    script.chmod(0o755)
