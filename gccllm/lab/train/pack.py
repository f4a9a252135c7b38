"""A corpus as one file of ids, and weights as parts: what travels to a machine with a GPU and back.

    python -m gccllm.lab.train pack corpus .large .large/go/ids.npz     # here: ids for SFT, prompts for PPO
    python -m gccllm.lab.train sft --data .large/go/ids.npz ...         # there; all of it: gpu.sh
    python -m gccllm.lab.train pack part .train/checkpoint.pt OUT/sft   # there: float16, in small parts
    python -m gccllm.lab.train pack join OUT/sft .large/checkpoint.pt   # here: a checkpoint for any stage

The machine needs the ids, torch and this project's source, and nothing of the corpus.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gccllm.lab.train.examples import HELD_SPLITS, Example
from gccllm.lab.train.model import Model, Shape
from gccllm.lab.train.trainer import Rows, load, save

PART_BYTES = 15 << 20
MOST_PROMPTS, MOST_HELD, FRESH_BATCHES = 8_000, 1_000, 14
"""What PPO is given: prompts, held-out rows of a split, and the batches it is told the prompts came in."""


def pack(splits: dict[str, list[Example]], vocabulary: int, path: Path) -> None:
    """One compressed file of all splits. Raises ValueError for a vocabulary of more than 65,536 words."""
    if vocabulary > 1 << 16:
        raise ValueError(f"{vocabulary} words do not fit into 16 bits")
    arrays: dict[str, Any] = {"vocabulary": np.array(vocabulary)}
    for name, examples in splits.items():
        rows = Rows.of(examples)
        lengths = rows.lengths.astype(np.uint16)
        arrays |= {f"{name}_ids": rows.ids, f"{name}_lengths": lengths, f"{name}_answer": rows.answer.astype(np.uint16)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def unpack(path: Path) -> tuple[dict[str, Rows], int]:
    """Splits and the size of the vocabulary."""
    with np.load(path) as stored:
        names = [name[: -len("_ids")] for name in stored.files if name.endswith("_ids")]
        splits = {
            name: Rows(
                stored[f"{name}_ids"],
                np.concatenate(([0], np.cumsum(stored[f"{name}_lengths"], dtype=np.int64))),
                stored[f"{name}_answer"].astype(np.int64),
            )
            for name in names
        }
        return splits, int(stored["vocabulary"])


def weights(model: Model, out: Path, part_bytes: int, facts: Mapping[str, float]) -> None:
    """float16 weights, one after another, in `weights.0` ... of at most `part_bytes`; `weights.json` says what."""
    state = model.state_dict()
    flat = torch.cat([tensor.detach().half().flatten().cpu() for tensor in state.values()]).numpy().tobytes()
    for number, start in enumerate(range(0, len(flat), part_bytes)):
        (out / f"weights.{number}").write_bytes(flat[start : start + part_bytes])
    told = {"shape": asdict(model.shape), "tensors": {name: list(t.shape) for name, t in state.items()}, "facts": facts}
    (out / "weights.json").write_text(json.dumps(told))


def joined(folder: Path) -> tuple[Model, dict[str, float]]:
    """The model of the parts in `folder`, and how it was trained. Raises ValueError when bytes are missing or over."""
    told = json.loads((folder / "weights.json").read_text())
    parts = sorted(folder.glob("weights.[0-9]*"), key=lambda part: int(part.suffix[1:]))
    flat = torch.frombuffer(bytearray(b"".join(part.read_bytes() for part in parts)), dtype=torch.float16).float()
    sizes = [int(np.prod(shape)) for shape in told["tensors"].values()]
    if sum(sizes) != len(flat):
        raise ValueError(f"{folder}: {len(flat)} weights, {sum(sizes)} are told of")
    pieces = zip(told["tensors"].items(), flat.split(sizes), strict=True)
    model = Model(Shape(**told["shape"]))
    model.load_state_dict({name: piece.view(shape) for (name, shape), piece in pieces})
    return model, told["facts"]


def join(folder: Path, path: Path) -> None:
    """The checkpoint of the parts in `folder`."""
    model, facts = joined(folder)
    save(path, model, {name: facts[name] for name in ("used", "trained", "step")})


def part(path: Path, folder: Path, part_bytes: int = PART_BYTES) -> None:
    """The parts of a checkpoint: what `join` takes."""
    model, stored = load(path)
    folder.mkdir(parents=True, exist_ok=True)
    weights(model, folder, part_bytes, {name: stored.get(name, 0) for name in ("used", "trained", "step")})


def pack_corpus(folder: Path, path: Path) -> None:
    """`pack` of `folder/corpus.jsonl` and its vocabulary; beside it, in `ppo`, what PPO starts from.

    Of the untimed training rows every sixteenth (by its text) is not trained on: it is a prompt for PPO, if its
    composition's experts beat the recipes. Held-out rows go along, at most MOST_HELD of a split.
    """
    from gccllm.base.toolchain import Toolchain
    from gccllm.lab.train.corpus import NAME, mark, read, reserved_texts
    from gccllm.lab.train.examples import load_examples, taught
    from gccllm.lab.train.sft import build_tokens
    from gccllm.propose.c_words import KEEP

    rows = list(read(folder / NAME))
    spared = {i for i, row in enumerate(rows) if _is_spare(row["split"], row["ticks"], mark(row["prompt"]))}
    answered = taught(rows)
    spare_texts = {rows[i]["prompt"] for i in spared}
    ppo = path.parent / "ppo"
    ppo.mkdir(parents=True, exist_ok=True)
    fresh = [row for row in answered if row["prompt"] in spare_texts and row["answer"] != KEEP][:MOST_PROMPTS]
    _write(ppo / "fresh.jsonl", [row | {"batch": i % FRESH_BATCHES} for i, row in enumerate(fresh)])
    held: dict[str, list[dict[str, Any]]] = {name: [] for name in HELD_SPLITS}
    for row in answered:
        if row["split"] in held and len(held[row["split"]]) < MOST_HELD:
            held[row["split"]].append(row)
    _write(ppo / NAME, [row for part in held.values() for row in part])
    _write(folder / "trained.jsonl", [row for i, row in enumerate(rows) if i not in spared])
    tokens = build_tokens(folder)
    shutil.copy(folder / "tokens.json", ppo)
    splits = load_examples(
        tokens, folder / "trained.jsonl", reserved_texts(Toolchain.find()), extra=folder / "wins.jsonl"
    )
    shuffler = random.Random(0)
    for name in held:
        shuffler.shuffle(splits[name])
    pack(splits, tokens.size, path)
    print(f"pack: {', '.join(f'{len(part)} {name}' for name, part in splits.items())}, {len(fresh)} prompts for PPO:"
          f" {path}, {path.stat().st_size} B")  # fmt: skip


def _is_spare(split: str, ticks: list[int], mark_of: int) -> bool:
    return split == "train" and not ticks[2] and mark_of % 16 == 0


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m gccllm.lab.train pack", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, about in (("corpus", "a corpus's folder"), ("join", "a folder of weights"), ("part", "a checkpoint")):
        verb = verbs.add_parser(name)
        verb.add_argument("source", type=Path, help=about)
        verb.add_argument("target", type=Path)
    given = parser.parse_args(arguments)
    verbs_of: dict[str, Callable[[Path, Path], None]] = {"corpus": pack_corpus, "join": join, "part": part}
    verbs_of[given.verb](given.source, given.target)
