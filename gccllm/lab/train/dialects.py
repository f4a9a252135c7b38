"""Which dialect to teach, by measurement: the same functions, the same size, assembly answers against C answers.

Only functions whose compiled answer needs no constants in memory take part (assembly has no words for those), so the
comparison favours assembly. Two rules of stopping: equal tokens trained, and equal wall time.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train import sft
from gccllm.lab.train.corpus import NAME, reserved_texts
from gccllm.lab.train.evaluate import evaluate
from gccllm.lab.train.examples import load_rows, with_asm
from gccllm.propose.c_words import KEEP
from gccllm.propose.tokens import Tokens


def compare(
    out: Path, seconds: float, *, rows: int = 100, shape: dict[str, int] | None = None, threads: int = 1,
    most: int = 6000,
) -> dict[str, Any]:  # fmt: skip
    """Train both for `seconds`, then the one that saw more tokens again up to the other's; written to dialects.json.

    `most`: training rows taken, before those without an assembly side go.
    """
    folder = out / "dialects"
    reserved = reserved_texts(Toolchain.find())
    rng = random.Random(1)
    rows_by_split = load_rows(out / NAME, reserved)
    known = {name: [row for row in part if row["answer"] != KEEP] for name, part in rows_by_split.items()}
    splits = {
        name: with_asm(rng.sample(part, min(most if name == "train" else most // 10, len(part))))
        for name, part in known.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / NAME
    with source.open("w") as file:
        for part in splits.values():
            # without ticks: all of them are answered by their experts, in both dialects
            file.writelines(json.dumps(row | {"ticks": [0, 0, 0]}) + "\n" for row in part)
    found: dict[str, Any] = {"rows": {name: len(part) for name, part in splits.items()}}
    tokens_seen: dict[str, float] = {}
    for dialect in ("asm", "c"):
        found[dialect] = _run(folder / dialect, dialect, source, seconds, splits, rows, shape, threads, float("inf"))
        tokens_seen[dialect] = found[dialect]["tokens"]
    least = min(tokens_seen.values())
    for dialect, seen in tokens_seen.items():
        if seen > 1.05 * least:
            shorter = seconds * least / seen
            found[f"{dialect} at equal tokens"] = _run(
                folder / f"{dialect}-short", dialect, source, shorter, splits, rows, shape, threads, least
            )
    (out / "dialects.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def _run(
    out: Path, dialect: str, source: Path, seconds: float, splits: dict[str, list[dict[str, Any]]], rows: int,
    shape: dict[str, int] | None, threads: int, limit: float,
) -> dict[str, Any]:  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    if not (out / NAME).exists():
        (out / NAME).symlink_to(source.resolve())
    path = sft.train(out, seconds, shape=shape, dialect=dialect, threads=threads, tokens_limit=limit, quiet=True)
    model, stored = sft.load(path)
    tokens = Tokens.load(out / "tokens.json")
    result = evaluate(model, tokens, splits, out, rows=rows, dialect=dialect, names=("random", "unseen"))
    return {"tokens": stored["trained"], "seconds": stored["used"], "steps": stored["step"]} | result
