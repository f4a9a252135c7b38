"""The quick check of pairs and of the model's answers: native/check.c, built once, run on batches.

Covered: results, memory of three arrays and two tables, faults at unmapped pages, callee-saved registers, time beside
the compilers' own best. Not covered: reads inside a page that the plain side does not make, and everything else the
project's own gates look at; the prelude obeys those by construction, and `gccllm bench --suite model` sends answers
through the gates.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gccllm.base.toolchain import Ran, Toolchain, run
from gccllm.lab.train.shapes import Pair
from gccllm.lab.train.text import ALONE, HEADER
from gccllm.propose import prelude
from gccllm.propose.c_batch import BatchFailed, compile_batch
from gccllm.propose.c_bodies import DRAFT, refusal
from gccllm.propose.recipes import LEVEL_FLAGS
from gccllm.propose.unit import find_clang
from gccllm.unit.isa_allowance import isa_for

SOURCE = Path(__file__).with_name("native") / "check.c"
_EXACT = ("-ffp-contract=off",)


@dataclass(frozen=True)
class Checked:
    """What one check said."""

    status: str
    """`pass`, or what differs: value, memory, fault, timeout, abi, died; build: it does not compile or assemble."""
    tests: int = 0
    ticks: tuple[int, int, int] = (0, 0, 0)
    """gcc -O3, the best recipe, the candidate; zeros when not timed."""
    recipe: str = ""
    """The name of the best recipe."""

    @property
    def is_pass(self) -> bool:
        return self.status == "pass"

    @property
    def over_o3(self) -> float:
        return self.ticks[0] / self.ticks[2] if self.ticks[2] else 0.0

    @property
    def over_best(self) -> float:
        """Over the fastest of gcc -O3 and the recipes."""
        return self.ticks[1] / self.ticks[2] if self.ticks[2] else 0.0


@cache
def cpu_level(tools: Toolchain) -> int:
    """ISA level of this machine, at most 5 (what compilers make use of)."""
    return min(5, isa_for("guarded", frozenset(), tools).allowed)


def answer_flags(level: int) -> tuple[str, ...]:
    return (*prelude.FLAGS, *LEVEL_FLAGS.get(level, ()))


def recipes(tools: Toolchain) -> dict[str, tuple[str, ...]]:
    """What an answer has to beat besides gcc -O3: name -> compiler and flags, on this machine's ISA."""
    isa = LEVEL_FLAGS.get(cpu_level(tools), ())
    rows = {
        "gcc-wide": (tools.gcc, "-O3", *isa, *_EXACT),
        "gcc-unrolled": (tools.gcc, "-O3", *isa, *_EXACT, "-funroll-loops"),
        "gcc-branchy": (tools.gcc, "-O2", *isa, *_EXACT, "-fno-if-conversion", "-fno-if-conversion2"),
    }
    clang = find_clang()
    if clang:
        rows["clang-wide"] = (clang, "-O3", *isa, *_EXACT)
    return rows


def build_checker(tools: Toolchain, folder: Path) -> Path:
    target = folder / "check"
    newest = max(source.stat().st_mtime for source in SOURCE.parent.iterdir())
    if not target.exists() or target.stat().st_mtime < newest:
        folder.mkdir(parents=True, exist_ok=True)
        ran = tools.compile(["-O2", "-w", "-o", str(target), str(SOURCE), "-ldl"])
        if not ran.ok:
            raise RuntimeError(ran.err)
    return target


def plain_library(plain: Sequence[str], target: Path, command: Sequence[str]) -> None:
    """C functions named KERN as fn0, fn1 ... of a library. Raises RuntimeError with the compiler's words."""
    source = HEADER + "\n".join(c.replace("KERN", f"fn{i}") for i, c in enumerate(plain))
    alone = [flag for flag in ALONE if "clang" not in command[0] or not flag.startswith("-fno-ipa")]
    ran = run(
        [*command, "-xc", *alone, "-falign-functions=64", "-shared", "-fPIC", "-o", str(target), "-", "-lm"],
        stdin=source.encode(), deadline_s=900,
    )  # fmt: skip
    if not ran.ok:
        raise RuntimeError(ran.err[:1000])


def compiled(tools: Toolchain, functions: Sequence[str], target: Path, level: int, *, draft: bool = False) -> set[int]:
    """One library of C functions, a line each; those that gcc refuses are left out and returned.

    `draft`: the macros are their plain loops, and nothing is optimised.

    Raises RuntimeError when gcc fails for another reason.
    """
    flags = ["-xc", *answer_flags(level), "-falign-functions=64", "-shared", "-fPIC", "-nostdlib", "-fmax-errors=0",
             *(DRAFT if draft else ())]  # fmt: skip

    def build(source: bytes) -> Ran:
        return tools.compile([*flags, "-o", str(target), "-"], stdin=source, deadline_s=900)

    def undefined() -> set[int]:
        names = {line.split()[-1] for line in run(["nm", "-u", str(target)]).out.decode().splitlines()}
        return {i for i, text in enumerate(functions) for name in names if re.search(rf"\b{name}\b", text)}

    try:
        return set(compile_batch(functions, build, also=undefined, draft=draft)[1])
    except BatchFailed as error:
        raise RuntimeError(str(error)) from error


