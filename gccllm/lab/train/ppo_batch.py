"""What an iteration of PPO learns from: the answers drawn, their log-probabilities, values and advantages.

Equal answers to a prompt go through the models once, as a row with a weight: the same text from the same state has the
same probabilities, reward and advantage, so nothing changes but the time (a third to a half of what a trained policy
draws is equal to something else that it drew).

Shapes: P prompts of one process, S samples each, B = P * S; U <= B distinct rows, T tokens of the longest, H hidden.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gccllm.lab.train import parallel
from gccllm.lab.train import ppo_math as pm
from gccllm.lab.train.config import Ppo
from gccllm.lab.train.model import Model
from gccllm.lab.train.rollout import Rollout
from gccllm.lab.train.sequences import pack, packed_length, packed_states

Group = tuple[Sequence[int], list[tuple[int, ...]]]
"""A prompt and its distinct answers, in the order they were first drawn."""


@dataclass(frozen=True)
class Models:
    """The models of an iteration."""

    policy: Model
    reference: Model
    """The supervised model."""
    value: torch.nn.Module


@dataclass(frozen=True)
class Drawn:
    """The answers of an iteration."""

    groups: list[Group]
    starts: list[int]
    """(P + 1): the rows of group i are starts[i] to starts[i + 1]."""
    mask: Tensor
    """(U, T) bool: the tokens of each row."""
    weight: Tensor
    """(U,) float: how often it was drawn."""
    row: Tensor
    """(B,) int64: which row each sample is."""
    sample: Tensor
    """(U,) int64: a sample that is this row, the first."""

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int]], rollouts: Sequence[Rollout], samples: int) -> Drawn:
        """`rollouts`: those of a prompt beside each other, `samples` of each, in the order of the prompts."""
        groups: list[Group] = []
        starts, row = [0], []
        sample: list[int] = []
        for i, prompt in enumerate(prompts):
            known: dict[tuple[int, ...], int] = {}
            for at in range(i * samples, (i + 1) * samples):
                ids = rollouts[at].ids
                if ids not in known:
                    known[ids] = len(sample)
                    sample.append(at)
                row.append(known[ids])
            groups.append((prompt, list(known)))
            starts.append(len(sample))
        lengths = torch.tensor([len(ids) for _, answers in groups for ids in answers])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        rows = torch.tensor(row)
        return cls(groups, starts, mask, torch.bincount(rows).float(), rows, torch.tensor(sample))

    def rows_of(self, groups: Sequence[int]) -> Tensor:
        """Rows of some groups, in the groups' order."""
        return torch.cat([torch.arange(self.starts[i], self.starts[i + 1]) for i in groups])


@dataclass(frozen=True)
class Batch:
    """What one iteration's updates are made from."""

    drawn: Drawn
    states: Tensor
    """(U, T, H) of the policy that drew, for the value head."""
    old: Tensor
    """(U, T) log-probabilities under that policy."""
    values: Tensor
    advantage: Tensor
    returns: Tensor
    told: list[int]
    """Groups whose answers were not all worth the same: the others say nothing about which is better."""

    @property
    def weights(self) -> Tensor:
        """(N,) of the tokens of the mask."""
        return self.drawn.weight[:, None].expand(self.drawn.mask.shape)[self.drawn.mask]


def chunks(groups: Sequence[Group], most: int) -> Iterator[list[int]]:
    """Indices of groups of like packed lengths, at most `most` padded tokens at a time (but at least one group)."""
    chunk: list[int] = []
    for i in sorted(range(len(groups)), key=lambda i: packed_length(*groups[i])):
        if chunk and packed_length(*groups[i]) * (len(chunk) + 1) > most:
            yield chunk
            chunk = []
        chunk.append(i)
    if chunk:
        yield chunk


