"""How often the exported model's answers are right, by split, and which benchmark kernels it solves.

The model is asked through llama.cpp, as users ask it. An answer counts as a pass when it assembles and the quick check
of `gccllm.train.checking` finds no difference on more states, from other seeds, than the corpus was made with.
"""

from __future__ import annotations

import json
import random
import statistics
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from gccllm.propose.llama import Gguf
from gccllm.propose.protocol import Deadline
from gccllm.propose.tokens import Tokens
from gccllm.toolchain import Toolchain
from gccllm.train.checking import Checked, build_checker, check
from gccllm.train.corpus import pair_of, read, reserved_texts
from gccllm.train.sft import MAX_ANSWER_TOKENS

TEMPERATURE = 0.7
TESTS = 120


def answers(model: Gguf, tokens: Tokens, prompt: str, n: int, seed: int, level: int = 5) -> list[str | None]:
    """Up to `n` bodies, the greedy one first; None for ids that make no text or do not end."""
    try:
        ids = tokens.encode_text(prompt, level)
    except ValueError:
        return []
    found: list[str | None] = []
    for answer in model.sample(
        ids,
        n,
        end=tokens.end,
        max_tokens=MAX_ANSWER_TOKENS,
        temperature=TEMPERATURE,
        seed=seed,
        deadline=Deadline(120.0),
        greedy_first=True,
    ):
        try:
            found.append(tokens.decode_answer(list(answer.ids), prompt) if answer.complete else None)
        except ValueError:
            found.append(None)
    return found


def evaluate_split(model: Gguf, tokens: Tokens, rows: list[dict[str, Any]], out: Path, n: int = 8) -> dict[str, Any]:
    """pass@1, pass@n and what the failures were, over `rows`."""
    tools = Toolchain.find()
    checker = build_checker(tools, out)
    jobs: list[tuple[int, int, str]] = []
    for i, row in enumerate(rows):
        for k, text in enumerate(answers(model, tokens, row["prompt"], n, seed=i)):
            if text is not None:
                jobs.append((i, k, text))
    verdicts: dict[tuple[int, int], Checked] = {}
    for start in range(0, len(jobs), 800):
        part = jobs[start : start + 800]
        results = check(
            tools,
            checker,
            [pair_of(rows[i]) for i, _, _ in part],
            [t for _, _, t in part],
            tests=TESTS,
            timing=True,
            seed=99991,
        )
        verdicts.update({(i, k): r for (i, k, _), r in zip(part, results, strict=True)})
    first = [verdicts.get((i, 0), Checked("none")) for i in range(len(rows))]
    any_pass = [any(verdicts.get((i, k), Checked("none")).is_pass for k in range(n)) for i in range(len(rows))]
    gains = [c.over_o3 for c in first if c.is_pass and c.over_o3]
    best = [c.over_best for c in first if c.is_pass and c.over_best]
    families: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row, one, some in zip(rows, first, any_pass, strict=True):
        entry = families[row["family"]]
        entry[0] += 1
        entry[1] += one.is_pass
        entry[2] += some
    share = lambda items: round(sum(items) / max(1, len(items)), 3)  # noqa: E731
    return {
        "rows": len(rows), "pass@1": share([c.is_pass for c in first]), f"pass@{n}": share(any_pass),
        "assembles": share([c.status not in ("asm", "none") for c in first]),
        "speedup_over_o3": round(statistics.median(gains), 2) if gains else 0,
        "speedup_over_best": round(statistics.median(best), 2) if best else 0,
        "status": dict(Counter(c.status for c in first)), "families": dict(families),
    }  # fmt: skip


def evaluate(gguf: Path, tokens_path: Path, out: Path, *, rows: int = 150, n: int = 8) -> dict[str, Any]:
    """Evaluation of both held-out splits; written to `out/evaluation.json`."""
    tokens = Tokens.load(tokens_path)
    model = Gguf(gguf, 1)
    reserved = reserved_texts(Toolchain.find())
    rng = random.Random(5)
    result: dict[str, Any] = {}
    try:
        for split in ("random", "unseen"):
            pool = [
                row for row in read(out / "corpus.jsonl") if row["split"] == split and row["prompt"] not in reserved
            ]
            result[split] = evaluate_split(model, tokens, rng.sample(pool, min(rows, len(pool))), out, n)
            print("eval:", split, result[split], flush=True)
    finally:
        model.close()
    (out / "evaluation.json").write_text(json.dumps(result, indent=1))
    return result
