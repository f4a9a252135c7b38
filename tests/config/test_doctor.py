"""`gccllm doctor` says what is wrong, and nothing twice."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from gccllm.base import config
from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.commands.doctor import NEED_GCC, check_engine, check_gcc, check_start, run_checks, run_table

ROOT = Path(__file__).resolve().parents[2]


def gcc(tmp_path: Path, version: str) -> config.Settings:
    other = tmp_path / "gcc"
    other.write_text(
        f'#!/bin/sh\n[ "$1" = -dumpfullversion ] && echo {version} || '
        f'printf "gcc (Other) {version}\\nCopyright (C) Free Software Foundation, Inc.\\n"\n'
    )
    other.chmod(0o755)
    return config.load().with_values(cc=str(other))


@pytest.mark.parametrize("version", ["99.1.0", "10.2.1"])
def test_a_version_on_which_nobody_ran_the_checks_is_named(tmp_path: Path, version: str) -> None:
    state, words = check_gcc(gcc(tmp_path, version))
    assert (state, words.split(",")[0]) == ("warn", f"gcc {version.partition('.')[0]}: not verified")


def test_a_verified_version_is_well(tmp_path: Path) -> None:
    assert check_gcc(gcc(tmp_path, "12.2.0")) == ("ok", "gcc (Other) 12.2.0")


def test_without_a_gcc_that_is_all_there_is_to_say_of_it(tmp_path: Path) -> None:
    settings = config.load(tmp_path, {"GCCLLM_CACHE_DIR": str(tmp_path / "store")}).with_values(cc="/nowhere/gcc")
    rows = {name: (state, words) for name, state, words in run_checks(settings)}
    assert rows["gcc"] == ("fail", "/nowhere/gcc does not run; install gcc or set GCCLLM_CC")
    assert {rows[name] for name in NEED_GCC} == {("fail", "not tried without a gcc")}
    assert not any("Error:" in words for _, words in rows.values()), "no check broke"


def test_a_missing_llama_cpp_is_named_with_what_adds_it(tmp_path: Path) -> None:
    (tmp_path / "llama_cpp.py").write_text("raise ModuleNotFoundError(name='llama_cpp')\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "GCCLLM_CACHE_DIR": str(tmp_path / "store")}
    argv = [sys.executable, "-m", "gccllm.commands.cli", "doctor", "--json"]
    said = json.loads(subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True).stdout)
    rows = {row["check"]: (row["state"], row["says"]) for row in said["checks"]}
    says = f"no llama_cpp: {sys.executable} -m pip install llama-cpp-python; the recompile proposer works without it"
    assert rows["model"] == rows["model answers"] == ("warn", says)


def environment(place: Path, starts: str) -> Path:
    """A virtual environment as far as the doctor looks; its gcc-llm."""
    (place / "bin").mkdir(parents=True)
    (place / "pyvenv.cfg").touch()
    for name in ("gcc-llm", "gccllm-engine", "python"):
        (place / "bin" / name).write_text(f"#!{starts}\n")
    return place / "bin" / "gcc-llm"


def test_an_environment_that_was_copied_or_whose_python_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = environment(tmp_path / "old", f"{tmp_path}/old/bin/python")
    new = environment(tmp_path / "new", f"{tmp_path}/old/bin/python")
    gone = environment(tmp_path / "gone", f"{tmp_path}/nowhere/bin/python")
    found = []
    for place in (old, new, gone):
        monkeypatch.setattr("gccllm.commands.doctor.launcher", lambda place=place: place)
        found.append(check_start(config.load(tmp_path, {})))
    assert [state for state, _ in found] == ["ok", "warn", "fail"]
    assert f"starts the Python of {tmp_path}/old: was {tmp_path}/new copied?" in found[1][1]
    assert f"starts {tmp_path}/nowhere/bin/python, which is not there" in found[2][1]


def test_what_the_last_build_met_is_told(tmp_path: Path) -> None:
    settings = config.load(tmp_path, {"GCCLLM_CACHE_DIR": str(tmp_path / "store")})
    log = Log(tmp_path / "store")
    log.write("engine", Reason.ENGINE_CRASHED, detail="ImportError: no z3")
    log.write("shim", Reason.ENGINE_CRASHED)
    state, words = check_engine(settings)
    assert (state, words.partition(" in ")[0]) == ("fail", "engine_crashed (ImportError: no z3)")
    log.write("unit", functions=1, admitted=0)
    assert check_engine(settings) == ("ok", "it answered for 1 unit")


@pytest.mark.parametrize("width", [40, 80])
def test_no_path_is_cut(width: int) -> None:
    console = Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())
    path = "/home/somebody/" + "/".join(f"directory{n}" for n in range(12))
    run_table(console, [("model", "ok", f"{path}/model.gguf: 11.8 MB")])
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "…" not in said
    assert f"{path}/model.gguf:" in "".join(said.split())
