"""The arithmetic of PPO: pure functions of tensors, no model, no loop, no state.

Shapes: B rollouts, T tokens of the longest answer, V words; every answer starts at column 0, and `mask` (bool) is True
on the tokens that were drawn, the end token included. Log-probabilities and divergences are in nats, at temperature 1.

Sources: Schulman et al., Proximal Policy Optimization, arXiv 1707.06347 (the clipped surrogate, equation 7); Schulman
et al., arXiv 1506.02438 (generalised advantages, equation 16); Ziegler et al., arXiv 1909.08593 (the divergence from
the supervised model as a part of each token's reward); Schulman, "Approximating KL Divergence", 2020 (the estimator
k3); Ahmadian et al., arXiv 2402.14740 (leave-one-out baselines). What published implementations add and is kept here:
clipped values and whitened advantages (Huang et al., "The 37 Implementation Details of PPO", 2022, details 7 and 9).
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor, tokens: float | None = None) -> Tensor:
    """Scalar: the sum of `x` where `mask` is True over their number, or over `tokens`.

    `mask` may be weights instead, at least 0: a token that was drawn three times counts three times.
    `tokens` is the number in a whole minibatch when `x` is one of several chunks whose gradients are added up.
    """
    if mask.dtype == torch.bool:
        return x.masked_fill(~mask, 0.0).sum() / (mask.sum().clamp(min=1) if tokens is None else max(tokens, 1.0))
    return (x * mask).sum() / (mask.sum().clamp(min=1e-9) if tokens is None else max(tokens, 1e-9))


def token_log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """Log-probability of each drawn token. logits (..., V), ids (...) int64 -> (...)."""
    return logits.gather(-1, ids[..., None])[..., 0] - logits.logsumexp(-1)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of each next-token distribution. logits (..., V) -> (...)."""
    log_probs = logits.log_softmax(-1)
    return -(log_probs.exp() * log_probs).sum(-1)


def kl_estimate(log_probs: Tensor, reference: Tensor) -> Tensor:
    """Per-token estimate of KL(policy || reference) from tokens the policy drew: k3, unbiased and never negative.

    log_probs, reference (...): log-probabilities of the drawn tokens under either model.
    With r = reference / policy: (r - 1) - log r.
    """
    log_ratio = reference - log_probs
    return log_ratio.exp() - 1 - log_ratio


def token_rewards(scores: Tensor, log_probs: Tensor, reference: Tensor, mask: Tensor, kl_weight: float) -> Tensor:
    """(B, T): the verifier's score on the last token, minus `kl_weight` times the log ratio on every token.

    scores (B,); log_probs, reference (B, T). The log ratio itself (the estimator k1) is what the penalty's gradient
    needs: its mean is the divergence, which is not so for the gradient of k3 as a reward.
    """
    rewards = (-kl_weight * (log_probs - reference)).masked_fill(~mask, 0.0)
    last = mask.sum(1, keepdim=True) - 1
    return rewards.scatter_add(1, last, scores[:, None].to(rewards.dtype))


def advantages(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates, and the returns the value head is fitted to.

    rewards (B, T): as `token_rewards` gives them.
    values  (B, T): the value head's, from the state before token t is drawn.
    Returns two (B, T) tensors, exactly 0 where mask is False; returns = advantages + values.
    Raises ValueError when a row has no token or a gap, or gamma or lam is outside (0, 1].

    Covers answers of unequal length. Does not whiten, and does not bootstrap an answer that was cut by the token
    limit: what follows its last token counts as 0, as the answer is worth nothing more.
    """
    if not (0 < gamma <= 1 and 0 < lam <= 1):
        raise ValueError(f"gamma {gamma} and lambda {lam} must be in (0, 1]")
    if not bool(mask[:, 0].all()) or bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        raise ValueError("a row of the mask is not one run of tokens from column 0")
    found = torch.zeros_like(values)
    carried = torch.zeros_like(values[:, 0])
    following = torch.zeros_like(values[:, 0])
    for t in range(values.shape[1] - 1, -1, -1):
        # surprise = reward + value of the next state - value of this one; the rest decays with gamma * lambda
        surprise = rewards[:, t] + gamma * following - values[:, t]
        carried = torch.where(mask[:, t], surprise + gamma * lam * carried, 0.0)
        following = torch.where(mask[:, t], values[:, t], 0.0)
        found[:, t] = carried
    return found, (found + values).masked_fill(~mask, 0.0)


def group_advantages(rewards: Tensor, mask: Tensor, samples: int) -> Tensor:
    """(B, T): an answer's whole reward minus the mean of the other answers to its prompt, on each of its tokens.

    rewards (B, T), rows of one prompt beside each other, `samples` (at least 2) of each. No value head is needed.
    """
    return over_the_others(rewards.sum(1), samples)[:, None] * mask


def over_the_others(scores: Tensor, samples: int) -> Tensor:
    """(B,): each score minus the mean of the other answers to its prompt.

    scores (B,), those of one prompt beside each other, `samples` (at least 2) of each. The mean does not depend on the
    answer it is taken from, so the gradient stays unbiased (leave-one-out, arXiv 2402.14740).
    """
    if samples < 2 or scores.shape[0] % samples:
        raise ValueError(f"{scores.shape[0]} rows are not groups of {samples}, or a group has no other answer")
    groups = scores.view(-1, samples)
    others = (groups.sum(1, keepdim=True) - groups) / (samples - 1)
    return (groups - others).flatten()


def clipped_policy_losses(log_probs: Tensor, old: Tensor, advantage: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """The clipped surrogate as a loss of each token, and 1 on tokens that the clip holds (they send no gradient).

    log_probs (...): the current policy's; old (...): those of the policy that drew the tokens. Both (...).
    """
    ratio = (log_probs - old).exp()
    plain = ratio * advantage
    clipped = ratio.clamp(1 - clip, 1 + clip) * advantage
    # the lower of both: leaving the interval pays nothing, coming back into it does
    return -torch.minimum(plain, clipped), (clipped < plain).float().detach()


def value_loss(values: Tensor, old: Tensor, returns: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Scalar: half the squared error of the values, which may leave `old` by no more than `clip` (reward units)."""
    held = old + (values - old).clamp(-clip, clip)
    worse = torch.maximum((values - returns) ** 2, (held - returns) ** 2)
    return 0.5 * masked_mean(worse, mask)
