"""The rollout: answers sampled from the policy, for PPO and for evaluation.

`sample` keeps keys and values of a fixed number of rows. A row that ends gives its place to the last one, so no step
is spent on a finished answer, and prompts that wait move in when half of the places are free. A prompt is read once for
all of its samples. Rows are padded on the right: token number i of a row is in column i and has position i, so a cached
row is exactly the row a plain forward pass would see, and columns beyond a row's own position are masked.

Covered: one device, float32, prompts of unequal length. Not covered: answers longer than `max_tokens` (they come back
incomplete), a context longer than the model's (ValueError).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from gccllm.lab.train.model import Block, Model, rotate


@dataclass(frozen=True)
class Sampling:
    """How answers are sampled."""

    end: int
    """The end token."""
    samples: int = 1
    """Answers to each prompt."""
    max_tokens: int = 160
    """Of an answer, the end included."""
    temperature: float = 1.0
    """0 takes the likeliest word."""
    rows: int = 128
    """Answers under way at a time, at least `samples`."""


@dataclass(frozen=True)
class Rollout:
    """One answer."""

    prompt: int
    """Index into the prompts that were asked."""
    ids: tuple[int, ...]
    """The tokens drawn; the last one is the end token when the answer is complete. Never empty."""
    log_probs: tuple[float, ...]
    """Nats, of each token, under the policy itself: temperature 1, no mask."""
    complete: bool
    """It ended by itself, not at the limit."""

    @property
    def answer(self) -> tuple[int, ...]:
        """Without the end token."""
        return self.ids[:-1] if self.complete else self.ids


def layer(
    block: Block, x: Tensor, turns: tuple[Tensor, Tensor], mask: Tensor | None, cache: Tensor | None = None
) -> Tensor:
    """One block, with keys and values kept in `cache` or attention limited by `mask`.

    x (B, L, H); turns: cosines and sines of the positions, broadcast to (B, heads, L, size / 2).
    mask: (B, 1, L, columns) bool, None for causal.
    cache (2, B, heads, columns, size), columns >= L: with a mask it already holds the keys and values to attend to but
    this token's own (L = 1, in the last column that the row's mask allows); with none, those of x are written to it.
    """
    b, length, h = x.shape
    y = block.attention_norm(x)
    q, k, v = (w(y).view(b, length, block.heads, -1).transpose(1, 2) for w in (block.q, block.k, block.v))
    q, k = rotate(q, *turns), rotate(k, *turns)
    if cache is not None and mask is not None:
        row, column = torch.arange(b), mask[:, 0, 0].sum(1) - 1
        cache[0, row, :, column], cache[1, row, :, column] = k[:, :, 0], v[:, :, 0]
        # spelled out: for one query a row this reads the cache faster than the fused kernel
        weights = (q * q.shape[-1] ** -0.5 @ cache[0].mT).masked_fill(~mask, -torch.inf).softmax(-1)
        y = weights @ cache[1]
    else:
        if cache is not None:
            cache[0, :, :, :length], cache[1, :, :, :length] = k, v
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    x = x + block.o(y.transpose(1, 2).reshape(b, length, h))
    y = block.feed_norm(x)
    return x + block.down(functional.silu(block.gate(y)) * block.up(y))


def new_cache(model: Model, rows: int, columns: int) -> Tensor:
    """(layers, 2, rows, heads, columns, size). Zeros: what is masked is multiplied by 0, and must be finite."""
    s = model.shape
    return torch.zeros(s.layers, 2, rows, s.heads, columns, s.hidden // s.heads)


def read_prompts(model: Model, prompts: Sequence[Sequence[int]], cache: Tensor) -> Tensor:
    """Logits (B, V) after each prompt; keys and values go to `cache` (layers, 2, B, heads, columns, size).

    What is written beyond a short prompt's end belongs to padding; nobody sees it before it is overwritten.
    """
    length = max(map(len, prompts))
    ids = torch.zeros(len(prompts), length, dtype=torch.long)
    for i, prompt in enumerate(prompts):
        ids[i, : len(prompt)] = torch.tensor(prompt)
    x = model.embedding(ids)
    for block, kept in zip(model.blocks, cache, strict=True):
        x = layer(cast(Block, block), x, (model.cos[:length], model.sin[:length]), None, kept)
    ends = torch.tensor([len(prompt) - 1 for prompt in prompts])
    return model.logits(model.norm(x[torch.arange(len(prompts)), ends]))


def step(model: Model, ids: Tensor, positions: Tensor, cache: Tensor) -> Tensor:
    """Logits (B, V) after one more token a row. ids, positions (B,); the cache holds columns up to positions - 1."""
    columns = int(positions.max()) + 1
    mask = (torch.arange(columns) <= positions[:, None])[:, None, None]
    turns = model.cos[positions][:, None, None], model.sin[positions][:, None, None]
    x = model.embedding(ids)[:, None]
    for block, kept in zip(model.blocks, cache[..., :columns, :], strict=True):
        x = layer(cast(Block, block), x, turns, mask, kept)
    return model.logits(model.norm(x[:, 0]))


def draw(logits: Tensor, temperature: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A token a row and its log-probability at temperature 1. logits (B, V) -> (B,), (B,)."""
    log_probs = logits.log_softmax(-1)
    if temperature == 0:
        ids = log_probs.argmax(-1)
    else:
        # By the inverse of the cumulative distribution: one random number a row, where multinomial takes one a word.
        sums = (log_probs / temperature).softmax(-1).cumsum(-1)
        at = torch.rand(len(logits), 1, generator=generator) * sums[:, -1:] * (1 - 1e-6)
        ids = torch.searchsorted(sums, at, right=True)[:, 0]
    return ids, log_probs.gather(1, ids[:, None])[:, 0]


