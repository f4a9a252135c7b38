"""Supervised training: the loss is on the answer's tokens. Stops by the clock, goes on from its checkpoint.

One script for two CPU cores, one GPU, or several: `torchrun --nproc-per-node N -m gccllm.lab.train sft ...` splits each
step's batches over the processes and averages the gradients. The corpus may still grow while this runs: it is read
again at every pass. The learning rate follows the share of the time that is used up, so a stopped run that is resumed
ends its schedule where it should. Curriculum: in the first tenth of the time only short examples, then all.
"""

from __future__ import annotations

import contextlib
import csv
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train import parallel
from gccllm.lab.train.corpus import NAME, read, reserved_texts
from gccllm.lab.train.examples import Example, batches, load_examples, with_asm
from gccllm.lab.train.model import Model, Muon, Shape
from gccllm.lab.train.schedule import scale_at
from gccllm.propose import prelude
from gccllm.propose.tokens import Tokens

STEP_TOKENS = 2048
SHORT_TOKENS, CURRICULUM = 60, 0.1
"""Length of the longest example at the start, and the share of the time after which there is no limit."""
COLUMNS = ("seconds", "step", "tokens", "rows", "train_loss", "random_loss", "random_accuracy", "unseen_loss",
           "unseen_accuracy", "family_loss", "family_accuracy")  # fmt: skip


def build_tokens(out: Path, *, rows: int = 20000, dialect: str = "c") -> Tokens:
    """The vocabulary, made once from the first rows (dropped ones too: their words may be asked for)."""
    path = out / "tokens.json"
    if not path.exists():
        known = [row for _, row in zip(range(rows), read(out / NAME), strict=False)]
        if dialect == "asm":
            texts = [(row["prompt"], row["asm"]) for row in with_asm([r | {"answer": r["expert"]} for r in known])]
        else:
            texts = [(row["prompt"], row["expert"]) for row in known]
        tokens = Tokens.build(texts, dialect=dialect, macros=prelude.macros() if dialect == "c" else ())
        if dialect == "c":
            tokens = tokens.with_follows(answers_of(tokens, known))
        tokens.save(path)
    return Tokens.load(path)


def answers_of(tokens: Tokens, rows: Iterable[dict[str, Any]]) -> Iterator[list[int]]:
    """Ids of the experts' answers, and of KEEP; what has no words is left out."""
    yield tokens.encode_c("KEEP", "")
    for row in rows:
        with contextlib.suppress(ValueError):
            yield tokens.encode_c(row["expert"], row["prompt"])


