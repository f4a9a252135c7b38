"""The engine as the shim sees it: whatever it does, the build gets gcc's result or a rewritten one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from gccllm.base import config
from gccllm.base.events import read
from gccllm.base.reasons import Reason
from gccllm.commands.oneshot import explain, last_build

from .conftest import LABEL, LOOP, RECORD, Site


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, what: str) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_the_engines_text_is_assembled(site: Site) -> None:
    site.engine(LABEL)
    assert b"seen_by_engine" in site.quiet()
    assert os.listdir(site.tmp) == []


@pytest.mark.parametrize(
    ("body", "noted"),
    [
        ("exit 1", ["engine_crashed"]),
        ("kill -SEGV $$", ["engine_crashed"]),
        (LABEL + "; exit 1", ["engine_crashed"]),
        ("echo noise; echo noise >&2; exit 0", []),
        (": >$1/out.s", []),
        ("mkdir $1/out.s", []),
        ("rm -rf $1", []),
        ("echo bogus >$1/out.s", ["splice_refused"]),
        ("head -c 100000 /dev/urandom >$1/out.s", ["splice_refused"]),
        ("chmod 000 $1; mkdir $1/deep; chmod 000 $1/deep", []),
        ("ln -s /nowhere $1/out.s", []),
    ],
    ids=[
        "exit",
        "signal",
        "text-and-exit",
        "noise",
        "empty",
        "directory",
        "gone",
        "bogus",
        "random",
        "locked",
        "dangling",
    ],
)
def test_a_failing_engine_leaves_gccs_own_object(site: Site, body: str, noted: list[str]) -> None:
    site.engine(body)
    assert site.quiet() == site.own
    assert site.quiet("-pipe") == site.own
    assert site.failures == noted * 2
    assert os.listdir(site.tmp) == []


def test_an_engine_that_cannot_be_started_leaves_gccs_own_object(site: Site) -> None:
    (site.here / "engine").write_text("#!/no/such/interpreter\n")
    assert site.quiet() == site.own
    (site.here / "engine").unlink()
    assert site.quiet() == site.own


def test_a_strict_failure_is_one_line_and_no_object(site: Site) -> None:
    (site.src / "out.o").write_text("old")
    site.engine("echo 'sum: not_in_store' >$1/strict; echo more >>$1/strict; exit 3")
    done = site.compile(env={"GCCLLM_MODE": "cached", "GCCLLM_STRICT": "1"})
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "gcc-llm: GCCLLM_STRICT: sum: not_in_store\n")
    assert not (site.src / "out.o").exists()
    assert os.listdir(site.tmp) == []


def test_a_hanging_engine_is_killed_with_all_that_it_started(site: Site) -> None:
    site.store.mkdir()
    site.engine("trap '' TERM; setsid sleep 600 & echo $! >$HERE/pids; echo $$ >>$HERE/pids; while :; do sleep 1; done")
    assert site.quiet(env={"GCCLLM_BUDGET": "0"}) == site.own
    assert not any(is_running(int(p)) for p in (site.here / "pids").read_text().split())
    assert site.failures == ["engine_timeout"]
    assert os.listdir(site.tmp) == []


def test_what_an_engine_leaves_running_is_killed(site: Site) -> None:
    site.engine("setsid sleep 600 & echo $! >$HERE/pids; " + LABEL)
    assert b"seen_by_engine" in site.quiet()
    assert not is_running(int((site.here / "pids").read_text()))


HANG = "echo $$ >$HERE/pid; exec sleep 600"


def heed_signals() -> None:
    """Tests that run in a shell's background inherit an ignored SIGINT; a build at a terminal does not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start_hanging(site: Site) -> tuple[subprocess.Popen[bytes], int]:
    site.engine(HANG)
    command = [site.command, "-O2", "-c", "loop.c", "-o", "out.o"]
    build = subprocess.Popen(
        command,
        cwd=site.src,
        env=site.environment(),
        process_group=0,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=heed_signals,
    )
    wait_for(
        lambda: (site.here / "pid").exists() and (site.here / "pid").read_text().endswith("\n"), "the engine starts"
    )
    return build, int((site.here / "pid").read_text())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_build_leaves_nothing(site: Site, number: signal.Signals) -> None:
    build, engine = start_hanging(site)
    os.killpg(build.pid, number)
    build.communicate(timeout=20)
    assert build.returncode != 0
    wait_for(lambda: not is_running(engine), "the engine ends")
    wait_for(lambda: os.listdir(site.tmp) == [], f"left: {os.listdir(site.tmp)}")
    assert not (site.src / "out.o").exists()


