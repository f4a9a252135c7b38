"""`gccllm init` lists what it can write, writes it once, and never over a file that differs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gccllm.base import config
from gccllm.commands.cli import main
from gccllm.commands.init import STARTERS, TEMPLATES, Starter

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cmake"
ROWS = pytest.mark.parametrize("row", STARTERS, ids=lambda row: row.word)


def init(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", *arguments])


def test_without_a_word_it_lists_every_file() -> None:
    done = init()
    assert done.exit_code == 0
    listed = [line.split()[:2] for line in done.output.split("Commands:\n")[1].splitlines()]
    assert all([row.word, f"{row.path}:"] in listed for row in STARTERS)


@ROWS
def test_a_file_is_written_once(row: Starter, tmp_path: Path) -> None:
    first, second = init(row.word, str(tmp_path)), init(row.word, str(tmp_path))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.output.startswith(f"{tmp_path / row.path}: written\n")
    assert second.output.startswith(f"{tmp_path / row.path}: as it was\n")
    assert all(step in second.output for step in ("next:", f"cd {tmp_path}", *row.following))
    assert (tmp_path / row.path).read_bytes() == (TEMPLATES / row.template).read_bytes()


@ROWS
def test_a_file_that_differs_stays_unless_it_is_forced(row: Starter, tmp_path: Path) -> None:
    path = tmp_path / row.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("somebody's own\n")
    refused = init(row.word, str(tmp_path))
    assert refused.exit_code == 1
    assert refused.output == f"Error: {path} is there and differs; --force overwrites it\n"
    assert path.read_text() == "somebody's own\n"
    assert init(row.word, str(tmp_path), "--force").exit_code == 0
    assert path.read_bytes() == (TEMPLATES / row.template).read_bytes()


def test_a_link_that_leads_nowhere_stays(tmp_path: Path) -> None:
    (tmp_path / "gccllm.toml").symlink_to("nowhere")
    assert init("toml", str(tmp_path)).exit_code == 1
    assert not (tmp_path / "nowhere").exists()


def test_another_directory_than_the_projects_is_named(tmp_path: Path) -> None:
    assert f"no CMakeLists.txt in {tmp_path}: is it the project's directory?" in init("cmake", str(tmp_path)).output
    (tmp_path / "CMakeLists.txt").touch()
    assert "CMakeLists.txt" not in init("cmake", str(tmp_path)).output


def test_a_caller_who_does_not_find_the_compiler_is_told_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("gccllm.commands.doctor.launcher", lambda: Path("/opt/its place/bin/gcc-llm"))
    assert "\n  export PATH='/opt/its place/bin':$PATH\n" in init("meson", str(tmp_path)).output


def test_what_the_settings_file_calls_a_default_is_one() -> None:
    text = (TEMPLATES / "gccllm.toml").read_text()
    rows = tomllib.loads("\n".join(line[2:] for line in text.split("defaults:\n")[1].splitlines()))
    settings = {setting.name: setting for setting in config.SETTINGS}
    assert len(rows) >= 3
    for name, value in rows.items():
        parsed = settings[name].parse(value)
        assert parsed == settings[name].default
        assert settings[name].by_project is config.ByProject.ADDS or not settings[name].refusal(parsed)


def test_the_example_has_the_same_files_not_copies() -> None:
    assert (EXAMPLE / "gcc-llm.cmake").resolve() == TEMPLATES / "gcc-llm.cmake"
    assert (EXAMPLE / "ci.yml").resolve() == TEMPLATES / "github.yml"
