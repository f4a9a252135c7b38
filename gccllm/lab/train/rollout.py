"""Answers drawn from the policy, and the forward passes for it that `Model` itself has not got.

`sample` keeps keys and values of a fixed number of rows. A row that ends gives its place to the last one, so no step
is spent on a finished answer, and prompts that wait move in when half of the places are free. A prompt is read once for
all of its samples. Rows are padded on the right: token number i of a row is in column i and has position i, so a cached
row is exactly the row a plain forward pass would see, and columns beyond a row's own position are masked.

`Packed` is the same economy for training: one sequence holds a prompt and all its answers, which see the prompt and
themselves but not each other.

Covered: one device, float32, prompts of unequal length. Not covered: answers longer than `max_tokens` (they come back
incomplete), a context longer than the model's (ValueError).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from gccllm.lab.train.model import Block, Model, rotate

Allowed = Callable[[Sequence[int]], Tensor]
"""Prompt and answer so far -> (V,) bool, True on the words that may come next (at least one)."""


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
    block: Block, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: Tensor | None = None
) -> Tensor:
    """One block, with keys and values kept in `cache` or attention limited by `mask`.

    x (B, L, H); cos, sin: broadcast to (B, heads, L, size / 2). mask: (B, 1, L, columns) bool, None for causal.
    cache (2, B, heads, columns, size), columns >= L: with a mask it already holds the keys and values to attend to but
    this token's own (L = 1, in the last column that the row's mask allows); with none, those of x are written to it.
    """
    b, length, h = x.shape
    y = block.attention_norm(x)
    q, k, v = (w(y).view(b, length, block.heads, -1).transpose(1, 2) for w in (block.q, block.k, block.v))
    q, k = rotate(q, cos, sin), rotate(k, cos, sin)
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
        x = layer(cast(Block, block), x, model.cos[:length], model.sin[:length], None, kept)
    ends = torch.tensor([len(prompt) - 1 for prompt in prompts])
    return model.logits(model.norm(x[torch.arange(len(prompts)), ends]))


def step(model: Model, ids: Tensor, positions: Tensor, cache: Tensor) -> Tensor:
    """Logits (B, V) after one more token a row. ids, positions (B,); the cache holds columns up to positions - 1."""
    columns = int(positions.max()) + 1
    mask = (torch.arange(columns) <= positions[:, None])[:, None, None]
    cos, sin = model.cos[positions][:, None, None], model.sin[positions][:, None, None]
    x = model.embedding(ids)[:, None]
    for block, kept in zip(model.blocks, cache[..., :columns, :], strict=True):
        x = layer(cast(Block, block), x, cos, sin, mask, kept)
    return model.logits(model.norm(x[:, 0]))


def draw(logits: Tensor, temperature: float, generator: torch.Generator, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """A token a row and its log-probability at temperature 1 without the mask. logits (B, V) -> (B,), (B,)."""
    log_probs = logits.log_softmax(-1)
    scaled = log_probs if mask is None else log_probs.masked_fill(~mask, -torch.inf)
    if temperature == 0:
        ids = scaled.argmax(-1)
    else:
        # By the inverse of the cumulative distribution: one random number a row, where multinomial takes one a word.
        sums = (scaled / temperature).softmax(-1).cumsum(-1)
        at = torch.rand(len(logits), 1, generator=generator) * sums[:, -1:] * (1 - 1e-6)
        ids = torch.searchsorted(sums, at, right=True)[:, 0]
    return ids, log_probs.gather(1, ids[:, None])[:, 0]


@torch.no_grad()
def sample(
    model: Model, prompts: Sequence[Sequence[int]], samples: int, *, end: int, max_tokens: int,
    generator: torch.Generator, temperature: float = 1.0, rows: int = 128, allowed: Allowed | None = None,
) -> list[Rollout]:  # fmt: skip
    """`samples` answers to each prompt, those of one prompt beside each other, in the order of the prompts.

    `rows`: answers under way at a time (at least `samples`). `temperature` 0 takes the likeliest word. `allowed` is
    asked for every row at every token: it costs Python time. Deterministic by the generator's state on one machine.
    Raises ValueError for an empty prompt, or one that leaves no room for `max_tokens`.
    """
    lengths = [len(prompt) for prompt in prompts]
    if samples < 1 or max_tokens < 1 or min(lengths, default=1) < 1 or temperature < 0:
        raise ValueError("an empty prompt, no sample, no token, or a negative temperature")
    if max(lengths, default=0) + max_tokens > model.shape.context:
        raise ValueError(f"{max(lengths)} and {max_tokens} tokens do not fit into {model.shape.context}")
    waiting = sorted(range(len(prompts)), key=lambda i: -lengths[i])  # like lengths together; taken from the end
    rows = min(max(rows, samples), len(prompts) * samples)
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
        mask = None
        if allowed is not None:
            mask = torch.stack([allowed([*prompts[r // samples], *ids[r]]) for r in places])
        drawn, likelihood = draw(logits, temperature, generator, mask)
        going = []
        for i, (r, token, nats) in enumerate(zip(places, drawn.tolist(), likelihood.tolist(), strict=True)):
            ids[r].append(token)
            log_probs[r].append(nats)
            if token != end and len(ids[r]) < max_tokens:
                going.append(i)
        if len(going) < len(places):
            kept = _close_up(cache, going, int(positions.max()))
            places = [places[i] for i in kept]
            positions, drawn = positions[kept], drawn[kept]
        logits = step(model, drawn, positions, cache[:, :, : len(places)]) if places else logits[:0]
        positions = positions + 1
    return [
        Rollout(r // samples, tuple(row), tuple(nats), row[-1] == end)
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


def sample_llama(
    model: Model, prompts: Sequence[Sequence[int]], samples: int, *, end: int, max_tokens: int, temperature: float,
    seed: int, threads: int = 1,
) -> list[Rollout]:  # fmt: skip
    """As `sample`, with llama.cpp computing the logits from a float32 copy of the weights. Raises ModelError.

    One prompt at a time. Keys and values are kept in half precision, so its log-probabilities are a little off (the
    sampler gap of a run shows how much). For models or machines where llama.cpp is the faster of the two.
    """
    from gccllm.base.deadline import Deadline
    from gccllm.lab.train.export import export
    from gccllm.propose.llama import Gguf, _Context, library

    generator = torch.Generator().manual_seed(seed)
    found: list[Rollout] = []
    with tempfile.TemporaryDirectory(prefix="gccllm-rollout-") as folder:
        path = Path(folder) / "policy.gguf"
        export(model, [f"w{i}" for i in range(model.shape.vocabulary)], path, quantised=False, name="policy")
        gguf = Gguf(path, threads)
        try:
            for i, prompt in enumerate(prompts):
                if not prompt or len(prompt) + max_tokens > model.shape.context:
                    raise ValueError(f"{len(prompt)} and {max_tokens} tokens do not fit into {model.shape.context}")
                ids: list[list[int]] = [[] for _ in range(samples)]
                log_probs: list[list[float]] = [[] for _ in range(samples)]
                # not Gguf.sample: dropping equal answers and rare words is right for users, not for a gradient
                with _Context(gguf, len(prompt), samples, max_tokens) as context:
                    logits = torch.from_numpy(context._read(prompt, Deadline(600.0))).repeat(samples, 1)
                    for k in range(1, samples):
                        library().llama_memory_seq_cp(context.memory, 0, k, -1, -1)
                    going = list(range(samples))
                    for t in range(max_tokens):
                        drawn, nats = draw(logits, temperature, generator, None)
                        for k, token, log_prob in zip(going, drawn.tolist(), nats.tolist(), strict=True):
                            ids[k].append(token)
                            log_probs[k].append(log_prob)
                        going = [k for k in going if ids[k][-1] != end]
                        if not going or t == max_tokens - 1:
                            break
                        logits = torch.from_numpy(
                            context._evaluate([(ids[k][-1], len(prompt) + t, k, True) for k in going])
                        )
                found += [
                    Rollout(i, tuple(row), tuple(told), row[-1] == end)
                    for row, told in zip(ids, log_probs, strict=True)
                ]
        finally:
            gguf.close()
    return found


@dataclass(frozen=True)
class Packed:
    """Prompts with all their answers, a sequence each: prompt, first answer, second answer ...

    P prompts, L tokens of the longest sequence, N tokens of all answers in the order they were given.
    """

    ids: Tensor
    """(P, L) int64. The last token of an answer is not an input: nothing follows it."""
    positions: Tensor
    """(P, L) int64: an answer's tokens go on where the prompt ended."""
    mask: Tensor
    """(P, 1, L, L) bool: a query sees the prompt and its own answer, up to itself."""
    sources: Tensor
    """(N,) int64: for each answer token, the place in (P * L) from whose state it is predicted."""
    targets: Tensor
    """(N,) int64: the answer tokens."""


