"""The project that faults are injected into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.project import MAIN, SOURCE, Project


@pytest.fixture
def project(prefix: Path, tmp_path: Path) -> Project:
    (tmp_path / "total.c").write_text(SOURCE)
    (tmp_path / "main.c").write_text(MAIN)
    (tmp_path / "tmp").mkdir()
    return Project(prefix, tmp_path)
