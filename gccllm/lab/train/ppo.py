"""PPO from a supervised checkpoint; verifier and timer are the reward. Stops by the clock, goes on from its checkpoint.

An iteration: draw prompts; `samples` answers to each from the policy; score them; recompute log-probabilities, values
and the reference's log-probabilities in torch; advantages; fit the value head; a few epochs of clipped updates of the
policy; a row of `ppo.csv`.

The caller brings what needs a corpus: the prompts' ids, and `score`, which maps (index of a prompt, answer's ids
without the end) to an Outcome. Answers that do not end are not scored: they are `none`. Equal answers to a prompt are
scored once, and go through the models once.

Several processes (torchrun) share an iteration: each draws, scores and learns from its part of the prompts, the
gradients are added, and what is averaged is averaged over all. Every process then holds the same weights.

Left out of the published algorithm: a critic of its own (the value head reads the policy's states and sends no gradient
into them), adaptive KL weights, a learning-rate schedule, any reward for length.
"""

from __future__ import annotations

import csv
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gccllm.lab.train import parallel
from gccllm.lab.train import ppo_math as pm
from gccllm.lab.train.model import Model, Shape
from gccllm.lab.train.ppo_batch import Batch, chunks, collect
from gccllm.lab.train.reward import REWARDS, Outcome, Summary, failures, ringing, summarise
from gccllm.lab.train.rollout import Rollout, pack, packed_states, sample, sample_llama
from gccllm.lab.train.sft import load

AVERAGE = "ppo-average.pt"
Score = Callable[[list[tuple[int, list[int]]]], list[Outcome]]


@dataclass(frozen=True)
class Settings:
    """Every number of a run; printed at its start and stored with the checkpoint."""

    seed: int = 0
    threads: int = 1
    prompts: int = 32
    """Prompts an iteration."""
    samples: int = 8
    """Answers to each of them."""
    max_tokens: int = 160
    """Of an answer, the end included."""
    temperature: float = 1.0
    """Of drawing. The ratios are those of the policy at 1, so anything else is a little off-policy."""
    rollouts: str = "torch"
    """torch, or llama.cpp."""
    rows: int = 128
    """Answers under way at a time (torch)."""
    reward: str = "ours"
    """A row of gccllm.lab.train.reward.REWARDS."""
    baseline: str = "value"
    """value: the value head and generalised advantages; group: the mean of the other answers to the prompt; both: the
    value head and generalised advantages on what an answer earns over the mean of the others, which spares the head
    from learning how fast each function can be made."""
    gamma: float = 1.0
    lam: float = 0.95
    kl_weight: float = 0.05
    """Reward lost per nat of log ratio to the supervised model."""
    clip: float = 0.2
    value_clip: float = 0.5
    """Reward units a value may move in an iteration."""
    entropy_weight: float = 0.0
    epochs: int = 2
    minibatch: int = 8
    """Prompts (with all their answers) a step."""
    least_spread: float = 0.08
    """Reward between the best and the worst answer to a prompt from which on they count as different: less is the
    noise of the timer (0.08 is a sixth in time)."""
    chunk_tokens: int = 1500
    """Packed tokens that go through the model at a time; changes memory and speed, not the result."""
    rate: float = 3e-5
    value_rate: float = 1e-3
    value_epochs: int = 6
    value_minibatch: int = 1024
    """Tokens."""
    decay: float = 0.0
    average: float = 0.97
    """Share that the running average of the weights keeps of itself in an iteration: steps are noisy, their mean is
    less so. The average draws nothing; it is what is saved beside the policy, to be evaluated and shipped."""
    gradient_norm: float = 1.0
    target_kl: float = 0.03
    """Nats a token between the policy and the one that drew; an iteration's updates stop above it."""
    warm_up: int = 2
    """Iterations that fit only the value head, which starts at 0."""

    def check(self, processes: int = 1) -> None:
        """Raises ValueError for numbers that do not go together."""
        if self.prompts % self.minibatch or self.prompts % processes:
            raise ValueError(
                f"{self.prompts} prompts are not minibatches of {self.minibatch}, or not as many for each of"
                f" {processes} processes"
            )
        if self.reward not in REWARDS:
            raise ValueError(f"{self.reward} is none of the rewards {', '.join(REWARDS)}")
        if self.baseline not in ("value", "group", "both") or self.rollouts not in ("torch", "llama.cpp"):
            raise ValueError(f"baseline {self.baseline}, rollouts {self.rollouts}")
        if self.baseline != "value" and self.samples < 2:
            raise ValueError("a group needs at least two answers")


