"""A build that waits says so once, on its terminal; in a pipe it says nothing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.commands.watch import follow, words
from tests.kit.terminal import on_a_terminal

from .conftest import RECORD, Site

SLOW = RECORD + '; echo "sum (inputs)" >"$1/status"; sleep 6'


def said_on_a_terminal(site: Site, env: Mapping[str, str] = {}) -> str:
    """What two compiles of one build print on their terminal, which is all they have."""
    compiles = "".join(f"\t@{site.command} -O2 -D{name} -c loop.c -o {name}.o\n" for name in "AB")
    (site.src / "Makefile").write_text(f"all:\n{compiles}")
    return on_a_terminal(["make"], site.src, site.environment(env))


def test_a_build_that_waits_says_so_once_on_its_terminal(site: Site) -> None:
    site.engine(SLOW)
    (site.store / "builds").mkdir(parents=True)
    lines = said_on_a_terminal(site).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("gcc-llm: working on sum (inputs)")
    assert site.asked == 2


def test_nothing_is_said_where_a_setting_forbids_it(site: Site) -> None:
    site.engine(SLOW)
    (site.store / "builds").mkdir(parents=True)
    assert said_on_a_terminal(site, {"GCCLLM_PROGRESS": "0"}) == ""


def test_nothing_is_said_in_a_pipe(site: Site) -> None:
    site.engine(SLOW)
    (site.store / "builds").mkdir(parents=True)
    assert site.quiet() == site.own


def test_watching_shows_what_is_written_from_now_on(site: Site) -> None:
    log = Log(site.store, source="/src/loop.c")
    log.write("function", Reason.NOT_HOT, function="old", word="declined")
    turns = iter([lambda: log.write("worked", Reason.BUDGET, function="sum", outcome="undecided", seconds=2.5)])

    def wait() -> None:
        step = next(turns, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(words(event) for event in follow(site.store, wait))
    assert seen == ["loop.c: sum: undecided budget after 2.5 s"]


def test_watching_says_what_a_word_means() -> None:
    event = {"event": "store", "source": "/src/loop.c", "reason": "recorded_since"}
    assert words(event) == f"loop.c: recorded_since: {Reason.RECORDED_SINCE.says}"
