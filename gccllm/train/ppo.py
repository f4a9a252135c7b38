"""PPO from a supervised checkpoint; verifier and timer are the reward. Stops by the clock, goes on from its checkpoint.

An iteration: draw prompts; `samples` answers to each from the policy; score them; recompute log-probabilities, values
and the reference's log-probabilities in torch; advantages; fit the value head; a few epochs of clipped updates of the
policy; a row of `ppo.csv`.

The caller brings what needs a corpus: the prompts' ids, and `score`, which maps (index of a prompt, answer's ids
without the end) to an Outcome. Answers that do not end are not scored: they are `none`. Equal answers to a prompt are
scored once.

Left out of the published algorithm: a critic of its own (the value head reads the policy's states and sends no gradient
into them), adaptive KL weights, a learning-rate schedule, any reward for length.
"""

from __future__ import annotations

import csv
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gccllm.train import ppo_math as pm
from gccllm.train.model import Model, Shape
from gccllm.train.reward import REWARDS, Outcome, Summary, failures, ringing, summarise
from gccllm.train.rollout import Rollout, pack, packed_length, packed_states, sample, sample_llama
from gccllm.train.sft import load

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
    """A row of gccllm.train.reward.REWARDS."""
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
    chunk_tokens: int = 1500
    """Packed tokens that go through the model at a time; changes memory and speed, not the result."""
    rate: float = 3e-5
    value_rate: float = 1e-3
    value_epochs: int = 6
    value_minibatch: int = 1024
    """Tokens."""
    decay: float = 0.0
    gradient_norm: float = 1.0
    target_kl: float = 0.03
    """Nats a token between the policy and the one that drew; an iteration's updates stop above it."""
    warm_up: int = 2
    """Iterations that fit only the value head, which starts at 0."""

    def check(self) -> None:
        """Raises ValueError for numbers that do not go together."""
        if self.prompts % self.minibatch:
            raise ValueError(f"{self.prompts} prompts are not minibatches of {self.minibatch}")
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


@dataclass(frozen=True)
class Batch:
    """What one iteration's updates are made from. Rows of one prompt are beside each other; B rows, T tokens."""

    groups: list[tuple[Sequence[int], list[tuple[int, ...]]]]
    """Prompt and its answers."""
    mask: Tensor
    states: Tensor
    """(B, T, H) of the policy that drew, for the value head."""
    old: Tensor
    """(B, T) log-probabilities under that policy."""
    values: Tensor
    advantage: Tensor
    returns: Tensor


def chunks(groups: Sequence[tuple[Sequence[int], list[tuple[int, ...]]]], most: int) -> Iterator[list[int]]:
    """Indices of groups of like packed lengths, at most `most` padded tokens at a time (but at least one group)."""
    chunk: list[int] = []
    for i in sorted(range(len(groups)), key=lambda i: packed_length(*groups[i])):
        if chunk and packed_length(*groups[i]) * (len(chunk) + 1) > most:
            yield chunk
            chunk = []
        chunk.append(i)
    if chunk:
        yield chunk


def rows_of(groups: Sequence[int], samples: int) -> Tensor:
    """Rows of the batch that belong to the groups, in their order."""
    return (torch.tensor(groups)[:, None] * samples + torch.arange(samples)).flatten()