def loss_of(model: Model, batch: list[Example], device: str | torch.device = "cpu") -> tuple[Tensor, int]:
    """Mean cross-entropy (nats) over the answers' tokens, and how many they are."""
    length = max(len(ids) for ids, _ in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    target = torch.full((len(batch), length), -1)
    for i, (row, start) in enumerate(batch):
        ids[i, : len(row)] = torch.tensor(row)
        target[i, start - 1 : len(row) - 1] = torch.tensor(row[start:])
    ids, target = ids.to(device), target.to(device)
    states = model.states(ids[:, :-1])
    target = target[:, :-1]
    wanted = target >= 0
    return functional.cross_entropy(model.logits(states[wanted]), target[wanted]), int(wanted.sum())


@torch.no_grad()
def held_out(model: Model, examples: list[Example], device: str | torch.device = "cpu") -> tuple[float, float]:
    """Mean loss (nats a token), and the share of tokens that are predicted right, over at most 96 examples."""
    model.eval()
    total = right = tokens = 0.0
    for ids, begin in examples[:96]:
        logits = model.logits(model.states(torch.tensor([ids[:-1]], device=device))[0, begin - 1 :]).cpu()
        goal = torch.tensor(ids[begin:])
        total += float(functional.cross_entropy(logits, goal, reduction="sum"))
        right += float((logits.argmax(-1) == goal).sum())
        tokens += len(goal)
    model.train()
    return total / max(tokens, 1), right / max(tokens, 1)


def longest_at(done: float) -> int:
    """Tokens of the longest example when `done` of the time is used."""
    return 10**9 if done >= CURRICULUM else int(SHORT_TOKENS * (1 + 3 * done / CURRICULUM))


def train(
    out: Path, seconds: float, *, steps: int | None = None, tokens_limit: float = float("inf"), seed: int = 0,
    threads: int = 1, save_every: float = 180.0, shape: dict[str, int] | None = None, dialect: str = "c",
    reserved: frozenset[str] | None = None, corpus: Path | None = None, quiet: bool = False,
    step_tokens: int = STEP_TOKENS,
    paired: bool = True,
) -> Path:  # fmt: skip
    """Train for `seconds` of wall time in all (over all runs that went on from the checkpoint); returns the checkpoint.

    `steps`: pause after so many in all, in the middle of the schedule; `tokens_limit` likewise by tokens trained.
    `reserved`: texts never trained on (default: the benchmark's kernels). `corpus`: default `out/corpus.jsonl`.
    `paired` False: the plain language model of the evaluation (`load_examples`).
    Raises ValueError when no row can be trained on.
    """
    rank, world = parallel.join()
    device = parallel.device(rank)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    rng = random.Random(seed)
    if rank:  # the first process makes the vocabulary, the others read it
        parallel.wait()
    tokens = build_tokens(out, dialect=dialect)
    if not rank:
        parallel.wait()
    source = corpus or out / NAME
    model = Model(Shape(tokens.size, **(shape or {}))).to(device)
    optimizer = Muon(model)
    reserved = reserved_texts(Toolchain.find()) if reserved is None else reserved
    last = float("inf") if steps is None else steps
    path = out / "checkpoint.pt"
    used = trained = step = 0.0
    if path.exists():
        stored = torch.load(path, weights_only=False, map_location=device)
        model.load_state_dict(stored["model"])
        if stored["optimizer"] is not None:  # None: the weights came from an exported file
            optimizer.load(stored["optimizer"])
        used, trained, step = stored["used"], stored["trained"], stored["step"]
        rng.seed(step)
    curve = Curve(out / "curve.csv") if rank == 0 else None
    begin = time.monotonic() - used
    saved = logged = time.monotonic()
    recent: list[float] = []
    with Progress(TextColumn("sft {task.fields[said]}"), BarColumn(), TimeRemainingColumn(), disable=quiet) as bar:
        task = bar.add_task("sft", total=seconds, completed=int(used), said="")
        while used < seconds and step < last and trained < tokens_limit:
            splits = load_examples(tokens, source, reserved, dialect=dialect, extra=out / "wins.jsonl", paired=paired)
            if not splits["train"]:
                raise ValueError(f"{source}: no row to train on")
            for number, batch in enumerate(batches(splits["train"], rng, step_tokens, longest_at(used / seconds))):
                if number % world != rank:
                    continue
                used = parallel.agreed(time.monotonic() - begin)
                if used >= seconds or step >= last or trained >= tokens_limit:
                    break
                loss, _ = loss_of(model, batch, device)
                loss.backward()
                parallel.gradients([model], mean=True)
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step(scale_at(used / seconds, int(step)))
                step += 1
                trained += sum(len(ids) for ids, _ in batch) * world
                recent = [*recent[-99:], float(loss.detach())]
                now = time.monotonic()
                if curve and (now - logged > 60 or step == 1):
                    logged = now
                    row: list[float] = [round(used), int(step), int(trained), len(splits["train"])]
                    row.append(round(sum(recent) / len(recent), 4))
                    for name in ("random", "unseen", "family"):
                        row += [round(x, 4) for x in held_out(model, splits[name], device)]
                    curve.write(row)
                    bar.update(task, said=f"{trained / 1e6:.1f}M tokens, loss {row[4]:.3f}, unseen {row[7]:.3f}")
                bar.update(task, completed=used)
                if rank == 0 and now - saved > save_every:
                    saved = now
                    save(path, model, optimizer, used, trained, step)
    if rank == 0:
        save(path, model, optimizer, used, trained, step)
    parallel.leave()
    return path


class Curve:
    """A CSV file that grows a row a minute; each row is also printed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            self._append(COLUMNS)

    def write(self, row: list[float]) -> None:
        self._append(row)
        print("sft:", *row, flush=True)

    def _append(self, row: Any) -> None:
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(row)


def save(path: Path, model: Model, optimizer: Muon | None, used: float, trained: float, step: float) -> None:
    stored = {
        "shape": asdict(model.shape), "model": model.state_dict(), "optimizer": optimizer and optimizer.state(),
        "used": used, "trained": trained, "step": step,
    }  # fmt: skip
    temporary = path.with_suffix(".tmp")
    torch.save(stored, temporary)
    temporary.replace(path)


def load(path: Path) -> tuple[Model, dict[str, Any]]:
    """The model of a checkpoint, and the rest of it."""
    stored = torch.load(path, weights_only=False, map_location="cpu")
    model = Model(Shape(**stored["shape"]))
    model.load_state_dict(stored["model"])
    return model.eval(), stored
