"""The rewrites committed in cache/ stand: each passes all of its checks again, from the entry alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gccllm import config
from gccllm.job import recheck
from gccllm.store import Found, Store

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = list(Store(ROOT / "no-such-store", ROOT / "cache").entries("project"))


def test_there_are_committed_rewrites() -> None:
    assert len(COMMITTED) >= 5
    assert all(found.entry.outcome == "accepted" for found in COMMITTED)


@pytest.mark.parametrize("found", COMMITTED, ids=lambda found: found.entry.function)
def test_a_committed_rewrite_stands(found: Found) -> None:
    assert recheck(found.entry, config.load(ROOT, {})) is None
