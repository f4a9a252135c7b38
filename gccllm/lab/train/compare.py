"""Two or more checkpoints on the same held-out rows, answer for answer: is one better, or lucky?

Each row is answered once by the likeliest word at every step and `n` times at temperature 1, without a constraint:
what the policy itself says, which is what PPO trains. Answers of all checkpoints are checked on the same states. A
difference in greedy answers is put to an exact sign test over the rows in which one is right and the other is not
(McNemar); a difference in drawn answers to the same test over rows in which one is right more often.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gccllm.lab.train import parallel
from gccllm.lab.train.corpus import types_of
from gccllm.lab.train.environment import Environment
from gccllm.lab.train.model import Model
from gccllm.lab.train.ppo import judge
from gccllm.lab.train.reward import Outcome
from gccllm.lab.train.rollout import sample
from gccllm.propose.c_words import KEEP
from gccllm.propose.tokens import Tokens

SEED = 77
MAX_TOKENS = 160


@dataclass(frozen=True)
class Result:
    """What one checkpoint did on R rows."""

    greedy: list[bool]
    """(R,): the greedy answer passes and is no copy."""
    drawn: list[int]
    """(R,): how many of the drawn answers do."""
    n: int
    greedy_faster: float
    """Share of the greedy answers that pass and beat the best recipe by 5%."""
    best: float
    """Geometric mean over the rows of the fastest drawn pass over the best recipe; 1 where none is faster."""

    def row(self, name: str) -> str:
        """A line of the table."""
        count = len(self.greedy)
        shares = (sum(self.greedy) / count, self.greedy_faster, sum(self.drawn) / count / self.n,
                  sum(k > 0 for k in self.drawn) / count)  # fmt: skip
        return f"| {name} | {count} | " + " | ".join(f"{x:.1%}" for x in shares) + f" | {self.best:.2f} |"


HEAD = "| checkpoint | rows | greedy right | and 5% faster | drawn right | one of {n} right | best of {n} over recipe |"


def chosen(rows: Sequence[dict[str, Any]], tokens: Tokens, count: int, seed: int = 7) -> list[dict[str, Any]]:
    """Rows that have something to find and words for it; the same for the same corpus."""
    fitting = []
    for row in rows:
        if row["answer"] == KEEP:
            continue
        try:
            tokens.encode_text(row["prompt"], types_of(row))
        except ValueError:
            continue
        fitting.append(row)
    return random.Random(seed).sample(fitting, min(count, len(fitting)))


def look(model: Model, tokens: Tokens, rows: Sequence[dict[str, Any]], n: int, workers: int = 0) -> Result:
    """One checkpoint's answers to the rows, checked and timed; drawn on a GPU where there is one."""
    device = parallel.device(0)
    model.to(device)
    with Environment(list(rows), tokens, seed=SEED, workers=workers) as environment, device:
        prompts = environment.prompts

        def answered(samples: int, temperature: float) -> list[Outcome]:
            generator = torch.Generator(device).manual_seed(SEED)
            rollouts = sample(
                model, prompts, samples, end=tokens.end, max_tokens=MAX_TOKENS, generator=generator,
                temperature=temperature,
            )  # fmt: skip
            return judge(rollouts, range(len(rows)), environment.score)

        greedy, drawn = answered(1, 0.0), answered(n, 1.0)
    groups = [drawn[i * n : (i + 1) * n] for i in range(len(rows))]
    return Result(
        greedy=[_right(o) for o in greedy],
        drawn=[sum(map(_right, group)) for group in groups],
        n=n,
        greedy_faster=sum(_right(o) and o.over_best >= 1.05 for o in greedy) / max(1, len(rows)),
        best=math.exp(
            sum(math.log(max([1.0, *(o.over_best for o in group if _right(o))])) for group in groups)
            / max(1, len(rows))
        ),
    )


def _right(outcome: Outcome) -> bool:
    return outcome.is_pass and not outcome.is_copy


def sign_test(better: int, worse: int) -> float:
    """Two-sided exact p: how likely so lopsided a split of better + worse fair coins is."""
    count, least = better + worse, min(better, worse)
    tail = sum(math.comb(count, k) for k in range(least + 1)) / 2**count if count else 0.5
    return min(1.0, 2 * tail)


def against(one: Result, other: Result) -> str:
    """A sentence: how often `one` is ahead of `other`, row by row, and how likely that is by chance."""
    parts = []
    for name, a, b in (("greedy", one.greedy, other.greedy), ("drawn", one.drawn, other.drawn)):
        better = sum(x > y for x, y in zip(a, b, strict=True))
        worse = sum(x < y for x, y in zip(a, b, strict=True))
        parts.append(f"{name}: better on {better} rows, worse on {worse}, p = {sign_test(better, worse):.2g}")
    return "; ".join(parts)


def compare(
    paths: Sequence[Path], tokens: Tokens, rows: Sequence[dict[str, Any]], n: int, workers: int = 0
) -> list[str]:  # fmt: skip
    """Lines of a table, and a sentence for each checkpoint after the first: it against the first."""
    from gccllm.lab.train import sft

    results = {path.name: look(sft.load(path)[0], tokens, rows, n, workers) for path in paths}
    first = next(iter(results))
    lines = [HEAD.format(n=n), "|---|---|---|---|---|---|---|"]
    lines += [result.row(name) for name, result in results.items()]
    lines += [
        f"{name} against {first}: {against(result, results[first])}" for name, result in list(results.items())[1:]
    ]
    return lines
