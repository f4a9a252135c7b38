"""The whole way on a real program: built in mode record, run under `gccllm record`, its calls shown and minimised."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
struct node { int key, value, next; };
struct map { int size; int *heads; struct node *nodes; };
static int hits[64];
__attribute__((noinline)) int find(const struct map *m, int key) {
    for (int i = m->heads[(unsigned)key % (unsigned)m->size]; i >= 0; i = m->nodes[i].next)
        if (m->nodes[i].key == key) { hits[i & 63]++; return m->nodes[i].value; }
    return -1;
}
static char secret[4096 * 2] = "the password is swordfish";
int main(int argc, char **argv) {
    struct map m = {13, malloc(13 * sizeof(int)), malloc(100 * sizeof(struct node))};
    char *note = malloc(100);
    strcpy(note, secret);
    memset(m.heads, -1, 13 * sizeof(int));
    for (int i = 0; i < 100; i++) {
        m.nodes[i] = (struct node){7 * i, i, m.heads[7 * i % 13]};
        m.heads[7 * i % 13] = i;
    }
    if (argc > 1 && fork() == 0) { for (int i = 0; i < 500; i++) find(&m, i); exit(0); }
    long sum = 0;
    for (int i = 0; i < 1000; i++) sum += find(&m, i);
    if (argc > 1) wait(0);
    printf("%ld %d %zu\n", sum, hits[5], strlen(note));
    return 3;
}
"""


@pytest.fixture(scope="module")
def built(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `program`, built in mode record, and `plain`; its `store` knows `find`."""
    place = tmp_path_factory.mktemp("program")
    (place / "program.c").write_text(PROGRAM)
    env = environment(place) | {"GCCLLM_MODE": "record", "GCCLLM_ONLY": "find"}
    compiler = str(prefix / "bin" / "gcc-llm")
    subprocess.run([compiler, "-O2", "-o", "program", "program.c"], cwd=place, env=env, check=True)
    subprocess.run(["gcc", "-O3", "-o", "plain", "program.c"], cwd=place, check=True)
    assert len(list((place / "store" / "tests").glob("*/*.bench"))) == 1
    return place


def environment(place: Path, store: str = "store") -> dict[str, str]:
    """Ours, without settings; the recording may take as long as it likes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GCCLLM_")}
    ours = {"GCCLLM_CACHE_DIR": str(place / store), "GCCLLM_RECORD_CPU": "100", "PYTHONPATH": str(ROOT)}
    return kept | ours


def gccllm(place: Path, *args: str, store: str = "store") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gccllm.commands.cli", *args]
    return subprocess.run(command, cwd=place, env=environment(place, store), capture_output=True, text=True)


def shown(place: Path, store: str) -> dict[str, Any]:
    (one,) = json.loads(gccllm(place, "tests", "show", "find", "--json", store=store).stdout)["functions"]
    return dict(one)


def fresh_store(place: Path, name: str) -> str:
    """A store that has the benches and no tests."""
    subprocess.run(["cp", "-r", "store", name], cwd=place, check=True)
    for tests in (place / name / "tests").glob("*/*.tests"):
        tests.unlink()
    return name


def test_calls_of_a_program_become_tests_that_replay(built: Path) -> None:
    store = fresh_store(built, "recorded")
    plain = subprocess.run(["./plain", "fork"], cwd=built, capture_output=True, text=True)
    ran = gccllm(built, "record", "--", "./program", "fork", store=store)
    assert (ran.returncode, ran.stdout) == (plain.returncode, plain.stdout)
    assert plain.returncode == 3
    assert "1500 calls of 1 function seen" in ran.stderr
    one = shown(built, store)
    assert one["calls"] == 1500
    tests = one["tests"]
    assert 24 < len(tests) <= 48, "two processes"
    assert sum(test["weight"] for test in tests) == pytest.approx(1500)
    assert all(test["replays"] for test in tests)
    assert all(0 <= int(test["arguments"]["key"]) < 1000 for test in tests)
    assert all(test["arguments"]["m"].startswith("page ") for test in tests)
    (row,) = json.loads(gccllm(built, "tests", "ls", "--all", "--json", store=store).stdout)["functions"]
    taken, edges = row["edges"]
    assert 0 < edges - 2 <= taken
    ran = gccllm(built, "tests", "minimise", "--keep", "8", store=store)
    assert ran.returncode == 0, ran.stderr
    assert f"{len(tests)} -> 8" in ran.stdout
    (row,) = json.loads(gccllm(built, "tests", "ls", "--all", "--json", store=store).stdout)["functions"]
    assert (row["kept"], row["calls"], row["edges"]) == (8, 1500, [taken, edges])


def test_a_redacted_recording_replays_and_holds_no_secret(built: Path) -> None:
    whole, redacted = fresh_store(built, "whole"), fresh_store(built, "redacted")
    for store, flags in ((whole, ()), (redacted, ("--redact",))):
        ran = gccllm(built, "record", *flags, "--calls", "6", "--", "./program", store=store)
        assert ran.returncode == 3
        assert ran.stderr.count("WARNING") == 1
    code = (
        "import sys; from pathlib import Path; from gccllm.record.store import TestStore\n"
        "s = TestStore(Path(sys.argv[1])); r = s.read(s.keys()[0])\n"
        "sys.stdout.buffer.write(b''.join(p.content for c in r.calls for p in c.pages))"
    )
    memory = {
        store: subprocess.run(
            [sys.executable, "-c", code, str(built / store / "tests")], cwd=ROOT, capture_output=True, check=True
        ).stdout
        for store in (whole, redacted)
    }
    assert b"swordfish" in memory[whole], "it lies beside what the function reads"
    assert b"swordfish" not in memory[redacted]
    tests = shown(built, redacted)["tests"]
    assert len(tests) == 6
    assert all(test["replays"] for test in tests)
    for path in (built / redacted / "tests").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