def test_a_killed_shim_takes_the_engine_along(site: Site) -> None:
    build, engine = start_hanging(site)
    shim = int(Path(f"/proc/{engine}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(shim, signal.SIGKILL)
    build.communicate(timeout=20)
    wait_for(lambda: not is_running(engine), "the engine ends")
    assert not (site.src / "out.o").exists()


def test_an_ignored_signal_stays_ignored(site: Site) -> None:
    site.engine("kill -HUP $PPID; sleep 0.2; " + LABEL)
    done = subprocess.run(
        ["nohup", site.command, "-O2", "-c", "loop.c", "-o", "out.o"],
        cwd=site.src, env=site.environment(), capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0
    assert b"seen_by_engine" in (site.src / "out.o").read_bytes()


def test_a_build_that_ignores_sigchld_still_gets_its_object(site: Site) -> None:
    site.engine(LABEL)
    script = 'trap "" CHLD; exec "$@"'
    command = ["sh", "-c", script, "sh", site.command, "-O2", "-c", "loop.c", "-o", "out.o"]
    plain = subprocess.run(["sh", "-c", script, "sh", "gcc", "-O2", "-c", "loop.c"], cwd=site.src)
    done = subprocess.run(command, cwd=site.src, env=site.environment())
    # dash hands SIG_IGN on; gcc itself may then fail to wait for cc1, and so do we.
    assert done.returncode == plain.returncode


def test_the_engine_gets_a_clean_process(site: Site) -> None:
    site.engine(
        "ls -l /proc/$$/fd >$HERE/fds; readlink /proc/$$/fd/0 >$HERE/stdin; readlink /proc/$$/fd/2 >$HERE/stderr; "
        "env >$HERE/env; ps -o pgid= -p $$ >$HERE/group; ls -ld $1 >$HERE/mode; " + RECORD
    )
    read, write = os.pipe()
    dirty = {
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/x",
        "PYTHONSTARTUP": "/x",
        "MAKEFLAGS": f"-j2 --jobserver-auth={read},{write}",
    }
    command = [site.command, "-O2", "-c", "loop.c", "-o", "out.o"]
    build = subprocess.Popen(
        command, cwd=site.src, env=site.environment(dirty), pass_fds=(read, write), process_group=0
    )
    assert build.wait(60) == 0
    os.close(read)
    os.close(write)

    def told(name: str) -> str:
        return (site.here / name).read_text().strip()

    assert "pipe:" not in told("fds")
    assert told("stdin") == "/dev/null"
    assert told("stderr").endswith("/engine.log")
    assert told("mode").startswith("drwx------")
    assert int(told("group")) == build.pid
    names = {line.split("=")[0] for line in told("env").splitlines()}
    assert not names & {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "MAKEFLAGS", "GCCLLM_DEPTH", "GCCLLM_ARGV"}


def test_the_request_says_what_gcc_was_asked(site: Site) -> None:
    odd = "a'b\"c\\d\te\nf $x"
    (site.src / f"{odd}.c").write_text(LOOP)
    (site.src / "args").write_text("-DTWO='x y'\n")
    command = [site.command, "-O2", "-c", f"{odd}.c", "-o", "out.o", f"-DONE={odd}", "@args", "-Wa,--noexecstack"]
    subprocess.run(command, cwd=site.src, env=site.environment(), check=True)
    request = site.request
    assert request["driver_arg"] == command[1:]
    assert request["gcc_option"][:8] == ["-O2", "-c", "-o", "out.o", "-D", f"ONE={odd}", "-D", "TWO=x y"]
    assert request["cwd"] == [str(site.src)]
    assert "--noexecstack" in request["as_arg"]
    assert Path(request["compiler"][0]).name == "gcc"
    assert Path(request["assembler"][0]).resolve() == Path("/usr/bin/as").resolve()


@pytest.mark.parametrize("option", ["-DX=\x1f", "-DX=" + "y" * 110_000], ids=["separator", "long"])
def test_arguments_that_cannot_be_handed_on_are_left_out(site: Site, option: str) -> None:
    assert site.quiet(option) == site.own
    assert "driver_arg" not in site.request
    assert "-O2" in site.request["gcc_option"]


def test_the_assembler_is_the_one_beside_the_compilers_target(site: Site) -> None:
    """conda's gcc, for one, has its own assembler in PREFIX/TRIPLE/bin, which PATH does not name."""
    triple = "x86_64-some-linux-gnu"
    for path, body in ((f"bin/{triple}-gcc", "exec gcc"), (f"{triple}/bin/as", "exec as")):
        script = site.here / path
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f'#!/bin/sh\n{body} "$@"\n')
        script.chmod(0o755)
    assert site.quiet(env={"GCCLLM_CC": str(site.here / "bin" / f"{triple}-gcc")}) == site.own
    assert Path(site.request["assembler"][0]).resolve() == site.here / triple / "bin" / "as"


def events(site: Site) -> list[tuple[str, str, str]]:
    return [(event["event"], event["reason"], Path(event["source"]).name) for event in read(site.store)]


def test_a_missing_engine_is_in_the_log(site: Site) -> None:
    (site.here / "engine").unlink()
    assert site.quiet() == site.own
    assert events(site) == [("shim", "engine_missing", "loop.c")]


def test_a_unit_below_o1_is_in_the_log(site: Site) -> None:
    site.quiet("-O0")
    assert site.asked == 0
    assert events(site) == [("unit_declined", "optimisation_off", "loop.c")]


def test_a_strange_name_of_a_source_does_not_break_the_log(site: Site) -> None:
    name = 'lo"o\\p\n\u00e4.c'
    (site.src / name).write_text(LOOP)
    subprocess.run([site.command, "-O0", "-c", name, "-o", "x.o"], cwd=site.src, env=site.environment(), check=True)
    assert events(site) == [("unit_declined", "optimisation_off", name)]


def test_explain_says_what_the_last_build_did_of_a_unit_below_o1(site: Site) -> None:
    site.quiet("-O0", "-DSOMETHING=1")
    last = last_build(site.src / "loop.c", site.store)
    assert last is not None
    assert {"-O0", "SOMETHING=1"} <= set(last.flags)
    assert last.cwd == site.src
    assert last_build(site.src / "other.c", site.store) is None


def test_a_unit_that_was_only_queued_is_explained_as_it_was_built(site: Site) -> None:
    site.settings["GCCLLM_BUILD_BUDGET"] = "0"
    (site.here / "include").mkdir()
    (site.here / "include" / "needed.h").touch()
    (site.src / "loop.c").write_text(f'#include "needed.h"\n{LOOP}')
    site.compile("-I../include", "-DLATER")
    last = last_build(site.src / "loop.c", site.store)
    assert last is not None
    assert "LATER" in last.flags
    assert last_build(site.src / "other.c", site.store) is None
    settings = config.load(site.src, {"GCCLLM_CACHE_DIR": str(site.store)})
    shown = explain(site.src / "loop.c", last.flags, settings, cwd=last.cwd)
    assert [decision.reason for decision in shown.decisions] == [Reason.QUEUED]
