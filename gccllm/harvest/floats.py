"""Floating-point values: typical ones, special ones among them, denormals.

Not covered on purpose: several NaN payloads at once, because C leaves open which one an operation returns.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from gccllm.harvest.types import Floating
from gccllm.harvest.values import Mood, Style, raw64, uniform

Floats = npt.NDArray[np.float64]

_SPECIAL = (0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, 0.5, 2.0, 1e30, -1e-30)


def specials(size: int) -> list[bytes]:
    """Encodings of special values. The NaN is the one that x86 itself makes, so that payloads never mix."""
    code = "<f" if size == 4 else "<d"
    tiny = (1).to_bytes(size, "little")  # smallest denormal
    if size == 4:
        return [struct.pack(code, v) for v in _SPECIAL] + [
            b"\x00\x00\xc0\xff", tiny, b"\xff\xff\x7f\x00", b"\x00\x00\x80\x00", b"\xff\xff\x7f\x7f",
            b"\x01\x00\x00\x80",
        ]  # fmt: skip
    return [struct.pack(code, v) for v in _SPECIAL] + [
        bytes(6) + b"\xf8\xff", tiny, b"\xff" * 6 + b"\x0f\x00", bytes(6) + b"\x10\x00", b"\xff" * 6 + b"\xef\x7f",
        tiny[:7] + b"\x80",
    ]  # fmt: skip


def _unit(mood: Mood, count: int) -> Floats:
    return (raw64(mood.rng, count) >> np.uint64(11)).astype(np.float64) * (2.0**-52) - 1.0


def _wide(mood: Mood, count: int) -> Floats:
    spread = mood.rng.choice((4, 20, 60, 250))
    powers = uniform(mood.rng, count, -spread, spread)
    return _unit(mood, count) * 2.0 ** powers.astype(np.float64)


FLOAT_STYLES: Mapping[str, tuple[float, Callable[[Mood, int], Floats]]] = {
    "unit": (2.5, _unit),
    "integers": (1.5, lambda mood, count: uniform(mood.rng, count, -9, 9).astype(np.float64)),
    "wide": (1.5, _wide),
    "ascending": (0.6, lambda mood, count: np.sort(_unit(mood, count) * 1000)),
    "descending": (0.4, lambda mood, count: -np.sort(_unit(mood, count))),
    "constant": (0.4, lambda mood, count: np.full(count, mood.rng.choice(_SPECIAL[:4]))),
    "halves": (0.6, lambda mood, count: uniform(mood.rng, count, -40, 40).astype(np.float64) / 8),
    "duplicates": (0.6, lambda mood, count: uniform(mood.rng, count, 0, 2).astype(np.float64)),
    "dictionary": (0.4, lambda mood, count: _float_dictionary(mood, count)),
    "near": (0.8, lambda mood, count: _near(mood, count)),
    "some_special": (1.0, _unit),
    "one_special": (1.2, _unit),
    "all_special": (0.7, _unit),
    "denormal": (0.4, _unit),
}


def _float_dictionary(mood: Mood, count: int) -> Floats:
    table = np.array(mood.dictionary.floats or _SPECIAL[:4])
    picked: Floats = table[uniform(mood.rng, count, 0, len(table) - 1)]
    return picked + uniform(mood.rng, count, -1, 1) * 0.5


def _near(mood: Mood, count: int) -> Floats:
    """Round numbers and constants of the code, off by a few units in the last places: just on either side."""
    table = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 10.0, *mood.dictionary.floats])
    picked: Floats = table[uniform(mood.rng, count, 0, len(table) - 1)]
    off = uniform(mood.rng, count, -1, 1) * 2.0 ** -uniform(mood.rng, count, 18, 52).astype(np.float64)
    signs = 1 - 2 * (uniform(mood.rng, count, 0, 3) == 0)
    scaled: Floats = picked * (1.0 + off) * signs
    return scaled


def float_array(mood: Mood, key: str, ctype: Floating, count: int) -> bytes:
    """`count` packed floats or doubles."""
    if count <= 0:
        return b""
    if ctype.size not in (4, 8):
        return b"".join(struct.pack("<QHxxxxxx", 1 << 63, 16383) for _ in range(count))[: count * ctype.size]
    plain = ("unit", "halves", "integers")
    styles = {name: weight for name, (weight, _) in FLOAT_STYLES.items() if not mood.style.plain or name in plain}
    style = mood.choose(f"{key}:style", styles)
    with np.errstate(over="ignore", under="ignore"):
        data = bytearray(FLOAT_STYLES[style][1](mood, count).astype(f"<f{ctype.size}").tobytes())
    rng, size, used = mood.rng, ctype.size, max(1, min(count, mood.n))
    odd = specials(size)
    wheres: list[int] = []
    if style == "some_special":
        wheres = [rng.randrange(used) for _ in range(max(2, used // 8))]
    elif style == "one_special":
        wheres = [rng.choice((0, used - 1, used // 2, rng.randrange(used)))]
    elif style == "all_special":
        wheres = list(range(min(count, 4 * used + 8)))
    for where in wheres:
        data[where * size : (where + 1) * size] = rng.choice(odd)
    if style == "denormal":
        mask = (1 << (23 if size == 4 else 52)) - 1
        small = (raw64(rng, count) & np.uint64(mask)).astype(f"<u{size}")
        data = bytearray(small.tobytes())
    return bytes(data)


def scalar_float(mood: Mood, key: str, ctype: Floating) -> bytes:
    small = Mood(mood.rng, mood.learner, mood.dictionary, 1, 1, Style(plain=mood.style.plain))
    data = float_array(small, key, ctype, 1)
    mood.choices.extend(small.choices)
    return data
