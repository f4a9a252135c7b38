"""What a project's file may set, and whose file counts: the same in Python and in C."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gccllm.base import config, project_file
from gccllm.base.config import SETTINGS, ByProject
from gccllm.base.limits import LIMITS
from gccllm.commands import doctor

OTHER = 12345
"""A user that nobody is."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(autouse=True)
def _no_user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


def project(place: Path, text: str) -> Path:
    path = place / project_file.PROJECT_FILE
    path.write_text(text)
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("name", [s.name for s in SETTINGS if s.by_project is ByProject.NOT])
def test_a_project_cannot_set_what_names_a_place_or_loosens_a_gate(tmp_path: Path, name: str) -> None:
    setting = next(s for s in SETTINGS if s.name == name)
    value = {"seed": "7", "ub": '"language"', "project_owner": '"any"'}.get(name, '"/evil"')
    project(tmp_path, f"{name} = {value}\n")
    settings = config.load(tmp_path, {})
    assert (settings[name], settings.origins[name]) == (setting.default, "default")
    assert settings.complaints == (
        f"gccllm.toml of the project may not set '{name}'; set {setting.env} or the user's config.toml",
    )
    assert doctor.check_settings(settings) == ("warn", settings.complaints[0])


@pytest.mark.parametrize(("name", "word"), [("mode", "record"), ("isa", "native")])
def test_a_project_cannot_choose_the_words_that_loosen_a_gate(tmp_path: Path, name: str, word: str) -> None:
    project(tmp_path, f'{name} = "{word}"\n')
    settings = config.load(tmp_path, {})
    assert settings.origins[name] == "default"
    assert word in settings.complaints[0]
    assert config.load(tmp_path, {f"GCCLLM_{name.upper()}": word})[name] == word


def test_programs_places_and_servers_are_not_a_projects_to_name() -> None:
    """A new setting is not the project's either, until somebody says so."""
    assert {"cc", "cache_dir", "endpoint", "model", "seed", "project_owner"} <= {
        s.name for s in SETTINGS if s.by_project is ByProject.NOT
    }
    assert config.Setting("new", "GCCLLM_NEW", "", str, "new").by_project is ByProject.NOT


def test_what_a_project_excludes_comes_on_top_of_what_the_user_excludes(tmp_path: Path) -> None:
    (tmp_path / "xdg" / "gccllm").mkdir(parents=True)
    (tmp_path / "xdg" / "gccllm" / "config.toml").write_text('exclude = ["secret_*"]\n')
    project(tmp_path, 'exclude = ["slow", "secret_*"]\n')
    assert config.load(tmp_path, {})["exclude"] == ("secret_*", "slow")


@pytest.mark.parametrize("value", ["/etc/passwd", "../other", "a/../../b", ".."])
def test_a_projects_profile_lies_in_the_project(tmp_path: Path, value: str) -> None:
    project(tmp_path, f'profile = "{value}"\n')
    settings = config.load(tmp_path, {})
    assert settings.profile_path is None
    assert "outside" in settings.complaints[0]
    assert config.load(tmp_path, {"GCCLLM_PROFILE": "/etc/passwd"}).profile_path == Path("/etc/passwd")


@pytest.mark.parametrize("name", ["gccllm.profile", "deep/own"])
def test_a_link_out_of_the_project_is_no_profile(tmp_path: Path, name: str) -> None:
    place = tmp_path / "project"
    (place / "deep").mkdir(parents=True)
    project(place, "" if name == "gccllm.profile" else f'profile = "{name}"\n')
    (place / name).symlink_to("/etc/passwd")
    assert config.load(place, {}).profile_path is None
    (place / name).unlink()
    (place / name).write_text("{}")
    assert config.load(place, {}).profile_path == place / name


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_to_a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def link_of_another(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")
    os.chown(path, OTHER, OTHER, follow_symlinks=False)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "everybody can write to it": lambda path: path.chmod(0o646),
    "a pipe": make_pipe,
    "a device": link_to_a_device,
    "too large": lambda path: path.write_bytes(b"#" * (LIMITS.settings_bytes + 1)),
    "not text": lambda path: path.write_bytes(b"\xff\xfe"),
    "nested": lambda path: path.write_text("x = " + "[" * 100_000),
    "another owner": lambda path: os.chown(path, OTHER, OTHER),
    "another owner's link": link_of_another,
}  # fmt: skip


@pytest.mark.parametrize(
    "damage", [pytest.param(d, id=n, marks=needs_root if "owner" in n else ()) for n, d in DAMAGE.items()]
)
def test_a_file_that_does_not_count_has_no_effect_in_python_or_c(
    tmp_path: Path, prefix: Path, damage: Callable[[Path], object]
) -> None:
    """Above it, the file that counts still does: `mode = "off"` there is what both sides see."""
    outer, inner = tmp_path, tmp_path / "inner"
    inner.mkdir()
    (inner / "t.c").write_text("int f(int x) { return x; }\n")
    project(outer, 'mode = "off"\n')
    damage(project(inner, 'mode = "cached"\ncc = "/nowhere"\nmodel = "/nowhere"\n'))
    settings = config.load(inner, {})
    assert str(inner / project_file.PROJECT_FILE) in settings.complaints[0]
    assert settings["cc"] == settings["model"] == ""
    if settings.project == inner:  # it counts, and says nothing that can be understood
        assert settings["mode"] == "inline"
    else:
        assert (settings["mode"], settings.project) == ("off", outer)
        assert fingerprint(prefix, inner) == fingerprint(prefix, outer)


@needs_root
def test_trust_any_takes_another_owners_file(tmp_path: Path, prefix: Path) -> None:
    path = project(tmp_path, 'mode = "off"\ncc = "/nowhere"\n')
    os.chown(path, OTHER, OTHER)
    own, taken = {"GCCLLM_PROJECT_OWNER": "own"}, {"GCCLLM_PROJECT_OWNER": "any"}
    assert config.load(tmp_path, own)["mode"] == "inline"
    assert "GCCLLM_PROJECT_OWNER" in config.load(tmp_path, own).complaints[0]
    assert config.load(tmp_path, taken)["mode"] == "off"
    before = fingerprint(prefix, tmp_path, taken)
    path.write_text("mode = 'cached'\n")
    os.chown(path, OTHER, OTHER)
    assert fingerprint(prefix, tmp_path, taken) != before


def fingerprint(prefix: Path, cwd: Path, extra: dict[str, str] | None = None) -> str:
    """A hash of all settings that the launcher sees in a directory."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GCCLLM_")} | (extra or {})
    command = [prefix / "bin" / "gcc-llm", "--gccllm-fingerprint"]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=True, timeout=20)
    assert len(done.stdout) == 65
    return done.stdout


def test_doctor_says_who_else_may_write_the_store(tmp_path: Path) -> None:
    settings = config.load(tmp_path, {"GCCLLM_CACHE_DIR": str(tmp_path / "store")})
    assert doctor.check_store(settings)[0] == "ok"
    (tmp_path / "store").chmod(0o777)
    assert "everybody can write to it" in doctor.check_store(settings)[1]


def test_a_profile_whose_name_no_file_can_have_is_none(tmp_path: Path) -> None:
    project(tmp_path, f'profile = "{"[" * 5000}"\n')
    assert config.load(tmp_path, {}).profile_path is None
