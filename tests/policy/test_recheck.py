"""A rewrite from elsewhere is checked with tests of this store's own until they decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from gccllm.base.core import Verdict, accepted, refuted, undecided
from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.commands.oneshot import request_for
from gccllm.store import Entry
from gccllm.unit.plan import plan
from gccllm.unit.session import UnitSession
from gccllm.verdict.recheck import SEEDS, recheck_in
from tests.kit.settings import LOOP, settings

OPEN = undecided("edges", Reason.EDGES_UNSEEN, "1 of 34")
WRONG = refuted("replay", Reason.WRONG_VALUE, "rax: want 7, got 8")


@pytest.mark.parametrize(
    ("verdicts", "failure"),
    [
        ([accepted("confirm")], None),
        ([OPEN, accepted("confirm")], None),
        ([OPEN, WRONG], "wrong_value: rax: want 7, got 8"),
        ([WRONG], "wrong_value: rax: want 7, got 8"),
        ([OPEN] * SEEDS, "edges_unseen: 1 of 34"),
    ],
)
def test_other_tests_follow_only_where_nothing_was_said(
    verdicts: list[Verdict], failure: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.c").write_text(LOOP)
    session = UnitSession(plan(request_for(tmp_path / "t.c", ["-O2"]), settings()), settings(), Log(tmp_path))
    seeds: list[int] = []
    monkeypatch.setattr(
        "gccllm.verdict.recheck._rechecked", lambda *words: seeds.append(words[-1]) or verdicts[len(seeds) - 1]
    )
    entry = Entry(
        key="00" * 32, situation={}, function="f", source="t.c", outcome="nothing", created=0.0, compiler="", version=""
    )
    assert recheck_in(session.target(session.unit.module.functions["f"]), entry, 7) == failure
    assert seeds == [*range(7, 7 + len(verdicts))]
