"""Rows of functions of real programs: the names of their states and files, and a summary as tables."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gccllm.lab.train.corpus import REAL, read

DONE = "real.done"
COLUMNS = ("functions", "plain", "loops", "typed", "new")
UNTRIED, VERIFIED, CONTEXT = "unverified-recipe", "verified", "context"
NONE = "none"
"""Name of the winner where no recipe is equal and faster."""


def save(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The rows under their name, whole or not at all."""
    fresh = out / f"{REAL}.new"
    fresh.write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.replace(fresh, out / REAL)


def remember(out: Path, line: dict[str, Any]) -> None:
    with (out / DONE).open("a") as file:
        file.write(json.dumps(line) + "\n")


def done(out: Path) -> list[dict[str, Any]]:
    """Packages that were read, with their counts."""
    return list(read(out / DONE)) if (out / DONE).exists() else []


def summary(out: Path) -> str:
    """Markdown: what was read of each package, which recipe won, why the gate had no answer. Empty without rows."""
    packages = done(out)
    if not packages:
        return ""
    rows = list(read(out / REAL))
    verified = Counter(row["package"] for row in rows if row["status"] == VERIFIED)
    lines = [
        "| package | version | licence | C files | compiled | functions | no calls, no data | with a loop "
        "| types with words | distinct | verified |",
        "|---|---|---|" + "---|" * 8,
    ]
    total: Counter[str] = Counter()
    for line in packages:
        counts = Counter({name: value for name, value in line.items() if isinstance(value, int)})
        total.update(counts)
        lines.append(_row([line["package"], line["version"], line["licence"]], counts, verified[line["package"]]))
    lines.append(_row(["all", "", ""], total, verified.total()))
    failures = Counter({name[8:]: number for name, number in total.items() if name.startswith("failed: ")})
    winners = Counter(row["recipe"] for row in rows if row["status"] == VERIFIED)
    others = Counter(row["status"] for row in rows if row["status"] != VERIFIED)
    lines += ["", "| | |", "|---|---|"]
    for says, counted in (
        ("files that did not compile", failures),
        ("winner of a verified row", winners),
        ("no verified answer", others),
    ):
        lines.append(f"| {says} | {', '.join(f'{k} {v}' for k, v in counted.most_common()) or 'none'} |")
    gains = sorted(row["ticks"][0] / 1000 for row in rows if row["status"] == VERIFIED and row["recipe"] != NONE)
    if gains:
        lines.append(f"| speed-up of the winners, median (least, most) | {gains[len(gains) // 2]:.2f} "
                     f"({gains[0]:.2f}, {gains[-1]:.2f}) |")  # fmt: skip
    return "\n".join(lines) + "\n"


def _row(head: Sequence[str], counts: Counter[str], verified: int) -> str:
    compiled = counts["units"] - sum(number for name, number in counts.items() if name.startswith("failed: "))
    numbers = (counts["units"], compiled, *(counts[name] for name in COLUMNS), verified)
    return "| " + " | ".join([*head, *(f"{n:,}" for n in numbers)]) + " |"
