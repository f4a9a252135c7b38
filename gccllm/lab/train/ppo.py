"""Stage `ppo`: from a supervised checkpoint; verifier and timer are the reward.

Stops by the clock; continues from its checkpoint.

Prompts are pairs that supervised training never saw: fresh batches from the generator, none of a held-out composition,
family or kernel, and only those whose expert beats the recipes (elsewhere there is nothing to find). The fastest
passing answer to each is kept in `wins.jsonl`, which supervised training reads beside the corpus: expert iteration.

An iteration: draw prompts; `samples` answers to each from the policy; score them; recompute log-probabilities, values
and the reference's log-probabilities; advantages; fit the value head; a few epochs of clipped updates of the policy; a
row of `ppo.csv`. Answers that do not end are not scored: they are `none`. Equal answers to a prompt are scored once,
and go through the models once.

Several processes (torchrun) share an iteration: each draws, scores and learns from its part of the prompts, the
gradients are added, and what is averaged is averaged over all. Every process then holds the same weights.

Left out of the published algorithm: a critic of its own (the value head reads the policy's states and sends no gradient
into them), adaptive KL weights, a learning-rate schedule, any reward for length.
"""

from __future__ import annotations

import csv
import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train import config as configuration
from gccllm.lab.train import parallel, trainer
from gccllm.lab.train.alarms import Summary, failures, ringing, summarise
from gccllm.lab.train.config import Config, Ppo
from gccllm.lab.train.corpus import NAME, Draws, make_batch, read, reserved_texts
from gccllm.lab.train.environment import Environment, prepare
from gccllm.lab.train.examples import HELD_SPLITS, example
from gccllm.lab.train.model import Model, Shape
from gccllm.lab.train.ppo_batch import Models, collect
from gccllm.lab.train.ppo_update import Value, fit, update
from gccllm.lab.train.reward import REWARDS, Outcome
from gccllm.lab.train.rollout import Rollout, Sampling, sample
from gccllm.propose.c_words import KEEP
from gccllm.propose.tokens import Tokens

AVERAGE = "ppo-average.pt"
FIRST_FRESH = 100_000
"""Batch numbers from here on are PPO's own."""
Score = Callable[[list[tuple[int, list[int]]]], list[Outcome]]
"""Maps (index of a prompt, an answer's ids without the end) to outcomes."""


@dataclass(frozen=True)
class Task:
    """The prompts, and what scores the answers."""

    prompts: Sequence[Sequence[int]]
    score: Score
    end: int
    """Id of the end token."""


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
                for row in make_batch(Draws(out, seed, FIRST_FRESH + batch, timing=True), reserved):
                    if row["split"] in ("train", "random") and row["answer"] != KEEP and row["prompt"] not in seen:
                        seen.add(row["prompt"])
                        rows.append(row | {"batch": batch})
                        file.write(json.dumps(rows[-1]) + "\n")
    return rows


def _held_prompts(tokens: Tokens, path: Path) -> set[tuple[int, ...]]:
    made = [example(tokens, row) for row in read(path) if row["split"] in HELD_SPLITS]
    return {tuple(one[0][: one[1]]) for one in made if one}


def stage(config: Config) -> Path:
    """PPO from `checkpoint.pt` of the work folder; returns `ppo.pt`."""
    out, s = config.out, config.ppo
    rank, world = parallel.join()
    check(s, world)
    tokens = Tokens.load(out / "tokens.json")
    held = _held_prompts(tokens, out / NAME)
    if rank == 0:
        fresh_rows(out, config.seed, s.fresh_batches)
        prepare()
    parallel.wait()
    rows = [
        row
        for row in fresh_rows(out, config.seed, s.fresh_batches)
        if (made := example(tokens, row)) and tuple(made[0][: made[1]]) not in held
    ]
    if rank == 0:
        print(f"ppo: {len(rows)} prompts", flush=True)
    states = config.seed * 1_000_000_007 + rank * 100_003
    keep = out / "wins.jsonl"
    with Environment(rows, tokens, workers=s.workers, address=s.ray or None, seed=states, keep=keep) as environment:
        return train(config, out / trainer.CHECKPOINT, Task(environment.prompts, environment.score, tokens.end))


