"""Many functions tried at once on few tests: for a search that needs to know what passes, not why.

They come as gcc printed them and are not parsed: they run in the sandbox, and no text goes further. Nothing
is decided here either: what passes has still to go through the judge. What leads a search finds the holes of the tests
that lead it; so `fresh` asks the harvest for inputs near the known ones and runs those besides all tests.

Covered: results, memory and calls on the tests, faults, time-outs. Not covered: everything else the judge looks at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gccllm.base.core import Decline
from gccllm.sandbox.image import AssembleError
from gccllm.verify.workbench import Workbench

ASKED = 2
"""Times that a check asks the harvest for more inputs: each costs up to a second."""
NEAR = 24
"""Known tests that the harvest starts from."""


@dataclass
class QuickCheck:
    """The quick check of one function."""

    bench: Workbench
    _quick: list[int] | None = field(default=None, repr=False)
    _asked: int = 0

    def quick(self, text: str, names: Sequence[str]) -> list[bool]:
        """Which functions of `text` pass the bench's quick tests. Raises Decline when the bench cannot be used."""
        if self._quick is None:
            # The same tests throughout, so that tests which come later stay fresh.
            self._quick = self.bench.quick()
        return self._passing(text, names, self._quick, (0,))

    def fresh(self, text: str, names: Sequence[str]) -> list[bool]:
        """Which pass all tests, those among them that the harvest found only now. Raises Decline."""
        if self._asked < ASKED:
            self._asked += 1
            step = max(1, len(self.bench.tests) // NEAR)
            self.bench.ask_for_more(self.bench.tests[::step][:NEAR])
        return self._passing(text, names, range(len(self.bench.tests)), (0, 1))

    def _passing(self, text: str, names: Sequence[str], chosen: Sequence[int], poisons: Sequence[int]) -> list[bool]:
        if not names:
            return []
        entries = {name: f"gccllm_trial_{i}" for i, name in enumerate(names)}
        try:
            image = self.bench.image([_renamed(text, entries)])
        except (AssembleError, Decline):
            return [False] * len(names)  # a name that does not exist; the next batch may do better
        with self.bench.replayer(image) as replayer:
            return [
                all(not self.bench.wrong(replayer, entries[name], chosen, poison)[0] for poison in poisons)
                for name in names
            ]


def _renamed(text: str, entries: Mapping[str, str]) -> str:
    """The text with private labels and the entries under names that the slice does not have."""
    text = re.sub(r"\.L(?=\w)", ".Lgccllm_trial_", text)
    return re.sub(r"\b[A-Za-z_]\w*\b", lambda word: entries.get(word[0], word[0]), text)
