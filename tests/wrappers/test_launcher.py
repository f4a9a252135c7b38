"""The launcher's environment and its fingerprint; its command lines are under tests/forms."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .conftest import Site

FORMS = Path(__file__).resolve().parent.parent / "forms"


def fingerprint(site: Site, **env: str) -> str:
    done = subprocess.run(
        [site.command, "--gccllm-fingerprint"], cwd=site.src, env=site.environment(env), capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout) == 65
    return done.stdout


def test_the_fingerprint_follows_what_decides_the_output(site: Site) -> None:
    first = fingerprint(site)
    assert fingerprint(site) == first
    assert fingerprint(site, GCCLLM_BUDGET="3") == first
    seen = {first, fingerprint(site, GCCLLM_PROPOSERS="model"), fingerprint(site, GCCLLM_MODE="off")}
    site.store.mkdir()
    (site.store / "epoch").write_text("2")
    seen.add(fingerprint(site))
    (site.src / "gccllm.toml").write_text("budget = 1\n")
    seen.add(fingerprint(site))
    (site.here / "gcc").symlink_to("/usr/bin/gcc")
    seen.add(fingerprint(site, GCCLLM_CC=str(site.here / "gcc")))
    assert len(seen) == 6


def environment_seen(site: Site, *options: str, **env: str) -> dict[str, str]:
    fake = site.here / "gcc"
    fake.write_text("#!/bin/sh\nenv -0\n")
    fake.chmod(0o755)
    done = subprocess.run(
        [site.command, *options], env=site.environment({"GCCLLM_CC": str(fake)} | env), capture_output=True, text=True
    )
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def test_a_compile_sees_the_shims_directory_first(site: Site) -> None:
    libexec = str(site.prefix / "libexec" / "gccllm")
    assert environment_seen(site, "-c", "x.c")["COMPILER_PATH"] == libexec
    assert environment_seen(site, "-c", "x.c", COMPILER_PATH="/a:/b")["COMPILER_PATH"] == f"{libexec}:/a:/b"
    assert environment_seen(site, "-c", "x.c", COMPILER_PATH=libexec)["COMPILER_PATH"] == libexec


@pytest.mark.parametrize("options", [("--version",), ("-E", "x.c"), ("-###", "-c", "x.c"), ("-print-search-dirs",), ()])
def test_a_probe_sees_no_compiler_path(site: Site, options: tuple[str, ...]) -> None:
    assert "COMPILER_PATH" not in environment_seen(site, *options)
    assert environment_seen(site, *options, COMPILER_PATH="/a")["COMPILER_PATH"] == "/a"


def test_mode_off_hands_on_the_environment(site: Site) -> None:
    before = site.environment({"GCCLLM_CC": str(site.here / "gcc"), "GCCLLM_MODE": "off"})
    after = environment_seen(site, "-O2", "-c", "x.c", GCCLLM_MODE="off")
    ours = {"GCCLLM_DEPTH", "GCCLLM_COMPILER"}
    assert set(after) - set(before) - {"PWD", "_", "OLDPWD", "SHLVL"} == ours
    assert {k: v for k, v in after.items() if k in before and k not in ("_", "PWD", "OLDPWD")} == {
        k: v for k, v in before.items() if k in after and k not in ("_", "PWD", "OLDPWD")
    }


@pytest.mark.parametrize(
    "form",
    [
        "assembler-warning", "assembly-mixed", "closed-all", "compile-and-link", "cxx", "dump-names", "home-unset",
        "lto-link", "masquerade-path", "mode-off-project", "name-quotes", "pipe", "raised-level", "recursion",
        "response-nested", "save-temps", "stdin-pipe", "syntax-error", "tmpdir-missing",
    ],
)  # fmt: skip
def test_sanitizers_have_nothing_to_say(sanitized: Path, tmp_path: Path, site: Site, form: str) -> None:
    env = site.environment({"PREFIX": str(sanitized)})
    env.pop("GCCLLM_CACHE_DIR")
    done = subprocess.run(["sh", str(FORMS / f"{form}.sh")], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_sanitizers_have_nothing_to_say_of_the_unit_cache(sanitized: Path, tmp_path: Path) -> None:
    (tmp_path / "sane").mkdir()
    site = Site(sanitized, tmp_path / "sane")
    site.quiet()
    site.write_entry(site.labelled_text())
    assert b"seen_by_engine" in site.quiet()
    site.write_entry(b"")
    assert site.quiet() == site.own
    site.entry.write_bytes(b"gccllm-unit 1 " + b"0" * 400)
    assert site.quiet() == site.own
    assert site.quiet(env={"GCCLLM_MODE": "queue"}) == site.own
    assert len(list((site.store / "queue").iterdir())) == 1
