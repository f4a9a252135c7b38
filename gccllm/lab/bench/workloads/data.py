"""Inputs of the workloads: deterministic in their seed, different for every seed."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator


def words(rng: random.Random, size: int) -> bytes:
    """About `size` bytes of text over 900 invented words."""
    known = ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(2, 9))) for _ in range(900)]
    text = " ".join(rng.choice(known) + rng.choice([",", ".", "", "", "", "\n"]) for _ in range(size // 6))
    return text.encode()


def runs(rng: random.Random, size: int) -> bytes:
    return b"".join(bytes([rng.randrange(4)]) * rng.randint(1, 700) for _ in range(size // 350))


def records(rng: random.Random, size: int) -> bytes:
    return b"".join(i.to_bytes(4, "little") + rng.randbytes(2) + bytes(6) for i in range(size // 12))


def inputs(seed: int, size: int) -> list[bytes]:
    """Text, runs, records, noise and zeros of about `size` bytes, and the smallest inputs there are."""
    rng = random.Random(seed)
    large = [words(rng, size), runs(rng, size), records(rng, size), rng.randbytes(size // 4),
             bytes(size // 2)]  # fmt: skip
    return [*large, large[0][: rng.randint(100, 3000)], *(large[0][:n] for n in (0, 1, 2, 15, 17, 64, 255, 257))]


def given() -> Iterator[bytes]:
    """The inputs for the command line SEED SIZE [TIMES], one after the other, all of them TIMES times."""
    seed, size, *times = map(int, sys.argv[1:])
    found = inputs(seed, size)
    for _ in range(times[0] if times else 1):
        yield from found
