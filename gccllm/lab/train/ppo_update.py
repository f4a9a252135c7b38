"""The updates of an iteration of PPO: the value head is fitted, then the policy takes a few clipped steps."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn

from gccllm.lab.train import parallel
from gccllm.lab.train import ppo_math as pm
from gccllm.lab.train.config import Ppo
from gccllm.lab.train.model import Model
from gccllm.lab.train.ppo_batch import Batch, chunks
from gccllm.lab.train.sequences import pack, packed_states


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


def fit(value: Value, optimizer: torch.optim.Optimizer, batch: Batch, s: Ppo, rng: random.Random) -> float:
    """Fit the value head to the returns, on the states of the policy that drew; the last epoch's mean loss.

    The head is small: every process fits it to the tokens of all of them, in one order (`rng` is the same in all).
    """
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
    model: Model, optimizer: torch.optim.Optimizer, batch: Batch, s: Ppo, rng: random.Random
) -> dict[str, float]:
    """The policy's epochs of one iteration; means over the steps that were taken, and how many they were.

    Only groups in which answers differ in worth: in the others there is nothing to prefer, and they are what a trained
    policy spends most of its tokens on. An epoch has as many steps in every process, some perhaps without a group.
    """
    drawn = batch.drawn
    totals = {"policy_loss": 0.0, "clip_fraction": 0.0, "update_kl": 0.0, "gradient": 0.0}
    minibatches: list[list[int]] = []
    for _ in range(s.epochs):
        order = rng.sample(batch.told, len(batch.told))
        minibatches += [order[step :: s.minibatches] for step in range(s.minibatches)]
    steps = 0
    for chosen in minibatches:
        own = sum(float(drawn.weight[drawn.starts[i] + k]) * len(ids)
                  for i in chosen for k, ids in enumerate(drawn.groups[i][1]))  # fmt: skip
        # a float also where this process has no group: the processes' tensors must be of one kind
        tokens = float(parallel.total(torch.tensor(float(own))))
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
            losses, held = pm.clipped_policy_losses(log_probs, old, advantage, s.clip)
            loss, clipped = (pm.masked_mean(x, weights, tokens) for x in (losses, held))
            bonus = pm.masked_mean(pm.entropy(logits), weights, tokens) if s.entropy else torch.zeros(())
            (loss - s.entropy * bonus).backward()
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
