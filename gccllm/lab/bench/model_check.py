"""Answers of any method under the corpus's own quick check (`train/native/check.c`), with the time of every recipe.

Covered: results, memory, faults at unmapped pages, callee-saved registers; ticks of gcc -O3, each recipe and the answer
on one state, side by side in one process. Not covered: what the project's gates look at besides (`model_gates`), and
times to the percent: the kernels suite measures those.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gccllm.base.toolchain import Toolchain, run
from gccllm.lab.train.checking import How, assembled, build_checker, check, compiled, cpu_level, recipes
from gccllm.lab.train.shapes import Pair
from gccllm.lab.train.text import ALONE, HEADER
from gccllm.propose.c_bodies import refusal
from gccllm.propose.c_words import KEEP

O3 = "gcc-O3"
NATIVE = "gcc-wide"
"""The recipe that is gcc -O3 for this very CPU's level."""
CHUNK = 400
"""Answers in one library."""
FAULTED = 1 << 62
"""Ticks of a call that did not return are above."""


class Proposal(NamedTuple):
    """One answer of a method."""

    text: str
    dialect: str
    """`c`: the inside of a function; `asm`: a body; `recipe`: text is a recipe's name, the plain C compiled by it;
    `keep`: leave it to the compilers; `none`: the method had no whole answer."""
    number: int = 0
    """Tells equal answers apart that are to be measured each (the A/A row's)."""

    @classmethod
    def of_c(cls, text: str) -> Proposal:
        return cls(text, "keep" if text.strip() == KEEP else "c")


NOTHING = Proposal("", "none")


@dataclass(frozen=True)
class Verdict:
    """What the check said of one answer."""

    status: str
    """`pass`; what differs: value, memory, fault, timeout, abi, died, lost, slowref; build: it does not compile;
    keep, none: there was nothing to check."""
    tests: int = 0
    answer: int = 0
    """Ticks of the answer; 0 when not timed."""
    o3: int = 0
    native: int = 0
    best: int = 0
    """The fastest of gcc -O3 and the recipes."""

    @property
    def is_pass(self) -> bool:
        return self.status == "pass"

    @property
    def builds(self) -> bool:
        return self.status not in ("build", "keep", "none")

    def ratios(self) -> tuple[float, float, float]:
        """Over gcc -O3, gcc native, the best recipe; ones when not timed."""
        if not self.answer:
            return 1.0, 1.0, 1.0
        return self.o3 / self.answer, self.native / self.answer, self.best / self.answer