def packed_length(prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
    return len(prompt) + sum(len(ids) - 1 for ids in answers)


def pack(groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]]) -> Packed:
    """One sequence for each (prompt, its answers); no prompt or answer is empty."""
    length = max(packed_length(prompt, answers) for prompt, answers in groups)
    ids = torch.zeros(len(groups), length, dtype=torch.long)
    positions = torch.zeros_like(ids)
    owner = torch.full_like(ids, -1)  # 0: prompt, k: k-th answer, -1: padding
    sources: list[int] = []
    targets: list[int] = []
    for row, (prompt, answers) in enumerate(groups):
        n = at = len(prompt)
        ids[row, :n], positions[row, :n], owner[row, :n] = torch.tensor(prompt), torch.arange(n), 0
        for k, answer in enumerate(answers, 1):
            more = len(answer) - 1
            sources += [row * length + n - 1, *range(row * length + at, row * length + at + more)]
            targets += answer
            if more:
                ids[row, at : at + more] = torch.tensor(answer[:-1])
                positions[row, at : at + more] = torch.arange(n, n + more)
                owner[row, at : at + more] = k
            at += more
    earlier = torch.ones(length, length, dtype=torch.bool).tril()
    same = (owner[:, :, None] == owner[:, None, :]) | (owner[:, None, :] == 0)
    return Packed(ids, positions, (earlier & same)[:, None], torch.tensor(sources), torch.tensor(targets))


def packed_states(model: Model, packed: Packed) -> Tensor:
    """(N, H): the state, after the last norm, from which each answer token is predicted."""
    cos, sin = model.cos[packed.positions][:, None], model.sin[packed.positions][:, None]
    x = model.embedding(packed.ids)
    for block in model.blocks:
        x = layer(cast(Block, block), x, cos, sin, packed.mask)
    return model.norm(x.flatten(0, 1)[packed.sources])
