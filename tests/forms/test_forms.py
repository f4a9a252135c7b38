"""Every way of calling gcc that we know of, side by side with gcc-llm: one script each, see lib.sh."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = sorted(p for p in Path(__file__).parent.glob("*.sh") if p.name != "lib.sh")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_form(script: Path, prefix: Path, tmp_path: Path) -> None:
    keep = {k: v for k, v in os.environ.items() if not k.startswith("GCCLLM_")}
    done = subprocess.run(
        ["sh", str(script)],
        cwd=tmp_path,
        env=keep | {"PREFIX": str(prefix)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
