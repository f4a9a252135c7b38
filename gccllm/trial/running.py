"""Running the command of a trial: once a call, with a choice of bodies, its output compared and its cost measured."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from gccllm.trial.design import Choices

CHOICES = "GCCLLM_TRIAL"


def spelt(choices: Choices) -> str:
    """Choices as the chooser in the program reads them."""
    return ",".join(f"{identity}={chr(ord('0') + body)}" for identity, body in sorted(choices.items()) if body)


class TrialError(Exception):
    """The trial cannot go on; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run showed."""

    status: int
    output: str
    """Digest of its standard output."""
    cpu_s: float
    """User and system time of the command and its children."""
    wall_s: float
    metric: float | None = None

    def says_the_same_as(self, other: Seen, *, with_output: bool) -> bool:
        return self.status == other.status and (not with_output or self.output == other.output)


@dataclass(frozen=True)
class Command:
    """A command that can be run again and again: standard input is read from its start each time, or is empty."""

    argv: Sequence[str]
    metric: re.Pattern[bytes] | None = None
    """Its first group, in the output, is what counts instead of CPU time."""
    higher_is_better: bool = False
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, choices: Choices) -> Seen:
        """Raises TrialError when the command cannot be started, or prints no metric."""
        words = spelt(choices)
        env = self.environment | ({CHOICES: words} if words else {})
        with tempfile.TemporaryFile() as out, _input() as given:
            started = time.monotonic()
            try:
                child = subprocess.Popen(list(self.argv), stdin=given, stdout=out, stderr=subprocess.DEVNULL, env=env)
            except OSError as error:
                raise TrialError(f"{self.argv[0]}: {error.strerror}") from error
            try:
                _, status, used = os.wait4(child.pid, 0)
            except BaseException:
                child.kill()
                child.wait()
                raise
            child.returncode = os.waitstatus_to_exitcode(status)
            wall = time.monotonic() - started
            out.seek(0)
            digest, found = hashlib.blake2b(digest_size=16), None
            if self.metric is None:
                for block in iter(lambda: out.read(1 << 20), b""):
                    digest.update(block)
            else:  # what it prints differs from run to run
                text = out.read()
                found = self._measured(text)
                digest.update(self.metric.sub(b"", text))
        return Seen(child.returncode, digest.hexdigest(), used.ru_utime + used.ru_stime, wall, found)

    def _measured(self, text: bytes) -> float:
        assert self.metric is not None
        match = self.metric.search(text)
        try:
            value = float(match[1]) if match else 0.0
        except (ValueError, TypeError):  # a group that took no part gives None
            value = 0.0
        if not 0.0 < value < math.inf:
            raise TrialError(f"the output has no number above 0 where --metric looks: {self.metric.pattern.decode()}")
        return 1.0 / value if self.higher_is_better else value

    def cost(self, seen: Seen) -> float:
        """Less is better."""
        return seen.metric if seen.metric is not None else max(seen.cpu_s, 1e-6)


@contextlib.contextmanager
def _input() -> Iterator[BinaryIO]:
    """Our standard input from its start if it is a file, else nothing."""
    try:
        is_file = stat.S_ISREG(os.fstat(0).st_mode)
    except OSError:
        is_file = False
    with open("/proc/self/fd/0" if is_file else os.devnull, "rb") as file:
        yield file
