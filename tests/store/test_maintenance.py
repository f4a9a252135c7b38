"""`gccllm cache verify`: what cannot be run on this CPU is neither believed nor thrown away."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from gccllm import config, maintenance
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
