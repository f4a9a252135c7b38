"""Builds with -flto: plain gcc's programs, and `gccllm stats` says why nothing was rewritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOP = "int sum(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }\n"
MAIN = """#include <stdio.h>
int sum(const int *, int);
int main(int argc, char **argv) { int a[64] = {1, 2, 3, 4}; return printf("%d\\n", sum(a, argc * 4)) < 0; }
"""


@pytest.mark.parametrize("lto", ["-flto", "-flto=auto", "-flto=2"])
def test_a_build_with_lto_is_gccs_and_stats_say_why(prefix: Path, tmp_path: Path, lto: str) -> None:
    (tmp_path / "loop.c").write_text(LOOP)
    (tmp_path / "main.c").write_text(MAIN)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GCCLLM_") and k != "MAKEFLAGS"}
    env = kept | {"GCCLLM_CACHE_DIR": str(tmp_path / "store")}

    def run(*argv: str) -> str:
        return subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

    run(f"{prefix}/bin/gcc-llm", "-O2", lto, "-c", "loop.c", "main.c")
    run(f"{prefix}/bin/gcc-llm", "-O2", lto, "loop.o", "main.o", "-o", "program")
    assert run("./program") == "10\n"
    stats = json.loads(run(sys.executable, "-m", "gccllm.commands.cli", "stats", "--all", "--json"))
    assert stats["units_declined"] == {"slim_lto": 2, "lto_link": 1}
    assert stats["functions"] == {"admitted": 0, "declined": 0, "queued": 0}
