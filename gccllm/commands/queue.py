"""`gccllm tune`: work through the units that builds have queued, this project's first, resumable at any moment.

A queued unit is a directory `<store>/queue/<unit key>` with the engine's own request format. It leaves the queue only
when every function of it is decided; a kill loses the current function and nothing else. The whole answer then
goes into the unit cache under the key that the shim will ask for, so that the next build needs no Python.

Several processes work, each on a unit. Timings take turns, by the lock of `verify.timing`; what could not be timed
beside the others' work is worked on once more at the end, alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from gccllm.base import config
from gccllm.base.core import Decline, Request
from gccllm.base.deadline import NEVER, Deadline
from gccllm.base.events import Log, read
from gccllm.base.names import spoken_name
from gccllm.base.reasons import Reason
from gccllm.base.words import counted
from gccllm.commands.crew import Crew, Done, Lost, Said, Say
from gccllm.commands.progress import Board, Pace
from gccllm.engine import read_request, request_words
from gccllm.pipeline import rewrite_unit
from gccllm.store import Store
from gccllm.unit import hotness
from gccllm.unit.plan import plan
from gccllm.unit.profile import load_profile
from gccllm.unit.session import Build, UnitSession

POLL_S = 0.25
"""How often the board is drawn and the deadline looked at."""
COLDEST = (0.0, False, False, 0, 0)
LEFT_BY_HEAT = frozenset({Reason.NOT_HOT, Reason.COLD, Reason.EXCLUDED})


@dataclass(frozen=True)
class Queued:
    """A unit of the queue, as its build left it."""

    place: Path
    name: str
    functions: int = 0
    """How many are worth work."""
    left: int = 0
    """How many are not."""
    is_measured: bool = False
    """Whether a profile or a recording says so, not a rule of thumb."""
    heat: tuple[float, bool, bool, int, int] = COLDEST
    """Of its hottest function (`hotness.Heat.rank`)."""
    is_own: bool = True
    """Whether it is of the project in whose directory we were called."""


@dataclass(frozen=True)
class Finished:
    """What became of a unit that was worked on."""

    admitted: tuple[tuple[str, str], ...] = ()
    """Functions newly or already admitted, and what the rewrite is."""
    declined: tuple[tuple[str, int], ...] = ()
    """Reasons, and how many functions that were worth work they left to gcc."""
    undecided: tuple[str, ...] = ()
    is_untimed: bool = False
    """Some function is undecided because it could not be timed."""
    seconds: float = 0.0


@dataclass
class Tally:
    done: int = 0
    admitted: set[tuple[Path, str]] = field(default_factory=set)
    untimed: list[Queued] = field(default_factory=list)


def queued_units(store_dir: Path, root: Path | None = None) -> list[Path]:
    """`root`: only those of builds in this directory."""
    places = sorted(path for path in (store_dir / "queue").glob("[0-9a-f]*") if (path / "request").is_file())
    return places if root is None else [place for place in places if _is_in(place, root)]


def _is_in(place: Path, root: Path) -> bool:
    with contextlib.suppress(OSError):
        return Path(request_words(place)[0].get("cwd", "")).is_relative_to(root)
    return False


def default_jobs() -> int:
    return len(os.sched_getaffinity(0))


# --- the parent -----------------------------------------------------------------------------------


def tune(settings: config.Settings, console: Console, budget_s: float | None, again: bool, jobs: int) -> int:
    """Returns the exit status: 0 when it did what it was asked, a used up budget included; 130 when interrupted."""
    store = Store(settings.store_dir, settings.project_cache)
    forgotten = _forget_failures(store) if again else 0
    places = queued_units(store.user)
    if not places:
        said = "the queue is empty: builds have left nothing to work on"
        if forgotten:
            failures = counted(forgotten, "remembered failure")
            said = f"{failures} forgotten: build again (touch or `make clean` first), then tune; {said}"
        console.print(said, soft_wrap=True, highlight=False)
        return 0
    deadline = Deadline(budget_s) if budget_s is not None else NEVER
    tally, interrupted = Tally(), False
    with _ended_as_interrupted():
        try:
            units = in_order(places, settings.root(Path.cwd()), console)
            if units:
                console.print(outlook(units), soft_wrap=True, highlight=False)
            with Board(console, Pace.of(read(store.user)), deadline) as board:
                _work_on(units, jobs, deadline, board, tally)
                if jobs > 1 and tally.untimed and not deadline.is_over:
                    untimed = counted(len(tally.untimed), "unit")
                    board.say(f"{untimed} could not be timed while others ran; timing again, one at a time")
                    _work_on(tuple(tally.untimed), 1, deadline, board, tally)
        except KeyboardInterrupt:
            interrupted = True
    left = len(queued_units(store.user))
    done, admitted = counted(tally.done, "unit"), counted(len(tally.admitted), "function")
    console.print(f"{done} done, {admitted} admitted, {counted(left, 'unit')} still queued")
    if left:
        spent = f"the budget of {budget_s:.0f} s is used up; " if budget_s is not None and deadline.is_over else ""
        console.print(f"{spent}nothing is lost: run `gccllm tune` again to continue")
    if tally.admitted:
        console.print("build again (touch or `make clean` first) to link them")
    return 130 if interrupted else 0


def _forget_failures(store: Store) -> int:
    """So that the functions are tried again; how many there were. Only a build queues their units."""
    failures = [found for found in store.entries("user") if found.entry.outcome == "nothing"]
    for found in failures:
        store.remove(found)
    return len(failures)


def in_order(places: list[Path], root: Path, console: Console) -> list[Queued]:
    """The units whose requests are whole: those of the project at `root` first, and of these the one with the hottest
    function. The others leave the queue."""
    units = []
    for place in places:
        try:
            request = read_request(place)
        except (OSError, ValueError) as error:
            console.print(f"{place.name[:12]}: dropped, the request is not whole: {error}")
            _drop(place)
            continue
        looked_at = _looked_at(place, request, _settings(request))
        units.append(replace(looked_at, is_own=request.cwd.is_relative_to(root)))
    return sorted(units, key=lambda unit: (unit.is_own, unit.heat), reverse=True)


def _looked_at(place: Path, request: Request, settings: config.Settings) -> Queued:
    try:
        unit = plan(request, settings)
    except Decline:
        return Queued(place, place.name[:12])
    profile = load_profile(settings.profile_path) if settings.profile_path else None
    session = UnitSession(unit, settings, Log(settings.store_dir))
    recorded = None if profile is not None else session.recordings.heat(unit.module)
    warm, left = hotness.rank(unit.module, settings, profile, recorded)
    is_measured = profile is not None or any(heat.share for heat in warm)
    name = unit.spelled or place.name[:12]
    return Queued(place, name, len(warm), len(left), is_measured, warm[0].rank if warm else COLDEST)


def outlook(units: Sequence[Queued]) -> str:
    """What there is to do, before anything is done."""
    worth, left = sum(unit.functions for unit in units), sum(unit.left for unit in units)
    others = sum(not unit.is_own for unit in units)
    said = counted(len(units), "unit") + (f" ({others} of other projects, worked on last)" if others else "")
    said += f": {worth} of {counted(worth + left, 'function')} can be tried"
    if worth and not any(unit.is_measured for unit in units):
        said += ", judged by their loops alone; `gccllm profile -- COMMAND` measures which are hot"
    return said


def _work_on(units: Iterable[Queued], jobs: int, deadline: Deadline, board: Board, tally: Tally) -> None:
    """Every unit, the first ones first, until the deadline; with so many processes. Raises KeyboardInterrupt."""
    waiting = deque(units)
    board.expect([unit.functions for unit in waiting], jobs)
    with Crew[Queued](work_on_unit, jobs) as crew:
        while True:
            while waiting and crew.has_room and not deadline.is_over:
                unit = waiting.popleft()
                board.begin(unit.place, unit.name, unit.functions)
                crew.give(unit, (unit.place, deadline.left))
            if not crew.at_work:
                return
            for news in crew.news(POLL_S):
                unit = news.task
                match news:
                    case Said(_, (function, stage)):
                        board.step(unit.place, f"{spoken_name(function)}: {stage}")
                    case Done(_, Finished() as finished):
                        board.end(unit.place, finished.seconds)
                        board.say(_line(unit, finished))
                        tally.admitted |= {(unit.place, function) for function, _ in finished.admitted}
                        tally.done += not finished.undecided
                        if finished.is_untimed:
                            tally.untimed.append(unit)
                    case Lost(_, why):
                        board.end(unit.place)
                        board.say(f"{unit.name}: {why}; the unit stays queued")
            board.draw()


def _line(unit: Queued, finished: Finished) -> str:
    said = f"{unit.name}: {len(finished.admitted)} of {counted(unit.functions, 'function')} admitted"
    if finished.admitted:
        said += ": " + ", ".join(f"{spoken_name(function)} ({detail})" for function, detail in finished.admitted)
    if finished.declined:
        said += "; declined: " + ", ".join(f"{count} {reason}" for reason, count in finished.declined)
    if finished.undecided:
        said += f"; undecided, and still queued: {', '.join(map(spoken_name, finished.undecided))}"
    return said


@contextlib.contextmanager
def _ended_as_interrupted() -> Iterator[None]:
    """SIGTERM keeps what is done, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- a worker -------------------------------------------------------------------------------------


