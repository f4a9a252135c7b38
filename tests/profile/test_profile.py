"""`gccllm profile` on real programs, by timer sampling and, where it works, by perf."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.unit import profile

SOURCE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static double cpu_seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}
#define BURNER(name) \
    __attribute__((noinline)) static unsigned name##_work(unsigned x) { \
        for (int i = 0; i < 2000000; i++) x = x * 1664525u + 1013904223u; \
        return x; \
    } \
    static void *name(void *unused) { \
        volatile unsigned x = 1; \
        for (double end = cpu_seconds(CLOCK_THREAD_CPUTIME_ID) + 0.25; cpu_seconds(CLOCK_THREAD_CPUTIME_ID) < end;) \
            x = name##_work(x); \
        return unused; \
    }
BURNER(hot)
BURNER(child)
BURNER(thread)
int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "hot";
    if (!strcmp(what, "reset"))
        for (int i = 1; i < 32; i++) signal(i, SIG_DFL);
    if (!strcmp(what, "fork") && fork() == 0) { child(0); _exit(0); }
    if (!strcmp(what, "exec") && fork() == 0) { execl(argv[0], argv[0], "quiet", (char *)0); }
    if (!strcmp(what, "thread")) {
        pthread_t t;
        pthread_create(&t, 0, thread, 0);
        pthread_join(t, 0);
    } else if (!strcmp(what, "kill")) {
        hot(0);
        raise(SIGKILL);
    } else if (strcmp(what, "fork"))
        hot(0);
    while (wait(0) > 0) ;
    if (strcmp(what, "quiet")) { puts("to stdout"); fputs("to stderr\n", stderr); }
    return 7;
}
"""


@pytest.fixture(scope="module")
def burner(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("burner")
    (place / "burner.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O1", "-pthread", "-o", "burner", "burner.c"], cwd=place, check=True)
    return place / "burner"


@pytest.fixture(params=["sampler", "perf"])
def way(request) -> str:
    if request.param == "perf" and profile.perf_event() is None:
        pytest.skip("perf does not work here")
    return request.param


def profiled(burner: Path, tmp_path: Path, way: str, *args: str) -> tuple[int, dict[str, float]]:
    code = profile.run([str(burner), *args], tmp_path / "out", way)
    return code, profile.load_profile(tmp_path / "out") or {}


def test_the_hot_function_comes_first(burner, tmp_path, way):
    _, shares = profiled(burner, tmp_path, way)
    assert next(iter(shares)) == "hot_work"
    assert shares["hot_work"] > 0.8


def test_output_and_exit_status_stay(burner, tmp_path, way, capfd):
    code, _ = profiled(burner, tmp_path, way)
    out, err = capfd.readouterr()
    assert (code, out) == (7, "to stdout\n")
    assert [line for line in err.splitlines() if not line.startswith("gccllm profile:")] == ["to stderr"]


@pytest.mark.parametrize(("how", "name"), [("fork", "child_work"), ("exec", "hot_work"), ("thread", "thread_work")])
def test_children_and_threads_are_counted(burner, tmp_path, way, how, name):
    code, shares = profiled(burner, tmp_path, way, how)
    assert code == 7
    assert shares[name] > 0.8


def test_a_killed_program_leaves_its_samples(burner, tmp_path):
    code, shares = profiled(burner, tmp_path, "sampler", "kill")
    assert code == 128 + 9
    assert shares["hot_work"] > 0.8


def test_a_program_that_resets_its_signals_is_not_killed_by_a_tick(burner, tmp_path):
    code, shares = profiled(burner, tmp_path, "sampler", "reset")
    assert code == 7
    assert "hot_work" in shares


def test_a_static_program_is_named_as_such(burner, tmp_path, capfd):
    static = tmp_path / "static"
    subprocess.run(["gcc", "-O1", "-static", "-pthread", "-o", static, burner.with_suffix(".c")], check=True)
    assert profiled(static, tmp_path, "sampler") == (7, {})
    assert "is a static executable" in capfd.readouterr().err


def test_a_shared_library_gets_its_names(tmp_path):
    (tmp_path / "lib.c").write_text(
        "unsigned busy(unsigned x) { for (int i = 0; i < 300000000; i++) x = x * 69069 + 1; return x; }"
    )
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", "libbusy.so", "lib.c"], cwd=tmp_path, check=True)
    program = "import ctypes, sys; ctypes.CDLL(sys.argv[1]).busy(1)"
    profile.run([sys.executable, "-c", program, str(tmp_path / "libbusy.so")], tmp_path / "out", "sampler")
    rows = json.loads((tmp_path / "out").read_text())["functions"]
    assert (rows[0]["object"], rows[0]["function"]) == ("libbusy.so", "busy")


def test_an_absent_command_is_127_and_writes_nothing(tmp_path):
    assert profile.run(["no-such-command-here"], tmp_path / "out") == 127
    assert not (tmp_path / "out").exists()


def test_a_command_that_cannot_be_run_is_126(tmp_path):
    (tmp_path / "plain").write_text("text")
    assert profile.run([str(tmp_path / "plain")], tmp_path / "out") == 126


def test_a_short_command_writes_nothing_and_keeps_its_status(tmp_path):
    assert profile.run([shutil.which("false") or "false"], tmp_path / "out", "sampler") == 1
    assert not (tmp_path / "out").exists()


def test_without_perf_the_sampler_is_used(burner, tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("gcc", "as", "ld"):
        os.symlink(shutil.which(tool) or tool, tools / tool)
    monkeypatch.setenv("PATH", str(tools))
    profile.perf_event.cache_clear()
    profile.run([str(burner)], tmp_path / "out")
    assert json.loads((tmp_path / "out").read_text())["way"] == "sampler"
    profile.perf_event.cache_clear()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": "gccllm-profile", "version": 2, "functions": []}', "\xff"]
)
def test_what_is_no_profile_is_none(tmp_path, text):
    (tmp_path / "p").write_text(text, "latin-1")
    assert profile.load_profile(tmp_path / "p") is None
    assert profile.load_profile(tmp_path / "absent") is None


@given(st.dictionaries(st.tuples(st.text(max_size=8), st.text(max_size=8)), st.integers(1, 10**6), min_size=1))
def test_shares_come_back_as_written(tmp_path_factory, counts):
    path = tmp_path_factory.mktemp("p") / "gccllm.profile"
    profile.write_profile(path, profile.Counter(counts), ["x"], "sampler")
    total = sum(counts.values())
    for name, share in (profile.load_profile(path) or {}).items():
        assert abs(share - sum(n for (_, f), n in counts.items() if f == name) / total) < 1e-4
