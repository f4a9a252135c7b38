"""How the pages say that gcc-llm is installed: llama.cpp without the parts that nobody needs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRIM = "CMAKE_ARGS=-DCMAKE_PROJECT_INCLUDE=$PWD/wrappers/llama-trim.cmake"
PYTHON_PACKAGE = """\
cmake_minimum_required(VERSION 3.21)
project(llama_cpp NONE)
option(LLAVA_BUILD "" ON)
set(LLAMA_BUILD_COMMON ON CACHE BOOL "" FORCE)
message(STATUS "LLAVA_BUILD ${LLAVA_BUILD}")
add_subdirectory(llama)
"""
LLAMA_CPP = """\
cmake_minimum_required(VERSION 3.14...3.28)
project("llama.cpp" NONE)
option(LLAMA_BUILD_COMMON "" ON)
option(LLAMA_OPENSSL "" ON)
message(STATUS "LLAMA_BUILD_COMMON ${LLAMA_BUILD_COMMON}")
message(STATUS "LLAMA_OPENSSL ${LLAMA_OPENSSL}")
"""
"""How llama-cpp-python and llama.cpp have these options, in their order."""


@pytest.mark.parametrize("is_trimmed", [True, False])
def test_one_variable_leaves_out_what_nobody_needs(tmp_path: Path, is_trimmed: bool) -> None:
    (tmp_path / "llama").mkdir()
    (tmp_path / "CMakeLists.txt").write_text(PYTHON_PACKAGE)
    (tmp_path / "llama" / "CMakeLists.txt").write_text(LLAMA_CPP)
    given = TRIM.partition("=")[2].replace("$PWD", str(ROOT))
    argv = ["cmake", "-S", tmp_path, "-B", tmp_path / "build", *([given] if is_trimmed else [])]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    state = "OFF" if is_trimmed else "ON"
    for name in ("LLAVA_BUILD", "LLAMA_BUILD_COMMON", "LLAMA_OPENSSL"):
        assert re.findall(rf"{name} (\w+)", said) == [state]


@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_the_pages_say_it_so(page: str) -> None:
    lines = [
        line for line in (ROOT / page).read_text().splitlines() if re.search(r"(pip|pipx|uv tool) install \.", line)
    ]
    assert lines
    assert all(TRIM in line for line in lines)
