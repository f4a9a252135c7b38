"""What belongs to a project: a user's projects share one store, and none may see or publish the rewrites of another.

A project is the directory of its gccllm.toml, or the one that has `.git`, or else the current directory. Its builds are
those whose working directory lies in it; its rewrites and recorded functions those that the log names for these builds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]


def of_project(events: Iterable[Event], root: Path) -> Iterator[Event]:
    """Events of builds inside `root`."""
    for event in events:
        if Path(str(event.get("cwd", ""))).is_relative_to(root):
            yield event


def used(events: Iterable[Event]) -> set[str]:
    """Keys of the entries that builds have asked for."""
    return {str(event["key"]) for event in events if event["event"] == "function" and event.get("key")}


def recorded(events: Iterable[Event]) -> frozenset[str]:
    """How the keys of the functions start that builds in mode `record` gave a stub."""
    return frozenset(str(event["detail"]) for event in events if event.get("word") == "recording")
