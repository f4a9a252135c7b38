"""How often a checkpoint's answers are right, by split: the short look that training takes at itself.

Sampled in torch from the checkpoint; a pass agrees with the plain side on more states, from other seeds, than the
corpus was made with. `gccllm bench --suite model` is the long look: the exported file through llama.cpp, more methods,
intervals, the project's own gates.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train.checking import Checked, build_checker, check
from gccllm.lab.train.corpus import pair_of, types_of
from gccllm.lab.train.model import Model
from gccllm.lab.train.rollout import sample
from gccllm.propose.c_words import KEEP
from gccllm.propose.tokens import Tokens

TEMPERATURE = 0.7
TESTS = 120
MAX_TOKENS = {"c": 160, "asm": 320}


def answers(
    model: Model, tokens: Tokens, rows: Sequence[dict[str, Any]], n: int, *, dialect: str = "c", seed: int = 0
) -> list[list[str | None]]:
    """`n` texts for each row, the likeliest first; None for ids that make no text or do not end."""
    prompts = [
        tokens.encode_text(row["prompt"], types_of(row))
        if dialect == "c"
        else tokens.encode_text(row["prompt"], None, 3)
        for row in rows
    ]
    found: list[list[str | None]] = [[] for _ in rows]
    for samples, temperature in ((1, 0.0), (n - 1, TEMPERATURE)):
        if not samples:
            continue
        generator = torch.Generator().manual_seed(seed)
        for rollout in sample(
            model, prompts, samples, end=tokens.end, max_tokens=MAX_TOKENS[dialect], generator=generator,
            temperature=temperature,
        ):  # fmt: skip
            row = rows[rollout.prompt]
            decode = tokens.decode_c if dialect == "c" else tokens.decode_asm
            try:
                found[rollout.prompt].append(decode(rollout.answer, row["prompt"]) if rollout.complete else None)
            except ValueError:
                found[rollout.prompt].append(None)
    return found


def verdicts(
    rows: Sequence[dict[str, Any]], texts: Sequence[Sequence[str | None]], folder: Path, *, dialect: str = "c",
    timing: bool = True, seed: int = 99991,
) -> list[list[Checked]]:  # fmt: skip
    """A verdict for each text; equal texts of a row are checked once. `KEEP` is `keep`, no text is `none`."""
    tools = Toolchain.find()
    checker = build_checker(tools, folder)
    jobs = list(dict.fromkeys((i, t) for i, row in enumerate(texts) for t in row if t is not None and t != KEEP))
    known: dict[tuple[int, str], Checked] = {}
    for start in range(0, len(jobs), 600):
        part = jobs[start : start + 600]
        results = check(
            tools, checker, [pair_of(rows[i]) for i, _ in part], [t for _, t in part], tests=TESTS, timing=timing,
            seed=seed + start, dialect=dialect,
        )  # fmt: skip
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


def evaluate(
    model: Model, tokens: Tokens, splits: dict[str, list[dict[str, Any]]], folder: Path, *, rows: int = 150, n: int = 8,
    dialect: str = "c", names: Sequence[str] = ("random", "unseen", "family"),
) -> dict[str, Any]:  # fmt: skip
    """Summaries of the held-out splits, over rows whose expert beats the recipes."""
    model.eval()
    result: dict[str, Any] = {}
    for name in names:
        pool = [row for row in splits[name] if row["answer"] != KEEP and _fits(tokens, row, dialect)]
        chosen = random.Random(5).sample(pool, min(rows, len(pool)))
        if chosen:
            texts = answers(model, tokens, chosen, n, dialect=dialect)
            result[name] = summary(chosen, verdicts(chosen, texts, folder, dialect=dialect))
            print("eval:", name, result[name], flush=True)
    return result


def _fits(tokens: Tokens, row: dict[str, Any], dialect: str) -> bool:
    try:
        tokens.encode_text(row["prompt"], types_of(row) if dialect == "c" else None)
    except ValueError:
        return False
    return True
