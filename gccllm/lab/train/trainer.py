"""The supervised trainer: the loss is on the answers' tokens. Stops by the clock, goes on from its checkpoint.

One loop for two CPU cores, one GPU, or several: `torchrun --nproc-per-node N -m gccllm.lab.train sft` splits each
step's batches over the processes and averages the gradients. All ids of a split lie on the device and batches are made
there, padded on the right and without a mask: attention is causal, and no loss is on padding. On a GPU the forward pass
is in bfloat16 and the blocks are compiled where a compiler is found; on a CPU it is plain float32.

The learning rate follows the share of the time that is used up, so a stopped run that is resumed ends its schedule
where it should. Curriculum: in the first share of the time only short examples, then all.
"""

from __future__ import annotations

import csv
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gccllm.lab.train import parallel
from gccllm.lab.train.config import Config, Sft
from gccllm.lab.train.examples import HELD_SPLITS, Example
from gccllm.lab.train.model import Block, Model, Muon, Shape

CHECKPOINT = "checkpoint.pt"
HELD_OUT = {"cpu": 128, "cuda": 512}
"""Examples of a held-out split that a row of the curve is made of, by device."""
LOG_S = 60.0
COLUMNS = ("seconds", "step", "tokens", "rows", "train_loss",
           *(f"{name}_{what}" for name in HELD_SPLITS for what in ("loss", "accuracy")))  # fmt: skip


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
    def of(examples: Sequence[Example]) -> Rows:
        first = np.cumsum([0, *(len(ids) for ids, _ in examples)])
        flat = np.fromiter((i for ids, _ in examples for i in ids), np.uint16, int(first[-1]))
        return Rows(flat, first.astype(np.int64), np.array([start for _, start in examples], np.int64))

    @property
    def lengths(self) -> Any:
        return np.diff(self.first)


@dataclass(frozen=True)
class Batch:
    """B examples, padded to L tokens, with A answer tokens in all."""

    ids: Tensor
    """(B, L); the last token of the longest example is not an input: nothing follows it."""
    at: Tensor
    """(A,) places in (B * L) from whose state an answer token is predicted."""
    goal: Tensor
    """(A,) the answer tokens."""


