"""Programs built in mode `trial` by the real launcher, shim and engine, and run with bodies of one's choice."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gccllm.store import Store
from gccllm.trial.contests import Contests, KnownContest
from gccllm.trial.running import CHOICES, spelt

Choice = tuple[str, int]
"""Function and body."""


@dataclass
class TrialBuild:
    """A directory with sources, a store, and what is built of them."""

    prefix: Path
    here: Path

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GCCLLM_") and k != "COMPILER_PATH"}
        return kept | {"GCCLLM_CACHE_DIR": str(self.here / "store"), "GCCLLM_MODE": "trial"} | extra

    def write(self, **files: str) -> None:
        """`unit_c="..."` is unit.c."""
        for name, text in files.items():
            (self.here / ".".join(name.rsplit("_", 1))).write_text(text)

    def build(self, *words: str, compiler: str = "gcc", **extra: str) -> None:
        """`gcc-llm` of the words, which must succeed without a word of its own."""
        done = subprocess.run(
            [str(self.prefix / "bin" / "gcc-llm"), compiler, *words],
            cwd=self.here, env=self.environment(**extra), capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stderr

    def build_plainly(self, *words: str, compiler: str = "gcc") -> None:
        """The same by gcc, at the level that the launcher asks for."""
        subprocess.run([compiler, *words, "-O3"], cwd=self.here, check=True)

    @property
    def contests(self) -> dict[str, KnownContest]:
        """By function. Of two with one name any."""
        return {one.function: one for one in self.every_contest}

    @property
    def every_contest(self) -> list[KnownContest]:
        return Contests(Store(self.here / "store").user).of_project(self.here)

    def choices(self) -> Iterator[tuple[KnownContest, int]]:
        """Every body of every function."""
        for one in self.every_contest:
            for body in range(1, len(one.contenders) + 1):
                yield one, body

    def run(self, program: str, chosen: Mapping[str, int] | str = "", *arguments: str) -> tuple[int, str]:
        """Status and output with the bodies chosen: identity -> body, or the variable's own words."""
        words = chosen if isinstance(chosen, str) else spelt(chosen)
        done = subprocess.run(
            [str(self.here / program), *arguments], cwd=self.here, env=self.environment(**{CHOICES: words}),
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout

    def every_body_gives(self, want: tuple[int, str], program: str) -> int:
        """Run each body by itself, and all first, second, ... ones at once; how many bodies there are."""
        number = 0
        for one, body in self.choices():
            number += 1
            got = self.run(program, {one.identity: body})
            assert got == want, (one.function, one.contenders[body - 1].recipe)
        for body in range(1, 9):
            every = {one.identity: body for one in self.every_contest if body <= len(one.contenders)}
            assert self.run(program, every) == want, body
        return number
