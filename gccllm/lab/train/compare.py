"""Stage `compare`: two or more checkpoints on the same held-out rows, answer for answer. Is one better, or lucky?

Each row is answered once by the likeliest word at every step and `n` times at temperature 1, without a constraint:
what the policy itself says, which is what PPO trains. Answers of all checkpoints are checked on the same states. A
difference in greedy answers is put to an exact sign test over the rows in which one is right and the other is not
(McNemar); a difference in drawn answers to the same test over rows in which one is right more often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train import config as configuration
from gccllm.lab.train import parallel
from gccllm.lab.train.config import Config
from gccllm.lab.train.corpus import NAME, reserved_texts
from gccllm.lab.train.environment import Environment
from gccllm.lab.train.evaluate import answerable
from gccllm.lab.train.examples import HELD_SPLITS, load_rows
from gccllm.lab.train.model import Model
from gccllm.lab.train.ppo import judge
from gccllm.lab.train.reward import Outcome
from gccllm.lab.train.rollout import Sampling, sample
from gccllm.lab.train.trainer import load
from gccllm.propose.tokens import Tokens

SEED = 77


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


def look(model: Model, tokens: Tokens, rows: Sequence[dict[str, Any]], n: int, workers: int = 0) -> Result:
    """One checkpoint's answers to the rows, checked and timed; drawn on a GPU where there is one."""
    device = parallel.device(0)
    model.to(device)
    with Environment(list(rows), tokens, seed=SEED, workers=workers) as environment, device:
        prompts = environment.prompts

        def answered(samples: int, temperature: float) -> list[Outcome]:
            how = Sampling(tokens.end, samples, temperature=temperature)
            rollouts = sample(model, prompts, how, torch.Generator(device).manual_seed(SEED))
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


def compare(config: Config, checkpoints: Sequence[str]) -> list[str]:
    """Lines of a table, and a sentence for each checkpoint after the first: it against the first. Raises ValueError."""
    out, s = config.out, config.compare
    missing = [name for name in checkpoints if not (out / name).exists()]
    if missing or not checkpoints:
        raise ValueError(f"no {', '.join(missing)} in {out}" if missing else "name the checkpoints to compare")
    if s.split not in HELD_SPLITS:
        raise ValueError(f"split {s.split}: choose one of {', '.join(HELD_SPLITS)}")
    tokens = Tokens.load(out / "tokens.json")
    held = load_rows(out / NAME, reserved_texts(Toolchain.find()))[s.split]
    rows = answerable(held, tokens, s.rows, seed=7)
    results = {name: look(load(out / name)[0], tokens, rows, s.n, s.workers) for name in checkpoints}
    first = next(iter(results))
    lines = [HEAD.format(n=s.n), "|---|---|---|---|---|---|---|"]
    lines += [result.row(name) for name, result in results.items()]
    lines += [
        f"{name} against {first}: {against(result, results[first])}" for name, result in list(results.items())[1:]
    ]
    print("\n".join(lines))
    return lines


def main(arguments: Sequence[str]) -> None:
    configuration.run(compare, "compare", __doc__, arguments, words=True)
