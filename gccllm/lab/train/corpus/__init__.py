"""Stage `corpus`: pairs drawn, compiled, checked, timed; what is taught is what beats the compilers.

A row's expert must pass the quick check on fresh random states, else the row is dropped (and counted). Every
TIMED_EVERY-th batch is also timed on a medium state. Where the experts of a composition run at least 5% faster than the
fastest of gcc -O3 and the recipes, they are the answers; where they do not, the answer is the word `KEEP`: leave this
one to the compilers (`examples.taught`). Draws are a function of the seed and the batch number; which rows pass the
timing depends on the machine. Batches are appended whole, so a stopped run goes on where it was.

Splits: `family` holds families that training never sees under any name (`held-...`), `unseen` compositions that
training never sees (by family, kind, type and predicate, whatever the count's type and loop form), `random` rows of
compositions that it does see. No row has the canonical text of a benchmark kernel, and no training row that of a
held-out row.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train import config as configuration
from gccllm.lab.train import families
from gccllm.lab.train.checking import How, build_checker, check
from gccllm.lab.train.config import Config
from gccllm.lab.train.shapes import Pair
from gccllm.lab.train.text import HEADER, SCALAR, VARIANTS, bodies, compile_text, kernel_texts
from gccllm.propose.c_words import KEEP
from gccllm.propose.signature import CSignature

BATCH = 600
TESTS = 24
TIMED_EVERY = 4
"""Timing beside the recipes costs as much again as all the rest."""
WORTH = 1.05
"""Least speed-up over the fastest recipe for an answer to be taught."""
BAR = ("gcc-unrolled", "clang-wide")
"""Recipes that an answer is timed against here: the two that are hardest to beat; evaluation has them all."""
KERNELS = Path(__file__).resolve().parents[2] / "bench" / "kernels"
HELD = "held-"
NAME = "corpus.jsonl"
REAL = "real.jsonl"
"""Rows of functions of real programs (`real`), beside the corpus."""


def split_of(key: str, prompt: str) -> str:
    if key.startswith(HELD):
        return "family"
    composition = "/".join(key.split("/")[:4])
    if int.from_bytes(hashlib.sha256(composition.encode()).digest()[:4], "big") % 25 == 0:
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


def prompts_of(tools: Toolchain, pairs: list[Pair], flags: tuple[str, ...] = ()) -> dict[int, str]:
    """Canonical scalar text by position; pairs whose text is no prompt (calls, data) are left out."""
    source = HEADER + "\n".join(p.c.replace("KERN", f"fn{i}") for i, p in enumerate(pairs))
    return {int(name[2:]): text for name, text in bodies(compile_text(tools, source, [*SCALAR, *flags])).items()}


def mark(prompt: str) -> int:
    """64 bits that stand for a text: the texts of a corpus are too many to send to every worker."""
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8], "big")


@dataclass(frozen=True)
class Draws:
    """One batch of draws, by its number."""

    folder: Path
    seed: int
    number: int
    timing: bool = False
    """Time all rows, not only those of every TIMED_EVERY-th batch."""
    quick: bool = False
    """Time none, and check the experts with the macros' plain loops, which compile faster."""


def make_batch(draws: Draws, reserved: Set[str], known: Set[int] = frozenset()) -> list[dict[str, Any]]:
    """Rows of one batch, each text once; texts whose mark is `known` are not looked at."""
    tools = Toolchain.find()
    pairs = draw_batch(draws.seed, draws.number)
    prompts = prompts_of(tools, pairs, VARIANTS[draws.number % len(VARIANTS)])
    chosen: dict[str, Pair] = {}
    for i, pair in enumerate(pairs):
        prompt = prompts.get(i)
        if prompt is not None and prompt not in reserved and mark(prompt) not in known:
            chosen.setdefault(prompt, pair)
    timing = not draws.quick and (draws.timing or draws.number % TIMED_EVERY == 0)
    how = How(tests=TESTS, seed=draws.number, bar=BAR, timing=timing, draft=draws.quick)
    return rows_of(tools, draws.folder, chosen, how)


def rows_of(tools: Toolchain, folder: Path, chosen: dict[str, Pair], how: How) -> list[dict[str, Any]]:
    """Checked rows of prompts and their pairs; ticks are 0 where nothing was timed."""
    pairs = list(chosen.values())
    verdicts = check(tools, build_checker(tools, folder), pairs, [p.answer for p in pairs], how)
    made = []
    for (prompt, pair), verdict in zip(chosen.items(), verdicts, strict=True):
        right = verdict.is_pass and verdict.tests >= how.tests // 2 and (verdict.ticks[2] > 0 or not how.timing)
        made.append({
            "prompt": prompt, "split": split_of(pair.key, prompt) if right else "dropped",
            "answer": KEEP if how.timing and verdict.over_best < WORTH else pair.answer, "expert": pair.answer,
            "c": pair.c, "types": [pair.types.returns, list(pair.types.params)], "kinds": pair.kinds,
            "values": pair.values, "family": pair.family, "key": pair.key, "status": verdict.status,
            "tests": verdict.tests, "ticks": verdict.ticks, "recipe": verdict.recipe,
        })  # fmt: skip
    return made


def generate(config: Config) -> None:
    """Append batches to `corpus.jsonl` of the work folder until there are enough useful rows or the time is over."""
    out, s = config.out, config.corpus
    out.mkdir(parents=True, exist_ok=True)
    tools = Toolchain.find()
    build_checker(tools, out)
    path, marks = out / NAME, out / "corpus.done"
    done = int(marks.read_text()) if marks.exists() else 0
    seen: set[str] = set()
    useful = 0
    if path.exists():
        for row in read(path):
            seen.add(row["prompt"])
            useful += row["split"] != "dropped"
    reserved = reserved_texts(tools)
    end = time.monotonic() + s.minutes * 60
    known = {mark(prompt) for prompt in seen}
    with ProcessPoolExecutor(s.workers) as pool:
        drawn = (Draws(out, config.seed, number, quick=s.quick) for number in count(done))
        waiting = [pool.submit(make_batch, draws, reserved, known) for draws in islice(drawn, s.workers + 1)]
        while waiting and useful < s.rows and time.monotonic() < end:
            lines = [row for row in waiting.pop(0).result() if row["prompt"] not in seen]
            waiting.append(pool.submit(make_batch, next(drawn), reserved, known))
            with path.open("a") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
            done += 1
            marks.write_text(str(done))
            seen.update(row["prompt"] for row in lines)
            known = known | {mark(row["prompt"]) for row in lines}
            useful += sum(row["split"] != "dropped" for row in lines)
            taught = sum(row["answer"] != KEEP for row in lines)
            print(f"corpus: batch {done}, {useful} rows useful of {len(seen)}; {taught} of {len(lines)} taught",
                  flush=True)  # fmt: skip
        for future in waiting:
            future.cancel()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a corpus; a last line that is not complete (a run was stopped) is left out."""
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def types_of(row: dict[str, Any]) -> CSignature:
    return CSignature(row["types"][0], tuple(row["types"][1]))


def pair_of(row: dict[str, Any]) -> Pair:
    """The pair of a row; its answer is the expert's, taught or not."""
    return Pair(
        row["family"], row["key"], row["c"], row["expert"], types_of(row), tuple(row["kinds"]), tuple(row["values"])
    )


def main(arguments: Sequence[str]) -> None:
    configuration.run(generate, "corpus", __doc__, arguments)
