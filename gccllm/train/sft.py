"""Supervised training: the loss is on the answer's tokens. Stops by the clock, goes on from its checkpoint.

The corpus may still grow while this runs: it is read again at every pass. The learning rate follows the share of the
time that is used up, so a stopped run that is resumed ends its schedule where it should.
"""

from __future__ import annotations

import csv
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gccllm.propose.tokens import Tokens
from gccllm.toolchain import Toolchain
from gccllm.train.corpus import read, reserved_texts
from gccllm.train.model import Model, Muon, Shape

STEP_TOKENS = 2048
MAX_ANSWER_TOKENS = 320
ENOUGH, MOST_REPEATS = 200, 5
"""Kinds of pairs with few distinct texts (strcmp has no more than some dozens) are repeated up to here in a pass."""
Example = tuple[list[int], int]
"""Ids of prompt, answer and end; the position where the answer starts."""


def build_tokens(out: Path, *, rows: int = 12000) -> Tokens:
    """The vocabulary, made once from the first rows (dropped ones too: their words may be asked for)."""
    path = out / "tokens.json"
    if not path.exists():
        texts = [(row["prompt"], row["asm"]) for _, row in zip(range(rows), read(out / "corpus.jsonl"), strict=False)]
        Tokens.build(texts).save(path)
    return Tokens.load(path)


def example(tokens: Tokens, row: dict[str, Any], rng: random.Random) -> Example | None:
    """Ids of a row under a permitted level drawn at or above the answer's; None when it does not fit."""
    level = 5 if rng.random() < 0.7 else rng.choice([k for k in (0, 2, 3, 4, 5) if k >= row["level"]])
    try:
        prompt = tokens.encode_text(row["prompt"], level)
        answer = tokens.encode_answer(row["asm"], row["prompt"])
    except ValueError:
        return None
    if len(answer) > MAX_ANSWER_TOKENS:
        return None
    return [*prompt, *answer, tokens.end], len(prompt)