def check(s: Ppo, processes: int) -> None:
    """Raises ValueError for numbers that do not go together."""
    if s.prompts % s.minibatches or s.prompts % processes:
        raise ValueError(f"{s.prompts} prompts cannot be split into {s.minibatches} minibatches, or among {processes}"
                         " processes")  # fmt: skip
    if s.reward not in REWARDS:
        raise ValueError(f"reward {s.reward}: choose one of {', '.join(REWARDS)}")
    if s.baseline not in ("value", "group", "both"):
        raise ValueError(f"baseline {s.baseline}: choose one of value, group, both")
    if s.baseline != "value" and s.samples < 2:
        raise ValueError("a group needs at least two answers: raise samples")


def judge(rollouts: Sequence[Rollout], indices: Sequence[int], score: Score) -> list[Outcome]:
    """An outcome for each rollout; `indices[r.prompt]` is the prompt's index for the caller. Raises ValueError."""
    keys = [(indices[r.prompt], r.answer) for r in rollouts]
    asked = list(dict.fromkeys(key for key, r in zip(keys, rollouts, strict=True) if r.complete))
    outcomes = score([(index, list(ids)) for index, ids in asked])
    if len(outcomes) != len(asked):
        raise ValueError(f"{len(outcomes)} outcomes for {len(asked)} answers")
    found = dict(zip(asked, outcomes, strict=True))
    return [found[key] if r.complete else Outcome("none") for key, r in zip(keys, rollouts, strict=True)]


COLUMNS = (
    "iteration", "seconds", "tokens", "reward", "pass_rate", "faster", "speedup", "copies", "built", "kl", "log_ratio",
    "entropy", "clip_fraction", "value_loss", "policy_loss", "update_kl", "explained", "gradient", "steps",
    "length", "distinct", "told", "sampler_gap", "draw_seconds", "score_seconds", "update_seconds", "alarms",
    "statuses",
)  # fmt: skip


