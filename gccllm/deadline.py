"""A moment after which work is not worth its wait. The one home of time limits: seconds left, and over or not."""

from __future__ import annotations

import time


class Deadline:
    """A moment of monotonic time."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def is_over(self) -> bool:
        return self.left <= 0.0
