"""What gcc-llm's log says of each function, in the words of the benchmarks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gccllm.base.reasons import Reason, Scope

TRIED = frozenset(
    reason.label
    for reason in (
        Reason.NOTHING_FASTER,
        Reason.NO_CANDIDATE,
        Reason.BUDGET,
        Reason.QUEUED,
        Reason.UNTRIED,
        Reason.PREVIOUSLY_TRIED,
        Reason.NOT_IN_STORE,
    )
)
"""Reasons of scope `function` that come after eligibility: the function qualified, the work found nothing or waits."""

_BEFORE = frozenset(r.label for r in Reason if r.scope in (Scope.UNIT, Scope.FUNCTION)) - TRIED


def is_eligible(decision: Mapping[str, Any]) -> bool:
    """Whether the function of this log line qualified for work (whatever came of it)."""
    return str(decision.get("reason") or "") not in _BEFORE


@dataclass(slots=True)
class Count:
    """Functions of one build by what became of them. A function's last decision counts."""

    units: int = 0
    functions: int = 0
    eligible: int = 0
    admitted: int = 0
    speedups: dict[str, float] = field(default_factory=dict)
    proposers: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


def count(events: Iterable[Mapping[str, Any]]) -> Count:
    last: dict[tuple[str, str], Mapping[str, Any]] = {}
    units: dict[str, Mapping[str, Any]] = {}
    for event in events:
        source = str(event.get("source", event.get("unit", "")))
        if event["event"] == "function":
            last[source, str(event.get("function"))] = event
            units[source] = event
        elif event["event"] == "unit_declined":
            units[source] = event
    found = Count(units=len(units), functions=len(last))
    for (_, name), event in last.items():
        found.eligible += is_eligible(event)
        if event.get("word") == "admitted":
            found.admitted += 1
            found.proposers[str(event.get("proposer"))] += 1
            found.speedups[name] = float(event.get("speedup") or 1.0)
        else:
            found.reasons[str(event.get("reason"))] += 1
    for event in units.values():
        if event["event"] == "unit_declined":
            found.reasons[f"unit: {event.get('reason')}"] += 1
    return found
