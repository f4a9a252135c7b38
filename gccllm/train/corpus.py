"""The corpus: pairs drawn, compiled, checked, timed, and kept only where the expert is right and worth it.

A row is kept when the expert's text passes the quick check on fresh random states and runs at least 5% faster, on a
medium state, than the better of gcc -O3 with and without AVX-512. Draws are a function of the seed and the batch
number; which rows pass the timing depends on the machine. Batches are appended, so a stopped run goes on where it was.

Splits, by key (the composition) and by a hash of the text: `unseen` holds compositions that training never sees,
`random` rows of compositions that it does see. No row has the canonical text of a benchmark kernel.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gccllm.toolchain import Toolchain
from gccllm.train import families
from gccllm.train.checking import build_checker, check
from gccllm.train.shapes import Pair
from gccllm.train.text import HEADER, SCALAR, VARIANTS, bodies, compile_text, kernel_texts

BATCH = 1200
TESTS = 24
WORTH = 1.05
"""Least speed-up over the better of gcc's own two for an answer to be taught."""
KERNELS = Path(__file__).resolve().parents[1] / "bench" / "kernels"


def split_of(key: str, prompt: str) -> str:
    if int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 25 == 0:
        return "unseen"
    return "random" if int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big") % 100 == 0 else "train"


def reserved_texts(tools: Toolchain, folder: Path = KERNELS) -> frozenset[str]:
    """Canonical texts of the benchmark's kernels under the flags prompts are made with: never rows."""
    texts: set[str] = set()
    if folder.is_dir():
        for flags in dict.fromkeys(VARIANTS):
            texts.update(kernel_texts(tools, folder, flags).values())
    return frozenset(texts)


def draw_batch(seed: int, batch: int, size: int = BATCH) -> list[Pair]:
    rng = random.Random(f"{seed}/{batch}")
    return [families.draw(rng) for _ in range(size)]


def prompts_of(tools: Toolchain, pairs: list[Pair], flags: tuple[str, ...]) -> dict[int, str]:
    source = HEADER + "\n".join(p.c.replace("KERN", f"f{i}") for i, p in enumerate(pairs))
    return {int(name[1:]): text for name, text in bodies(compile_text(tools, source, [*SCALAR, *flags])).items()}


def make_batch(
    tools: Toolchain, checker: Path, seed: int, batch: int, seen: set[str], reserved: frozenset[str]
) -> Iterator[dict[str, object]]:
    """Rows of one batch; `seen` grows by the prompts' texts."""
    pairs = draw_batch(seed, batch)
    flags = VARIANTS[batch % len(VARIANTS)]
    prompts = prompts_of(tools, pairs, flags)
    chosen: list[tuple[Pair, str]] = []
    for i, pair in enumerate(pairs):
        prompt = prompts.get(i)
        if prompt is None or prompt in seen or prompt in reserved:
            continue
        seen.add(prompt)
        chosen.append((pair, prompt))
    kept = [pair for pair, _ in chosen]
    for (pair, prompt), verdict in zip(
        chosen, check(tools, checker, kept, [p.asm for p in kept], tests=TESTS, seed=batch), strict=True
    ):
        worth = verdict.is_pass and verdict.over_best >= WORTH and verdict.tests >= TESTS // 2
        yield {
            "prompt": prompt, "split": split_of(pair.key, prompt) if worth else "dropped", "status": verdict.status,
            "tests": verdict.tests, "ticks": verdict.ticks, **asdict(pair),
        }  # fmt: skip


def generate(out: Path, seed: int, rows: int, seconds: float) -> None:
    """Append batches to `out/corpus.jsonl` until there are `rows` useful ones or the time is over."""
    tools = Toolchain.find()
    checker = build_checker(tools, out)
    path = out / "corpus.jsonl"
    marks = out / "corpus.done"
    done = int(marks.read_text()) if marks.exists() else 0
    seen: set[str] = set()
    useful = 0
    if path.exists():
        for row in read(path):
            seen.add(row["prompt"])
            useful += row["split"] != "dropped"
    reserved = reserved_texts(tools)
    end = time.monotonic() + seconds
    while useful < rows and time.monotonic() < end:
        lines = list(make_batch(tools, checker, seed, done, seen, reserved))
        with path.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        done += 1
        marks.write_text(str(done))
        useful += sum(line["split"] != "dropped" for line in lines)
        print(f"corpus: batch {done}, {useful} rows useful of {len(seen)}", flush=True)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a corpus; a last line that is not complete (a run was stopped) is left out."""
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def pair_of(row: dict[str, Any]) -> Pair:
    names = ("family", "key", "c", "asm", "returns", "kinds", "level", "values")
    fields: dict[str, Any] = {n: tuple(row[n]) if n in ("kinds", "values") else row[n] for n in names}
    return Pair(**fields)
