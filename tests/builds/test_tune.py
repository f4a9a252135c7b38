"""`gccllm tune` works on what a build has left, hottest first; the next build links it without starting anything."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from gccllm.base import config
from gccllm.base.events import read
from gccllm.commands import queue
from gccllm.commands.crew import Say
from gccllm.commands.queue import Finished
from gccllm.engine import request_words
from gccllm.store import Entry, Store

FLAT = "int flat(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }\n"
DEEP = (
    "int deep(const int *a, int n) {\n    int s = 0;\n"
    "    for (int i = 0; i < n; i++) for (int j = 0; j < i; j++) s += a[j] * 3;\n    return s;\n}\n"
)
SET_UP = "int table_init(int *a, int n) { for (int i = 0; i < n; i++) a[i] = i * i; return n; }\n"


class Project:
    def __init__(self, prefix: Path, here: Path) -> None:
        self.prefix, self.here, self.store = prefix, here, here / "store"
        for name, text in (("a.c", FLAT), ("b.c", DEEP + SET_UP)):
            (here / name).write_text(text)

    def environment(self, **settings: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GCCLLM_")}
        ours = {"GCCLLM_CACHE_DIR": str(self.store), "GCCLLM_PROPOSERS": "recompile", "HOME": str(self.here)}
        return kept | ours | {f"GCCLLM_{name}": value for name, value in settings.items()}

    def build(self, **settings: str) -> list[bytes]:
        for name in ("a", "b"):
            argv = [str(self.prefix / "bin" / "gcc-llm"), "-O2", "-c", f"{name}.c", "-o", f"{name}.o"]
            subprocess.run(argv, cwd=self.here, env=self.environment(**settings), check=True)
        return [(self.here / f"{name}.o").read_bytes() for name in ("a", "b")]

    def tune(self, *options: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "gccllm.commands.cli", "tune", *options]
        (self.here / "tmp").mkdir(exist_ok=True)
        env = self.environment() | {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(self.here / "tmp")}
        return subprocess.Popen(
            argv, cwd=self.here, env=env, text=True, stdout=subprocess.PIPE, process_group=0,
            # what a shell starts in the background ignores it, and so do its children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    @property
    def worked(self) -> list[str]:
        return [event["function"] for event in read(self.store) if event["event"] == "worked"]

    @property
    def queued(self) -> int:
        return len(list((self.store / "queue").glob("[0-9a-f]*")))


@pytest.fixture
def project(prefix: Path, tmp_path: Path) -> Project:
    return Project(prefix, tmp_path)


def children(pid: int) -> list[int]:
    """Processes that this one has started and that are still there."""
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def descendants(pid: int) -> list[int]:
    return [one for child in children(pid) for one in (child, *descendants(child))]


def workers(tune: subprocess.Popen[str]) -> list[int]:
    """Those that have begun with a function: they hold its lock."""
    return [child for child in children(tune.pid) if any("/locks/" in path for path in open_files(child))]


def open_files(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return []


def is_there(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def until(holds: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def assert_nothing_is_left(project: Project, were_there: list[int]) -> None:
    until(lambda: not any(map(is_there, were_there)), "a process has outlived the work")
    assert [path.name for path in (project.here / "tmp").iterdir()] == []
    for lock in (project.store / "locks").iterdir():
        FileLock(lock, timeout=0).acquire()


def test_what_a_build_left_is_worked_on_hottest_first_and_served_without_an_engine(project: Project) -> None:
    own = project.build(BUILD_BUDGET="0")
    assert project.queued == 2
    tune = project.tune("--budget", "0")
    assert "2 units still queued" in tune.communicate()[0]
    assert (tune.returncode, project.worked) == (0, [])
    tune = project.tune("--jobs", "1")
    said = tune.communicate()[0]
    assert "still queued" in said
    first, *lines = said.splitlines()
    assert (
        first == "2 units: 3 of 3 functions can be tried, judged by their loops alone; "
        "`gccllm profile -- COMMAND` measures which are hot"
    )
    assert [line.partition(":")[0] for line in lines[:2]] == ["b.c", "a.c"], "a line a unit"
    assert tune.returncode == 0
    assert project.worked == ["deep", "table_init", "flat"]
    if project.queued == 0:  # a noisy moment leaves a unit in the queue
        served = project.build(ENGINE="/nowhere")
        assert (served == own) == (not any(event.get("word") == "admitted" for event in read(project.store)))
        assert not any(event["event"] == "shim" for event in read(project.store))


def unit_at(place: Path) -> str:
    return next(word for word in request_words(place)[1]["driver_arg"] if word in ("a.c", "b.c"))


def too_loud_for_two(words: tuple[Path, float], say: Say) -> Finished:
    """In a worker's place: b.c cannot be timed at the first look; at the second nobody else may be at work."""
    place = words[0]
    looks = place.parent / f".{place.name}.looks"
    looks.write_text(looks.read_text() + "x" if looks.exists() else "x")
    if unit_at(place) == "b.c" and looks.read_text() == "x":
        return Finished(undecided=("deep",), is_untimed=True)
    shutil.rmtree(place)
    return Finished(admitted=(("deep", "1.5x"),))