class Loader:
    """Batches of one split, made on the device without a synchronisation."""

    def __init__(self, rows: Rows, device: torch.device) -> None:
        self.rows, self.device, self.lengths = rows, device, rows.lengths
        self.ids = torch.from_numpy(rows.ids.astype(np.int16)).to(device)  # torch gathers no uint16
        self.first = torch.from_numpy(rows.first).to(device)

    def batch(self, chosen: Sequence[int], multiple: int = 1) -> Batch:
        index = np.asarray(chosen)
        lengths, answer = self.lengths[index], self.rows.answer[index]
        length = -(-(int(lengths.max()) - 1) // multiple) * multiple
        counts = lengths - answer
        row = np.repeat(np.arange(len(index)), counts)
        column = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(answer, counts)
        which, count, at, whence = (
            torch.from_numpy(np.ascontiguousarray(x)).to(self.device, non_blocking=True)
            for x in (index, lengths, row * length + column - 1, self.rows.first[index][row] + column)
        )
        columns = torch.arange(length, device=self.device)
        place = (self.first[which][:, None] + columns).clamp_(max=len(self.ids) - 1)
        ids = torch.where(columns < count[:, None], self.ids[place].long() & 0xFFFF, 0)
        return Batch(ids, at, self.ids[whence].long() & 0xFFFF)


def batches(lengths: Sequence[int], s: Sft, rng: random.Random, longest: int = 10**9) -> Iterator[list[int]]:
    """One pass: indices of examples, about `step_tokens` padded tokens of like lengths, in random order.

    None is longer than `longest`.
    """
    order = [i for i, length in enumerate(lengths) if length <= longest]
    rng.shuffle(order)
    made: list[list[int]] = []
    for start in range(0, len(order), s.window):
        current: list[int] = []
        for i in sorted(order[start : start + s.window], key=lambda i: lengths[i]):
            if current and lengths[i] * (len(current) + 1) > s.step_tokens:
                made.append(current)
                current = []
            current.append(i)
        if current:
            made.append(current)
    rng.shuffle(made)
    yield from made


def answer_logits(model: Model, batch: Batch) -> Tensor:
    """(A, V), float32."""
    kind = batch.ids.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
        logits = model.logits(model.states(batch.ids).flatten(0, 1)[batch.at])
    return logits.float()


@torch.no_grad()
def held_out(model: Model, loader: Loader) -> tuple[float, float]:
    """Mean loss (nats a token) and share of tokens predicted right, of the first examples of a split."""
    model.eval()
    loss = right = count = 0.0
    lengths = loader.lengths[: HELD_OUT[loader.device.type]]
    for part in np.array_split(np.argsort(lengths), max(1, len(lengths) // 64)) if len(lengths) else ():
        batch = loader.batch(part.tolist(), 16)
        logits = answer_logits(model, batch)
        loss += float(functional.cross_entropy(logits, batch.goal, reduction="sum"))
        right += float((logits.argmax(-1) == batch.goal).sum())
        count += len(batch.goal)
    model.train()
    return loss / max(count, 1), right / max(count, 1)


def scale_at(done: float, step: int) -> float:
    """Learning-rate scale when `done` (0..1) of the time is used: short warm-up, flat, linear to zero."""
    warm = min(1.0, (step + 1) / 40)
    return warm * (1.0 if done < 0.35 else max(0.0, 1 - (done - 0.35) / 0.65) * 0.98 + 0.02)


def longest_at(done: float, s: Sft) -> int:
    """Tokens of the longest example when `done` of the time is used: `short`, rising to four times as many."""
    return 10**9 if done >= s.curriculum else int(s.short * (1 + 3 * done / s.curriculum))


def compiled(attempt: Callable[[], object]) -> str:
    """Compile the blocks, one graph for all lengths, if `attempt` (a step) then runs; returns a line for the log."""
    plain = Block.forward
    try:
        Block.forward = torch.compile(plain, dynamic=True)  # type: ignore[method-assign]
        attempt()
    except Exception as error:  # a missing C compiler, a graph it cannot make: training goes on without
        Block.forward = plain  # type: ignore[method-assign]
        return f"blocks are not compiled: {str(error).splitlines()[0][:200]}"
    return "blocks are compiled"


def train(config: Config, out: Path, vocabulary: int, read: Callable[[], dict[str, Rows]]) -> Path:
    """Train until the time is over; returns the checkpoint.

    read: the splits, asked at every pass, since a corpus may still grow. A checkpoint without an optimiser's state
    (weights that were restored or joined) starts a schedule of its own. Raises ValueError when no row can be trained
    on, and for a configuration that is not the checkpoint's.
    """
    s = config.sft
    rank, world = parallel.join()
    device = parallel.device(rank)
    torch.set_num_threads(config.threads)
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else "highest")
    torch.manual_seed(config.seed)
    rng = random.Random(config.seed)
    path = out / CHECKPOINT
    stored: dict[str, Any] = torch.load(path, weights_only=False, map_location=device) if path.exists() else {}
    shape = Shape(**stored["shape"]) if stored else Shape(vocabulary, s.hidden, s.inner, s.layers, s.heads)
    if shape.vocabulary != vocabulary:
        raise ValueError(f"{path} has {shape.vocabulary} words, the vocabulary {vocabulary}: move the checkpoint away")
    s = replace(s, hidden=shape.hidden, inner=shape.inner, layers=shape.layers, heads=shape.heads)
    config = replace(config, sft=s)  # a checkpoint's own sizes, whatever was asked for
    if "config" in stored:
        config.check_same(stored["config"], "sft", path)
    model = Model(shape).to(device)
    optimizer = Muon(model)
    used, trained, step = 0.0, 0, 0
    if stored:
        model.load_state_dict(stored["model"])
    if stored.get("optimizer") is not None:
        optimizer.load(stored["optimizer"])
        used, trained, step = stored["used"], int(stored["trained"]), int(stored["step"])
        rng.seed(step)
    for block in model.blocks:
        cast(Block, block).drop = s.drop
    model.train()
    curve = out / "curve.csv"
    if rank == 0:
        print(config.line("sft"), f"parameters={sum(p.numel() for p in model.parameters())}", flush=True)
    splits: dict[str, Rows] = {}
    loaders: dict[str, Loader] = {}
    recent: list[Tensor] = []

    def learn(chosen: Sequence[int]) -> Tensor:
        batch = loaders["train"].batch(chosen, s.multiple)
        loss = functional.cross_entropy(answer_logits(model, batch), batch.goal)
        loss.backward()
        return loss.detach()

    def note() -> None:
        row = [round(used), step, trained, len(splits["train"].answer), round(float(torch.stack(recent).mean()), 4)]
        for name in HELD_SPLITS:
            row += [round(x, 4) for x in held_out(model, loaders[name])]
        _append(curve, row)

    def keep() -> None:
        facts = {"used": used, "trained": trained, "step": step, "config": config.stored()}
        save(path, model, {"optimizer": optimizer.state()} | facts)

    def is_over() -> bool:
        return used >= s.minutes * 60 or bool(s.steps and step >= s.steps)

    to_compile = device.type == "cuda"
    begin = time.monotonic() - used
    saved = logged = time.monotonic()
    while not is_over():
        fresh = read()
        if fresh is not splits:
            splits, loaders = fresh, {name: Loader(rows, device) for name, rows in fresh.items()}
        if not len(splits["train"].answer):
            raise ValueError(f"no row to train on for {out}")
        lengths = splits["train"].lengths.tolist()
        if to_compile:
            print("sft:", compiled(partial(learn, next(batches(lengths, s, random.Random(0))))), flush=True)
            model.zero_grad(set_to_none=True)
            to_compile = False
        for number, chosen in enumerate(batches(lengths, s, rng, longest_at(used / (s.minutes * 60), s))):
            if number % world != rank:
                continue
            used = parallel.agreed(time.monotonic() - begin)
            if is_over():
                break
            loss = learn(chosen)
            parallel.gradients([model], mean=True)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step(s.scale * scale_at(used / (s.minutes * 60), step))
            step += 1
            trained += sum(lengths[i] for i in chosen) * world
            recent = [*recent[-99:], loss]
            now = time.monotonic()
            if rank == 0 and (now - logged > LOG_S or step == 1):
                logged = now
                note()
            if rank == 0 and now - saved > s.save_every:
                saved = now
                keep()
    if rank == 0:
        if recent:
            note()
        keep()
    parallel.leave()
    return path


def _append(curve: Path, row: Sequence[float]) -> None:
    """A row of a CSV file with COLUMNS at its head, printed too."""
    is_new = not curve.exists()
    with curve.open("a", newline="") as file:
        csv.writer(file).writerows([COLUMNS, row] if is_new else [row])
    print("sft:", *row, flush=True)


def save(path: Path, model: Model, facts: Mapping[str, Any]) -> None:
    """A checkpoint: shape and weights of the model, and `facts`. Replaced by rename."""
    temporary = path.with_suffix(".tmp")
    torch.save({"shape": asdict(model.shape), "model": model.state_dict(), "optimizer": None} | dict(facts), temporary)
    temporary.replace(path)


def load(path: Path) -> tuple[Model, dict[str, Any]]:
    """The model of a checkpoint, and the rest of it."""
    stored = torch.load(path, weights_only=False, map_location="cpu")
    model = Model(Shape(**stored["shape"]))
    model.load_state_dict(stored["model"])
    return model.eval(), stored
