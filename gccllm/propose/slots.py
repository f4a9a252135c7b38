"""The numbers of a prompt by name, so that an answer copies a name and never digits."""

from __future__ import annotations

import re
from dataclasses import dataclass

SLOTS = 12
STRUCTURAL = frozenset((0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64))
"""Numbers that are never slots."""
WRAPS = {"": 0, "p": 1, "m": -1}
COMPLEMENTS = {"w": 256, "x": 65536}

_REFERENCE = re.compile(r"(-?)kk(\d+)([pmwx]?)")
COMPLEMENTED = 6
"""Slots whose complements have words."""


@dataclass(frozen=True)
class Slots:
    """The numbers of one prompt, in order of appearance."""

    values: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Slots:
        seen: dict[int, None] = {}
        for line in text.splitlines():
            if not line.endswith(":"):
                for match in re.finditer(
                    r"(?<![\w.%])-?(\d+)(?=$|[\s,(])", line.partition("\t")[2].partition("\t")[2].replace("$", "")
                ):
                    value = int(match[1])
                    if value not in STRUCTURAL:
                        seen.setdefault(value)
        return cls(tuple(seen)[:SLOTS])

    def name(self, number: int, *, answer: bool) -> str | None:
        """A reference that means `number`, or None: then it is spelled in digits."""
        if abs(number) in STRUCTURAL:
            return None
        sign, magnitude = ("-", -number) if number < 0 else ("", number)
        if magnitude in self.values:
            return f"{sign}kk{self.values.index(magnitude)}"
        if not answer:
            return None
        for suffix, more in (("p", 1), ("m", -1)):
            if magnitude - more in self.values:
                return f"{sign}kk{self.values.index(magnitude - more)}{suffix}"
        for suffix, whole in COMPLEMENTS.items():
            if whole - magnitude in self.values:
                return f"{sign}kk{self.values.index(whole - magnitude)}{suffix}"
        return None

    def number(self, reference: str) -> int:
        """The number a reference means. Raises ValueError for a slot the prompt does not have."""
        match = _REFERENCE.fullmatch(reference)
        if match is None or int(match[2]) >= len(self.values):
            raise ValueError(f"{reference} names no number of the prompt")
        value = self.values[int(match[2])]
        value = COMPLEMENTS[match[3]] - value if match[3] in COMPLEMENTS else value + WRAPS[match[3]]
        return -value if match[1] else value