def train(config: Config, start: Path, task: Task) -> Path:
    """Train until the time is over; returns the checkpoint.

    Writes `ppo.pt` and `ppo-average.pt` (export and evaluation take both) and `ppo.csv`. start: the supervised
    checkpoint, which stays the reference. A run that goes on draws what the unbroken run would have drawn. Prompts
    that leave no room for an answer are left out. Raises ValueError for settings that do not go together, or that are
    not the checkpoint's.
    """
    s, out = config.ppo, config.out
    rank, world = parallel.join()
    check(s, world)
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = parallel.device(rank)
    if device.type != "cpu":  # every tensor of this run; scoring has none
        torch.set_default_device(device)
    path, curve = out / "ppo.pt", out / "ppo.csv"
    out.mkdir(parents=True, exist_ok=True)
    stored: dict[str, Any] = torch.load(path, weights_only=False, map_location=device) if path.exists() else {}
    if stored:
        config.check_same(stored.get("config", {}), "ppo", path)

    # The models: the policy, the supervised one that it may not leave, the policy's running average, the value head.
    reference = trainer.load(start)[0].to(device) if not stored else Model(Shape(**stored["shape"])).eval()
    if stored:
        reference.load_state_dict(stored["reference"])
    model = Model(reference.shape).eval()
    model.load_state_dict(stored.get("model", reference.state_dict()))
    average = Model(reference.shape).eval()
    average.load_state_dict(stored.get("average", model.state_dict()))
    value = Value(model.shape.hidden)
    models = Models(model, reference, value)
    rates: tuple[tuple[nn.Module, float], ...] = ((model, s.rate), (value, s.value_rate))
    optimizers = [torch.optim.AdamW(m.parameters(), rate, (0.9, 0.99), weight_decay=s.decay) for m, rate in rates]
    if stored:
        value.load_state_dict(stored["value"])
        for optimizer, state in zip(optimizers, stored["optimizers"], strict=True):
            optimizer.load_state_dict(state)
    history = [Summary(**numbers) for numbers in stored.get("history", [])]
    iteration, tokens, used = stored.get("iteration", 0), stored.get("tokens", 0), stored.get("used", 0.0)
    fitting = [i for i, prompt in enumerate(task.prompts) if len(prompt) + s.max_tokens <= model.shape.context]
    if len(fitting) < s.prompts:
        raise ValueError(f"{len(fitting)} prompts fit, an iteration takes {s.prompts}")
    how = Sampling(task.end, s.samples, s.max_tokens, s.temperature, s.rows_at_once)
    if rank == 0:
        print(config.line("ppo"), flush=True)
        _open_csv(curve, iteration)
    begin, saved = time.monotonic() - used, time.monotonic()

    def save() -> None:
        settings = {"config": config.stored()}
        trainer.save(path, model, settings | {
            "value": value.state_dict(), "average": average.state_dict(), "reference": reference.state_dict(),
            "optimizers": [o.state_dict() for o in optimizers],
            "history": [asdict(summary) for summary in history],
            "iteration": iteration, "tokens": tokens, "used": time.monotonic() - begin,
        })  # fmt: skip
        trainer.save(out / AVERAGE, average, settings)

    while parallel.agreed(time.monotonic() - begin) < s.minutes * 60 and not (
        s.iterations and iteration >= s.iterations
    ):
        # by number, so that a resumed run draws the same; `shared` is the same in all processes, `own` is not
        shared, own = random.Random(f"{config.seed}/{iteration}"), random.Random(f"{config.seed}/{iteration}/{rank}")
        indices = shared.sample(fitting, s.prompts)[rank::world]
        asked = [task.prompts[i] for i in indices]
        t0 = time.monotonic()
        generator = torch.Generator(torch.get_default_device()).manual_seed(own.randrange(2**31))
        rollouts = sample(model, asked, how, generator)
        t1 = time.monotonic()
        outcomes = judge(rollouts, indices, task.score)
        scores = [REWARDS[s.reward](outcome) for outcome in outcomes]
        t2 = time.monotonic()
        batch, found = collect(models, asked, rollouts, scores, s)
        found["value_loss"] = fit(value, optimizers[1], batch, s, shared)
        if iteration >= s.warm_up:
            found |= update(model, optimizers[0], batch, s, own)
        with torch.no_grad():
            for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 1 - s.average)
        iteration += 1

        every = parallel.gathered((outcomes, scores, [(indices[r.prompt], r.ids) for r in rollouts]))
        outcomes, scores, samples = ([one for part in column for one in part] for column in zip(*every, strict=True))
        length = sum(len(ids) for _, ids in samples)
        tokens += length
        summary = summarise(outcomes, samples)
        history.append(summary)
        row = found | {
            "iteration": iteration, "seconds": round(time.monotonic() - begin, 1), "tokens": tokens,
            "reward": sum(scores) / len(scores), "pass_rate": summary.passed, "faster": summary.faster,
            "speedup": summary.speedup, "copies": summary.copies, "built": summary.built,
            "length": length / len(samples), "draw_seconds": t1 - t0,
            "score_seconds": t2 - t1, "update_seconds": time.monotonic() - t2,
        }  # fmt: skip
        texts = {
            "alarms": ";".join(ringing(history)),
            "statuses": " ".join(f"{name}:{count}" for name, count in failures(outcomes).items()),
        }
        if rank == 0:
            _log(curve, row, texts)
            if time.monotonic() - saved > s.save_every:
                save()
                saved = time.monotonic()
    if rank == 0:
        save()
    parallel.leave()
    return path


def _open_csv(curve: Path, iteration: int) -> None:
    """A header, and the rows up to `iteration`: what came after the checkpoint is done again."""
    kept: list[dict[str, str]] = []
    if curve.exists():
        with curve.open(newline="") as file:
            kept = [row for row in csv.DictReader(file) if int(row["iteration"]) <= iteration]
    temporary = curve.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
    temporary.replace(curve)


def _log(curve: Path, row: dict[str, float], texts: dict[str, str]) -> None:
    shown = {name: f"{row[name]:.5g}" if not math.isnan(row.get(name, math.nan)) else "" for name in COLUMNS}
    shown |= {"iteration": str(row["iteration"]), "tokens": str(row["tokens"])} | texts
    with curve.open("a", newline="") as file:
        csv.DictWriter(file, COLUMNS).writerow(shown)
    brief = ("iteration", "seconds", "reward", "pass_rate", "faster", "speedup", "kl", "entropy", "clip_fraction")
    print("ppo:", *(f"{name}={shown[name]}" for name in brief), f"alarms={texts['alarms'] or '-'}", flush=True)


def main(arguments: Sequence[str]) -> None:
    configuration.run(stage, "ppo", __doc__, arguments)
