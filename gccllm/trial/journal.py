"""The runs of a trial on disk, one a line, so that an interrupted trial goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gccllm.trial.design import Run


class Journal:
    """The journal of one command with one set of functions on trial: another build or command has another."""

    def __init__(self, directory: Path, command: list[str], contests: Mapping[str, object]) -> None:
        words = json.dumps([command, sorted((identity, str(one)) for identity, one in contests.items())])
        self.path = directory / f"journal-{hashlib.blake2b(words.encode(), digest_size=12).hexdigest()}.jsonl"
        self._rows: list[dict[str, Any]] = []

    def resume(self) -> int:
        """Take up what an earlier trial left; the number of its runs. A line that was cut off goes, with all behind."""
        self._rows, whole = [], 0
        with contextlib.suppress(OSError, ValueError):
            for line in self.path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                self._rows.append(json.loads(line))
                whole += len(line)
        with contextlib.suppress(OSError):
            os.truncate(self.path, whole)
        return sum("cost" in row for row in self._rows)

    def runs(self, stage: str) -> list[Run]:
        runs: list[Run] = []
        for row in self._rows:
            if row.get("void") == stage:
                runs = []
            elif row.get("stage") == stage:
                runs.append(Run(row["choices"], row["cost"]))
        return runs

    @property
    def guilty(self) -> list[tuple[str, int]]:
        """Bodies that changed what the program does."""
        return [(row["identity"], row["guilty"]) for row in self._rows if "guilty" in row]

    def add(self, stage: str, run: Run) -> None:
        self._write({"stage": stage, "choices": dict(run.choices), "cost": run.measure})

    def add_guilty(self, identity: str, body: int) -> None:
        self._write({"identity": identity, "guilty": body})

    def is_done(self, stage: str) -> bool:
        return any(row.get("done") == stage for row in self._rows)

    def add_done(self, stage: str) -> None:
        """The stage needs no more runs, whatever is left of the budget."""
        self._write({"done": stage})

    def void(self, stage: str) -> None:
        """What the stage has measured so far counts no more."""
        self._write({"void": stage})

    def _write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._rows = []