def work_on_unit(words: tuple[Path, float], say: Say) -> Finished:
    """`words`: the unit's place in the queue, and seconds left."""
    place, left_s = words
    deadline, started = Deadline(left_s), time.monotonic()
    try:
        request = read_request(place)
    except FileNotFoundError:
        return Finished()  # another `gccllm tune` was faster
    settings = _settings(request)
    store = Store(place.parents[1], settings.project_cache)
    log = Log(store.user, cwd=str(request.cwd), unit=request.unit_key[:16])
    log.watcher = lambda function, stage: say((function, stage))
    result = rewrite_unit(request, Build(settings, store, log, deadline))
    text = (result.text or "").encode("latin-1")
    is_decided = not result.undecided
    store.put_unit(request.unit_key, text, result.sources if text else (), is_decided=is_decided)
    if is_decided:
        _drop(place)
    declined = [d.reason for d in result.decisions if d.word == "declined" and d.reason not in LEFT_BY_HEAT]
    return Finished(
        tuple((d.function, d.detail) for d in result.decisions if d.word == "admitted"),
        tuple(Counter(reason.label for reason in declined if reason).most_common()),
        result.undecided,
        any(d.word == "queued" and d.reason in (Reason.NOISY, Reason.DEADLINE) for d in result.decisions),
        time.monotonic() - started,
    )


def _settings(request: Request) -> config.Settings:
    return config.load(request.cwd if request.cwd.is_dir() else None).with_values(mode="inline")


def _drop(place: Path) -> None:
    """Out of the queue at once: half of a request would keep builds from queueing the unit again."""
    gone = place.with_name(f".{place.name[:16]}.{os.getpid()}")
    with contextlib.suppress(OSError):
        place.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
