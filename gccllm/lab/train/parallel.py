"""Several processes as one: who we are, whose clock counts, gradients and findings of all. Started by torchrun.

Each is a no-op in a lone process, so that the same loop runs with one process and with many.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

# Imported here, before any group exists: the default arguments of its functions keep the group that exists when it is
# imported (an optimizer imports it). A group that is kept keeps its threads, and one of them at the end of the
# interpreter aborts the process.
import torch.distributed.nn
from torch import Tensor, nn

T = TypeVar("T")
PATIENCE = timedelta(hours=1)
"""The first process may draw and check prompts for a while before the others are needed."""


def join() -> tuple[int, int]:
    """Rank and number of processes; joins them when started by torchrun."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    return int(os.environ.get("RANK", "0")), world


def device(rank: int) -> torch.device:
    """A GPU for each process of a machine, where there are any."""
    return torch.device("cuda", rank % torch.cuda.device_count()) if torch.cuda.is_available() else torch.device("cpu")


def leave() -> None:
    """All together: who still talks to one that has left is aborted."""
    wait()
    if dist.is_initialized():
        dist.destroy_process_group()


def is_lone() -> bool:
    return not dist.is_initialized() or dist.get_world_size() == 1


def agreed(seconds: float) -> float:
    """The first process's clock, for all: a process that stopped on its own would leave the others waiting."""
    if is_lone():
        return seconds
    shared = torch.tensor([seconds], dtype=torch.float64)
    dist.broadcast(shared, 0)
    return float(shared)


def wait() -> None:
    """Until all are here."""
    if not is_lone():
        dist.barrier()


def gradients(modules: Iterable[nn.Module], *, mean: bool) -> None:
    """Every gradient becomes the sum over the processes, or the mean; a process that has none counts as 0."""
    if is_lone():
        return
    parts = [p for module in modules for p in module.parameters()]
    for p in parts:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    # one exchange for all: most of the time of a small one is its start
    flat = torch.cat([p.grad.flatten() for p in parts if p.grad is not None])
    dist.all_reduce(flat)
    if mean:
        flat /= dist.get_world_size()
    at = 0
    for p in parts:
        if p.grad is not None:
            p.grad.copy_(flat[at : at + p.numel()].view_as(p))
            at += p.numel()


def total(values: Tensor) -> Tensor:
    """Sums over the processes, of a tensor that has the same shape in all."""
    if is_lone():
        return values
    sums = values.clone()
    dist.all_reduce(sums)
    return sums


def gathered(found: T) -> list[T]:
    """What every process found, in their order; picklable."""
    if is_lone():
        return [found]
    every: list[T | None] = [None] * dist.get_world_size()
    dist.all_gather_object(every, found)
    return [one for one in every if one is not None]
