"""What PPO and expert iteration play against: a row of the corpus, an answer's ids, and the quick check's outcome.

Each answer runs on fresh random states (the seed of a call grows with every call), and is timed beside gcc -O3 and the
recipes on the medium state on which gcc's code takes longest: 1,000 elements whose values the branches cannot know by
heart. `KEEP` is a copy.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train.checking import How, build_checker, check
from gccllm.lab.train.corpus import BAR, pair_of, types_of
from gccllm.lab.train.reward import Outcome
from gccllm.lab.train.workers import Workers
from gccllm.propose.c_words import KEEP
from gccllm.propose.tokens import Tokens

TESTS = 40
SAVE_EVERY = 10

_STATUS = {"lost": "died", "missing": "died", "slowref": "died"}
"""What the check says when it cannot say: no verdict on the answer."""

Job = tuple[dict[str, Any], str, int]
"""A row, the text of an answer, a seed."""


def prepare() -> Path:
    """The check's program; made before several processes want it at once."""
    return build_checker(Toolchain.find(), Path(tempfile.gettempdir()) / "gccllm-checker")


def judge(jobs: list[Job]) -> list[Outcome]:
    """Outcomes of answers that are C text. Runs in a worker process."""
    tools = Toolchain.find()
    checker = prepare()
    pairs = [pair_of(row) for row, _, _ in jobs]
    how = How(tests=TESTS, bar=BAR, seed=jobs[0][2] if jobs else 0)
    verdicts = check(tools, checker, pairs, [text for _, text, _ in jobs], how)
    return [
        Outcome(_STATUS.get(v.status, v.status), min(1.0, v.tests / TESTS), v.over_o3, v.over_best, False)
        for v in verdicts
    ]


@dataclass
class Environment:
    """Prompts of rows, and the outcome of answers to them. Close it, or use it in `with`."""

    rows: list[dict[str, Any]]
    tokens: Tokens
    workers: int = 0
    address: str | None = None
    seed: int = 1
    keep: Path | None = None
    """Where wins are kept, every SAVE_EVERY calls and at the end."""
    wins: dict[tuple[int, str], float] = field(default_factory=dict)
    """(row, answer) that passed and beat the best recipe by 5%, and by how much: food for expert iteration."""

    def __post_init__(self) -> None:
        self._pool: Workers[Job, Outcome] = Workers(
            judge, lambda job: Outcome("died"), count=self.workers, address=self.address, piece=128
        )

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.close()
        if self.keep is not None:
            self.save_wins(self.keep)

    @property
    def prompts(self) -> list[list[int]]:
        return [self.tokens.encode_text(row["prompt"], types_of(row)) for row in self.rows]

    def score(self, batch: Sequence[tuple[int, Sequence[int]]]) -> list[Outcome]:
        """Outcomes of (row, ids of an answer without the end)."""
        self.seed += 1
        outcomes: list[Outcome | None] = []
        jobs: list[Job] = []
        places: list[int] = []
        for place, (index, ids) in enumerate(batch):
            outcomes.append(None)
            try:
                text = self.tokens.decode_c(ids, self.rows[index]["prompt"])
            except ValueError:
                outcomes[place] = Outcome("build")
                continue
            if text == KEEP:
                outcomes[place] = Outcome("pass", 1.0, 1.0, 1.0, True)
                continue
            jobs.append((self.rows[index], text, self.seed))
            places.append(place)
        for place, (_row, text, _seed), outcome in zip(places, jobs, self._pool(jobs), strict=True):
            outcomes[place] = outcome
            if outcome.status == "pass" and outcome.passed_share >= 0.5 and outcome.over_best >= 1.05:
                self.wins[batch[place][0], text] = outcome.over_best
        if self.keep is not None and self.seed % SAVE_EVERY == 0:
            self.save_wins(self.keep)
        return [outcome or Outcome("died") for outcome in outcomes]

    def save_wins(self, path: Path) -> int:
        """Append the fastest win of each row to a corpus of wins; how many rows there are."""
        best: dict[int, tuple[float, str]] = {}
        for (index, text), gain in self.wins.items():
            best[index] = max(best.get(index, (0.0, "")), (gain, text))
        with FileLock(f"{path}.lock"), path.open("a") as file:  # several processes of a run keep theirs here
            for index, (_, text) in best.items():
                file.write(json.dumps(self.rows[index] | {"answer": text, "expert": text}) + "\n")
        self.wins.clear()
        return len(best)
