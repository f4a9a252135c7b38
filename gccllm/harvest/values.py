"""Integers for scalars and arrays: tables of small styles, each a function of a `Mood`.

A mood is what the values of one scene have in common (sizes, a needle, an alphabet, magnitudes), so that lengths fit
buffers, needles are found in them and indices stay inside. All randomness comes from one seeded `random.Random`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

import numpy as np
import numpy.typing as npt

from gccllm.harvest.types import Integer

Ints = npt.NDArray[np.int64]


@dataclass
class Dictionary:
    """Constants found in the code under test: likely operands of comparisons."""

    ints: tuple[int, ...] = ()
    floats: tuple[float, ...] = ()


class Learner:
    """Chooses between options, preferring those whose scenes did more. Deterministic given the order of calls."""

    def __init__(self) -> None:
        self.score: dict[tuple[str, str], list[float]] = {}

    def weight(self, key: str, option: str) -> float:
        won, tried = self.score.get((key, option), (0.0, 0.0))
        return max(0.04, (won + 1.0) / (tried + 1.5))

    def learn(self, choices: tuple[tuple[str, str], ...], reward: float) -> None:
        for choice in choices:
            entry = self.score.setdefault(choice, [0.0, 0.0])
            entry[0] += reward
            entry[1] += 1.0


@dataclass(frozen=True, slots=True)
class Style:
    """How the values of a scene are drawn."""

    plain: bool = False
    """Typical content only: for timing."""
    sharp: bool = False
    """Rely more on what was learnt: for inputs that should have just this size."""
    exact: bool = False
    """Every lone integer takes its best role instead of drawing one."""
    extreme: bool = False
    """Prefer content that overflows narrow sums: for long inputs."""


ANY, PLAIN = Style(), Style(plain=True, sharp=True)


@dataclass
class Mood:
    """What one scene's values have in common."""

    rng: Random
    learner: Learner
    dictionary: Dictionary
    n: int
    """Nominal number of elements."""
    m: int
    """A second size, for the second of two lengths."""
    style: Style
    needle: int = 0
    seen: list[int] = field(default_factory=list)
    """Integers that were placed in memory: worth searching for."""
    choices: list[tuple[str, str]] = field(default_factory=list)

    def choose(self, key: str, options: Mapping[str, float]) -> str:
        """One option by prior weight times learned weight; remembered in `choices`."""
        names = list(options)
        power = 2.5 if self.style.sharp or self.style.exact else 1.0
        weights = [options[name] * self.learner.weight(key, name) ** power for name in names]
        if self.style.exact and key.endswith(":role"):
            picked = names[weights.index(max(weights))]
        else:
            picked = self.rng.choices(names, weights)[0]
        self.choices.append((key, picked))
        return picked


# --- integers -------------------------------------------------------------------------------------


