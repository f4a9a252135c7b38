"""A small project with a full store that faults are injected into, and what must hold of it afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gccllm.engine import read_request
from gccllm.store import Entry, EntryError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = """\
long total(const int *a, int n) { long s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
int most(int a, int b) { return a > b ? a : b; }
"""
MAIN = """\
#include <stdio.h>
long total(const int *a, int n);
int most(int a, int b);
int main(void) {
    int a[1000];
    for (int i = 0; i < 1000; i++) a[i] = (i * 7919) % 1009 - 500;
    for (int n = 1; n <= 1000; n += 37) printf("%ld %d\\n", total(a, n), most(a[n - 1], n));
    return 0;
}
"""
DYNAMIC = ("-DGCCLLM_CAN_LINK_STATICALLY=OFF",)
"""A static shim takes no preloaded library."""


class Broken(Exception):
    """The campaign cannot be set up here: no finding about the product."""


def command(argv: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise Broken(f"{' '.join(argv)}\n{done.stdout}{done.stderr}"[-4000:])


def install(prefix: Path) -> None:
    """Launcher and shim, the engine of `faults_engine`, and the library that injects."""
    if prefix.exists():
        return
    fresh = prefix.with_name(f"{prefix.name}-new")
    build = prefix.with_name(f"{prefix.name}-build")
    command(["cmake", f"-DCMAKE_INSTALL_PREFIX={fresh}", *DYNAMIC, "-S", str(ROOT / "wrappers"), "-B", str(build)])
    command(["cmake", "--build", str(build)])
    command(["cmake", "--install", str(build)])
    engine = fresh / "bin" / "gccllm-engine"
    engine.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.campaign.faults_engine "$@"\n')
    engine.chmod(0o755)
    source, library = ROOT / "tests/campaign/faults.c", fresh / "faults.so"
    command(["gcc", "-O2", "-shared", "-fPIC", str(source), "-o", str(library), "-ldl"])
    fresh.rename(prefix)


@dataclass(frozen=True)
class Site:
    """One working directory with its store. `prefix`: see `install`."""

    prefix: Path
    here: Path

    @classmethod
    def make(cls, prefix: Path, here: Path) -> Site:
        here.mkdir(parents=True)
        (here / "total.c").write_text(SOURCE)
        (here / "main.c").write_text(MAIN)
        (here / "tmp").mkdir()
        return cls(prefix, here)

    def copy(self, to: Path) -> Site:
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.here, to)
        return Site(self.prefix, to)

    @property
    def store(self) -> Path:
        return self.here / "store"

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GCCLLM_", "FAULT_")) and k != "COMPILER_PATH"}
        ours = {
            "GCCLLM_CACHE_DIR": str(self.store), "GCCLLM_PROPOSERS": "recompile", "GCCLLM_BUDGET": "100",
            "GCCLLM_BUILD_BUDGET": "100000",
            "TMPDIR": str(self.here / "tmp"),
        }  # fmt: skip
        return kept | ours | extra

    def start(self, extra: Mapping[str, str], out: str = "total.o") -> subprocess.Popen[bytes]:
        (self.here / out).unlink(missing_ok=True)
        argv = [str(self.prefix / "bin" / "gcc-llm"), "-O2", "-c", "total.c", "-o", out]
        return subprocess.Popen(argv, cwd=self.here, env=self.environment(extra), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0)  # fmt: skip

    def build(self, extra: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Exit status, and all that was said."""
        child = self.start(extra or {})
        said, _ = child.communicate(timeout=300)
        return child.returncode, said

    def object(self, out: str = "total.o") -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.here / out).read_bytes()
        return None

    def prints(self, out: str = "total.o") -> str:
        """What the program says with that object."""
        command(["gcc", "main.c", out, "-o", f"{out}.program"], self.here)
        done = subprocess.run([str(self.here / f"{out}.program")], capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else f"status {done.returncode}"

    # --- what must hold -----------------------------------------------------------------------------

    def halves(self) -> list[str]:
        """Files of the store that a reader would take and that are not whole."""
        wrong = []
        for path in (self.store / "rewrites").glob("*.entry"):
            try:
                if Entry.load(path.read_bytes()).key != path.stem:
                    wrong.append(f"{path.name}: another key")
            except EntryError as error:
                wrong.append(f"{path.name}: {error}")
        for path in (self.store / "units").glob("??/[0-9a-f]*"):
            head, _, payload = path.read_bytes().partition(b"\n")
            words = head.split(b" ")
            check = hashlib.blake2b(payload, digest_size=32).hexdigest().encode()
            if len(words) != 4 or words[2] != check or words[3] != str(len(payload)).encode():
                wrong.append(f"unit {path.name}")
        for path in (self.store / "queue").glob("[0-9a-f]*"):
            try:
                read_request(path)
            except (OSError, ValueError) as error:
                wrong.append(f"queue {path.name}: {error}")
        return wrong

    def events(self) -> list[dict[str, object]]:
        path = self.store / "log" / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def left(self) -> list[str]:
        """What is left in the directory for temporary files."""
        return sorted(path.name for path in (self.here / "tmp").iterdir())