@torch.no_grad()
def evaluate(
    model: Model, groups: Sequence[tuple[Sequence[int], list[tuple[int, ...]]]], mask: Tensor, samples: int, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities (B, T), entropies (B, T) and states (B, T, H) of the answers' tokens; 0 outside the mask."""
    log_probs, entropies = torch.zeros(mask.shape), torch.zeros(mask.shape)
    kept = torch.zeros(*mask.shape, model.shape.hidden)
    for part in chunks(groups, most):
        packed = pack([groups[i] for i in part])
        rows = rows_of(part, samples)
        row, column = mask[rows].nonzero(as_tuple=True)  # in the order of the packed tokens
        states = packed_states(model, packed)
        logits = model.logits(states)
        log_probs[rows[row], column] = pm.token_log_probs(logits, packed.targets)
        entropies[rows[row], column] = pm.entropy(logits)
        kept[rows[row], column] = states
    return log_probs, entropies, kept


def fit(value: Value, optimizer: torch.optim.Optimizer, batch: Batch, settings: Settings, rng: random.Random) -> float:
    """Fit the value head to the returns, on the states of the policy that drew; the last epoch's mean loss."""
    s = settings
    states, old, returns = (x[batch.mask] for x in (batch.states, batch.values, batch.returns))
    count, total = len(old), 0.0
    for _ in range(s.value_epochs):
        total = 0.0
        for part in torch.tensor(rng.sample(range(count), count)).split(s.value_minibatch):
            every = torch.ones(len(part), dtype=torch.bool)
            loss = pm.value_loss(value(states[part]), old[part], returns[part], every, s.value_clip)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(value.parameters(), s.gradient_norm)
            optimizer.step()
            total += float(loss.detach()) * len(part) / count
    return total


def update(
    model: Model, optimizer: torch.optim.Optimizer, batch: Batch, settings: Settings, rng: random.Random
) -> dict[str, float]:
    """The policy's epochs of one iteration; means over the steps that were taken, and how many they were."""
    s = settings
    totals = {"policy_loss": 0.0, "clip_fraction": 0.0, "update_kl": 0.0, "gradient": 0.0}
    minibatches: list[list[int]] = []
    for _ in range(s.epochs):
        order = rng.sample(range(len(batch.groups)), len(batch.groups))
        minibatches += [order[at : at + s.minibatch] for at in range(0, len(order), s.minibatch)]
    steps = 0
    for chosen in minibatches:
        tokens = float(batch.mask[rows_of(chosen, s.samples)].sum())
        seen = dict.fromkeys(totals, 0.0)
        optimizer.zero_grad(set_to_none=True)
        for part in chunks([batch.groups[i] for i in chosen], s.chunk_tokens):
            groups = [chosen[i] for i in part]
            packed = pack([batch.groups[i] for i in groups])
            rows = rows_of(groups, s.samples)
            old, advantage = (x[rows][batch.mask[rows]] for x in (batch.old, batch.advantage))
            every = torch.ones_like(old, dtype=torch.bool)
            logits = model.logits(packed_states(model, packed))
            log_probs = pm.token_log_probs(logits, packed.targets)
            loss, clipped = pm.clipped_policy_loss(log_probs, old, advantage, every, s.clip, tokens)
            bonus = pm.masked_mean(pm.entropy(logits), every, tokens) if s.entropy_weight else torch.zeros(())
            (loss - s.entropy_weight * bonus).backward()
            # the tokens are of the policy that drew, so this estimates KL(old || new)
            moved = pm.masked_mean(pm.kl_estimate(old, log_probs.detach()), every, tokens)
            for name, x in (("policy_loss", loss.detach()), ("clip_fraction", clipped), ("update_kl", moved)):
                seen[name] += float(x)
        if seen["update_kl"] > s.target_kl:
            break
        seen["gradient"] = float(nn.utils.clip_grad_norm_(model.parameters(), s.gradient_norm))
        optimizer.step()
        steps += 1
        for name in totals:
            totals[name] += seen[name]
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


def collect(
    model: Model, value: Value, reference: Model, prompts: Sequence[Sequence[int]], rollouts: Sequence[Rollout],
    scores: Sequence[float], settings: Settings,
) -> tuple[Batch, dict[str, float]]:  # fmt: skip
    """The batch for the updates, and kl, entropy, sampler gap and explained variance of its tokens."""
    s = settings
    groups = [
        (prompt, [r.ids for r in rollouts[i * s.samples : (i + 1) * s.samples]]) for i, prompt in enumerate(prompts)
    ]
    lengths = torch.tensor([len(r.ids) for r in rollouts])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    old, entropies, states = evaluate(model, groups, mask, s.samples, s.chunk_tokens)
    anchor, _, _ = evaluate(reference, groups, mask, s.samples, s.chunk_tokens)
    with torch.no_grad():
        values = value(states).masked_fill(~mask, 0.0)
    earned = torch.tensor(scores)
    if s.baseline == "both":
        earned = pm.over_the_others(earned, s.samples)
    rewards = pm.token_rewards(earned, old, anchor, mask, s.kl_weight)
    advantage, returns = pm.advantages(rewards, values, mask, s.gamma, s.lam)
    if s.baseline == "group":
        advantage = pm.group_advantages(rewards, mask, s.samples)
    spread = float((returns[mask] - returns[mask].mean()).square().mean())
    told = torch.cat([torch.tensor(r.log_probs) for r in rollouts])
    found = {
        "kl": float(pm.masked_mean(pm.kl_estimate(old, anchor), mask)),
        # what the penalty weighs; the same mean, and far below kl when a few rare tokens dominate that
        "log_ratio": float(pm.masked_mean(old - anchor, mask)),
        "entropy": float(pm.masked_mean(entropies, mask)),
        "explained": 1 - float((returns - values)[mask].square().mean()) / spread if spread > 1e-9 else math.nan,
        # the sampler's own log-probabilities against the recomputed ones: a bug in either shows here
        "sampler_gap": float((told - old[mask]).abs().mean()),
    }
    return Batch(groups, mask, states, old, values, pm.whiten(advantage, mask), returns), found


COLUMNS = (
    "iteration", "seconds", "tokens", "reward", "pass_rate", "faster", "speedup", "copies", "built", "kl", "log_ratio",
    "entropy", "clip_fraction", "value_loss", "policy_loss", "update_kl", "explained", "gradient", "steps",
    "length", "sampler_gap", "draw_seconds", "score_seconds", "update_seconds", "alarms", "statuses",
)  # fmt: skip


def train(
    out: Path, start: Path, prompts: Sequence[Sequence[int]], score: Score, *, end: int, seconds: float,
    settings: Settings | None = None, iterations: int | None = None, save_every: float = 180.0,
) -> Path:  # fmt: skip
    """Train for `seconds` of wall time in all (over all runs that went on from the checkpoint); returns the checkpoint.

    out: folder of `ppo.pt` (keys of sft.save, so export and evaluation take it) and `ppo.csv`. start: the supervised
    checkpoint, which stays the reference. end: id of the end token. iterations: pause after so many in all.
    A run that goes on draws what the unbroken run would have drawn. Prompts that leave no room for an answer are
    left out. Raises ValueError for settings that do not go together, or that are not the checkpoint's.
    """
    s = settings or Settings()
    s.check()
    torch.set_num_threads(s.threads)
    torch.manual_seed(s.seed)
    path, curve = out / "ppo.pt", out / "ppo.csv"
    out.mkdir(parents=True, exist_ok=True)
    stored: dict[str, Any] = torch.load(path, weights_only=False) if path.exists() else {}
    if stored and stored["settings"] != asdict(s):
        raise ValueError(f"{path} was made with other settings: {stored['settings']}")
    reference = load(start)[0] if not stored else Model(Shape(**stored["shape"])).eval()
    if stored:
        reference.load_state_dict(stored["reference"])
    model = Model(reference.shape).eval()
    model.load_state_dict(stored.get("model", reference.state_dict()))
    value = Value(model.shape.hidden)
    rates: tuple[tuple[nn.Module, float], ...] = ((model, s.rate), (value, s.value_rate))
    optimizers = [torch.optim.AdamW(m.parameters(), rate, (0.9, 0.95), weight_decay=s.decay) for m, rate in rates]
    if stored:
        value.load_state_dict(stored["value"])
        for optimizer, state in zip(optimizers, stored["optimizers"], strict=True):
            optimizer.load_state_dict(state)
    history = [Summary(**numbers) for numbers in stored.get("history", [])]
    iteration, tokens, used = stored.get("iteration", 0), stored.get("tokens", 0), stored.get("used", 0.0)
    fitting = [i for i, prompt in enumerate(prompts) if len(prompt) + s.max_tokens <= model.shape.context]
    if len(fitting) < s.prompts:
        raise ValueError(f"{len(fitting)} prompts fit, an iteration takes {s.prompts}")
    print("ppo:", *(f"{name}={setting}" for name, setting in asdict(s).items()), flush=True)
    _open_csv(curve, iteration)
    begin, saved = time.monotonic() - used, time.monotonic()

    def save() -> None:
        state = {
            "shape": asdict(model.shape), "model": model.state_dict(), "value": value.state_dict(),
            "reference": reference.state_dict(), "optimizers": [o.state_dict() for o in optimizers],
            "settings": asdict(s), "history": [asdict(summary) for summary in history],
            "iteration": iteration, "tokens": tokens, "used": time.monotonic() - begin,
        }  # fmt: skip
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(path)

    while time.monotonic() - begin < seconds and (iterations is None or iteration < iterations):
        rng = random.Random(f"{s.seed}/{iteration}")  # by number, so that a resumed run draws the same
        indices = rng.sample(fitting, s.prompts)
        asked = [prompts[i] for i in indices]
        t0 = time.monotonic()
        seed = rng.randrange(2**31)
        if s.rollouts == "torch":
            rollouts = sample(
                model, asked, s.samples, end=end, max_tokens=s.max_tokens, temperature=s.temperature, rows=s.rows,
                generator=torch.Generator().manual_seed(seed),
            )  # fmt: skip
        else:
            rollouts = sample_llama(
                model, asked, s.samples, end=end, max_tokens=s.max_tokens, temperature=s.temperature, seed=seed,
                threads=s.threads,
            )  # fmt: skip
        t1 = time.monotonic()
        outcomes = judge(rollouts, indices, score)
        scores = [REWARDS[s.reward](outcome) for outcome in outcomes]
        t2 = time.monotonic()
        batch, found = collect(model, value, reference, asked, rollouts, scores, s)
        found["value_loss"] = fit(value, optimizers[1], batch, s, rng)
        if iteration >= s.warm_up:
            found |= update(model, optimizers[0], batch, s, rng)
        iteration += 1
        tokens += sum(len(r.ids) for r in rollouts)

        summary = summarise(outcomes, [(r.prompt, r.ids) for r in rollouts])
        history.append(summary)
        row = found | {
            "iteration": iteration, "seconds": round(time.monotonic() - begin, 1), "tokens": tokens,
            "reward": sum(scores) / len(scores), "pass_rate": summary.passed, "faster": summary.faster,
            "speedup": summary.speedup, "copies": summary.copies, "built": summary.built,
            "length": sum(len(r.ids) for r in rollouts) / len(rollouts), "draw_seconds": t1 - t0,
            "score_seconds": t2 - t1, "update_seconds": time.monotonic() - t2,
        }  # fmt: skip
        texts = {
            "alarms": ";".join(ringing(history)),
            "statuses": " ".join(f"{name}:{count}" for name, count in failures(outcomes).items()),
        }
        _log(curve, row, texts)
        if time.monotonic() - saved > save_every:
            save()
            saved = time.monotonic()
    save()
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
