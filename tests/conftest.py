"""Fixtures that more than one test directory needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

# No test fails for a machine that is slow. In CI the same examples every time: a change is judged by what it changed.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

ROOT = Path(__file__).resolve().parent.parent


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


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation as pip would make it: bin/gcc-llm, libexec/gccllm/as, and bin/gccllm-engine run from this tree.

    Built once, also when several workers run the tests.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    place = shared / "prefix"
    with FileLock(f"{place}.lock"):
        if not place.exists():
            build_wrappers(shared / "prefix-build", shared / "prefix-new")
            engine = shared / "prefix-new" / "bin" / "gccllm-engine"
            # All tests together are one build, where make runs them: it may wait.
            patient = "GCCLLM_BUILD_BUDGET=${GCCLLM_BUILD_BUDGET-100000}"
            engine.write_text(f'#!/bin/sh\n{patient} PYTHONPATH={ROOT} exec {sys.executable} -m gccllm.engine "$@"\n')
            engine.chmod(0o755)
            (shared / "prefix-new").rename(place)
    return place


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation built with address and undefined behaviour sanitizers, without an engine."""
    place = tmp_path_factory.mktemp("sanitized")
    build_wrappers(place / "build", place / "prefix", "-DGCCLLM_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=Debug")
    return place / "prefix"
