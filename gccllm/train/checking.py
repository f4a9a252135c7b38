"""The quick check of pairs and of the model's answers: native/check.c, built once, run on batches.

Covered: results, memory of three arrays, faults at unmapped pages, callee-saved registers, time. Not covered: reads
inside a page that the naive side does not make, and everything else the project's own gates look at; the families
obey those by construction and `gccllm.train.evaluate` sends samples through the gates.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gccllm.toolchain import Toolchain, run
from gccllm.train.shapes import Pair
from gccllm.train.text import ALONE, HEADER

SOURCE = Path(__file__).with_name("native") / "check.c"
BEST_FLAGS = ("-O3", "-march=x86-64-v4")


@dataclass(frozen=True)
class Checked:
    """What one check said."""

    status: str
    """`pass`, or what differs: value, memory, fault, timeout, abi, died; asm: it does not assemble."""
    tests: int = 0
    ticks: tuple[int, int, int] = (0, 0, 0)
    """gcc -O3, gcc -O3 with AVX-512, candidate; zeros when not timed."""

    @property
    def is_pass(self) -> bool:
        return self.status == "pass"

    @property
    def over_o3(self) -> float:
        return self.ticks[0] / self.ticks[2] if self.ticks[2] else 0.0

    @property
    def over_avx512(self) -> float:
        """Over gcc -O3 -march=x86-64-v4."""
        return self.ticks[1] / self.ticks[2] if self.ticks[2] else 0.0

    @property
    def over_best(self) -> float:
        return min(self.ticks[:2]) / self.ticks[2] if self.ticks[2] else 0.0


def build_checker(tools: Toolchain, folder: Path) -> Path:
    target = folder / "check"
    if not target.exists() or target.stat().st_mtime < SOURCE.stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        ran = tools.compile(["-O2", "-w", "-o", str(target), str(SOURCE), "-ldl"])
        if not ran.ok:
            raise RuntimeError(ran.err)
    return target


def _assembled(tools: Toolchain, folder: Path, texts: Sequence[str]) -> set[int]:
    """Assemble all candidates into one library; those that the assembler refuses are left out and returned."""
    bad: set[int] = {i for i, text in enumerate(texts) if re.search(r"\b(call|syscall|int)\b|%rip|[a-zA-Z_]\w*@", text)}
    for _ in range(12):
        lines, owner = [".text"], [-1]
        for i, text in enumerate(texts):
            own = ["ud2"] if i in bad else re.sub(r"\.L(\d+)", rf".LF{i}_\1", text).splitlines()
            block = [f".globl c{i}", ".p2align 6", f"c{i}:", *own, "ud2"]
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
    linked = tools.compile(["-shared", "-nostdlib", "-o", str(folder / "c.so"), str(folder / "c.o")])
    if not linked.ok:
        raise RuntimeError(linked.err[:1000])
    return bad


def check(
    tools: Toolchain, checker: Path, pairs: Sequence[Pair], answers: Sequence[str], *, tests: int = 24,
    timing: bool = True, seed: int = 0,
) -> list[Checked]:  # fmt: skip
    """A verdict for each pair and the body proposed for it. Raises RuntimeError when a tool fails on all of them."""
    with tempfile.TemporaryDirectory(prefix="gccllm-check-") as name:
        folder = Path(name)
        for letter, flags in (("r", ("-O3",)), ("v", BEST_FLAGS)):
            source = HEADER + "\n".join(p.c.replace("KERN", f"{letter}{i}") for i, p in enumerate(pairs))
            ran = tools.compile(
                ["-xc", *ALONE, *flags, "-falign-functions=64", "-shared", "-fPIC", "-o",
                 str(folder / f"{letter}.so"), "-"],
                stdin=source.encode(), deadline_s=600,
            )  # fmt: skip
            if not ran.ok:
                raise RuntimeError(ran.err[:1000])
        bad = _assembled(tools, folder, answers)
        lines = [
            f"{i} {0 if p.returns == 'v' else p.returns} {' '.join(p.kinds)} ; {' '.join(map(str, p.values))}"
            for i, p in enumerate(pairs)
            if i not in bad
        ]
        ran = run(
            [str(checker), *(str(folder / f"{x}.so") for x in "rvc"), str(tests), str(int(timing)), str(seed)],
            stdin=("\n".join(lines) + "\n").encode(), deadline_s=1200,
        )  # fmt: skip
    results = [Checked("asm" if i in bad else "lost") for i in range(len(pairs))]
    for line in ran.out.decode().splitlines():
        words = line.split()
        if len(words) == 6:
            r, v, c = (int(w) for w in words[3:])
            results[int(words[0])] = Checked(words[1], int(words[2]), (r, v, c))
    return results
