"""Stage `sft`: supervised training on the corpus, or on a file of ids that `pack` made of one.

The corpus and `wins.jsonl` are read again at every pass. The vocabulary is made once, from the first rows.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train import config, parallel, trainer
from gccllm.lab.train.corpus import NAME, read, reserved_texts
from gccllm.lab.train.examples import load_examples
from gccllm.lab.train.pack import unpack
from gccllm.propose import prelude
from gccllm.propose.tokens import Tokens


def build_tokens(out: Path, *, rows: int = 20000) -> Tokens:
    """The vocabulary, made once from the first rows (dropped ones too: their words may be asked for)."""
    path = out / "tokens.json"
    if not path.exists():
        known = [row for _, row in zip(range(rows), read(out / NAME), strict=False)]
        tokens = Tokens.build([(row["prompt"], row["expert"]) for row in known], macros=prelude.macros())
        tokens.with_follows(answers_of(tokens, known)).save(path)
    return Tokens.load(path)


def answers_of(tokens: Tokens, rows: Iterable[dict[str, Any]]) -> Iterator[list[int]]:
    """Ids of the experts' answers, and of KEEP; what has no words is left out."""
    yield tokens.encode_c("KEEP", "")
    for row in rows:
        with contextlib.suppress(ValueError):
            yield tokens.encode_c(row["expert"], row["prompt"])


def train(settings: config.Config) -> Path:
    """The stage; returns the checkpoint. Raises ValueError for settings that do not go together."""
    s, work = settings.sft, settings.out
    if s.data and s.unpaired:
        raise ValueError("unpaired needs the corpus, not data")
    out = work / "lm" if s.unpaired else work
    out.mkdir(parents=True, exist_ok=True)
    if s.data:
        splits, vocabulary = unpack(Path(s.data))
        return trainer.train(settings, out, vocabulary, lambda: splits)
    rank, _ = parallel.join()
    if rank:  # the first process makes the vocabulary, the others read it
        parallel.wait()
    tokens = build_tokens(work)
    if not rank:
        if s.unpaired:
            shutil.copyfile(work / "tokens.json", out / "tokens.json")
        parallel.wait()
    reserved = reserved_texts(Toolchain.find())

    def splits_now() -> dict[str, trainer.Rows]:
        found = load_examples(tokens, work / NAME, reserved, extra=out / "wins.jsonl", paired=not s.unpaired)
        return {name: trainer.Rows.of(examples) for name, examples in found.items()}

    return trainer.train(settings, out, tokens.size, splits_now)


def main(arguments: Sequence[str]) -> None:
    config.run(train, "sft", __doc__, arguments)
