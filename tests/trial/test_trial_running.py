"""Running the command of a trial: what a run shows and costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gccllm.trial.running import CHOICES, Command, Seen, TrialError

BUSY = "import time\nwhile time.process_time() < 0.3: pass\n"


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def seen(script: str, metric: str = "", *, higher: bool = False, **choices: int) -> Seen:
    return Command(shell(script), re.compile(metric.encode()) if metric else None, higher).run(choices)


def test_the_cpu_time_of_children_counts() -> None:
    command = Command(
        [sys.executable, "-c", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])"]
    )
    assert command.run({}).cpu_s >= 0.3


def test_waiting_costs_nothing() -> None:
    waits = seen("sleep 0.5")
    assert waits.wall_s >= 0.5
    assert waits.cpu_s < 0.4


def test_the_choices_are_in_the_environment_but_for_gccs_own_bodies() -> None:
    shown = seen(f'test "${CHOICES}" = a=2,c=1 && exit 7', a=2, b=0, c=1)
    assert shown.status == 7


def test_without_choices_the_environment_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHOICES, raising=False)
    assert seen(f'test -z "${{{CHOICES}+set}}" && exit 7', b=0).status == 7


def test_standard_input_from_a_file_is_read_again_by_each_run(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"given\n")
    script = "from gccllm.trial.running import Command\n"
    script += "c = Command(['sh', '-c', 'cat; cat'])\nprint(len({c.run({}).output for _ in range(3)}), end=' ')\n"
    script += "print(c.run({}).output == Command(['printf', 'given\\\\n']).run({}).output)"
    with (tmp_path / "input").open("rb") as given:
        assert _python(script, given.fileno()) == "1 True\n"


def test_standard_input_that_is_no_file_is_empty_for_the_command() -> None:
    reads, writes = os.pipe()
    try:  # nobody writes: a command that read it would wait for ever
        script = "from gccllm.trial.running import Command\nprint(Command(['cat']).run({}).status)"
        assert _python(script, reads) == "0\n"
    finally:
        os.close(reads)
        os.close(writes)


def _python(script: str, stdin: int) -> str:
    ran = subprocess.run([sys.executable, "-c", script], stdin=stdin, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_output_and_status_are_told_apart() -> None:
    one, two, three = seen("echo a"), seen("echo b"), seen("echo a; exit 1")
    assert not one.says_the_same_as(two, with_output=True)
    assert one.says_the_same_as(two, with_output=False)
    assert not one.says_the_same_as(three, with_output=False)
    assert seen("kill -SEGV $$").status == -11


def test_standard_error_is_no_part_of_the_output() -> None:
    assert seen("echo a; echo b >&2").says_the_same_as(seen("echo a"), with_output=True)


def test_a_metric_counts_instead_of_cpu_time_and_is_no_part_of_the_output() -> None:
    one, two = (seen(f"echo took {value} ms; echo done", r"took ([0-9.]+) ms") for value in (12.5, 13))
    assert (one.metric, two.metric) == (12.5, 13.0)
    assert one.says_the_same_as(two, with_output=True)
    assert Command(["x"]).cost(one) == 12.5


def test_where_higher_is_better_the_cost_falls() -> None:
    slow, fast = (seen(f"echo {value} ops", r"(\d+) ops", higher=True) for value in (100, 200))
    assert slow.metric == pytest.approx(2 * (fast.metric or 0))


@pytest.mark.parametrize("printed", ["", "0 ops", "no ops", "-3 ops", "nan ops", "inf ops"])
def test_no_number_above_0_is_one_line(printed: str) -> None:
    with pytest.raises(TrialError, match=r"^the output has no number above 0 where --metric looks: \(\\S\+\) ops$"):
        seen(f"echo {printed}", r"(\S+) ops")


@pytest.mark.parametrize(("word", "why"), [("/nowhere/it", "No such file"), ("/etc/passwd", "Permission denied")])
def test_a_command_that_cannot_be_started_is_one_line(word: str, why: str) -> None:
    with pytest.raises(TrialError, match=f"^{word}: {why}"):
        Command([word]).run({})


def test_a_group_that_takes_no_part_is_no_number() -> None:
    with pytest.raises(TrialError, match="no number above 0"):
        seen("echo b", "(a)?b")
