"""PPO on the corpus: which prompts, what scores them, and what becomes of the answers that win.

Prompts are pairs that supervised training never saw: fresh batches from the generator, none of a held-out composition,
family or kernel, and only those whose expert beats the recipes (elsewhere there is nothing to find). The fastest
passing answer to each is kept in `wins.jsonl`, which supervised training reads beside the corpus: expert iteration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train import parallel, ppo
from gccllm.lab.train.corpus import NAME, make_batch, read, reserved_texts
from gccllm.lab.train.environment import Environment, prepare
from gccllm.lab.train.examples import example
from gccllm.propose.c_words import KEEP
from gccllm.propose.tokens import Tokens

FIRST_FRESH = 100_000
"""Batch numbers from here on are PPO's own."""


def fresh_rows(out: Path, seed: int, batches: int) -> list[dict[str, Any]]:
    """Training rows of new batches, remembered in `fresh.jsonl`; none has a prompt of the corpus."""
    path = out / "fresh.jsonl"
    rows = list(read(path)) if path.exists() else []
    have = len({row["batch"] for row in rows})
    if have < batches:
        seen = {row["prompt"] for row in read(out / NAME)} | {row["prompt"] for row in rows}
        reserved = reserved_texts(Toolchain.find())
        with path.open("a") as file:
            for batch in range(have, batches):
                for row in make_batch(out, seed, FIRST_FRESH + batch, reserved, timing=True):
                    if row["split"] in ("train", "random") and row["answer"] != KEEP and row["prompt"] not in seen:
                        seen.add(row["prompt"])
                        rows.append(row | {"batch": batch})
                        file.write(json.dumps(rows[-1]) + "\n")
    return rows


def reinforce(
    out: Path, seconds: float, *, prompts: int = 64, samples: int = 8, rate: float = 4e-4, reward: str = "ours",
    baseline: str = "both", entropy: float = 0.01, kl: float = 0.05, workers: int = 0, address: str | None = None,
    fresh_batches: int = 6, seed: int = 1, threads: int = 1, iterations: int | None = None, rows_at_once: int = 128,
    chunk_tokens: int = 1500,
) -> Path:  # fmt: skip
    """PPO from `out/checkpoint.pt`; returns `out/ppo.pt`. Under torchrun the processes share every iteration.

    rows_at_once, chunk_tokens: as large as the memory of a GPU allows; the defaults are for a CPU.
    """
    rank, _ = parallel.join()
    tokens = Tokens.load(out / "tokens.json")
    held = _held_prompts(tokens, out / NAME)
    if rank == 0:
        fresh_rows(out, seed, fresh_batches)
        prepare()
    parallel.wait()
    rows = [
        row
        for row in fresh_rows(out, seed, fresh_batches)
        if (made := example(tokens, row)) and tuple(made[0][: made[1]]) not in held
    ]
    settings = ppo.Settings(
        seed=seed, threads=threads, prompts=prompts, samples=samples, rate=rate, reward=reward, minibatch=prompts // 2,
        baseline=baseline, entropy_weight=entropy, kl_weight=kl, rows=rows_at_once, chunk_tokens=chunk_tokens,
    )  # fmt: skip
    if rank == 0:
        print(f"ppo: {len(rows)} prompts", flush=True)
    states = seed * 1_000_000_007 + rank * 100_003
    with Environment(
        rows, tokens, workers=workers, address=address, seed=states, keep=out / "wins.jsonl"
    ) as environment:
        return ppo.train(
            out, out / "checkpoint.pt", environment.prompts, environment.score, end=tokens.end, seconds=seconds,
            settings=settings, iterations=iterations,
        )  # fmt: skip


def _held_prompts(tokens: Tokens, path: Path) -> set[tuple[int, ...]]:
    held: set[tuple[int, ...]] = set()
    for row in read(path):
        if row["split"] in ("unseen", "family", "random") and (made := example(tokens, row)):
            held.add(tuple(made[0][: made[1]]))
    return held
