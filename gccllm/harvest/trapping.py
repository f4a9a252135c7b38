"""The side compile that traps on undefined behaviour, run on the baseline's inputs.

It also finds inputs on which two builds of the same source disagree. That counts only while the builds mostly agree:
where most results differ, the builds themselves differ (another layout of writable data, contracted floats).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gccllm.base.core import Decline, Test
from gccllm.base.limits import LIMITS
from gccllm.harvest.run import GIVE_UP
from gccllm.harvest.target import HarvestTarget
from gccllm.sandbox import image, layout
from gccllm.sandbox.compare import Raw, differs
from gccllm.sandbox.environment import UNSEEN
from gccllm.sandbox.replay import Replayer

Mask = npt.NDArray[np.bool_]
PATIENCE = 4
"""Times the baseline's deadline: its checks take their time."""


class TrappingBuild:
    """A trapping build beside a baseline's image."""

    def __init__(self, target: HarvestTarget, baseline: image.Image, built: image.Image) -> None:
        self.target = target
        self.baseline = baseline
        self.replayer = Replayer(built, target.signature.returned, deadline_ms=PATIENCE * LIMITS.harvest_ms)
        self.agreed = self.disagreed = 0

    @classmethod
    def of(cls, target: HarvestTarget, baseline: image.Image) -> TrappingBuild | None:
        """None where there is no such side compile, or it cannot be linked."""
        if target.ubsan_text is None:
            return None
        callees = target.signature.callees
        try:
            built = image.build_image(target.workdir, target.ubsan_text, target.tools, callees, name="trapping")
        except (image.AssembleError, Decline):
            return None
        return cls(target, baseline, built)

    def close(self) -> None:
        self.replayer.close()

    def be_patient(self, deadline_ms: int) -> None:
        """`Probe.be_patient`."""
        self.replayer.deadline_ms = PATIENCE * deadline_ms

    def verdicts(self, tests: Sequence[Test], first: Raw, keep: Mask) -> tuple[Mask, Mask]:
        """Of those kept, which trap; of those that do not, on which this build and the baseline (`first`) disagree."""
        kept = np.flatnonzero(keep)
        askable = np.array([self.fits(tests[int(i)]) for i in kept], np.bool_)
        chosen = kept[askable]
        shared = [self._adapted(tests[int(i)]) for i in chosen]
        seen = self.replayer.run_raw(self.target.name, shared, give_up_after=GIVE_UP)
        good = seen["status"] == layout.Status.OK
        other = good & differs(first[chosen], seen, self.target.signature.returned, UNSEEN)
        self.agreed += int((good & ~other).sum())
        self.disagreed += int(other.sum())
        if not self.is_comparable:
            other[:] = False
        # In a recorded state it may miss a page that only the optimised body had no need of: only a trap counts there.
        lacking = np.array([bool(test.pages) for test in shared], np.bool_) & (seen["signal"] != signal.SIGILL)
        trapped, differing = np.zeros(len(kept), np.bool_), np.zeros(len(kept), np.bool_)
        trapped[askable] = (seen["status"] == layout.Status.FAULT) & ~lacking
        differing[askable] = other
        return trapped, differing[~trapped]

    def agrees(self, tests: Sequence[Test], seen: Raw) -> Mask:
        """Where it does what the baseline was seen to do, or cannot be asked."""
        theirs = self.replayer.run_raw(self.target.name, [self._adapted(test) for test in tests], give_up_after=GIVE_UP)
        agreeing = ~differs(seen, theirs, self.target.signature.returned, UNSEEN)
        return np.asarray(agreeing | np.array([not self.fits(test) for test in tests], np.bool_), np.bool_)

    @property
    def is_comparable(self) -> bool:
        """Whether a difference between the builds says something of the input."""
        return self.agreed >= self.disagreed

    def fits(self, test: Test) -> bool:
        """Whether it can be run on a test: a recorded state holds addresses of the image's data."""
        if not all(name in self.replayer.image.symbols for name in test.symbols):
            return False
        return not test.pages or self._is_laid_out_alike

    @cached_property
    def _is_laid_out_alike(self) -> bool:
        here, there = self.baseline.symbols, self.replayer.image.symbols
        return all(here.get(one.symbol) == there.get(one.symbol) for one in self.target.symbols)

    def _adapted(self, test: Test) -> Test:
        """Without the data that this build does not have."""
        known = self.replayer.image.symbols
        if all(piece.symbol in known for piece in test.globals):
            return test
        return replace(test, globals=tuple(piece for piece in test.globals if piece.symbol in known))
