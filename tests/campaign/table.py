"""The results table of docs/internals/assurance.md, made from the campaign's logs; the rest is written by hand."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"
WORDS = {
    "edits": "edit and rebuild", "callers": "callers", "suites": "public suites", "hostile": "hostile model",
    "faults": "faults", "fuzz": "fuzzing", "unwind": "unwind and debug",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    part: str
    cases: int
    said: str
    wrong: int
    minutes: float
    thin: tuple[str, ...]
    """Floors that were not reached, in words."""


def total(found: Sequence[dict[str, Any]]) -> Counter[str]:
    """The sum of all numbers."""
    counts: Counter[str] = Counter()
    for line in found:
        for name, value in line.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and name != "case":
                counts[name] += value  # type: ignore[assignment]
    return counts


def row(part: str, found: Sequence[dict[str, Any]]) -> Row | None:
    """None where nothing has run."""
    if not found:
        return None
    counts = total(found)
    module = importlib.import_module(f"tests.campaign.{part}")
    said = (
        module.says(counts)
        if hasattr(module, "says")
        else ", ".join(
            f"{value:g} {name}" for name, value in sorted(counts.items()) if name not in ("seconds", "wrong", "cases")
        )
    )
    wrong = sum(len(line["wrong"]) if isinstance(line["wrong"], list) else int(line["wrong"]) for line in found)
    least = getattr(module, "LEAST", {})
    thin = tuple(
        f"{part}: {counts[name]:g} {name} in {len(found)} cases; fewer than {floor} a case show nothing"
        for name, floor in least.items()
        if counts[name] < floor * len(found)
    )
    return Row(part, int(counts.get("cases", len(found))), said, wrong, counts["seconds"] / 60, thin)


def write(path: Path, rows: Sequence[Row]) -> None:
    """Replace what stands between the markers; a file that is not there begins with them. Raises ValueError where they
    are not."""
    text = path.read_text() if path.exists() else f"{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the table")
    table = ["| part | cases | what ran | wrong | minutes of one core |", "|---|---|---|---|---|"]
    table += [f"| {WORDS[r.part]} | {r.cases} | {r.said} | {r.wrong} | {r.minutes:.0f} |" for r in rows]
    path.write_text(f"{before}{BEGIN}\n" + "\n".join(table) + f"\n{END}{after}")
