"""Supervised training of a larger model on one GPU, for machines that have nothing of this project but its source.

`pack` turns a corpus into one file of ids; `train` needs that file, torch and `gccllm.lab.train.model`, keeps all ids
in the device's memory and makes its batches there: padded on the right to a multiple of 16, no mask (attention is
causal, and no loss is on padding). bfloat16 where it pays, float32 weights, blocks compiled where a compiler is found;
`weights` come back as float16, in parts that pass a limit of file size; `join` makes them a checkpoint that `ppo`,
`export`, `compare` and `eval` take.

    python -m gccllm.lab.train.bulk pack .train .large/ids.npz                 # here
    python -m gccllm.lab.train.bulk train .large/ids.npz $OUT --seconds 480    # there; all of it: gpu.sh
    python -m gccllm.lab.train.bulk join $OUT .large/checkpoint.pt             # here

Loss, optimiser and schedule are those of `sft`; a run cannot be resumed: its machine is gone when it stops.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gccllm.lab.train.model import Block, Model, Muon, Shape
from gccllm.lab.train.schedule import scale_at

LARGE: dict[str, int] = {"hidden": 320, "inner": 896, "layers": 8, "heads": 5}
"""Sizes of the larger model: 11 million parameters, 12 MB in Q8_0."""
MULTIPLE = 16
PART_BYTES = 15 << 20
MOST_PROMPTS, MOST_HELD, FRESH_BATCHES = 8_000, 1_000, 14
"""What PPO is given: prompts, held-out rows of a split, and the batches it is told the prompts came in."""
HELD_OUT = 512
"""Examples of a held-out split that the curve is made of."""
COLUMNS = ("seconds", "step", "tokens", "passes", "train_loss", "random_loss", "random_accuracy", "unseen_loss",
           "unseen_accuracy", "family_loss", "family_accuracy")  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Examples of one split: N of them, T tokens in all."""

    ids: np.ndarray[Any, np.dtype[np.uint16]]
    """(T,) tokens of all, one after another."""
    first: np.ndarray[Any, np.dtype[np.int64]]
    """(N + 1,) where each starts."""
    answer: np.ndarray[Any, np.dtype[np.int64]]
    """(N,) tokens before the answer."""

    @staticmethod
    def of(examples: list[tuple[list[int], int]]) -> Rows:
        first = np.cumsum([0, *(len(ids) for ids, _ in examples)])
        flat = np.fromiter((i for ids, _ in examples for i in ids), np.uint16, int(first[-1]))
        return Rows(flat, first.astype(np.int64), np.array([start for _, start in examples], np.int64))


def pack(splits: dict[str, list[tuple[list[int], int]]], vocabulary: int, path: Path) -> None:
    """One compressed file of all splits. Raises ValueError for a vocabulary of more than 65,536 words."""
    if vocabulary > 1 << 16:
        raise ValueError(f"{vocabulary} words do not fit into 16 bits")
    arrays: dict[str, Any] = {"vocabulary": np.array(vocabulary)}
    for name, examples in splits.items():
        rows = Rows.of(examples)
        lengths = np.diff(rows.first).astype(np.uint16)
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