class Value(nn.Module):
    """The value head: what reward is to come, from the state that the next token is drawn from. Starts at 0."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, states: Tensor) -> Tensor:
        """(N, H) -> (N,). The states are taken as they are: no gradient flows into the policy."""
        return self.out(nn.functional.silu(self.inner(states.detach())))[..., 0]


def fit(value: Value, optimizer: torch.optim.Optimizer, batch: Batch, settings: Settings, rng: random.Random) -> float:
    """Fit the value head to the returns, on the states of the policy that drew; the last epoch's mean loss.

    The head is small: every process fits it to the tokens of all of them, in one order (`rng` is the same in all).
    """
    s = settings
    mask = batch.drawn.mask
    parts = parallel.gathered((batch.states[mask], batch.values[mask], batch.returns[mask], batch.weights))
    states, old, returns, weights = (torch.cat(column) for column in zip(*parts, strict=True))
    count, total = len(old), 0.0
    for _ in range(s.value_epochs):
        total = 0.0
        for part in torch.tensor(rng.sample(range(count), count)).split(s.value_minibatch):
            loss = pm.value_loss(value(states[part]), old[part], returns[part], weights[part], s.value_clip)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(value.parameters(), s.gradient_norm)
            optimizer.step()
            total += float(loss.detach()) * len(part) / count
    return total


def update(
    model: Model, optimizer: torch.optim.Optimizer, batch: Batch, settings: Settings, rng: random.Random
) -> dict[str, float]:
    """The policy's epochs of one iteration; means over the steps that were taken, and how many they were.

    Only groups in which answers differ in worth: in the others there is nothing to prefer, and they are what a trained
    policy spends most of its tokens on. An epoch has as many steps in every process, some perhaps without a group.
    """
    s, drawn = settings, batch.drawn
    totals = {"policy_loss": 0.0, "clip_fraction": 0.0, "update_kl": 0.0, "gradient": 0.0}
    per_epoch = s.prompts // s.minibatch
    minibatches: list[list[int]] = []
    for _ in range(s.epochs):
        order = rng.sample(batch.told, len(batch.told))
        minibatches += [order[step::per_epoch] for step in range(per_epoch)]
    steps = 0
    for chosen in minibatches:
        own = sum(float(drawn.weight[drawn.starts[i] + k]) * len(ids)
                  for i in chosen for k, ids in enumerate(drawn.groups[i][1]))  # fmt: skip
        tokens = float(parallel.total(torch.tensor(own)))
        if not tokens:
            continue
        seen = torch.zeros(3)
        optimizer.zero_grad(set_to_none=True)
        for part in chunks([drawn.groups[i] for i in chosen], s.chunk_tokens):
            groups = [chosen[i] for i in part]
            packed = pack([drawn.groups[i] for i in groups])
            rows = drawn.rows_of(groups)
            mask = drawn.mask[rows]
            old, advantage = (x[rows][mask] for x in (batch.old, batch.advantage))
            weights = drawn.weight[rows][:, None].expand(mask.shape)[mask]
            logits = model.logits(packed_states(model, packed))
            log_probs = pm.token_log_probs(logits, packed.targets)
            loss, clipped = pm.clipped_policy_loss(log_probs, old, advantage, weights, s.clip, tokens)
            bonus = pm.masked_mean(pm.entropy(logits), weights, tokens) if s.entropy_weight else torch.zeros(())
            (loss - s.entropy_weight * bonus).backward()
            # the tokens are of the policy that drew, so this estimates KL(old || new)
            moved = pm.masked_mean(pm.kl_estimate(old, log_probs.detach()), weights, tokens)
            seen += torch.stack((loss.detach(), clipped, moved))
        seen = parallel.total(seen)
        if float(seen[2]) > s.target_kl:
            break
        parallel.gradients([model], mean=False)  # each process's loss is already over the tokens of all
        totals["gradient"] += float(nn.utils.clip_grad_norm_(model.parameters(), s.gradient_norm))
        optimizer.step()
        steps += 1
        for name, x in zip(("policy_loss", "clip_fraction", "update_kl"), seen.tolist(), strict=True):
            totals[name] += x
    return {name: total / max(1, steps) for name, total in totals.items()} | {"steps": steps}


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


def train(
    out: Path, start: Path, prompts: Sequence[Sequence[int]], score: Score, *, end: int, seconds: float,
    settings: Settings | None = None, iterations: int | None = None, save_every: float = 180.0,
) -> Path:  # fmt: skip
    """Train for `seconds` of wall time in all (over all runs that went on from the checkpoint); returns the checkpoint.

    out: folder of `ppo.pt` and `ppo-average.pt` (export and evaluation take both) and of `ppo.csv`. start: the
    supervised checkpoint, which stays the reference. end: id of the end token. iterations: pause after so many in all.
    A run that goes on draws what the unbroken run would have drawn. Prompts that leave no room for an answer are
    left out. Raises ValueError for settings that do not go together, or that are not the checkpoint's.
    """
    s = settings or Settings()
    rank, world = parallel.join()
    s.check(world)
    torch.set_num_threads(s.threads)
    torch.manual_seed(s.seed)
    device = parallel.device(rank)
    if device.type != "cpu":  # every tensor of this run; scoring has none
        torch.set_default_device(device)
    path, curve = out / "ppo.pt", out / "ppo.csv"
    out.mkdir(parents=True, exist_ok=True)
    stored: dict[str, Any] = torch.load(path, weights_only=False, map_location=device) if path.exists() else {}
    if stored and stored["settings"] != asdict(s):
        raise ValueError(f"{path} was made with other settings: {stored['settings']}")
    reference = load(start)[0].to(device) if not stored else Model(Shape(**stored["shape"])).eval()
    if stored:
        reference.load_state_dict(stored["reference"])
    model = Model(reference.shape).eval()
    model.load_state_dict(stored.get("model", reference.state_dict()))
    average = Model(reference.shape).eval()
    average.load_state_dict(stored.get("average", model.state_dict()))
    value = Value(model.shape.hidden)
    rates: tuple[tuple[nn.Module, float], ...] = ((model, s.rate), (value, s.value_rate))
    optimizers = [torch.optim.AdamW(m.parameters(), rate, (0.9, 0.99), weight_decay=s.decay) for m, rate in rates]
    if stored:
        value.load_state_dict(stored["value"])
        for optimizer, state in zip(optimizers, stored["optimizers"], strict=True):
            optimizer.load_state_dict(state)
    history = [Summary(**numbers) for numbers in stored.get("history", [])]
    iteration, tokens, used = stored.get("iteration", 0), stored.get("tokens", 0), stored.get("used", 0.0)
    fitting = [i for i, prompt in enumerate(prompts) if len(prompt) + s.max_tokens <= model.shape.context]
    if len(fitting) < s.prompts:
        raise ValueError(f"{len(fitting)} prompts fit, an iteration takes {s.prompts}")
    if rank == 0:
        print("ppo:", *(f"{name}={setting}" for name, setting in asdict(s).items()), flush=True)
        _open_csv(curve, iteration)
    begin, saved = time.monotonic() - used, time.monotonic()

    def save() -> None:
        state = {
            "shape": asdict(model.shape), "model": model.state_dict(), "value": value.state_dict(),
            "average": average.state_dict(), "reference": reference.state_dict(),
            "optimizers": [o.state_dict() for o in optimizers],
            "settings": asdict(s), "history": [asdict(summary) for summary in history],
            "iteration": iteration, "tokens": tokens, "used": time.monotonic() - begin,
        }  # fmt: skip
        for to, what in ((path, state), (out / AVERAGE, {"shape": state["shape"], "model": state["average"]})):
            temporary = to.with_suffix(".tmp")
            torch.save(what, temporary)
            temporary.replace(to)

    while parallel.agreed(time.monotonic() - begin) < seconds and (iterations is None or iteration < iterations):
        # by number, so that a resumed run draws the same; `shared` is the same in all processes, `own` is not
        shared, own = random.Random(f"{s.seed}/{iteration}"), random.Random(f"{s.seed}/{iteration}/{rank}")
        indices = shared.sample(fitting, s.prompts)[rank::world]
        asked = [prompts[i] for i in indices]
        t0 = time.monotonic()
        rollouts = _draw(model, asked, own.randrange(2**31), end, s)
        t1 = time.monotonic()
        outcomes = judge(rollouts, indices, score)
        scores = [REWARDS[s.reward](outcome) for outcome in outcomes]
        t2 = time.monotonic()
        batch, found = collect(
            model, reference, value, asked, rollouts, scores, samples=s.samples, chunk_tokens=s.chunk_tokens,
            baseline=s.baseline, kl_weight=s.kl_weight, gamma=s.gamma, lam=s.lam,
            least_spread=s.least_spread,
        )  # fmt: skip
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
            if time.monotonic() - saved > save_every:
                save()
                saved = time.monotonic()
    if rank == 0:
        save()
    parallel.leave()
    return path


def _draw(model: Model, asked: Sequence[Sequence[int]], seed: int, end: int, s: Settings) -> list[Rollout]:
    if s.rollouts == "torch":
        return sample(
            model, asked, s.samples, end=end, max_tokens=s.max_tokens, temperature=s.temperature, rows=s.rows,
            generator=torch.Generator(torch.get_default_device()).manual_seed(seed),
        )  # fmt: skip
    return sample_llama(
        model, asked, s.samples, end=end, max_tokens=s.max_tokens, temperature=s.temperature, seed=seed,
        threads=s.threads,
    )  # fmt: skip


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
