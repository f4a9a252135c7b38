"""A moment after which work is not worth its wait. The one home of time limits: seconds left, and over or not."""

from __future__ import annotations

import time

from gccllm.base.core import Decline
from gccllm.base.reasons import Reason


class Deadline:
    """A moment of monotonic time, `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def is_over(self) -> bool:
        return self.left <= 0.0

    def within(self, seconds: float) -> Deadline:
        """The earlier of this moment and that in so many seconds."""
        return Deadline(min(self.left, seconds))

    def before(self, seconds: float) -> Deadline:
        """So many seconds earlier."""
        return Deadline(self.left - seconds)

    def check(self, what: str = "") -> None:
        """Raises Decline(DEADLINE) once it is over; `what` was to be done."""
        if self.is_over:
            raise Decline(Reason.DEADLINE, what)


NEVER = Deadline(float("inf"))
