"""The commands as a user calls them, for programs whose function `sum` is recorded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def environment(place: Path, **more: str) -> dict[str, str]:
    plain = {"PATH": "/usr/bin:/bin", "HOME": str(place), "PYTHONPATH": str(ROOT)}
    return plain | {"GCCLLM_CACHE_DIR": str(place / "store"), "GCCLLM_RECORD_CPU": "100", "GCCLLM_ONLY": "sum"} | more


def gccllm(place: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gccllm.commands.cli", *args]
    return subprocess.run(command, cwd=place, env=environment(place, **more), capture_output=True, text=True)
