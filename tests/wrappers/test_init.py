"""What `gccllm init` writes and says is what CMake, Meson and a CI job take: optimised builds that link rewrites."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from .conftest import LABEL, Site

ROOT = Path(__file__).resolve().parents[2]
MAIN = "int sum(const int *a, int n);\nint main(void) { int a[] = {1, 2}; return sum(a, 2) != 3; }\n"


@pytest.fixture
def project(site: Site) -> Site:
    """A library with a loop, a test of it, build files for CMake and Meson; a `gccllm` run from this tree."""
    site.engine(LABEL)
    (site.src / "main.c").write_text(MAIN)
    (site.src / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(sum C)\nadd_library(sum STATIC loop.c)\n"
        "add_executable(main main.c)\ntarget_link_libraries(main sum)\n"
        "enable_testing()\nadd_test(NAME sum COMMAND main)\n"
    )
    (site.src / "meson.build").write_text("project('sum', 'c')\nexecutable('main', 'main.c', 'loop.c')\n")
    (site.here / "bin").mkdir()
    command = site.here / "bin" / "gccllm"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gccllm.commands.cli "$@"\n')
    command.chmod(0o755)
    return site


def environment(project: Site, extra: Mapping[str, str] = {}) -> dict[str, str]:
    places = (project.here / "bin", project.prefix / "bin", Path(sys.executable).parent)
    path = os.pathsep.join([*map(str, places), os.environ["PATH"]])
    return project.environment({"PATH": path, "CMAKE_EXPORT_COMPILE_COMMANDS": "ON", **extra})


def shell(project: Site, command: str, extra: Mapping[str, str] = {}) -> str:
    done = subprocess.run(
        ["bash", "-e", "-c", command], cwd=project.src, env=environment(project, extra), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def need(project: Site, *tools: str) -> None:
    if missing := [tool for tool in tools if not shutil.which(tool, path=environment(project)["PATH"])]:
        pytest.skip(f"not installed: {', '.join(missing)}")


def built_by(project: Site, word: str) -> str:
    """The command that compiled the loop, after doing what `gccllm init WORD` says comes next."""
    said = shell(project, f"gccllm init {word}")
    shell(project, said.split("next:\n")[1])
    (commands,) = project.src.glob("*/compile_commands.json")
    assert b"seen_by_engine" in (commands.parent / "main").read_bytes()
    (command,) = [row["command"] for row in json.loads(commands.read_text()) if row["file"].endswith("loop.c")]
    return str(command)


@pytest.mark.parametrize(("word", "tools"), [("cmake", ["cmake"]), ("meson", ["meson", "ninja"])])
def test_the_next_commands_make_an_optimised_build_with_rewrites(project: Site, word: str, tools: list[str]) -> None:
    need(project, *tools)
    command = built_by(project, word).split()
    assert command[0].endswith("gcc-llm")
    assert [flag for flag in command if flag.startswith("-O")] == ["-O3"]


def test_meson_takes_the_release_build_from_the_file_too(project: Site) -> None:
    need(project, "meson", "ninja")
    shell(project, "gccllm init meson; meson setup --native-file gcc-llm.ini build")
    assert " -O3 " in (project.src / "build" / "compile_commands.json").read_text()


TEMPLATES = ROOT / "gccllm" / "commands" / "templates"
SCHEMAS = {
    "github.yml": ["vendor.github-workflows"],
    "gitlab.yml": ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}


def is_valid(path: Path, schema: Sequence[str]) -> bool:
    argv = [sys.executable, "-m", "check_jsonschema", str(path), "--builtin-schema", *schema]
    return subprocess.run(argv, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_ci_job_is_one_by_the_servers_own_schema(name: str, tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed (pip install gcc-llm[dev])")
    text = (TEMPLATES / name).read_text()
    assert is_valid(TEMPLATES / name, SCHEMAS[name])
    (tmp_path / name).write_text(re.sub(r"runs-on|script", "runs", text))
    assert not is_valid(tmp_path / name, SCHEMAS[name])


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not on PATH")
def test_actionlint_finds_nothing_in_the_github_job() -> None:
    done = subprocess.run(["actionlint", str(TEMPLATES / "github.yml")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def github_steps(job: Any) -> str:
    (step,) = [step for step in job["jobs"]["build"]["steps"] if "env" in step]
    return "\n".join([*(f"export {name}={value}" for name, value in step["env"].items()), step["run"]])


def gitlab_steps(job: Any) -> str:
    mode = job["gcc-llm"]["variables"]["GCCLLM_MODE"]
    lines = [line for line in job["gcc-llm"]["script"] if "cache verify" not in line]
    return "\n".join([f"export GCCLLM_MODE={mode}", "chmod -R o-w .", *lines])


@pytest.mark.parametrize(
    ("word", "path", "steps"),
    [("ci", ".github/workflows/gcc-llm.yml", github_steps), ("gitlab", ".gitlab/gcc-llm.yml", gitlab_steps)],
)
def test_the_steps_of_a_ci_job_build_test_and_report(project: Site, word: str, path: str, steps: Any) -> None:
    yaml = pytest.importorskip("yaml")
    shell(project, f"gccllm init {word}")
    said = shell(project, steps(yaml.safe_load((project.src / path).read_text())))
    assert "100% tests passed" in said
    assert "1 unit seen" in said
    assert b"seen_by_engine" in (project.src / "build" / "main").read_bytes()
    assert project.request["mode"] == ["cached"]
