"""The forward pass of PPO's updates: one sequence holds a prompt and all its answers.

The answers see the prompt and themselves but not each other, so a prompt is read once for all of its answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from gccllm.lab.train.model import Block, Model
from gccllm.lab.train.rollout import layer


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
    turns = model.cos[packed.positions][:, None], model.sin[packed.positions][:, None]
    x = model.embedding(packed.ids)
    for block in model.blocks:
        x = layer(cast(Block, block), x, turns, packed.mask)
    return model.norm(x.flatten(0, 1)[packed.sources])