def batches(rows: Rows, step_tokens: int, rng: np.random.Generator) -> Iterator[tuple[int, Any]]:
    """One pass: padded length and the examples of each batch, of like lengths, in random order."""
    lengths = np.diff(rows.first)
    order = rng.permutation(len(lengths))
    made: list[tuple[int, Any]] = []
    for part in np.array_split(order, max(1, len(order) // 64000)):
        part = part[np.argsort(-lengths[part], kind="stable")]
        at = 0
        while at < len(part):  # the longest first: its length is the batch's
            length = -(-int(lengths[part[at]]) // MULTIPLE) * MULTIPLE
            size = max(1, step_tokens // length)
            made.append((length, part[at : at + size]))
            at += size
    yield from (made[i] for i in rng.permutation(len(made)))


@dataclass(frozen=True)
class Batch:
    """B examples of L tokens at most, with A answer tokens in all."""

    ids: Tensor
    """(B, L)"""
    at: Tensor
    """(A,) places in (B * L) from whose state an answer token is predicted."""
    goal: Tensor
    """(A,) the answer tokens."""


class Loader:
    """Batches of one split, made on the device; what is learnt where is known without asking it."""

    def __init__(self, rows: Rows, device: str) -> None:
        self.rows, self.device = rows, device
        self.lengths = np.diff(rows.first)
        self.ids = torch.from_numpy(rows.ids.astype(np.int16)).to(device)  # torch gathers no uint16
        self.first = torch.from_numpy(rows.first).to(device)

    def batch(self, length: int, chosen: Any) -> Batch:
        lengths, answer = self.lengths[chosen], self.rows.answer[chosen]
        counts = lengths - answer
        row = np.repeat(np.arange(len(chosen)), counts)
        column = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(answer, counts)
        index, count, at, whence = (
            torch.from_numpy(np.ascontiguousarray(x)).to(self.device, non_blocking=True)
            for x in (chosen, lengths, row * length + column - 1, self.rows.first[chosen][row] + column)
        )
        columns = torch.arange(length, device=self.device)
        place = (self.first[index][:, None] + columns).clamp_(max=len(self.ids) - 1)
        ids = torch.where(columns < count[:, None], self.ids[place].long() & 0xFFFF, 0)
        return Batch(ids, at, self.ids[whence].long() & 0xFFFF)


def answer_logits(model: Model, batch: Batch, *, half: bool) -> Tensor:
    """(A, V), float32."""
    with torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=half):
        logits = model.logits(model.states(batch.ids).flatten(0, 1)[batch.at])
    return logits.float()


@torch.no_grad()
def held_out(model: Model, loader: Loader, *, half: bool) -> tuple[float, float]:
    """Mean loss (nats a token) and share of tokens predicted right, of the first examples of a split."""
    model.eval()
    loss = right = count = 0.0
    lengths = loader.lengths[:HELD_OUT]
    for part in np.array_split(np.argsort(lengths), max(1, len(lengths) // 64)):
        batch = loader.batch(-(-int(lengths[part].max()) // MULTIPLE) * MULTIPLE, part)
        logits = answer_logits(model, batch, half=half)
        loss += float(functional.cross_entropy(logits, batch.goal, reduction="sum"))
        right += float((logits.argmax(-1) == batch.goal).sum())
        count += len(batch.goal)
    model.train()
    return loss / max(count, 1), right / max(count, 1)


def compiled(model: Model, attempt: Any) -> str:
    """Compile the blocks, one graph for all lengths, if `attempt` (a step) then runs; what is said of it."""
    plain = Block.forward
    try:
        Block.forward = torch.compile(plain, dynamic=True)  # type: ignore[method-assign]
        attempt()
    except Exception as error:  # a missing C compiler, a graph it cannot make: training goes on without
        Block.forward = plain  # type: ignore[method-assign]
        return f"blocks are not compiled: {str(error).splitlines()[0][:200]}"
    return "blocks are compiled"


def train(
    data: Path, out: Path, seconds: float, *, start: Path | None = None, scale: float = 1.0,
    step_tokens: int = 1 << 15, drop: float = 0.1, seed: int = 0, shape: dict[str, int] | None = None,
    steps: int | None = None, part_bytes: int = PART_BYTES, speed_up: bool = True,
) -> None:  # fmt: skip
    """Train for `seconds` of wall time, on a GPU if there is one; writes `curve.csv` and the weights into `out`.

    start: a folder of weights to go on from, with a schedule of its own; scale: of the learning rates. drop: share of
    every block's additions that is zeroed while it trains. steps: stop after so many.
    """
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    rng = np.random.default_rng(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    half = device == "cuda"
    splits, vocabulary = unpack(data)
    loaders = {name: Loader(rows, device) for name, rows in splits.items()}
    model = Model(Shape(vocabulary, **(LARGE if shape is None else shape)))
    if start is not None:
        model = joined(start)[0]
    model = model.to(device)
    for block in model.blocks:
        cast(Block, block).drop = drop
    model.train()
    optimizer = Muon(model)
    out.mkdir(parents=True, exist_ok=True)
    source = loaders["train"]
    print(f"bulk: {sum(p.numel() for p in model.parameters())} parameters, {len(source.rows.answer)} examples of"
          f" {len(source.rows.ids)} tokens on {device}", flush=True)  # fmt: skip

    def learn(length: int, chosen: Any) -> Tensor:
        batch = source.batch(length, chosen)
        loss = functional.cross_entropy(answer_logits(model, batch, half=half), batch.goal)
        loss.backward()
        return loss.detach()

    begin = time.monotonic()
    if speed_up:
        print("bulk:", compiled(model, lambda: learn(*next(batches(source.rows, step_tokens, rng)))), flush=True)
        model.zero_grad(set_to_none=True)
    step, trained, passes, logged = 0, 0, 0, time.monotonic()
    recent: list[Tensor] = []
    with (out / "curve.csv").open("w", newline="") as file:
        curve = csv.writer(file)
        curve.writerow(COLUMNS)

        def note() -> None:
            row: list[float] = [round(time.monotonic() - begin), step, trained, passes]
            row.append(round(float(torch.stack(recent[-200:]).mean()), 4))
            for name in ("random", "unseen", "family"):
                row += [round(x, 4) for x in held_out(model, loaders[name], half=half)]
            curve.writerow(row)
            file.flush()
            print("bulk:", *row, flush=True)

        while (used := time.monotonic() - begin) < seconds and (steps is None or step < steps):
            for length, chosen in batches(source.rows, step_tokens, rng):
                used = time.monotonic() - begin
                if used >= seconds or (steps is not None and step >= steps):
                    break
                recent.append(learn(length, chosen))
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step(scale * scale_at(used / seconds, step))
                step += 1
                trained += length * len(chosen)
                if len(recent) >= 400:
                    recent = recent[-200:]
                if time.monotonic() - logged > 30 or step == 1:
                    logged = time.monotonic()
                    note()
            passes += 1
        note()
    weights(model, out, part_bytes, {"trained": trained, "step": step, "used": time.monotonic() - begin})


def weights(model: Model, out: Path, part_bytes: int, facts: dict[str, float]) -> None:
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
    stored = {"shape": asdict(model.shape), "model": model.state_dict(), "optimizer": None}
    torch.save(stored | {name: facts[name] for name in ("used", "trained", "step")}, path)


def part(path: Path, folder: Path, part_bytes: int = PART_BYTES) -> None:
    """The parts of a checkpoint: what `join` takes."""
    from gccllm.lab.train.sft import load

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
    held: dict[str, list[dict[str, Any]]] = {name: [] for name in ("random", "unseen", "family")}
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
    print(f"bulk: {', '.join(f'{len(part)} {name}' for name, part in splits.items())}, {len(fresh)} prompts for PPO:"
          f" {path}, {path.stat().st_size} B")  # fmt: skip


def _is_spare(split: str, ticks: list[int], mark_of: int) -> bool:
    return split == "train" and not ticks[2] and mark_of % 16 == 0


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gccllm.lab.train.bulk", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, about in (("pack", "a corpus's folder"), ("train", "a file of ids"), ("join", "a folder of weights"),
                        ("part", "a checkpoint")):  # fmt: skip
        verb = verbs.add_parser(name)
        verb.add_argument("source", type=Path, help=about)
        verb.add_argument("target", type=Path)
        if name == "train":
            verb.add_argument("--seconds", type=float, required=True)
            verb.add_argument("--step-tokens", type=int, default=1 << 15)
            verb.add_argument("--steps", type=int)
            verb.add_argument("--start", type=Path)
            verb.add_argument("--scale", type=float, default=1.0)
            verb.add_argument("--drop", type=float, default=0.1)
    given = vars(parser.parse_args())
    verbs_of: dict[str, Callable[..., None]] = {"pack": pack_corpus, "train": train, "join": join, "part": part}
    verbs_of[given.pop("verb")](given.pop("source"), given.pop("target"), **given)


if __name__ == "__main__":
    main()
