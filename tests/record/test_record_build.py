"""GCCLLM_MODE=record: a build with stubs, the benches of what it records, and nothing else changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gccllm.base import events
from gccllm.harvest.types import Signature
from gccllm.harvest.wire import signature_of, target_and_context
from gccllm.record.store import TestStore
from tests.kit.recorder import GENEROUS, Ran, Workplace

PROGRAM = r"""
#include <stdio.h>
static int table[4] = {1, 2, 3, 4};
volatile int noise;
__attribute__((noipa)) int sum(const int *a, int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        s += a[i] + table[i & 3];
    return s;
}
__attribute__((noipa)) int noisy(int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        s += noise;
    return s;
}
__attribute__((noipa)) int flat(int n) { return n * 3; }
int main(void) {
    int a[100] = {7};
    long s = 0;
    for (int i = 0; i < 100; i++)
        s += sum(a, i) + noisy(i) + flat(i);
    printf("%ld\n", s);
    return 4;
}
"""


@dataclass
class Build:
    prefix: Path
    here: Path

    @property
    def store(self) -> Path:
        return self.here / "store"

    def compile(self, *words: str, mode: str = "record", env: Mapping[str, str] = {}) -> tuple[int, str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GCCLLM_", "XDG_"))}
        ours = {
            "GCCLLM_MODE": mode, "GCCLLM_CACHE_DIR": str(self.store), "HOME": str(self.here), "LC_ALL": "C",
            "TMPDIR": str(self.here / "tmp"),
        }  # fmt: skip
        (self.here / "tmp").mkdir(exist_ok=True)
        command = [str(self.prefix / "bin" / "gcc-llm"), *words]
        done = subprocess.run(
            command, cwd=self.here, env=kept | ours | env, capture_output=True, text=True, timeout=300
        )
        return done.returncode, done.stdout, done.stderr

    def run(self, name: str = "program") -> Ran:
        return Workplace(self.here).run(self.here / name, env=GENEROUS)

    def words(self) -> dict[str, tuple[str, str]]:
        """What the log says of each function."""
        rows = [row for row in events.read(self.store) if row["event"] == "function"]
        return {row["function"]: (row["word"], row.get("reason", "")) for row in rows}


@pytest.fixture
def build(prefix: Path, tmp_path: Path) -> Build:
    (tmp_path / "program.c").write_text(PROGRAM)
    return Build(prefix, tmp_path)


def test_a_recorded_build_and_run(build: Build) -> None:
    assert build.compile("-O2", "-g", "program.c", "-o", "program") == (0, "", "")
    words = build.words()
    assert words["sum"] == ("recording", "")
    assert words["noisy"] == ("declined", "volatile")
    assert words["flat"] == ("declined", "not_hot")
    ran = build.run()
    subprocess.run(["gcc", "-O2", "program.c", "-o", "plain"], cwd=build.here, check=True)
    want = subprocess.run([build.here / "plain"], capture_output=True, text=True)
    assert (ran.code, ran.out, ran.err) == (want.returncode, want.stdout, want.stderr)
    assert ran.counts["sum"].calls == 100
    assert ran.counts["sum"].captured > 0

    # The bench of what was recorded is in the test store, with the names of the data that captures speak of.
    tests = TestStore.of(build.store)
    known = tests.bench(ran.counts["sum"].key)
    assert known is not None
    assert (known.function, known.source, known.symbols) == ("sum", "program.c", ("table",))
    assert [size for _, size in ran.of("sum")[0].symbols] == [16]
    signature = signature_of(known.bench)
    assert isinstance(signature, Signature)
    assert [param.name for param in signature.params] == ["a", "n"]
    from gccllm.base.toolchain import Toolchain

    target, _ = target_and_context(known.bench, Toolchain.find(), build.here)
    assert target.name == "sum"


def test_nothing_but_the_test_store_and_the_log_is_written(build: Build) -> None:
    assert build.compile("-O2", "-c", "program.c") == (0, "", "")
    assert {path.name for path in build.store.iterdir()} == {"tests", "log"}
    assert list((build.here / "tmp").iterdir()) == []


def test_a_unit_cache_of_another_mode_is_not_used(build: Build) -> None:
    """gcc's own text is known for the unit after a cached build; a record build puts stubs in all the same."""
    assert build.compile("-O2", "-c", "program.c", mode="cached") == (0, "", "")
    before = sorted(path.name for path in build.store.rglob("units/*/*"))
    assert build.compile("-O2", "-c", "program.c") == (0, "", "")
    assert b"__gccllm_record_v2" in (build.here / "program.o").read_bytes()
    assert sorted(path.name for path in build.store.rglob("units/*/*")) == before
    assert build.compile("-O2", "-c", "program.c", mode="cached") == (0, "", "")
    assert b"__gccllm_record_v2" not in (build.here / "program.o").read_bytes()


def test_the_key_is_that_of_another_build_of_the_same_function(build: Build) -> None:
    assert build.compile("-O2", "-c", "program.c") == (0, "", "")
    first = TestStore.of(build.store).keys()
    (build.here / "program.c").write_text(PROGRAM.replace("n * 3", "n * 5") + "\nint other(int a) { return a + 1; }\n")
    assert build.compile("-O2", "-g", "-c", "program.c") == (0, "", "")
    assert TestStore.of(build.store).keys() == first


@pytest.mark.parametrize(
    "engine",
    ["exit 1", "kill -9 $$", "echo rubbish >$1/out.s", "echo .error >$1/out.s", "exit 0", "rm -rf $1"],
)
def test_an_engine_that_fails_leaves_gccs_object(build: Build, engine: str) -> None:
    (build.here / "engine").write_text(f"#!/bin/sh\n{engine}\n")
    (build.here / "engine").chmod(0o755)
    env = {"GCCLLM_ENGINE": str(build.here / "engine"), "GCCLLM_OPT": "keep"}
    assert build.compile("-O2", "-c", "program.c", env=env) == (0, "", "")
    subprocess.run(["gcc", "-O2", "-c", "program.c", "-o", "own.o"], cwd=build.here, check=True)
    assert (build.here / "program.o").read_bytes() == (build.here / "own.o").read_bytes()


def test_a_store_that_cannot_be_written_and_a_source_that_is_gone(build: Build) -> None:
    (build.here / "store").write_text("no directory")
    assert build.compile("-O2", "-c", "program.c") == (0, "", "")
    assert b"__gccllm_record_v2" not in (build.here / "program.o").read_bytes()
    (build.here / "store").unlink()
    command = f"'{build.prefix}/bin/gcc-llm' -O2 -c -x c - -o piped.o <program.c"
    env = {**os.environ, "GCCLLM_MODE": "record", "GCCLLM_CACHE_DIR": str(build.store)}
    assert subprocess.run(["sh", "-c", command], cwd=build.here, env=env, timeout=100).returncode == 0
    assert b"__gccllm_record_v2" not in (build.here / "piped.o").read_bytes()
    assert build.words()["sum"] == ("declined", "no_source")
