"""Fixtures that more than one test directory needs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from gccllm.base.limits import LIMITS

# No test fails for a machine that is slow. In CI the same examples every time: a change is judged by what it changed.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

pytest.register_assert_rewrite("tests.kit")

# Before torch is imported: threads that wait for each other spin, and on CPUs that others use too that takes for ever.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "on_its_own" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.serial)
        if item.get_closest_marker("full") and not os.environ.get("GCCLLM_FULL"):
            item.add_marker(pytest.mark.skip(reason="make check-full runs it"))


@pytest.fixture(scope="session")
def on_its_own() -> None:
    """For fixtures that time something: the tests that use them are marked `serial`."""


def build_wrappers(build: Path, prefix: Path, *settings: str) -> None:
    """Configure, build and install `wrappers/`; raises CalledProcessError with cmake's output on failure."""
    cmake = [
        "cmake",
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
        "-DCMAKE_COMPILE_WARNING_AS_ERROR=ON",
        *settings,
        "-S",
        str(ROOT / "wrappers"),
        "-B",
        str(build),
    ]
    for command in (cmake, ["cmake", "--build", str(build)], ["cmake", "--install", str(build)]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder() -> Iterator[None]:
    """Each worker has its own /tmp, open to all users as that is: no two meet at a fixed name, and nothing stays."""
    with tempfile.TemporaryDirectory(prefix="gccllm-tests-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o1777)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", place)
            patch.setattr(tempfile, "tempdir", place)
            yield


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """A machine that is busy with other tests finds inputs more slowly; it finds the same ones."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("suite", "recheck"):
            patch.setattr(f"gccllm.verdict.{module}.LIMITS", replace(LIMITS, harvest_s=60.0))
        yield


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills: by the first worker that asks, for all of them. Nobody may write to it afterwards."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    place, new = root / name, root / f"{name}-new"
    with FileLock(f"{place}.lock"):
        if not place.exists():
            new.mkdir(exist_ok=True)
            make(new)
            new.rename(place)
    return place


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation as pip would make it: bin/gcc-llm, libexec/gccllm/as, bin/gccllm-engine run from this tree."""

    def make(place: Path) -> None:
        build_wrappers(place / "build", place / "prefix")
        engine = place / "prefix" / "bin" / "gccllm-engine"
        # All tests together are one build, where make runs them: it may wait.
        patient = "GCCLLM_BUILD_BUDGET=${GCCLLM_BUILD_BUDGET-100000}"
        engine.write_text(f'#!/bin/sh\n{patient} PYTHONPATH={ROOT} exec {sys.executable} -m gccllm.engine "$@"\n')
        engine.chmod(0o755)

    return shared(tmp_path_factory, "installed", make) / "prefix"


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation built with address and undefined behaviour sanitizers, without an engine."""

    def make(place: Path) -> None:
        build_wrappers(place / "build", place / "prefix", "-DGCCLLM_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=Debug")

    return shared(tmp_path_factory, "sanitized", make) / "prefix"
