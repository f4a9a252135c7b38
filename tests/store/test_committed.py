"""The rewrites committed in cache/ stand: each passes all of its checks again, from the entry alone.

What needs more than this CPU has cannot be run: of such a rewrite the format and the static gate are checked.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gccllm.assembly import Body
from gccllm.base import config
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.wire import target_and_context
from gccllm.store import Found, Store
from gccllm.unit.isa_allowance import isa_for
from gccllm.verdict.recheck import recheck
from gccllm.verify.screen import read_baseline, screen

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = list(Store(ROOT / "no-such-store", ROOT / "cache").entries("project"))


def test_there_are_committed_rewrites() -> None:
    assert len(COMMITTED) >= 5
    assert all(found.entry.outcome == "accepted" for found in COMMITTED)


TOOLS = Toolchain.find()
CPU_LEVEL = isa_for("guarded", frozenset(), TOOLS).allowed


@pytest.mark.parametrize("found", COMMITTED, ids=lambda found: found.entry.function)
def test_a_committed_rewrite_is_whole_and_passes_the_screen(found: Found, tmp_path: Path) -> None:
    entry = found.entry
    assert entry.bench is not None
    assert entry.evidence is not None
    body = Body.parse(entry.body)
    assert body.text() == entry.body
    target, context = target_and_context(entry.bench, TOOLS, tmp_path)
    screened = screen(body, read_baseline(target.body, context, TOOLS), context, TOOLS)
    assert screened.verdict.is_accepted, screened.verdict
    assert screened.level <= entry.isa_level


@pytest.mark.parametrize("found", COMMITTED, ids=lambda found: found.entry.function)
def test_a_committed_rewrite_stands(found: Found) -> None:
    if found.entry.isa_level > CPU_LEVEL:
        pytest.skip(f"it needs ISA level {found.entry.isa_level}, this CPU has {CPU_LEVEL}")
    assert recheck(found.entry, config.load(ROOT, {})) is None