@pytest.mark.parametrize(("jobs", "looks"), [(1, {"a.c": 1, "b.c": 1}), (2, {"a.c": 1, "b.c": 2})])
def test_what_could_not_be_timed_beside_others_is_looked_at_once_more_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch, jobs: int, looks: dict[str, int]
) -> None:
    project.build(BUILD_BUDGET="0")
    units = {place.name: unit_at(place) for place in queue.queued_units(project.store)}
    monkeypatch.setattr(queue, "work_on_unit", too_loud_for_two)
    console = Console(file=io.StringIO(), width=100)
    settings = config.load(project.here, {"GCCLLM_CACHE_DIR": str(project.store)})
    assert queue.tune(settings, console, None, False, jobs) == 0
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert {
        unit: len((project.store / "queue" / f".{name}.looks").read_text()) for name, unit in units.items()
    } == looks
    assert ("1 unit could not be timed while others ran; timing again, one at a time" in said) == (jobs == 2)
    assert project.queued == (jobs == 1)


@pytest.mark.serial
@pytest.mark.parametrize(
    ("number", "to_all"),
    [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, True), (signal.SIGTERM, False)],
    ids=["Ctrl-C", "SIGINT", "SIGTERM to the group", "SIGTERM"],
)
def test_an_interrupt_loses_nothing_and_says_how_to_go_on(
    project: Project, number: signal.Signals, to_all: bool
) -> None:
    project.build(BUILD_BUDGET="0")
    tune = project.tune("--jobs", "2")
    until(lambda: len(workers(tune)) == 2, "two units are never worked on at once")
    were_there = descendants(tune.pid)
    os.killpg(tune.pid, number) if to_all else tune.send_signal(number)
    said = tune.communicate(timeout=60)[0]
    assert tune.returncode == 130
    assert "run `gccllm tune` again to continue" in said
    assert project.queued == 2
    assert_nothing_is_left(project, were_there)


@pytest.mark.serial
def test_a_killed_worker_loses_its_unit_only(project: Project) -> None:
    project.build(BUILD_BUDGET="0")
    tune = project.tune("--jobs", "2")
    until(lambda: len(workers(tune)) == 2, "two units are never worked on at once")
    were_there = descendants(tune.pid)
    os.kill(workers(tune)[0], signal.SIGKILL)
    said = tune.communicate(timeout=300)[0]
    assert tune.returncode == 0
    [lost] = [line for line in said.splitlines() if "SIGKILL; the unit stays queued" in line]
    assert project.queued >= 1
    kept = {"a.c": "b.c", "b.c": "a.c"}[lost.partition(":")[0]]
    assert f"{kept}: " in said, "the other unit is finished"
    until(lambda: not any(map(is_there, were_there)), "a process has outlived the work")


