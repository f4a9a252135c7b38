from __future__ import annotations

from pathlib import Path

import pytest

from gccllm.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The user's store, empty, with no project around."""
    monkeypatch.setenv("GCCLLM_CACHE_DIR", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "store")
