"""Settings: which origin wins, and that a bad value is a sentence and never a broken build."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gccllm.base import config
from gccllm.base.limits import LIMITS


@pytest.fixture(autouse=True)
def _no_user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


def test_environment_beats_project_beats_user_beats_default(tmp_path: Path) -> None:
    (tmp_path / "xdg" / "gccllm").mkdir(parents=True)
    (tmp_path / "xdg" / "gccllm" / "config.toml").write_text('samples = 3\nbudget = 7\nmode = "off"\n')
    (tmp_path / "gccllm.toml").write_text('samples = 4\nmode = "queue"\n')
    settings = config.load(tmp_path, {"GCCLLM_MODE": "cached"})
    assert {name: (settings[name], settings.origins[name]) for name in ("mode", "samples", "budget", "isa")} == {
        "mode": ("cached", "env"),
        "samples": (4, "project"),
        "budget": (7.0, "user"),
        "isa": ("guarded", "default"),
    }


def test_the_project_file_is_found_upward(tmp_path: Path) -> None:
    (tmp_path / "gccllm.toml").write_text("")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert config.load(tmp_path / "a" / "b", {}).project_cache == tmp_path / "cache"


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({"GCCLLM_MODE": "fast"}, "mode"),
        ({"GCCLLM_BUDGET": "soon"}, "budget"),
        ({"GCCLLM_BUDGET": "-1"}, "budget"),
        ({"GCCLLM_PROPOSERS": "model,oracle"}, "proposers"),
        ({"GCCLLM_STRICT": "maybe"}, "strict"),
        ({"GCCLLM_ISA": "avx9"}, "isa"),
    ],
)
def test_a_bad_value_is_named_and_the_default_stays(tmp_path: Path, env: dict[str, str], name: str) -> None:
    settings = config.load(tmp_path, env)
    assert settings[name] == config.load(tmp_path, {})[name]
    assert len(settings.complaints) == 1
    assert next(iter(env)) in settings.complaints[0]


def test_a_broken_project_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "gccllm.toml").write_text("mode = \n")
    settings = config.load(tmp_path, {})
    assert settings["mode"] == "inline"
    assert "gccllm.toml" in settings.complaints[0]


def test_the_table_is_whole() -> None:
    names = [s.name for s in config.SETTINGS]
    assert len(set(names)) == len(names)
    assert all(s.env.startswith("GCCLLM_") and s.says for s in config.SETTINGS)
    # Every default is a value that its own parser takes.
    assert all(
        s.parse(",".join(s.default) if isinstance(s.default, tuple) else s.default) == s.default
        for s in config.SETTINGS
    )


def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    settings = config.load(tmp_path, {"GCCLLM_BUDEGT": "9", "GCCLLM_ENDPOINT_KEY": "secret"})
    assert settings.complaints == ("GCCLLM_BUDEGT is no setting; GCCLLM_BUDGET is; `gccllm config` lists them",)


def test_every_limit_is_read_somewhere() -> None:
    """A number that the tables print and nothing obeys has a copy in the code."""
    code = "".join(path.read_text() for path in (Path(__file__).parents[2] / "gccllm").rglob("*.py"))
    assert [name for name, _, _ in LIMITS.rows() if not re.search(rf"LIMITS\.{name}\b", code)] == []