@pytest.mark.serial
def test_workers_end_with_a_killed_parent(project: Project) -> None:
    project.build(BUILD_BUDGET="0")
    tune = project.tune("--jobs", "2")
    until(lambda: len(workers(tune)) == 2, "two units are never worked on at once")
    were_there = descendants(tune.pid)
    tune.kill()
    tune.wait()
    assert_nothing_is_left(project, were_there)
    assert project.queued == 2


@pytest.mark.serial
def test_a_budget_is_shared_by_all_workers(project: Project) -> None:
    project.build(BUILD_BUDGET="0")
    tune = project.tune("--jobs", "2", "--budget", "3")
    assert "units still queued" in tune.communicate()[0]
    assert tune.returncode == 0
    assert "budget" in [event.get("reason") for event in read(project.store) if event.get("word") == "queued"]


def test_stages_of_the_work_are_known_by_what_they_cost(project: Project) -> None:
    (project.here / "b.c").write_text("int nothing;\n")
    project.build()
    [worked] = [event for event in read(project.store) if event["event"] == "worked"]
    assert {"side compile", "inputs", "mutants", "asking recompile", "judging"} <= worked["stages"].keys()
    assert worked["stages"]["inputs"] > 0.0
    argv = [sys.executable, "-m", "gccllm.commands.cli", "stats", "--stages"]
    env = project.environment(PROPOSERS="recompile") | {"PYTHONPATH": str(Path(__file__).parents[2])}
    said = subprocess.run(argv, cwd=project.here, env=env, text=True, capture_output=True, check=True).stdout
    assert "asking recompile" in said


def test_what_is_measured_is_not_guessed() -> None:
    one = queue.Queued(Path("a"), "a.c", 2, 5, True, (0.5, False, True, 1, 9))
    assert queue.outlook([one]) == "1 unit: 2 of 7 functions can be tried"


def test_other_projects_units_come_last(project: Project) -> None:
    for name in ("mine", "theirs"):
        (project.here / name).mkdir()
        (project.here / name / "gccllm.toml").touch()
    for number, (name, source) in enumerate((("theirs", DEEP), ("mine", FLAT))):
        (project.here / name / "a.c").write_text(source)
        place = Project(project.prefix, project.here / name)
        place.store = project.store
        argv = [str(project.prefix / "bin" / "gcc-llm"), "-O2", "-c", "a.c"]
        subprocess.run(argv, cwd=place.here, env=place.environment(BUILD_BUDGET="0"), check=True)
        assert project.queued == number + 1
    units = queue.in_order(queue.queued_units(project.store), project.here / "mine", Console(file=io.StringIO()))
    assert [unit.is_own for unit in units] == [True, False]
    assert queue.outlook(units).startswith("2 units (1 of other projects, worked on last): 2 of 2 functions")


def test_what_is_tried_again_waits_for_a_build(project: Project) -> None:
    env = project.environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    failure = Entry(key="1" * 64, situation={}, function="f", source="a.c", outcome="nothing", created=1.0)
    Store(project.store).put(failure)
    argv = [sys.executable, "-m", "gccllm.commands.cli", "tune", "--again"]
    said = [subprocess.run(argv, cwd=project.here, env=env, text=True, stdout=subprocess.PIPE).stdout for _ in "12"]
    empty = "the queue is empty: builds have left nothing to work on\n"
    assert said == [
        f"1 remembered failure forgotten: build again (touch or `make clean` first), then tune; {empty}",
        empty,
    ]


def test_a_build_works_on_no_set_up_code(project: Project) -> None:
    (project.here / "a.c").write_text("int nothing;\n")
    (project.here / "b.c").write_text(SET_UP)
    project.build()
    assert project.worked == []
    assert project.queued == 1
    argv = [sys.executable, "-m", "gccllm.commands.cli", "explain", "b.c"]
    env = project.environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    said = subprocess.run(argv, cwd=project.here, env=env, text=True, capture_output=True, check=True).stdout
    assert said.startswith("table_init  queued     set_up: `init` in its name\n")
