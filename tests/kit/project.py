"""A small project built by the real launcher, shim and engine, whose model and store a test can break."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCE = """\
long total(const int *a, int n) { long s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
"""
MAIN = """\
#include <stdio.h>
long total(const int *a, int n);
int main(void) { int a[100]; for (int i = 0; i < 100; i++) a[i] = i * i; printf("%ld\\n", total(a, 100)); return 0; }
"""
PRINTED = "328350\n"


def generous(place: Path) -> dict[str, str]:
    """Environment of a build whose engine finds every right answer faster: a script in `place`."""
    engine = place / "engine"
    engine.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.campaign.faults_engine "$@"\n')
    engine.chmod(0o755)
    return {"GCCLLM_ENGINE": str(engine), "GCCLLM_BUILD_BUDGET": "100000"}


@dataclass
class Project:
    prefix: Path
    directory: Path

    @property
    def store(self) -> Path:
        return self.directory / "store"

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GCCLLM_") and k != "COMPILER_PATH"}
        ours = {"GCCLLM_CACHE_DIR": str(self.store), "GCCLLM_PROPOSERS": "model", "TMPDIR": str(self.directory / "tmp")}
        return kept | ours | extra

    def command(self) -> list[str]:
        return [str(self.prefix / "bin" / "gcc-llm"), "-O2", "-c", "total.c", "-o", "total.o"]

    def build(self, **extra: str) -> subprocess.CompletedProcess[str]:
        (self.directory / "total.o").unlink(missing_ok=True)
        return subprocess.run(
            self.command(),
            cwd=self.directory,
            env=self.environment(**extra),
            capture_output=True,
            text=True,
            timeout=180,
        )

    def object(self) -> bytes:
        return (self.directory / "total.o").read_bytes()

    def builds_quietly(self, **extra: str) -> bytes:
        """The object of a build that must succeed without a word."""
        done = self.build(**extra)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return self.object()

    def builds_with_a_rewrite(self, **extra: str) -> bytes:
        """The object of a build whose model answers well, however busy the machine is."""
        ours = self.builds_quietly(**extra, **generous(self.directory))
        assert ours != self.gccs_own(), self.reasons()
        return ours

    def gccs_own(self) -> bytes:
        out = self.directory / "gcc.o"
        subprocess.run(["gcc", "-O3", "-c", "total.c", "-o", str(out)], cwd=self.directory, check=True)
        return out.read_bytes()

    def prints(self) -> str:
        """What the program says when linked with the object of the last build."""
        subprocess.run(["gcc", "main.c", "total.o", "-o", "prog"], cwd=self.directory, check=True)
        return subprocess.run([self.directory / "prog"], capture_output=True, text=True, check=True).stdout

    def events(self) -> list[dict[str, Any]]:
        path = self.store / "log" / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def reasons(self) -> set[str]:
        return {event["reason"] for event in self.events() if "reason" in event}

    def entry(self) -> Mapping[str, Any]:
        """The only entry of the store."""
        (path,) = (self.store / "rewrites").glob("*.entry")
        return json.loads(path.read_bytes().partition(b"\n")[2])  # type: ignore[no-any-return]

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in (self.directory / "tmp").iterdir())
