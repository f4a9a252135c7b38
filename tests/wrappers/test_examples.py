"""The example projects build with gcc-llm and pass their own tests, and every unit with a loop is seen."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .conftest import LABEL, Site

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def run(site: Site, *command: str) -> str:
    done = subprocess.run(command, cwd=site.src, env=site.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_cmake_project_takes_the_toolchain_file(site: Site) -> None:
    site.settings["GCCLLM_MODE"] = "queue"
    project = str(EXAMPLES / "cmake")
    toolchain = "-DCMAKE_TOOLCHAIN_FILE=gcc-llm.cmake"
    run(site, "cmake", "-S", project, "-B", "build", toolchain, f"-DGCCLLM_ROOT={site.prefix}")
    run(site, "cmake", "--build", "build")
    assert "100% tests passed" in run(site, "ctest", "--test-dir", "build")
    assert "all\t" in run(site, "build/tally-time", "1")
    queued = [(p / "request").read_text() for p in (site.store / "queue").iterdir()]
    assert all(
        any(name in text for text in queued)
        for name in ("checksum.c", "histogram.c", "text.c", "samples.c", "matrix.c")
    )


def test_the_make_project_is_built_by_setting_cc(site: Site) -> None:
    shutil.copytree(EXAMPLES / "make", site.src / "words")
    site.engine(LABEL.replace("sum:", "sum_bytes:"))
    out = run(site, "make", "-s", "-j2", "-C", "words", f"CC={site.command}", "check")
    assert "counted alike" in out
    assert b"seen_by_engine" in (site.src / "words" / "words").read_bytes()
