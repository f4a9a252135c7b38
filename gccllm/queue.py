"""`gccllm tune`: work through the units that builds have queued, in any order, resumable at any moment.

A queued unit is a directory `<store>/queue/<unit key>` with the engine's own request format. It leaves the queue only
when every function of it is decided; a kill loses the function under work and nothing else. The whole answer then
goes into the unit cache under the key that the shim will ask for, so that the next build needs no Python.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gccllm import config
from gccllm.engine import read_request
from gccllm.events import Log
from gccllm.pipeline import rewrite_unit
from gccllm.store import Store


def queued_units(store_dir: Path) -> list[Path]:
    return sorted(path for path in (store_dir / "queue").glob("[0-9a-f]*") if (path / "request").is_file())


def tune(settings: config.Settings, console: Console, budget_s: float | None, again: bool) -> int:
    """Returns the exit status: 0 when the queue is empty afterwards, 2 when something is left."""
    store = Store(settings.store_dir, settings.project_cache)
    if again:
        for found in store.entries("user"):
            if found.entry.outcome == "nothing":
                store.remove(found)
    units = queued_units(store.user)
    if not units:
        console.print("the queue is empty; build with GCCLLM_MODE=queue (or a short GCCLLM_BUDGET) to fill it")
        return 0
    deadline = time.monotonic() + budget_s if budget_s is not None else float("inf")
    admitted = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("units", total=len(units))
        for place in units:
            if time.monotonic() >= deadline:
                break
            admitted += _work_on_unit(place, store, console, deadline)
            bar.advance(task)
    left = len(queued_units(store.user))
    console.print(f"{len(units) - left} units done, {admitted} functions admitted, {left} units still queued")
    if admitted:
        console.print("build again (touch or `make clean` first) to link them")
    return 2 if left else 0


def _work_on_unit(place: Path, store: Store, console: Console, deadline: float) -> int:
    """Functions newly or already admitted in one unit."""
    try:
        request = read_request(place)
    except (OSError, ValueError) as error:
        console.print(f"{place.name[:12]}: dropped, the request is not whole: {error}")
        shutil.rmtree(place, ignore_errors=True)
        return 0
    settings = config.load(request.cwd if request.cwd.is_dir() else None).with_values(mode="inline")
    store = Store(store.user, settings.project_cache)
    log = Log(store.user, cwd=str(request.cwd), unit=request.unit_key[:16])
    result = rewrite_unit(request, settings, store, log, deadline=deadline)
    admitted = [d for d in result.decisions if d.word == "admitted"]
    for decision in admitted:
        console.print(f"{decision.function}: admitted ({decision.detail})")
    text = (result.text or "").encode("latin-1")
    is_decided = not result.undecided
    store.put_unit(request.unit_key, text, result.sources if text else (), is_decided=is_decided)
    if is_decided:
        shutil.rmtree(place, ignore_errors=True)
    return len(admitted)
