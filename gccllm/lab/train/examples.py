"""From rows of a corpus to what a model is trained on: ids, and which of them are the answer.

What is taught is decided by composition, not by row: one timing near the threshold is a coin, the median of a
composition is not. A composition whose median expert beats the fastest recipe by 5% is answered by its experts, any
other by `KEEP`; one that was never timed goes with its kind.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Set
from pathlib import Path
from typing import Any

from gccllm.lab.train.corpus import REAL, WORTH, read, types_of
from gccllm.propose.c_words import KEEP
from gccllm.propose.tokens import Tokens

MAX_ANSWER_TOKENS = 320
ENOUGH, MOST_REPEATS = 150, 4
"""Kinds of pairs with few distinct texts (strcmp has no more than some dozens) are repeated up to here in a pass."""
MOST_KEEP = 0.12
"""Share of a pass that may say KEEP: the word is soon learnt. Half of it is for functions of real programs."""
HELD_SPLITS = ("random", "unseen", "family")
SPLITS = ("train", *HELD_SPLITS)
Example = tuple[list[int], int]
"""Ids of prompt, answer and end; the position where the answer starts."""


def composition(row: dict[str, Any]) -> str:
    return "/".join(row["key"].split("/")[:4])


def kind(row: dict[str, Any]) -> str:
    return "/".join(row["key"].split("/")[:2])


def taught(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The useful rows, each with its `answer` decided by the median of its composition."""
    rows = [row for row in rows if row["split"] in SPLITS]
    ratios: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["ticks"][2]:
            for key in (composition(row), kind(row)):
                ratios[key].append(row["ticks"][1] / row["ticks"][2])
    worth = {key: statistics.median(values) >= WORTH for key, values in ratios.items()}
    return [
        row | {"answer": row["expert"] if worth.get(composition(row), worth.get(kind(row), True)) else KEEP}
        for row in rows
    ]


def load_rows(path: Path, reserved: frozenset[str]) -> dict[str, list[dict[str, Any]]]:
    """Rows by split, without the `reserved` texts."""
    splits: dict[str, list[dict[str, Any]]] = {name: [] for name in SPLITS}
    for row in taught([row for row in read(path) if row["prompt"] not in reserved]):
        splits[row["split"]].append(row)
    return splits


def real_rows(path: Path, left_out: Set[str]) -> list[dict[str, Any]]:
    """Verified functions of real programs, answered by `KEEP`, but those whose text is in `left_out`.

    None without a file. What is not verified is never taught.
    """
    if not path.exists():
        return []
    return [row for row in read(path) if row["split"] in SPLITS and row["prompt"] not in left_out]


def example(tokens: Tokens, row: dict[str, Any]) -> Example | None:
    """Ids of a row; None when it has words outside the vocabulary or is too long."""
    try:
        prompt = tokens.encode_text(row["prompt"], types_of(row))
        answer = tokens.encode_c(row["answer"], row["prompt"])
    except ValueError:
        return None
    if len(answer) > MAX_ANSWER_TOKENS:
        return None
    return [*prompt, *answer, tokens.end], len(prompt)


def load_examples(
    tokens: Tokens, path: Path, reserved: frozenset[str], *, extra: Path | None = None, paired: bool = True
) -> dict[str, list[Example]]:
    """Examples by split; no training example has the prompt of a held-out one, constants aside.

    Verified functions of real programs, in `real.jsonl` beside the corpus, get half of the share of KEEP, repeated a
    few times where they are few, and the whole of it where the corpus has no others.

    `extra`: more training rows (the model's own verified answers), as a corpus. `paired` False gives every prompt
    somebody else's answer: what a model knows that has read all the texts and never which belongs to which.
    """
    rng = random.Random(0)
    rows = load_rows(path, reserved)
    known = reserved | {row["prompt"] for part in rows.values() for row in part}
    for row in real_rows(path.with_name(REAL), known):
        rows[row["split"]].append(row)
    if extra is not None and extra.exists():
        rows["train"] += [row | {"split": "train"} for row in read(extra) if row["prompt"] not in reserved]
    made = {name: [(row, e) for row in part if (e := example(tokens, row))] for name, part in rows.items()}
    held = {tuple(ids[:start]) for name in HELD_SPLITS for _, (ids, start) in made[name]}
    kept = [(row, e) for row, e in made["train"] if tuple(e[0][: e[1]]) not in held]
    real = [e for row, e in kept if row["family"].startswith("real/")] * MOST_REPEATS
    keeps = [e for row, e in kept if row["answer"] == KEEP and not row["family"].startswith("real/")]
    taught_rows = [(row, e) for row, e in kept if row["answer"] != KEEP]
    rng.shuffle(keeps)
    share = int(len(taught_rows) * MOST_KEEP / (1 - MOST_KEEP)) + 1
    rng.shuffle(real)
    real = real[: max(-(-share // 2), share - len(keeps))]
    keeps = real + keeps[: share - len(real)]
    often = Counter(kind(row) for row, _ in taught_rows)
    train = [e for row, e in taught_rows for _ in range(min(MOST_REPEATS, max(1, ENOUGH // often[kind(row)])))]
    if not paired:
        rng.shuffle(train)
        others = [ids[start:] for ids, start in train[1:] + train[:1]]
        train = [([*ids[:start], *other], start) for (ids, start), other in zip(train, others, strict=True)]
    return {"train": train + keeps} | {name: [e for _, e in made[name]] for name in HELD_SPLITS}
