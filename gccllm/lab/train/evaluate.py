"""Stage `evaluate`: how often a checkpoint's answers are right, by split; the quick evaluation.

Sampled in torch from the checkpoint; a pass agrees with the plain side on more states, from other seeds, than the
corpus was made with. `gccllm bench --suite model` is the full evaluation: the exported file through llama.cpp, more
methods, intervals, the project's own gates.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train import config as configuration
from gccllm.lab.train.checking import Checked, How, build_checker, check
from gccllm.lab.train.config import Config
from gccllm.lab.train.corpus import NAME, pair_of, reserved_texts, types_of
from gccllm.lab.train.examples import HELD_SPLITS, load_rows
from gccllm.lab.train.model import Model
from gccllm.lab.train.rollout import Sampling, sample
from gccllm.lab.train.trainer import load
from gccllm.propose.c_words import KEEP
from gccllm.propose.tokens import Tokens

TEMPERATURE = 0.7
TESTS = 120
CHECK = How(tests=TESTS, seed=99991)


def answers(model: Model, tokens: Tokens, rows: Sequence[dict[str, Any]], n: int) -> list[list[str | None]]:
    """`n` texts for each row, the likeliest first; None for ids that make no text or do not end."""
    prompts = [tokens.encode_text(row["prompt"], types_of(row)) for row in rows]
    found: list[list[str | None]] = [[] for _ in rows]
    for samples, temperature in ((1, 0.0), (n - 1, TEMPERATURE)):
        if not samples:
            continue
        how = Sampling(tokens.end, samples, temperature=temperature)
        for rollout in sample(model, prompts, how, torch.Generator().manual_seed(0)):
            prompt = rows[rollout.prompt]["prompt"]
            try:
                text = tokens.decode_c(rollout.answer, prompt) if rollout.complete else None
                found[rollout.prompt].append(text)
            except ValueError:
                found[rollout.prompt].append(None)
    return found


def verdicts(
    rows: Sequence[dict[str, Any]], texts: Sequence[Sequence[str | None]], folder: Path
) -> list[list[Checked]]:
    """A verdict for each text; equal texts of a row are checked once. `KEEP` is `keep`, no text is `none`."""
    tools = Toolchain.find()
    checker = build_checker(tools, folder)
    jobs = list(dict.fromkeys((i, t) for i, row in enumerate(texts) for t in row if t is not None and t != KEEP))
    known: dict[tuple[int, str], Checked] = {}
    for start in range(0, len(jobs), 600):
        part = jobs[start : start + 600]
        pairs = [pair_of(rows[i]) for i, _ in part]
        results = check(tools, checker, pairs, [t for _, t in part], replace(CHECK, seed=CHECK.seed + start))
        known.update(zip(part, results, strict=True))
    return [
        [Checked("none") if t is None else Checked("keep") if t == KEEP else known[i, t] for t in row]
        for i, row in enumerate(texts)
    ]


def summary(rows: Sequence[dict[str, Any]], checked: Sequence[Sequence[Checked]]) -> dict[str, Any]:
    """Shares and speed-ups; speed-ups are geometric means over all rows, with 1.0 where no answer passes."""
    first = [row[0] for row in checked]
    passes = [any(c.is_pass for c in row) for row in checked]

    def mean(values: list[float]) -> float:
        return round(math.exp(sum(map(math.log, values)) / len(values)), 3) if values else 0.0

    best = [max([c.over_best for c in row if c.is_pass and c.over_best] or [1.0]) for row in checked]
    gains = [c.over_best for c in first if c.is_pass and c.over_best]
    families: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row, one, some in zip(rows, first, passes, strict=True):
        entry = families[row["family"]]
        entry[0] += 1
        entry[1] += one.is_pass
        entry[2] += some
    count = max(1, len(rows))
    return {
        "rows": len(rows), "pass@1": round(sum(c.is_pass for c in first) / count, 3),
        f"pass@{len(checked[0]) if checked else 0}": round(sum(passes) / count, 3),
        "builds": round(sum(c.status not in ("build", "none") for c in first) / count, 3),
        "over_best_passes": mean(gains), "over_best_median": round(statistics.median(gains), 3) if gains else 0.0,
        "over_best_all": mean(best), "status": dict(Counter(c.status for c in first)), "families": dict(families),
    }  # fmt: skip


def evaluate(config: Config) -> dict[str, Any]:
    """Summaries of the held-out splits, over rows whose expert beats the recipes; written beside the checkpoint."""
    out, s = config.out, config.evaluate
    model, _ = load(out / s.checkpoint)
    tokens = Tokens.load(out / "tokens.json")
    splits = load_rows(out / NAME, reserved_texts(Toolchain.find()))
    result: dict[str, Any] = {}
    for name in HELD_SPLITS:
        chosen = answerable(splits[name], tokens, s.rows, seed=5)
        if chosen:
            result[name] = summary(chosen, verdicts(chosen, answers(model, tokens, chosen, s.n), out))
            print("evaluate:", name, result[name], flush=True)
    (out / f"evaluation-{Path(s.checkpoint).stem}.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


def answerable(rows: Sequence[dict[str, Any]], tokens: Tokens, count: int, *, seed: int) -> list[dict[str, Any]]:
    """Rows that have something to find and words for it; the same for the same corpus."""
    fitting = []
    for row in rows:
        if row["answer"] == KEEP:
            continue
        with contextlib.suppress(ValueError):
            tokens.encode_text(row["prompt"], types_of(row))
            fitting.append(row)
    return random.Random(seed).sample(fitting, min(count, len(fitting)))


def main(arguments: Sequence[str]) -> None:
    configuration.run(evaluate, "evaluate", __doc__, arguments)