def load_examples(tokens: Tokens, path: Path, reserved: frozenset[str], seed: int = 0) -> dict[str, list[Example]]:
    """Examples by split, without the `reserved` texts; nor training rows with a held-out row's tokens."""
    rng = random.Random(seed)
    splits: dict[str, list[Example]] = {"train": [], "random": [], "unseen": []}
    kinds: list[str] = []
    for row in read(path):
        if row["split"] in splits and row["prompt"] not in reserved:
            made = example(tokens, row, rng)
            if made:
                splits[row["split"]].append(made)
                if row["split"] == "train":
                    kinds.append("/".join(row.get("key", "").split("/")[:2]))
    held = {tuple(ids[1:start]) for name in ("random", "unseen") for ids, start in splits[name]}
    kept = [(kind, e) for kind, e in zip(kinds, splits["train"], strict=True) if tuple(e[0][1 : e[1]]) not in held]
    often = Counter(kind for kind, _ in kept)
    splits["train"] = [e for kind, e in kept for _ in range(min(MOST_REPEATS, max(1, ENOUGH // often[kind])))]
    return splits


def batches(examples: list[Example], rng: random.Random) -> Iterator[list[Example]]:
    """One pass: batches of about STEP_TOKENS padded tokens, of like lengths, in random order."""
    order = examples[:]
    rng.shuffle(order)
    made: list[list[Example]] = []
    for start in range(0, len(order), 4000):
        chunk = sorted(order[start : start + 4000], key=lambda e: len(e[0]))
        current: list[Example] = []
        for e in chunk:
            if current and len(e[0]) * (len(current) + 1) > STEP_TOKENS:
                made.append(current)
                current = []
            current.append(e)
        if current:
            made.append(current)
    rng.shuffle(made)
    yield from made


def loss_of(model: Model, batch: list[Example]) -> tuple[Tensor, int]:
    """Mean cross-entropy (nats) over the answers' tokens, and how many they are."""
    length = max(len(ids) for ids, _ in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    target = torch.full((len(batch), length), -1)
    for i, (row, start) in enumerate(batch):
        ids[i, : len(row)] = torch.tensor(row)
        target[i, start - 1 : len(row) - 1] = torch.tensor(row[start:])
    states = model.states(ids[:, :-1])
    target = target[:, :-1]
    wanted = target >= 0
    return functional.cross_entropy(model.logits(states[wanted]), target[wanted]), int(wanted.sum())


@torch.no_grad()
def held_out(model: Model, examples: list[Example]) -> tuple[float, float]:
    """Mean loss, and the share of tokens that are predicted right, over at most 96 examples."""
    model.eval()
    total = right = tokens = 0.0
    for start in range(0, min(96, len(examples)), 16):
        for ids, begin in examples[start : start + 16]:
            logits = model.logits(model.states(torch.tensor([ids[:-1]]))[0, begin - 1 :])
            goal = torch.tensor(ids[begin:])
            total += float(functional.cross_entropy(logits, goal, reduction="sum"))
            right += float((logits.argmax(-1) == goal).sum())
            tokens += len(goal)
    model.train()
    return total / max(tokens, 1), right / max(tokens, 1)


def scale_at(done: float, step: int) -> float:
    """Learning-rate scale when `done` (0..1) of the time is used: short warm-up, flat, linear to zero."""
    warm = min(1.0, (step + 1) / 40)
    return warm * (1.0 if done < 0.35 else max(0.0, 1 - (done - 0.35) / 0.65) * 0.98 + 0.02)


def train(
    out: Path, seconds: float, *, steps: int | None = None, seed: int = 0, threads: int = 1, save_every: float = 180.0,
    shape: dict[str, int] | None = None, reserved: frozenset[str] | None = None,
) -> Path:  # fmt: skip
    """Train for `seconds` of wall time in all (over all runs that went on from the checkpoint); returns the checkpoint.

    `steps`: pause after so many in all, in the middle of the schedule. `reserved`: texts never trained on (default:
    the benchmark's kernels).
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokens = build_tokens(out)
    model = Model(Shape(tokens.size, **(shape or {})))
    optimizer = Muon(model)
    reserved = reserved_texts(Toolchain.find()) if reserved is None else reserved
    last = float("inf") if steps is None else steps
    path = out / "checkpoint.pt"
    used = trained = step = 0.0
    if path.exists():
        stored = torch.load(path, weights_only=False)
        model.load_state_dict(stored["model"])
        optimizer.load(stored["optimizer"])
        used, trained, step = stored["used"], stored["trained"], stored["step"]
        rng.seed(step)
    curve = out / "curve.csv"
    new = not curve.exists()
    begin = time.monotonic() - used
    saved = logged = time.monotonic()
    recent: list[float] = []
    with curve.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(
                [
                    "seconds",
                    "step",
                    "tokens",
                    "rows",
                    "train_loss",
                    "random_loss",
                    "random_accuracy",
                    "unseen_loss",
                    "unseen_accuracy",
                ]
            )
        while time.monotonic() - begin < seconds and step < last:
            splits = load_examples(tokens, out / "corpus.jsonl", reserved)
            if not splits["train"]:
                raise ValueError(f"{out}: no row to train on")
            for batch in batches(splits["train"], rng):
                used = time.monotonic() - begin
                if used >= seconds or step >= last:
                    break
                loss, _ = loss_of(model, batch)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step(scale_at(used / seconds, int(step)))
                step += 1
                trained += sum(len(ids) for ids, _ in batch)
                recent = [*recent[-99:], float(loss.detach())]
                now = time.monotonic()
                if now - logged > 60 or step == 1:
                    logged = now
                    row = [
                        round(used),
                        int(step),
                        int(trained),
                        len(splits["train"]),
                        round(sum(recent) / len(recent), 4),
                    ]
                    row += [round(x, 4) for name in ("random", "unseen") for x in held_out(model, splits[name])]
                    writer.writerow(row)
                    file.flush()
                    print("sft:", *row, flush=True)
                if now - saved > save_every:
                    saved = now
                    save(path, model, optimizer, used, trained, step)
    save(path, model, optimizer, time.monotonic() - begin, trained, step)
    return path


def save(path: Path, model: Model, optimizer: Muon, used: float, trained: float, step: float) -> None:
    stored = {
        "shape": asdict(model.shape), "model": model.state_dict(), "optimizer": optimizer.state(), "used": used,
        "trained": trained, "step": step,
    }  # fmt: skip
    temporary = path.with_suffix(".tmp")
    torch.save(stored, temporary)
    temporary.replace(path)


def load(path: Path) -> tuple[Model, dict[str, Any]]:
    """The model of a checkpoint, and the rest of it."""
    stored = torch.load(path, weights_only=False)
    model = Model(Shape(**stored["shape"]))
    model.load_state_dict(stored["model"])
    return model.eval(), stored
