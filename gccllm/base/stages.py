"""What the stages of the work cost: CPU seconds of this process and of the children that it has waited for.

`Log.step` begins a stage; the event `worked` carries what each took since the last one. A side compile serves a whole
unit, so it counts with the first function of the unit that was worked on.
"""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

BETWEEN = "between"
"""What belongs to no stage: reading, planning, looking up."""


class Stages:
    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._stage, self._since = BETWEEN, cpu_seconds()

    def begin(self, stage: str) -> None:
        now = cpu_seconds()
        self._spent[self._stage] += now - self._since
        self._stage, self._since = stage, now

    def taken(self) -> dict[str, float]:
        """Seconds by stage since the last call."""
        self.begin(BETWEEN)
        spent, self._spent = self._spent, defaultdict(float)
        return {stage: round(seconds, 3) for stage, seconds in spent.items()}


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def total(events: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """CPU seconds by stage over the log, most first."""
    spent: defaultdict[str, float] = defaultdict(float)
    for event in events:
        for stage, seconds in event.get("stages", {}).items():
            spent[stage] += seconds
    return {stage: round(spent[stage], 2) for stage in sorted(spent, key=lambda stage: -spent[stage])}
