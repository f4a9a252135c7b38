"""Byte strings: words, runs of white space, digits, letters at the borders of their ranges, continuation bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from gccllm.harvest.values import Mood

_WORDS = b'the quick brown fox jumps over the lazy dog 42 3.14 (a+b) {x: "y"} [1, 2]\n\tEnd. UPPER lower_case-mix'
_BORDERS = b"/09:@AZ[`az{~\x7f\x80\xff\x01 \t\n\r,;\\\"'=&<>%"
_LETTERS = b"abcdefghijklmnopqrstuvwxyz"


def _from(rng: Random, letters: bytes, count: int) -> bytearray:
    """`count` bytes drawn from `letters` (up to 256 of them; a slight bias does not matter)."""
    table = bytes(letters[i % len(letters)] for i in range(256))
    return bytearray(rng.randbytes(count).translate(table))


def _prose(mood: Mood, count: int) -> bytearray:
    start = mood.rng.randrange(len(_WORDS))
    mixed = bytearray((_WORDS[start:] + _WORDS * (count // len(_WORDS) + 1))[:count])
    strange = _from(mood.rng, _WORDS, count)
    for at in range(mood.rng.randrange(5), count, mood.rng.randrange(3, 9)):
        mixed[at] = strange[at]
    return mixed


def _words(mood: Mood, count: int) -> bytearray:
    rng = mood.rng
    gaps = b"\0" * rng.randrange(4, 40) + rng.choice((b"  \n", b" ", b" \t\n,.", b"   "))
    where, letters = _from(rng, gaps, count), _from(rng, _LETTERS, count)
    return bytearray(gap or letter for gap, letter in zip(where, letters, strict=True))


def _blank_runs(mood: Mood, count: int) -> bytearray:
    rng = mood.rng
    made = _from(rng, rng.choice((b" ", b" \n", b" \t\n\r", b"\t", b" \x0b\x0c\n")), count)
    if count and rng.random() < 0.6:
        made[min(count - 1, rng.choice((0, mood.n - 1, mood.n, rng.randrange(count))))] = rng.choice(b"x{\x01\x80")
    return made


def _digits(mood: Mood, count: int) -> bytearray:
    made = _from(mood.rng, b"0123456789", count)
    if count and mood.rng.random() < 0.5:
        made[0] = mood.rng.choice(b"-+ 0a")
    if count and mood.rng.random() < 0.5:
        made[mood.rng.randrange(count)] = mood.rng.choice(b".,eE-xX :/")
    return made


def _continued(mood: Mood, count: int) -> bytearray:
    """High bits in runs of at most `most`, then a byte without: variable-length integers, UTF-8 and the like."""
    rng = mood.rng
    most = rng.randrange(1, 5)
    often = rng.randrange(1, 9)
    made = _from(rng, bytes(range(128)), count)
    high = _from(rng, bytes(int(i < often) for i in range(8)), count)
    phase = rng.randrange(most + 1)
    high[phase :: most + 1] = bytes(len(high[phase :: most + 1]))
    if rng.random() < 0.9 and 0 < mood.n <= count:
        high[mood.n - 1] = 0
    return bytearray(byte | bit << 7 for byte, bit in zip(made, high, strict=True))


def _pair(mood: Mood, count: int) -> bytearray:
    return _from(mood.rng, bytes(mood.rng.choices(_LETTERS + _BORDERS, k=mood.rng.randrange(1, 4))), count)


def _needle(mood: Mood, count: int) -> bytearray:
    """Letters without the needle but for one place."""
    letter = mood.needle & 255 or 97
    made = _from(mood.rng, bytes(c for c in _LETTERS if c != letter), count)
    where = mood.rng.choice((0, mood.n - 1, mood.n // 2, -1))
    if 0 <= where < count:
        made[where] = letter
    return made


TEXTS: Mapping[str, tuple[float, Callable[[Mood, int], bytearray]]] = {
    "prose": (1.5, _prose),
    "words": (1.0, _words),
    "lower": (0.6, lambda mood, count: _from(mood.rng, _LETTERS, count)),
    "upper": (0.5, lambda mood, count: _from(mood.rng, _LETTERS.upper(), count)),
    "cases": (0.8, lambda mood, count: _from(mood.rng, _LETTERS + _LETTERS.upper(), count)),
    "digits": (0.6, _digits),
    "hex": (0.3, lambda mood, count: _from(mood.rng, b"0123456789abcdefABCDEF", count)),
    "borders": (1.2, lambda mood, count: _from(mood.rng, _BORDERS, count)),
    "blank_runs": (0.7, _blank_runs),
    "pair": (1.0, _pair),
    "needle_text": (0.8, _needle),
    "continued": (1.2, _continued),
    "dictionary_text": (0.8, lambda mood, count: _from_dictionary(mood, count)),
    "any_byte": (0.8, lambda mood, count: bytearray(max(1, b) for b in mood.rng.randbytes(count))),
}
_PLAIN = ("prose", "words", "cases", "lower", "continued")


def _from_dictionary(mood: Mood, count: int) -> bytearray:
    near = [(v + d) & 255 for v in mood.dictionary.ints if -129 <= v < 257 for d in (-1, 0, 1)] or list(_BORDERS)
    return _from(mood.rng, bytes(near), count)


def text_array(mood: Mood, key: str, count: int) -> bytearray:
    """`count` bytes of one text style, without a terminator of its own."""
    styles = {name: weight for name, (weight, _) in TEXTS.items() if not mood.style.plain or name in _PLAIN}
    return TEXTS[mood.choose(f"{key}:text", styles)][1](mood, count)