@torch.no_grad()
def evaluate(model: Model, drawn: Drawn, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities (U, T), entropies (U, T) and states (U, T, H) of the answers' tokens; 0 outside the mask."""
    mask = drawn.mask
    log_probs, entropies = torch.zeros(mask.shape), torch.zeros(mask.shape)
    kept = torch.zeros(*mask.shape, model.shape.hidden)
    for part in chunks(drawn.groups, most):
        packed = pack([drawn.groups[i] for i in part])
        rows = drawn.rows_of(part)
        row, column = mask[rows].nonzero(as_tuple=True)  # in the order of the packed tokens
        states = packed_states(model, packed)
        logits = model.logits(states)
        log_probs[rows[row], column] = pm.token_log_probs(logits, packed.targets)
        entropies[rows[row], column] = pm.entropy(logits)
        kept[rows[row], column] = states
    return log_probs, entropies, kept


def mean(x: Tensor, weights: Tensor) -> float:
    """Weighted mean over the tokens (N,) of all processes."""
    sums = parallel.total(torch.stack(((x * weights).sum(), weights.sum())).double())
    return float(sums[0] / sums[1].clamp(min=1e-9))


def whiten(x: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """(U, T) with mean 0 and variance 1 over the tokens of the mask in all processes, 0 elsewhere. weight (U,)."""
    weights = weight[:, None].expand(mask.shape)[mask]
    middle = mean(x[mask], weights)
    width = math.sqrt(mean((x[mask] - middle) ** 2, weights) + 1e-8)
    return ((x - middle) / width).masked_fill(~mask, 0.0)


def collect(
    models: Models, prompts: Sequence[Sequence[int]], rollouts: Sequence[Rollout], scores: Sequence[float], s: Ppo
) -> tuple[Batch, dict[str, float]]:
    """The batch for the updates, and kl, entropy, sampler gap and explained variance of its tokens.

    `scores` (B): what the verifier says an answer is worth. Means, and the whitening of the advantages, are over all
    processes.
    """
    drawn = Drawn.of(prompts, rollouts, s.samples)
    mask = drawn.mask
    old, entropies, states = evaluate(models.policy, drawn, s.chunk_tokens)
    anchor, _, _ = evaluate(models.reference, drawn, s.chunk_tokens)
    with torch.no_grad():
        values = models.value(states).masked_fill(~mask, 0.0)
    worth = torch.tensor(scores)
    spread = worth.view(-1, s.samples).amax(1) - worth.view(-1, s.samples).amin(1)
    if s.baseline == "both":
        worth = pm.over_the_others(worth, s.samples)
    rewards = pm.token_rewards(worth[drawn.sample], old, anchor, mask, s.kl)
    advantage, returns = pm.advantages(rewards, values, mask, s.gamma, s.lam)
    if s.baseline == "group":
        every = mask[drawn.row]
        advantage = pm.group_advantages(rewards[drawn.row], every, s.samples)[drawn.sample]
    batch = Batch(
        drawn, states, old, values, advantage, returns, (spread > max(s.least_spread, 1e-6)).nonzero()[:, 0].tolist()
    )
    weights = batch.weights
    centre = mean(returns[mask], weights)
    variance = mean((returns[mask] - centre) ** 2, weights)
    said = torch.zeros(mask.shape)
    said[mask] = torch.cat([torch.tensor(rollouts[at].log_probs) for at in drawn.sample.tolist()])
    found = {
        "kl": mean(pm.kl_estimate(old, anchor)[mask], weights),
        # what the penalty weighs; the same mean, and far below kl when a few rare tokens dominate that
        "log_ratio": mean((old - anchor)[mask], weights),
        "entropy": mean(entropies[mask], weights),
        "explained": 1 - mean((returns - values)[mask] ** 2, weights) / variance if variance > 1e-9 else math.nan,
        # the sampler's own log-probabilities against the recomputed ones: a bug in either shows here
        "sampler_gap": mean((said - old)[mask].abs(), weights),
        "distinct": len(drawn.sample) / len(rollouts),
        "told": len(batch.told) / len(drawn.groups),
    }
    return replace(batch, advantage=whiten(advantage, mask, drawn.weight)), found
