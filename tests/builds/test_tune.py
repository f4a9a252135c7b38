"""`gccllm tune` works on what a build has left, hottest first; the next build links it without starting anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gccllm.events import read

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
        argv = [sys.executable, "-m", "gccllm.cli", "tune", *options]
        env = self.environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.Popen(argv, cwd=self.here, env=env, text=True, stdout=subprocess.PIPE)

    @property
    def worked(self) -> list[str]:
        return [event["function"] for event in read(self.store) if event["event"] == "worked"]

    @property
    def queued(self) -> int:
        return len(list((self.store / "queue").glob("[0-9a-f]*")))


@pytest.fixture
def project(prefix: Path, tmp_path: Path) -> Project:
    return Project(prefix, tmp_path)


def test_what_a_build_left_is_worked_on_hottest_first_and_served_without_an_engine(project: Project) -> None:
    own = project.build(BUILD_BUDGET="0")
    assert project.queued == 2
    tune = project.tune("--budget", "0")
    assert "2 units still queued" in tune.communicate()[0]
    assert (tune.returncode, project.worked) == (0, [])
    tune = project.tune()
    assert "still queued" in tune.communicate()[0]
    assert tune.returncode == 0
    assert project.worked == ["deep", "table_init", "flat"]
    if project.queued == 0:  # a noisy moment leaves a unit in the queue
        served = project.build(ENGINE="/nowhere")
        assert (served == own) == (not any(event.get("word") == "admitted" for event in read(project.store)))
        assert not any(event["event"] == "shim" for event in read(project.store))


def test_an_interrupt_loses_nothing_and_says_how_to_go_on(project: Project) -> None:
    project.build(BUILD_BUDGET="0")
    tune = project.tune()
    end = time.monotonic() + 60
    while not (project.store / "locks").exists() and time.monotonic() < end:
        time.sleep(0.05)
    tune.send_signal(signal.SIGINT)
    said = tune.communicate(timeout=60)[0]
    assert tune.returncode == 130
    assert "goes on from here" in said
    assert project.queued == 2


def test_a_build_works_on_no_set_up_code(project: Project) -> None:
    (project.here / "a.c").write_text("int nothing;\n")
    (project.here / "b.c").write_text(SET_UP)
    project.build()
    assert project.worked == []
    assert project.queued == 1
    words = {event["function"]: event.get("reason") for event in read(project.store) if event["event"] == "function"}
    assert words["table_init"] == "set_up"