def edge_values(ctype: Integer) -> list[int]:
    """Values that integer code may compare with."""
    if ctype.values:
        return list(ctype.values)
    low, high = ctype.lowest, ctype.highest
    near = {low, low + 1, high, high - 1, 0, 1, 2, 3, 7, 8, 10, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, high // 2}
    near |= {-1, -2, -128, -129} if ctype.signed else set()
    return sorted(v for v in near if low <= v <= high)


ROLES: Mapping[str, float] = {
    "size": 3.0, "other_size": 1.5, "near_size": 0.6, "half": 0.3, "double": 0.2, "root": 0.2, "index": 0.8,
    "needle": 1.0, "seen": 1.0, "tiny": 1.0, "edge": 0.7, "small": 0.8, "log": 0.8, "dictionary": 0.5,
    "one": 0.3, "zero": 0.3,
}  # fmt: skip

_SIZE_WORDS = ("n", "len", "length", "size", "count", "num", "cnt", "sz", "nmemb", "nelem", "elems")
_OTHER_WORDS = ("m", "w", "h", "k", "rows", "cols", "width", "height", "ncols", "nrows", "stride")


def scalar_int(mood: Mood, key: str, name: str, ctype: Integer, plain: bool = False) -> int:
    """One integer argument or lone field. `name` only shifts the odds."""
    rng = mood.rng
    if ctype.is_bool:
        return rng.randrange(2)
    if ctype.values:
        return rng.choice(ctype.values)
    priors = dict(ROLES)
    if name.lower().strip("_") in _SIZE_WORDS or name.lower().endswith(("len", "size", "count")):
        priors["size"] = 12.0
    elif name.lower() in _OTHER_WORDS:
        priors["other_size"] = 5.0
        priors["size"] = 4.0
    if ctype.size == 1:
        priors |= {"size": 0.3, "needle": 4.0, "seen": 3.0}
    if plain:
        priors["edge"] = priors["zero"] = priors["one"] = priors["near_size"] = 0.02
    role = mood.choose(f"{key}:role", priors)
    value = _ROLE[role](mood, ctype)
    return min(max(value, ctype.lowest), ctype.highest)


def _log_int(mood: Mood, ctype: Integer) -> int:
    bits = mood.rng.randrange(1, 8 * ctype.size + 1)
    value = mood.rng.getrandbits(bits)
    return -value if ctype.signed and mood.rng.random() < 0.4 else value


def _dictionary_int(mood: Mood, ctype: Integer) -> int:
    if not mood.dictionary.ints:
        return _log_int(mood, ctype)
    return mood.rng.choice(mood.dictionary.ints) + mood.rng.choice((-1, 0, 0, 1))


def _seen_int(mood: Mood, ctype: Integer) -> int:
    if not mood.seen:
        return mood.needle
    return mood.rng.choice(mood.seen) + mood.rng.choice((0, 0, 0, 1, -1))


_ROLE: Mapping[str, Callable[[Mood, Integer], int]] = {
    "size": lambda mood, _: mood.n,
    "other_size": lambda mood, _: mood.m,
    "near_size": lambda mood, _: mood.n + mood.rng.choice((-2, -1, 1, 2)),
    "half": lambda mood, _: mood.n // 2,
    "double": lambda mood, _: 2 * mood.n,
    "root": lambda mood, _: math.isqrt(max(mood.n, 0)),
    "index": lambda mood, _: mood.rng.randrange(max(mood.n, 0) + 1),
    "needle": lambda mood, _: mood.needle,
    "seen": _seen_int,
    "tiny": lambda mood, _: mood.rng.randrange(9),
    "edge": lambda mood, ctype: mood.rng.choice(edge_values(ctype)),
    "small": lambda mood, ctype: mood.rng.randrange(-20 if ctype.signed else 0, 200),
    "log": _log_int,
    "dictionary": _dictionary_int,
    "one": lambda mood, _: 1,
    "zero": lambda mood, _: 0,
}


def raw64(rng: Random, count: int) -> npt.NDArray[np.uint64]:
    """`count` uniform 64-bit words; the same for a seed on every machine and numpy version."""
    return np.frombuffer(rng.randbytes(8 * count), dtype="<u8").copy()


def uniform(rng: Random, count: int, low: int, high: int) -> Ints:
    """Integers in [low, high], high - low < 2**63. Slightly biased for huge ranges, which does not matter here."""
    span = np.uint64(high - low + 1)
    with np.errstate(over="ignore"):
        return (raw64(rng, count) % span + np.uint64(low & (1 << 64) - 1)).view(np.int64)


def _bits(mood: Mood, ctype: Integer, count: int) -> Ints:
    most = 8 * ctype.size - ctype.signed
    bits = mood.rng.randrange(1, most + 1)
    high = (1 << min(bits, 62)) - 1
    return uniform(mood.rng, count, -high if ctype.signed and mood.rng.random() < 0.8 else 0, high)


def _full(mood: Mood, ctype: Integer, count: int) -> Ints:
    return raw64(mood.rng, count).view(np.int64)


def _log_ints(mood: Mood, ctype: Integer, count: int) -> Ints:
    shift = uniform(mood.rng, count, 0, 8 * ctype.size - 1).view(np.uint64) + np.uint64(64 - 8 * ctype.size)
    magnitudes = (raw64(mood.rng, count) >> shift).view(np.int64)
    if not ctype.signed:
        return magnitudes
    return np.where(raw64(mood.rng, count) & np.uint64(1), -(magnitudes >> 1), magnitudes >> 1)


def _pick(mood: Mood, values: list[int], count: int) -> Ints:
    table = np.array([v if v < 1 << 63 else v - (1 << 64) for v in values], dtype=np.int64)
    return table[uniform(mood.rng, count, 0, len(table) - 1)]


def _alphabet(mood: Mood, ctype: Integer, count: int) -> Ints:
    rng = mood.rng
    source = [lambda: mood.needle, lambda: mood.needle + 1, lambda: mood.needle - 1, lambda: rng.randrange(4)]
    source += [lambda: rng.choice(edge_values(ctype)), lambda: _dictionary_int(mood, ctype)]
    letters = [_clip(rng.choice(source)(), ctype) for _ in range(rng.randrange(1, 5))]
    return _pick(mood, letters, count)


def _clip(value: int, ctype: Integer) -> int:
    return min(max(value, ctype.lowest), ctype.highest)


def _sorted(mood: Mood, ctype: Integer, count: int) -> Ints:
    bits = mood.rng.randrange(2, min(8 * ctype.size - 1, 40))
    low = -(1 << bits - 1) if ctype.signed else 0
    values = np.sort(uniform(mood.rng, count, low, (1 << bits) - 1))
    mood.seen.extend(int(v) for v in values[: min(count, mood.n)][:: max(1, mood.n // 4)])
    return values


def _nearly_sorted(mood: Mood, ctype: Integer, count: int) -> Ints:
    values = _sorted(mood, ctype, count)
    used = min(count, max(mood.n, 1))
    for _ in range(mood.rng.randrange(1, 4)):
        i, j = mood.rng.randrange(used), mood.rng.randrange(used)
        values[[i, j]] = values[[j, i]]
    return values


def _permutation(mood: Mood, ctype: Integer, count: int) -> Ints:
    order = list(range(min(max(mood.n, 1), count)))
    mood.rng.shuffle(order)
    return np.resize(np.array(order, dtype=np.int64), count)


def _background(mood: Mood, ctype: Integer, count: int) -> tuple[Ints, int]:
    """Content all of one kind, and a value that stands out of it."""
    rng = mood.rng
    edge = rng.choice(edge_values(ctype))
    kind = rng.randrange(4)
    if kind == 0:
        return np.full(count, _clip(rng.randrange(-3, 4), ctype), dtype=np.int64), edge
    high = 100 if ctype.size == 1 else 10 ** rng.randrange(1, 2 * ctype.size)
    values = uniform(rng, count, 1, high)
    if kind == 1:
        return values, rng.choice((0, edge, high + 1, -rng.randrange(1, high + 1) if ctype.signed else 0))
    if kind == 2 and ctype.signed:
        return -values, rng.choice((0, 1, edge, rng.randrange(1, high + 1)))
    # Anything but the needle.
    needle = _clip(mood.needle, ctype)
    values = _bits(mood, ctype, count)
    values[values == needle] = needle ^ 1
    return values, needle


def _outlier(mood: Mood, ctype: Integer, count: int) -> Ints:
    values, odd = _background(mood, ctype, count)
    used = min(count, max(mood.n, 1))
    where = mood.rng.choice((0, used - 1, used - 1, used // 2, mood.rng.randrange(used), used, 1, used - 2))
    if 0 <= where < count:
        values[where] = odd if odd < 1 << 63 else odd - (1 << 64)
    return values


def _none(mood: Mood, ctype: Integer, count: int) -> Ints:
    return _background(mood, ctype, count)[0]


def _extremes(mood: Mood, ctype: Integer, count: int) -> Ints:
    return _pick(mood, edge_values(ctype), count)


def _few_extremes(mood: Mood, ctype: Integer, count: int) -> Ints:
    values = _bits(mood, ctype, count) >> np.int64(mood.rng.randrange(3))
    for _ in range(mood.rng.randrange(1, 4)):
        where = mood.rng.randrange(min(count, max(mood.n, 1)))
        values[where] = _pick(mood, edge_values(ctype), 1)[0]
    return values


def _dictionary(mood: Mood, ctype: Integer, count: int) -> Ints:
    if not mood.dictionary.ints:
        return _bits(mood, ctype, count)
    fit = [v for v in mood.dictionary.ints if ctype.lowest - 1 <= v <= ctype.highest + 1] or [0]
    near = [_clip(v + d, ctype) for v in mood.rng.choices(fit, k=mood.rng.randrange(1, 4)) for d in (-1, 0, 1)]
    return _pick(mood, near, count)


def _highest(mood: Mood, ctype: Integer, count: int) -> Ints:
    """All at one extreme: sums kept in lanes that are too narrow overflow."""
    most = [v for v in (ctype.highest, ctype.lowest, 255, 65535, 127) if ctype.lowest <= v <= ctype.highest]
    return np.full(count, _pick(mood, [mood.rng.choice(most)], 1)[0])


STYLES: Mapping[str, tuple[float, Callable[[Mood, Integer, int], Ints]]] = {
    "bits": (2.0, _bits),
    "full": (1.0, _full),
    "log": (0.8, _log_ints),
    "small": (2.0, lambda mood, ctype, count: uniform(mood.rng, count, -9 if ctype.signed else 0, 9)),
    "byte": (1.0, lambda mood, ctype, count: uniform(mood.rng, count, 0, 255)),
    "alphabet": (2.0, _alphabet),
    "constant": (0.4, lambda mood, ctype, count: np.resize(_alphabet(mood, ctype, 1), count)),
    "ascending": (1.2, _sorted),
    "descending": (0.6, lambda mood, ctype, count: _sorted(mood, ctype, count)[::-1].copy()),
    "nearly_sorted": (0.5, _nearly_sorted),
    "ramp": (0.4, lambda mood, ctype, count: np.arange(count, dtype=np.int64) * mood.rng.choice((1, 1, 1, -1, 2, 5))),
    "indices": (1.2, lambda mood, ctype, count: uniform(mood.rng, count, 0, max(mood.n - 1, 0))),
    "permutation": (0.4, _permutation),
    "extremes": (0.7, _extremes),
    "few_extremes": (0.8, _few_extremes),
    "outlier": (2.4, _outlier),
    "background": (0.8, _none),
    "dictionary": (1.2, _dictionary),
    "highest": (0.5, _highest),
}
_PLAIN = ("bits", "full", "small", "byte", "ascending", "indices", "background")


def int_array(mood: Mood, key: str, ctype: Integer, count: int) -> bytes:
    """`count` packed integers; values that do not fit wrap."""
    if count <= 0:
        return b""
    if ctype.is_bool:
        return (raw64(mood.rng, count) & np.uint64(1)).astype(np.uint8).tobytes()
    if ctype.values:
        return _pick(mood, list(ctype.values), count).astype(f"<i{ctype.size}").tobytes()
    styles = {name: weight for name, (weight, _) in STYLES.items() if not mood.style.plain or name in _PLAIN}
    if mood.style.extreme:
        styles["highest"] = styles["constant"] = styles["extremes"] = 8.0
    style = mood.choose(f"{key}:style", styles)
    values = STYLES[style][1](mood, ctype, count).astype(f"<i{ctype.size}")
    used = values[: max(1, min(count, mood.n))]
    for where in (0, len(used) - 1, mood.rng.randrange(len(used))):
        mood.seen.append(int(used[where]) if ctype.signed else int(used[where]) & (1 << 8 * ctype.size) - 1)
    return values.tobytes()