class Checker:
    """The check program and the compilers it compares."""

    def __init__(self, tools: Toolchain, folder: Path) -> None:
        self.tools = tools
        self.program = build_checker(tools, folder)
        self.recipes = {O3: (tools.gcc, "-O3", "-ffp-contract=off"), **recipes(tools)}

    def __call__(
        self, jobs: Sequence[tuple[Pair, Proposal]], *, tests: int, seed: int, timing: bool = False
    ) -> list[Verdict]:
        """A verdict for each pair and answer; equal ones are checked once. Raises RuntimeError when a tool fails."""
        found: dict[tuple[Pair, Proposal], Verdict] = {}
        groups: dict[str, list[tuple[Pair, Proposal]]] = {}
        for job in dict.fromkeys(jobs):
            answer = job[1]
            if answer.dialect in ("keep", "none"):
                found[job] = Verdict(answer.dialect)
            elif answer.dialect == "c" and refusal(answer.text) is not None:
                found[job] = Verdict("build")
            else:
                groups.setdefault(answer.text if answer.dialect == "recipe" else answer.dialect, []).append(job)
        for group in groups.values():
            for start in range(0, len(group), CHUNK):
                found.update(self._chunk(group[start : start + CHUNK], tests, seed, timing))
        return [found[job] for job in jobs]

    def passing_drafts(self, pair: Pair, answers: Sequence[str], *, tests: int, seed: int) -> list[bool]:
        """Which C answers to one pair pass when they are compiled as drafts: for a search over very many."""
        try:
            how = How(tests=tests, timing=False, seed=seed, draft=True)
            found = check(self.tools, self.program, [pair] * len(answers), answers, how)
        except RuntimeError:  # one of them breaks the compiler for all
            if len(answers) == 1:
                return [False]
            half = len(answers) // 2
            parts = (answers[:half], answers[half:])
            return [ok for part in parts for ok in self.passing_drafts(pair, part, tests=tests, seed=seed)]
        return [one.is_pass for one in found]

    def _chunk(
        self, jobs: Sequence[tuple[Pair, Proposal]], tests: int, seed: int, timing: bool
    ) -> Iterator[tuple[tuple[Pair, Proposal], Verdict]]:
        names = [name for name in self.recipes if name != O3] if timing else []
        with tempfile.TemporaryDirectory(prefix="gccllm-model-") as place:
            folder = Path(place)
            try:
                bad = self._candidates(jobs, folder)
            except RuntimeError:
                # One answer breaks the compiler for all: halves find out which.
                if len(jobs) == 1:
                    yield jobs[0], Verdict("build")
                else:
                    half = len(jobs) // 2
                    yield from self._chunk(jobs[:half], tests, seed, timing)
                    yield from self._chunk(jobs[half:], tests, seed, timing)
                return
            for name in (O3, *names):
                self._plain(jobs, folder / f"{name}.so", name)
            lines = [
                f"{i} {p.returns} {' '.join(p.kinds)} ; {' '.join(map(str, p.values))}\n"
                for i, (p, _) in enumerate(jobs)
                if i not in bad
            ]
            ran = run(
                [str(self.program), str(folder / f"{O3}.so"), str(folder / "answers.so"), str(tests), str(2 * timing),
                 str(seed), *(str(folder / f"{name}.so") for name in names)],
                stdin="".join(lines).encode(), deadline_s=3600,
            )  # fmt: skip
        verdicts = {i: Verdict("build" if i in bad else "lost") for i in range(len(jobs))}
        for line in ran.out.decode().splitlines():
            words = line.split()
            if len(words) >= 7:
                verdicts[int(words[0])] = _verdict(words, names)
        yield from ((job, verdicts[i]) for i, job in enumerate(jobs))

    def _plain(self, jobs: Sequence[tuple[Pair, Proposal]], target: Path, recipe: str) -> None:
        """The plain side of every job as fn0, fn1 ...; each distinct one is compiled once."""
        command = self.recipes[recipe]
        distinct = {pair: f"plain{k}" for k, pair in enumerate(dict.fromkeys(pair for pair, _ in jobs))}
        source = [HEADER, *(pair.c.replace("KERN", name) for pair, name in distinct.items())]
        source += [
            f'extern __typeof__({distinct[pair]}) fn{i} __attribute__((alias("{distinct[pair]}")));'
            for i, (pair, _) in enumerate(jobs)
        ]
        alone = [flag for flag in ALONE if "clang" not in command[0] or not flag.startswith("-fno-ipa")]
        ran = run(
            [*command, "-xc", *alone, "-falign-functions=64", "-shared", "-fPIC", "-o", str(target), "-", "-lm"],
            stdin="\n".join(source).encode(), deadline_s=900,
        )  # fmt: skip
        if not ran.ok:
            raise RuntimeError(ran.err[:1000])

    def _candidates(self, jobs: Sequence[tuple[Pair, Proposal]], folder: Path) -> set[int]:
        """The answers as a library; those that do not build. All are of one dialect (and recipe)."""
        target, dialect = folder / "answers.so", jobs[0][1].dialect
        if dialect == "recipe":
            self._plain(jobs, target, jobs[0][1].text)
            return set()
        if dialect == "asm":
            return assembled(self.tools, folder, [answer.text for _, answer in jobs], target)
        functions = [f"{p.types.head(f'fn{i}')} {{ {' '.join(a.text.split())} }}" for i, (p, a) in enumerate(jobs)]
        return compiled(self.tools, functions, target, cpu_level(self.tools))


def _verdict(words: Sequence[str], names: Sequence[str]) -> Verdict:
    o3, best, answer = (int(word) for word in words[3:6])
    if answer >= FAULTED:  # right on every test, and not to be called on the state of the timing
        return Verdict("fault", int(words[2]))
    ticks = dict(zip(names, (int(word) for word in words[7:]), strict=False))
    return Verdict(words[1], int(words[2]), answer, o3, ticks.get(NATIVE, o3), best)
