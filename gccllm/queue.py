"""`gccllm tune`: work through the units that builds have queued, hottest first, resumable at any moment.

A queued unit is a directory `<store>/queue/<unit key>` with the engine's own request format. It leaves the queue only
when every function of it is decided; a kill loses the function under work and nothing else. The whole answer then
goes into the unit cache under the key that the shim will ask for, so that the next build needs no Python.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from gccllm import config, hotness
from gccllm.core import Quit, Request
from gccllm.deadline import NEVER, Deadline
from gccllm.engine import read_request
from gccllm.events import Log
from gccllm.pipeline import rewrite_unit
from gccllm.plan import plan
from gccllm.profile import load_profile
from gccllm.store import Store
from gccllm.work import Shop


@dataclass(frozen=True)
class Queued:
    """A unit of the queue, as its build left it."""

    place: Path
    request: Request
    settings: config.Settings
    heat: tuple[float, bool, bool, int, int]
    """Of its hottest function (`hotness.Heat.rank`)."""


def queued_units(store_dir: Path) -> list[Path]:
    return sorted(path for path in (store_dir / "queue").glob("[0-9a-f]*") if (path / "request").is_file())


def tune(settings: config.Settings, console: Console, budget_s: float | None, again: bool) -> int:
    """Returns the exit status: 0 when it did what it was asked, a used up budget included; 130 when interrupted."""
    store = Store(settings.store_dir, settings.project_cache)
    if again:
        for found in store.entries("user"):
            if found.entry.outcome == "nothing":
                store.remove(found)
    places = queued_units(store.user)
    if not places:
        console.print("the queue is empty: builds have left nothing to work on")
        return 0
    deadline = Deadline(budget_s) if budget_s is not None else NEVER
    admitted, interrupted = 0, False
    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the queue", total=len(places))
        try:
            for unit in by_heat(places, console):
                if deadline.is_over:
                    break
                admitted += _work_on_unit(unit, store, console, deadline, bar, task)
                bar.advance(task)
        except KeyboardInterrupt:
            interrupted = True
    left = len(queued_units(store.user))
    console.print(f"{len(places) - left} units done, {admitted} functions admitted, {left} units still queued")
    if left:
        console.print("nothing of it is lost: `gccllm tune` goes on from here")
    if admitted:
        console.print("build again (touch or `make clean` first) to link them")
    return 130 if interrupted else 0


def by_heat(places: list[Path], console: Console) -> list[Queued]:
    """The units whose requests are whole, that with the hottest function first; the others leave the queue."""
    units = []
    for place in places:
        try:
            request = read_request(place)
        except (OSError, ValueError) as error:
            console.print(f"{place.name[:12]}: dropped, the request is not whole: {error}")
            shutil.rmtree(place, ignore_errors=True)
            continue
        settings = config.load(request.cwd if request.cwd.is_dir() else None).with_values(mode="inline")
        units.append(Queued(place, request, settings, _heat(request, settings)))
    return sorted(units, key=lambda unit: unit.heat, reverse=True)


def _heat(request: Request, settings: config.Settings) -> tuple[float, bool, bool, int, int]:
    try:
        unit = plan(request, settings)
    except Quit:
        return (0.0, False, False, 0, 0)
    profile = load_profile(settings.profile_path) if settings.profile_path else None
    recorded = (
        None if profile is not None else Shop(unit, settings, Log(settings.store_dir)).recordings.heat(unit.module)
    )
    warm, _ = hotness.rank(unit.module, settings, profile, recorded)
    return warm[0].rank if warm else (0.0, False, False, 0, 0)


def _work_on_unit(unit: Queued, store: Store, console: Console, deadline: Deadline, bar: Progress, task: TaskID) -> int:
    """Functions newly or already admitted in one unit."""
    request, settings = unit.request, unit.settings
    store = Store(store.user, settings.project_cache)
    log = Log(store.user, cwd=str(request.cwd), unit=request.unit_key[:16])
    log.watcher = lambda function, stage: bar.update(task, description=f"{function}: {stage}")
    result = rewrite_unit(request, settings, store, log, deadline=deadline)
    admitted = [d for d in result.decisions if d.word == "admitted"]
    for decision in admitted:
        console.print(f"{decision.function}: admitted ({decision.detail})")
    text = (result.text or "").encode("latin-1")
    is_decided = not result.undecided
    store.put_unit(request.unit_key, text, result.sources if text else (), is_decided=is_decided)
    if is_decided:
        shutil.rmtree(unit.place, ignore_errors=True)
    return len(admitted)