@torch.no_grad()
def sample(model: Model, prompts: Sequence[Sequence[int]], how: Sampling, generator: torch.Generator) -> list[Rollout]:
    """Answers to each prompt, those of one prompt beside each other, in the order of the prompts.

    Deterministic by the generator's state on one machine. Raises ValueError for an empty prompt, or one that leaves no
    room for `max_tokens`.
    """
    lengths = [len(prompt) for prompt in prompts]
    samples, max_tokens = how.samples, how.max_tokens
    if samples < 1 or max_tokens < 1 or min(lengths, default=1) < 1 or how.temperature < 0:
        raise ValueError("an empty prompt, no sample, no token, or a negative temperature")
    if max(lengths, default=0) + max_tokens > model.shape.context:
        raise ValueError(f"{max(lengths)} and {max_tokens} tokens do not fit into {model.shape.context}")
    waiting = sorted(range(len(prompts)), key=lambda i: -lengths[i])  # like lengths together; taken from the end
    rows = min(max(how.rows, samples), len(prompts) * samples)
    cache = new_cache(model, rows, max(lengths, default=0) + max_tokens)
    ids: list[list[int]] = [[] for _ in range(len(prompts) * samples)]
    log_probs: list[list[float]] = [[] for _ in ids]
    places: list[int] = []  # places[i]: which answer is in row i of the cache
    positions = torch.zeros(0, dtype=torch.long)  # of the next token of each row
    logits = torch.zeros(0, model.shape.vocabulary)
    while waiting or places:
        count = min(len(waiting), (rows - len(places)) // samples)
        if count and len(places) <= rows // 2:
            fresh, waiting = waiting[len(waiting) - count :][::-1], waiting[: len(waiting) - count]
            asked = [prompts[i] for i in fresh]
            longest, first = max(map(len, asked)), len(places)
            read = new_cache(model, count, longest)
            logits = torch.cat((logits, read_prompts(model, asked, read).repeat_interleave(samples, 0)))
            room = cache[:, :, first : first + count * samples, :, :longest]
            room.unflatten(2, (count, samples)).copy_(read[:, :, :, None])
            places += [i * samples + k for i in fresh for k in range(samples)]
            own = torch.tensor([lengths[i] for i in fresh]).repeat_interleave(samples)
            positions = torch.cat((positions, own))
        drawn, likelihood = draw(logits, how.temperature, generator)
        going = []
        for i, (r, token, nats) in enumerate(zip(places, drawn.tolist(), likelihood.tolist(), strict=True)):
            ids[r].append(token)
            log_probs[r].append(nats)
            if token != how.end and len(ids[r]) < max_tokens:
                going.append(i)
        if len(going) < len(places):
            kept = _close_up(cache, going, int(positions.max()))
            places = [places[i] for i in kept]
            positions, drawn = positions[kept], drawn[kept]
        logits = step(model, drawn, positions, cache[:, :, : len(places)]) if places else logits[:0]
        positions = positions + 1
    return [
        Rollout(r // samples, tuple(row), tuple(nats), row[-1] == how.end)
        for r, (row, nats) in enumerate(zip(ids, log_probs, strict=True))
    ]


def _close_up(cache: Tensor, going: list[int], columns: int) -> list[int]:
    """Move rows from the end of the cache into the places of finished ones; which old row is where, afterwards."""
    count = len(going)
    free = sorted(set(range(count)) - set(going))
    movers = [i for i in going if i >= count]
    kept = list(range(count))
    for to, origin in zip(free, movers, strict=True):
        cache[:, :, to, :, :columns] = cache[:, :, origin, :, :columns]
        kept[to] = origin
    return kept
