"""Output on terminals and in files of any encoding, and numbers in sentences."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.base.words import counted
from gccllm.store import Store
from tests.kit.rewrites import rewrite

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ["stats", "cache ls", "tests ls", "config", "show säger", "explain a.c -O2", "explain a.c -O2 -v"]
"""Of words: what a person reads."""


@pytest.mark.parametrize("words", REPORTS)
def test_what_an_encoding_lacks_is_spelled(store: Store, tmp_path: Path, words: str) -> None:
    store.put(rewrite(function="säger"))
    (tmp_path / "a.c").write_text("int f(int x) { return x; }\n")
    log = Log(store.user, cwd=str(tmp_path), source=str(tmp_path / "ä.c"))
    log.write("function", Reason.TOO_LARGE, function="säger", word="declined", key="a" * 64)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = subprocess.run([sys.executable, "-m", "gccllm.commands.cli", *words.split()], env=env, capture_output=True)
    assert ran.returncode == 0, ran.stderr.decode()
    assert ran.stderr == b""
    said = ran.stdout.decode("ascii")
    if words == "stats":
        assert "############" in said, "the bar"
        assert "> raise GCCLLM_MAX_INSTRUCTIONS" in said, "the arrow"


def test_one_is_one() -> None:
    assert [counted(n, "unit") for n in (0, 1, 2)] == ["0 units", "1 unit", "2 units"]
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]
