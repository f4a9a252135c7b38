"""All compiles of one build share what work may cost; what was left undecided is left alone for a day."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gccllm.store.build_budget import share

from .conftest import RECORD, Site, read_request

NAMES = ("one", "two", "three")


def builds_asked_for(site: Site) -> list[str]:
    """The build that each request named, in order."""
    return [read_request(path.read_bytes())["build"][0] for path in sorted(site.here.glob("request.*"))]


def keep_all(site: Site) -> None:
    site.engine(RECORD + '; cp "$1/request" "$HERE/request.$(date +%s%N)"')
    for name in NAMES:
        (site.src / f"{name}.c").write_text((site.src / "loop.c").read_text().replace("sum(", f"{name}("))


def run(site: Site, *command: str) -> None:
    """As typed into a shell of its own session."""
    argv = ["setsid", "--wait", "sh", "-c", f"{' '.join(command)}; true"]
    done = subprocess.run(argv, cwd=site.src, env=site.environment(), capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("tool", ["make", "ninja", "script"])
def test_the_compiles_of_one_build_name_it_alike_and_the_next_build_has_another_name(site: Site, tool: str) -> None:
    keep_all(site)
    (site.src / "Makefile").write_text(
        f"all: {' '.join(f'{n}.o' for n in NAMES)}\n%.o: %.c\n\t{site.command} -O2 -c $<\n"
    )
    (site.src / "build.ninja").write_text(
        f"rule cc\n command = {site.command} -O2 -c $in -o $out\n"
        + "".join(f"build {name}.o: cc {name}.c\n" for name in NAMES)
    )
    script = site.src / "script"
    script.write_text("#!/bin/sh\n" + "".join(f"{site.command} -O2 -c {name}.c\n" for name in NAMES))
    script.chmod(0o755)
    ninja = Path(sys.executable).with_name("ninja")
    command = {"make": "make -s -j2", "ninja": f"{ninja if ninja.exists() else 'ninja'} --quiet", "script": "./script"}
    for _ in range(2):
        run(site, command[tool])
        for name in NAMES:
            (site.src / f"{name}.o").unlink()
    first, second = builds_asked_for(site)[:3], builds_asked_for(site)[3:]
    assert len(set(first)) == len(set(second)) == 1
    assert len(first) == len(second) == 3
    if not outer_tools():
        assert first[0] != second[0]
    assert "" not in first


def outer_tools() -> set[str]:
    """Build tools above the tests themselves: those would be the build."""
    found, pid = set(), os.getpid()
    while pid > 1:
        status = Path(f"/proc/{pid}/stat").read_text()
        found.add(status[status.index("(") + 1 : status.rindex(")")])
        pid = int(status[status.rindex(")") :].split()[2])
    return found & {"make", "ninja", "pip", "cmake", "ctest"}


def test_a_build_that_has_had_its_work_asks_no_more_and_its_units_wait(site: Site) -> None:
    site.quiet()
    (site.store / "builds").mkdir(parents=True)
    (site.store / "builds" / f"{site.request['build'][0]}.spent").touch()
    assert site.quiet() == site.own
    assert site.asked == 1
    assert (site.store / "queue" / site.key / "request").is_file()
    assert site.entry.read_bytes().split(b"\n")[1].startswith(b"until\t")


def test_without_any_budget_everything_is_queued(site: Site) -> None:
    assert site.quiet(env={"GCCLLM_BUILD_BUDGET": "0"}) == site.own
    assert site.asked == 0
    assert len(list((site.store / "queue").iterdir())) == 1


@pytest.mark.parametrize(
    ("left_s", "strict", "asks"),
    [(1000, "0", False), (-1, "0", True), (10**7, "0", True), (1000, "1", True), (1000, "off", False)],
    ids=["a day", "over", "another clock", "strict", "not strict"],
)
def test_what_is_undecided_is_left_alone_until_then(site: Site, left_s: int, strict: str, asks: bool) -> None:
    site.quiet()
    site.write_entry(site.labelled_text(), [f"until\t{int(time.time()) + left_s}"])
    served = site.quiet(env={"GCCLLM_STRICT": strict})
    assert site.asked == 1 + asks
    assert (b"seen_by_engine" in served) == (not asks)


def test_seconds_in_which_several_work_count_once(tmp_path: Path) -> None:
    work = f"""
import sys, time
from pathlib import Path
from gccllm.store.build_budget import share
with share(Path({str(tmp_path)!r}), "1-2", 100.0) as left:
    time.sleep(1.5)
"""
    started = time.monotonic()
    running = [subprocess.Popen([sys.executable, "-c", work]) for _ in range(3)]
    assert [child.wait() for child in running] == [0, 0, 0]
    took = time.monotonic() - started
    with share(tmp_path, "1-2", 100.0) as left:
        assert 1.5 <= 100.0 - left <= took
    with share(tmp_path, "1-2", 1.0) as left:
        assert left == 0.0
    assert (tmp_path / "builds" / "1-2.spent").exists()


def test_one_that_died_at_work_is_charged_no_longer(tmp_path: Path) -> None:
    work = f"""
import os, signal
from pathlib import Path
from gccllm.store.build_budget import share
with share(Path({str(tmp_path)!r}), "1-2", 100.0):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", work])
    with share(tmp_path, "1-2", 100.0):
        pass
    time.sleep(1.0)
    with share(tmp_path, "1-2", 100.0) as left:
        pass
    with share(tmp_path, "1-2", 100.0) as later:
        assert left - later < 0.9


@pytest.mark.parametrize("name", ["../1", "a/b", "", "."])
def test_a_name_that_is_none_gives_each_compile_the_whole_budget(tmp_path: Path, name: str) -> None:
    with share(tmp_path, name, 7.0) as left:
        assert left == 7.0
    assert not (tmp_path.parent / "1").exists()


def test_the_second_build_starts_no_engine_whatever_the_first_left_undecided(site: Site, prefix: Path) -> None:
    site.engine(f'echo >>"$HERE/calls"; exec "{prefix}/bin/gccllm-engine" "$1"')
    site.settings = {"GCCLLM_BUDGET": "0", "GCCLLM_OPT": "o3"}
    first = site.quiet()
    assert [path.name for path in (site.store / "queue").iterdir() if (path / "request").is_file()]
    assert site.asked == 1
    assert site.quiet() == first
    assert site.asked == 1


def test_an_answer_that_has_run_out_is_not_replaced_by_a_build_without_budget(site: Site) -> None:
    site.quiet()
    site.write_entry(site.labelled_text(), [f"until\t{int(time.time()) - 1}"])
    before = site.entry.read_bytes()
    (site.store / "builds").mkdir(parents=True)
    (site.store / "builds" / f"{site.request['build'][0]}.spent").touch()
    assert site.quiet() == site.own
    assert site.entry.read_bytes() == before
