"""`gccllm cache verify`: what cannot be run on this CPU is neither believed nor thrown away."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from gccllm.base import config
from gccllm.commands import maintenance
from gccllm.commands.cli import main
from gccllm.store import Store

CACHE = Path(__file__).resolve().parents[2] / "cache"


def test_a_rewrite_for_another_cpu_is_left_as_it_is(tmp_path: Path) -> None:
    found = next(f for f in Store(tmp_path / "none", CACHE).entries("project") if f.entry.outcome == "accepted")
    store = Store(tmp_path / "user", None)
    store.put(found.entry.model_copy(update={"isa_level": 99}))
    said = io.StringIO()
    code = maintenance.verify(store, config.load(tmp_path), Console(file=said, width=200), [], False)
    assert code == 1, "nothing was verified"
    assert "not here" in said.getvalue()
    assert "needs ISA level 99" in said.getvalue()
    assert "0 of 1 rewrites stand, 1 cannot be run on this CPU" in said.getvalue()
    assert [f.entry.function for f in store.entries("user")] == [found.entry.function]


@pytest.mark.parametrize(
    ("words", "toml", "said"),
    [
        ("cache verify", False, "the store has no accepted rewrite: build, or run `gccllm tune`"),
        ("cache verify --project", False, "no gccllm.toml here or above"),
        ("cache verify --project", True, "cache holds no rewrite; `gccllm cache export` puts there what builds used"),
        ("cache verify nosuch", False, "no accepted rewrite is called 'nosuch'"),
        ("cache import .", False, "rewrites holds no rewrite"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, toml: bool, said: str
) -> None:
    monkeypatch.setenv("GCCLLM_CACHE_DIR", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    if toml:
        (tmp_path / "gccllm.toml").touch()
    done = CliRunner().invoke(main, words.split())
    assert done.exit_code == 1
    assert said in done.output


def test_a_name_that_is_missing_beside_one_that_is_there_is_named(tmp_path: Path) -> None:
    found = next(f for f in Store(tmp_path / "none", CACHE).entries("project") if f.entry.outcome == "accepted")
    store = Store(tmp_path / "user", None)
    store.put(found.entry)
    said = io.StringIO()
    words = [found.entry.function, "nosuch"]
    assert maintenance.verify(store, config.load(tmp_path), Console(file=said, width=200), words, False) == 1
    assert said.getvalue().startswith("no accepted rewrite is called 'nosuch'")
    assert "stands" in said.getvalue() or "not here" in said.getvalue()
