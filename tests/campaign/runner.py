"""Cases of one part in several processes: each a line in its log, so that a rerun goes on where it was."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_work: Callable[[int], dict[str, Any]]


def start(part: str, state: Path, options: tuple[str, ...]) -> None:
    global _work
    _work = importlib.import_module(f"tests.campaign.{part}").worker(state, options)


def one(number: int) -> dict[str, Any]:
    began = time.monotonic()
    done = _work(number)
    return {**done, "seconds": round(time.monotonic() - began, 1)}


def lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a line cut off by a kill is none."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def cases(part: str, state: Path, count: int | None, jobs: int, options: tuple[str, ...],
          numbers: range | None = None) -> None:  # fmt: skip
    """Run what the log does not have yet: `numbers`, or the first `count`, or the whole campaign's."""
    module = importlib.import_module(f"tests.campaign.{part}")
    log = state / f"{part}.jsonl"
    done = {line["case"] for line in lines(log)}
    if numbers is None:
        numbers = range(count or (module.count(state) if hasattr(module, "count") else module.CASES))
    todo = [number for number in numbers if number not in done]
    wrong = sum(len(line["wrong"]) for line in lines(log))
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(jobs, max(1, len(todo))), start, (part, state, options)) as pool, log.open("a") as out:
        for line in _progress(part, pool.imap_unordered(one, todo), len(done), len(done) + len(todo)):
            out.write(json.dumps(line) + "\n")
            out.flush()
            wrong += len(line["wrong"])
            for word in line["wrong"]:
                print(f"\nwrong: {word}", file=sys.stderr)


def _progress(part: str, found: Iterator[dict[str, Any]], done: int, whole: int) -> Iterator[dict[str, Any]]:
    began, first = time.monotonic(), done
    for line in found:
        done += 1
        left = (time.monotonic() - began) / (done - first) * (whole - done)
        print(f"\r{part}: {done} of {whole} cases, {left / 60:.0f} min left ", end="", file=sys.stderr, flush=True)
        yield line
    print(file=sys.stderr)