def assembled(tools: Toolchain, folder: Path, texts: Sequence[str], target: Path) -> set[int]:
    """The same for bodies in assembly."""
    bad: set[int] = {i for i, text in enumerate(texts) if re.search(r"\b(call|syscall|int)\b|%rip|[a-zA-Z_]\w*@", text)}
    for _ in range(12):
        lines, owner = [".text"], [-1]
        for i, text in enumerate(texts):
            own = ["ud2"] if i in bad else re.sub(r"\.L(\d+)", rf".LF{i}_\1", text).splitlines()
            block = [f".globl fn{i}", ".p2align 6", f"fn{i}:", *own, "ud2"]
            lines += block
            owner += [i] * len(block)
        source = "\n".join(lines) + "\n"
        ran = tools.assemble(source, folder / "c.o")
        if ran.ok:
            undefined = run(["nm", "-u", str(folder / "c.o")]).out.decode()
            fresh = {int(m) for m in re.findall(r"\.LF(\d+)_", undefined)}
            names = [word for word in undefined.split() if word not in ("U", "w") and not word.startswith(".LF")]
            fresh |= {i for i, text in enumerate(texts) for name in names if name in text}
        else:
            fresh = {owner[int(m) - 1] for m in re.findall(r":(\d+): Error", ran.err)} - {-1}
        if not fresh - bad:
            if not ran.ok:
                raise RuntimeError(ran.err[:1000])
            break
        bad |= fresh
    linked = tools.compile(["-shared", "-nostdlib", "-o", str(target), str(folder / "c.o")])
    if not linked.ok:
        raise RuntimeError(linked.err[:1000])
    return bad


@dataclass(frozen=True)
class How:
    """What a check does."""

    tests: int = 24
    timing: bool = True
    seed: int = 0
    bar: Sequence[str] | None = None
    """Names of the recipes timed beside an answer, those that are there; None: all."""
    draft: bool = False
    """Compile answers with the macros' plain loops, and the plain side with -O1: to ask only what passes."""


def check(tools: Toolchain, checker: Path, pairs: Sequence[Pair], answers: Sequence[str], how: How) -> list[Checked]:
    """A verdict for each pair and the answer proposed for it. Raises RuntimeError when a tool fails on all of them."""
    if not pairs:
        return []
    names = [name for name in recipes(tools) if how.bar is None or name in how.bar] if how.timing else []
    if how.timing and how.draft:
        raise ValueError("a draft's time says nothing")
    plain: dict[str, int] = {}
    for pair in pairs:
        plain.setdefault(pair.c, len(plain))
    with tempfile.TemporaryDirectory(prefix="gccllm-check-") as name:
        folder = Path(name)
        plain_library(list(plain), folder / "ref.so", (tools.gcc, "-O1" if how.draft else "-O3", *_EXACT))
        for recipe in names:
            plain_library(list(plain), folder / f"{recipe}.so", recipes(tools)[recipe])
        both = enumerate(zip(pairs, answers, strict=True))
        # an answer that is no C at all (a brace too few) would take its neighbours with it
        functions = ["" if refusal(a) else f"{pair.types.head(f'fn{i}')} {{ {a} }}" for i, (pair, a) in both]
        bad = {i for i, text in enumerate(functions) if not text}
        bad |= compiled(tools, functions, folder / "cand.so", cpu_level(tools), draft=how.draft)
        lines = [
            f"{i}:{plain[p.c]} {p.returns} {' '.join(p.kinds)} ; {' '.join(map(str, p.values))}"
            for i, p in enumerate(pairs)
            if i not in bad
        ]
        ran = run(
            [*map(str, (checker, folder / "ref.so", folder / "cand.so", how.tests, int(how.timing), how.seed)),
             *(str(folder / f"{recipe}.so") for recipe in names)],
            stdin=("\n".join(lines) + "\n").encode(), deadline_s=1200,
        )  # fmt: skip
    results = [Checked("build" if i in bad else "lost") for i in range(len(pairs))]
    for line in ran.out.decode().splitlines():
        words = line.split()
        if len(words) == 7:
            r, v, c, which = (int(w) for w in words[3:])
            recipe = names[which - 1] if which else "gcc-O3"
            results[int(words[0])] = Checked(words[1], int(words[2]), (r, v, c), recipe if r else "")
    return results
