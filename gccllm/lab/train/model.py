"""A small Llama in plain torch, and Muon. The layout is llama.cpp's (interleaved rotary pairs), so export is a copy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; every width is a multiple of 32, the block of Q8_0."""

    vocabulary: int
    hidden: int = 128
    inner: int = 384
    layers: int = 6
    heads: int = 4
    context: int = 1024
    rope_base: float = 10000.0
    epsilon: float = 1e-6


class Block(nn.Module):
    drop = 0.0
    """Share of its two additions that is zeroed in training."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        h, f = shape.hidden, shape.inner
        self.heads = shape.heads
        self.attention_norm = nn.RMSNorm(h, eps=shape.epsilon)
        self.feed_norm = nn.RMSNorm(h, eps=shape.epsilon)
        self.q = nn.Linear(h, h, bias=False)
        self.k = nn.Linear(h, h, bias=False)
        self.v = nn.Linear(h, h, bias=False)
        self.o = nn.Linear(h, h, bias=False)
        self.gate = nn.Linear(h, f, bias=False)
        self.up = nn.Linear(h, f, bias=False)
        self.down = nn.Linear(f, h, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: (batch, length, hidden); cos, sin: (length, head size / 2)."""
        b, length, h = x.shape
        y = self.attention_norm(x)
        q, k, v = (w(y).view(b, length, self.heads, -1).transpose(1, 2) for w in (self.q, self.k, self.v))
        y = functional.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self._dropped(self.o(y.transpose(1, 2).reshape(b, length, h)))
        y = self.feed_norm(x)
        return x + self._dropped(self.down(functional.silu(self.gate(y)) * self.up(y)))

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.drop, self.training) if self.drop else x


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions over neighbouring pairs. x: (batch, heads, length, size)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Model(nn.Module):
    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.hidden)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.epsilon)
        size = shape.hidden // shape.heads
        frequency = shape.rope_base ** (-torch.arange(0, size, 2).float() / size)
        angle = torch.arange(shape.context).float()[:, None] * frequency
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        nn.init.normal_(self.embedding.weight, std=0.05)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2 and not name.startswith("embedding"):
                out = name.endswith(("o.weight", "down.weight"))
                nn.init.normal_(parameter, std=shape.hidden**-0.5 / (math.sqrt(2 * shape.layers) if out else 1.0))

    def states(self, ids: Tensor) -> Tensor:
        """(batch, length) -> (batch, length, hidden), after the last norm."""
        length = ids.shape[1]
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos[:length], self.sin[:length])
        return self.norm(x)

    def logits(self, states: Tensor) -> Tensor:
        """The output matrix is the embedding."""
        return states @ self.embedding.weight.t()


class Muon:
    """Orthogonalised momentum for the hidden matrices, AdamW for embedding and norms.

    The Newton-Schulz quintic and its coefficients are those of Keller Jordan's Muon (2024).
    """

    def __init__(
        self, model: Model, rate: float = 0.02, adam_rate: float = 3e-3, decay: float = 0.01, rounds: int = 4
    ) -> None:
        named = list(model.named_parameters())
        self.matrices: list[Tensor] = [p for n, p in named if p.ndim == 2 and not n.startswith("embedding")]
        self.momentum = [torch.zeros_like(p) for p in self.matrices]
        self.rate, self.adam_rate, self.decay, self.rounds = rate, adam_rate, decay, rounds
        rest = [p for n, p in named if p.ndim != 2 or n.startswith("embedding")]
        self.adam = torch.optim.AdamW(rest, lr=adam_rate, betas=(0.9, 0.98), weight_decay=0.0)

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One step at `scale` times the full rates; gradients are cleared."""
        for group in self.adam.param_groups:
            group["lr"] = self.adam_rate * scale
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        gradients = [p.grad for p in self.matrices if p.grad is not None]
        if len(gradients) != len(self.matrices):
            raise RuntimeError("a matrix has no gradient")
        # all matrices in a call: on a GPU the calls are what takes the time
        torch._foreach_lerp_(self.momentum, gradients, 0.05)
        updates = torch._foreach_lerp(gradients, self.momentum, 0.95)
        torch._foreach_mul_(self.matrices, 1 - self.rate * scale * self.decay)
        by_shape: dict[torch.Size, list[int]] = {}
        for i, p in enumerate(self.matrices):
            by_shape.setdefault(p.shape, []).append(i)
        for (rows, columns), indices in by_shape.items():
            x = torch.stack([updates[i] for i in indices])
            turned = orthogonal(x if rows <= columns else x.mT, self.rounds)
            turned = (turned if rows <= columns else turned.mT).to(x.dtype)
            step = -self.rate * scale * max(1.0, rows / columns) ** 0.5
            torch._foreach_add_([self.matrices[i] for i in indices], list(turned.unbind()), alpha=step)
        for p in self.matrices:
            p.grad = None

    def state(self) -> dict[str, object]:
        return {"momentum": self.momentum, "adam": self.adam.state_dict()}

    def load(self, state: dict[str, object]) -> None:
        self.momentum = list(state["momentum"])  # type: ignore[call-overload]
        self.adam.load_state_dict(state["adam"])  # type: ignore[arg-type]


def orthogonal(x: Tensor, rounds: int) -> Tensor:
    """Nearly orthogonal matrices with the row and column spaces of `x` (n, rows <= columns)."""
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    if x.is_cuda:  # the rounds only need the direction, and there this is far faster
        x = x.bfloat16()
    for _ in range(rounds):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x
