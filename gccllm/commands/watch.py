"""`gccllm watch`: follow builds from another terminal, as the log grows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gccllm.base.names import spoken_name
from gccllm.base.reasons import Reason
from gccllm.base.words import counted

POLL_S = 0.3
MEANS = {reason.label: reason.says for reason in Reason}


def follow(store_dir: Path, wait: Callable[[], object] = lambda: time.sleep(POLL_S)) -> Iterator[dict[str, Any]]:
    """Every event that is written from now on; for ever. The log may be halved meanwhile, or not be there yet."""
    path = store_dir / "log" / "events.jsonl"
    place, inode = (path.stat().st_size, path.stat().st_ino) if path.exists() else (0, 0)
    rest = b""
    while True:
        fresh = b""
        if path.exists():
            status = path.stat()
            if status.st_ino != inode and inode:  # halved: what is new in it is unknown
                place = status.st_size
            inode = status.st_ino
            with path.open("rb") as file:
                file.seek(place)
                fresh = file.read()
            place += len(fresh)
        *lines, rest = (rest + fresh).split(b"\n")
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "event" in event:
                yield event
        if not fresh:
            wait()


def words(event: dict[str, Any]) -> str:
    """An event as one line; empty for what a person does not wait for."""
    name = Path(str(event.get("source", ""))).name
    function = spoken_name(str(event.get("function", "")))
    reason = f" {event['reason']}" if event.get("reason") else ""
    match event["event"]:
        case "worked":
            return f"{name}: {function}: {event.get('outcome')}{reason} after {event.get('seconds')} s"
        case "function" if event.get("word") != "declined":
            return f"{name}: {function}: {event.get('word')}{reason} {event.get('detail', '')}".rstrip()
        case "unit":
            functions = counted(event.get("functions", 0), "function")
            return f"{name}: {event.get('admitted')} of {functions}, {event.get('seconds')} s"
        case "unit_declined" | "shim" | "store" | "model":
            says = MEANS.get(str(event.get("reason", "")), event["event"])
            return f"{name}:{reason}: {says}" if reason else f"{name}: {says}"
    return ""
