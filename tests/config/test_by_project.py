"""One store serves many projects; commands speak of the one they are called in."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gccllm.base.events import Log
from gccllm.commands.cli import main
from gccllm.record.store import TestStore
from gccllm.store import Entry, Store
from gccllm.store.entry import Bench

ONE, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Builds of two projects have used a rewrite each; we stand below the first."""
    for name, key in (("mine", ONE), ("theirs", OTHER)):
        (tmp_path / name / "src").mkdir(parents=True)
        (tmp_path / name / "gccllm.toml").touch()
        log = Log(tmp_path / "store", cwd=str(tmp_path / name / "src"), source=f"/{name}.c")
        log.write("unit", functions=1, admitted=1, options=[])
        log.write("function", function=name, word="admitted", key=key)
        (tmp_path / "store" / "queue" / key).mkdir(parents=True)
        (tmp_path / "store" / "queue" / key / "request").write_text(f"cwd\t{tmp_path / name / 'src'}\n")
    store = Store(tmp_path / "store")
    for name, key in (("mine", ONE), ("theirs", OTHER)):
        store.put(Entry(key=key, situation={}, function=name, source="a.c", outcome="accepted", created=1.0))
    monkeypatch.setenv("GCCLLM_CACHE_DIR", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path / "mine" / "src")
    return store


def run(*argv: str) -> str:
    done = CliRunner().invoke(main, argv)
    assert done.exit_code == 0, done.output
    return done.output


def test_export_takes_what_this_projects_builds_used(store: Store, tmp_path: Path) -> None:
    assert "1 rewrite exported" in run("cache", "export")
    assert [path.stem for path in (tmp_path / "mine" / "cache" / "rewrites").iterdir()] == [ONE]
    assert "2 rewrites exported" in run("cache", "export", "--all", str(tmp_path / "all"))


def test_stats_are_of_this_projects_builds(store: Store) -> None:
    assert "1 unit seen" in run("stats")
    assert "2 units seen" in run("stats", "--all")
    assert '"mine"' in run("stats", "--json")
    assert '"theirs"' not in run("stats", "--json")


def test_waiting_units_are_of_this_projects_builds(store: Store) -> None:
    assert "1 unit waits" in run("stats")
    assert "2 units wait" in run("stats", "--all")


def test_what_the_store_holds_for_this_project(store: Store) -> None:
    assert f'"{ONE}"' in run("cache", "ls", "--json")
    assert f'"{OTHER}"' not in run("cache", "ls", "--json")
    assert f'"{OTHER}"' in run("cache", "ls", "--json", "--all")


def test_recorded_functions_are_of_this_projects_builds(store: Store, tmp_path: Path) -> None:
    tests = TestStore.of(tmp_path / "store")
    for name, key in (("mine", ONE), ("theirs", OTHER)):
        tests.put_bench(key, Bench(slice="", baseline="", facts={}), name, f"{name}.c", ())
        log = Log(tmp_path / "store", cwd=str(tmp_path / name / "src"), source=f"/{name}.c")
        log.write("function", function=name, word="recording", detail=key[:16])
    said = run("tests", "ls", "--uncalled")
    assert "mine.c" in said
    assert "theirs.c" not in said
    assert "1 function of other projects (`gccllm tests ls --all`)" in said
    assert "theirs.c" in run("tests", "ls", "--uncalled", "--all")
    assert f'"{OTHER}"' not in run("tests", "ls", "--json")
    assert f'"{OTHER}"' in run("tests", "ls", "--json", "--all")


def test_without_gccllm_toml_the_repository_is_the_project(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "gccllm.toml").unlink()
    (tmp_path / "mine" / ".git").mkdir()
    assert "1 unit seen" in run("stats")
    monkeypatch.chdir(tmp_path / "mine" / ".git")
    assert "1 unit seen" in run("stats")
