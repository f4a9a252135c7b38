"""`gccllm trial`: what it says where there is nothing to be tried."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from gccllm.base import config
from gccllm.commands.cli import main
from gccllm.commands.trial_run import How, metric_of, run
from gccllm.trial.running import TrialError

BUSY = "import time\nwhile time.process_time() < 0.2: pass\n"


def trial(tmp_path: Path, *command: str, **how: object) -> int:
    settings = config.load(tmp_path, {}).with_values(cache_dir=str(tmp_path / "store"))
    return run(command, settings, Console(), How(budget_s=1.0, **how))  # type: ignore[arg-type]


def test_a_command_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match=r"^/nowhere/it: not found$"):
        trial(tmp_path, "/nowhere/it")


def test_a_command_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match=r"^the command ends with status 3 by itself$"):
        trial(tmp_path, sys.executable, "-c", BUSY + "raise SystemExit(3)")


def test_a_program_that_was_not_built_for_it_is_told_how(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match=r"^no function on trial takes 1% .* Build the program with GCCLLM_MODE=trial"):
        trial(tmp_path, sys.executable, "-c", BUSY)


@pytest.mark.parametrize(("words", "why"), [("(", "--metric: "), ("[0-9]+ ms", "--metric needs a group")])
def test_a_metric_that_finds_no_number_is_refused_before_anything_runs(tmp_path: Path, words: str, why: str) -> None:
    with pytest.raises(TrialError) as caught:
        trial(tmp_path, "touch", str(tmp_path / "ran"), metric=words)
    assert str(caught.value).startswith(why)
    assert not (tmp_path / "ran").exists()


def test_a_metric_is_optional() -> None:
    assert metric_of("") is None
    found = metric_of(r"([0-9.]+) ms")
    assert found is not None
    assert found.pattern == rb"([0-9.]+) ms"


def test_the_error_of_the_subcommand_is_a_line_without_a_traceback(tmp_path: Path) -> None:
    program = "from gccllm.commands.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "trial", "--", "/nowhere/it"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "Error: /nowhere/it: not found\n"


def test_a_store_that_cannot_be_written_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device", "/full/trials")

    monkeypatch.setattr("gccllm.commands.trial_run.run", full)
    said = CliRunner().invoke(main, ["trial", "--", "true"])
    assert said.exit_code == 1
    assert said.output == "Error: /full/trials cannot be written: No space left on device\n"
