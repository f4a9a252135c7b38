"""`gccllm doctor` names a gcc that nobody has verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from gccllm import config
from gccllm.doctor import check_gcc


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
