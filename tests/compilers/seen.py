"""Inside a root: what a check left, as one line; exit 1 where it is not as it must be.

usage: python -m tests.compilers.seen store | kernels FILE | campaign FILE
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from gccllm.base import config
from gccllm.store import Store
from tests.campaign.runner import lines


def store() -> tuple[bool, str]:
    outcomes = Counter(found.entry.outcome for found in Store(config.load().store_dir).entries())
    accepted = outcomes["accepted"]
    return accepted > 0, f"{accepted} of {outcomes.total()} functions rewritten, the projects' own tests pass"


def kernels(path: Path) -> tuple[bool, str]:
    rows = json.loads(path.read_text())["kernels"]
    unequal = [row["kernel"] for row in rows if row["equal"] != "yes"]
    admitted = sum(row["admitted"] for row in rows)
    return bool(rows) and not unequal and admitted > 0, (
        f"{admitted} of {len(rows)} admitted, {len(unequal)} unequal {' '.join(unequal)}".rstrip()
    )


def campaign(path: Path) -> tuple[bool, str]:
    series = lines(path)
    wrong = [word for one in series for word in one["wrong"]]
    counts = {name: sum(one.get(name, 0) for one in series) for name in ("builds", "broken builds", "admitted", "hits")}
    return counts["admitted"] > 0 and not wrong and not counts["broken builds"], (
        ", ".join(f"{count} {name}" for name, count in counts.items()) + f", {len(wrong)} wrong"
    )


def main() -> int:
    what, *paths = sys.argv[1:]
    is_well, words = {"store": store, "kernels": kernels, "campaign": campaign}[what](*map(Path, paths))  # type: ignore[operator]
    print(f"saw: {words}")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
