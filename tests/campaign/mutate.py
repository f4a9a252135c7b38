"""Bytes changed at random, by what breaks readers: turned bits, copied and moved pieces, numbers at their limits."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

NUMBERS = (b"0", b"-1", b"255", b"65536", b"2147483647", b"4294967296", b"18446744073709551615", b"9" * 40, b"1e999")
WORDS = (
    b"\0", b"\n", b"\r\n", b"\t", b'"', b"'", b"\\", b";", b"#", b"/*", b"*/", b"=", b"[", b"]", b"{", b"}", b",", b":",
    b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"@", b"%", b"$", b".", b"..", b"../", b"null", b"NaN",
    b"[" * 2000, b"(" * 2000,
)  # fmt: skip


def mutated(rng: random.Random, corpus: Sequence[bytes], tokens: Sequence[bytes] = (), most: int = 1 << 16) -> bytes:
    """A member of the corpus with one to eight changes; `tokens`: words of the format."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4, 8))):
        at = rng.randrange(len(data) + 1)
        size = min(rng.choice((1, 1, 2, 4, 8, 16, 64, 512)), len(data) - at)
        match rng.randrange(9):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at % len(data)] = rng.randrange(256)
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size] * rng.choice((1, 2, 16))
            case 4:
                data[at : at + rng.choice((0, size))] = rng.choice((*WORDS, *tokens, *tokens))
            case 5:
                spots = [found.span() for found in re.finditer(rb"[0-9]+", data)][:2000]
                if spots:
                    start, end = rng.choice(spots)
                    data[start:end] = rng.choice(NUMBERS)
            case 6:
                other = rng.choice(corpus)
                start = rng.randrange(len(other) + 1)
                data[at : at + size] = other[start : start + rng.choice((4, 16, 64, 256))]
            case 7:
                lines = data.split(b"\n")
                rng.shuffle(lines) if rng.random() < 0.1 else lines.insert(
                    rng.randrange(len(lines) + 1), rng.choice(lines)
                )
                data = bytearray(b"\n".join(lines))
            case 8 if len(data) >= 8:
                place = rng.randrange(len(data) - 7) & ~3
                data[place : place + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\x01\0\0\0"))
    return bytes(data[:most])
