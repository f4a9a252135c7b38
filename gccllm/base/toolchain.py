"""The real gcc, as and ld, run with a clean environment and a deadline.

Nothing started from here may come back to us: our assembler shim is off in every child, and file descriptors of the
build (make's jobserver among them) are closed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gccllm.base.limits import LIMITS

# What could change a tool's behaviour, or lead back to us.
_DROPPED = ("COMPILER_PATH", "COLLECT_GCC_OPTIONS", "COLLECT_GCC", "COLLECT_LTO_WRAPPER", "DEPENDENCIES_OUTPUT",
            "SUNPRO_DEPENDENCIES", "MAKEFLAGS", "MFLAGS", "GCCLLM_ARGV", "GCCLLM_DEPTH", "LD_RUN_PATH")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished process: `code` is -1 when it was killed at its deadline or could not be started."""

    code: int
    out: bytes
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def clean_environment() -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if k not in _DROPPED}
    return env | {"GCCLLM_MODE": "off", "LC_ALL": "C"}


LONGEST_S = 1e6
"""Longer deadlines are none: the system's calls do not take them."""
TIDY_S = 1.0
"""For a tool that has to end."""


def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    cwd: Path | None = None,
    deadline_s: float = 60.0,
    env: Mapping[str, str] | None = None,
    is_limited: bool = False,
) -> Ran:
    """Run a tool to its end or its deadline; never raises for what the tool does.

    `deadline_s` may be infinite. On the deadline the tool's whole process group is ended, so that cc1 does not outlive
    its driver. `is_limited`: within `tool_memory_bytes` and `tool_file_bytes`. They are set once the tool runs and
    before it gets its input, so they hold for one process that reads standard input, or starts no other: not for a
    compiler's driver.
    """
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=dict(env) if env is not None else clean_environment(),
            close_fds=True,
            process_group=0,
        )
    except OSError as error:
        return Ran(-1, b"", str(error))
    if is_limited:
        _limit(child.pid)
    try:
        out, err = child.communicate(stdin, timeout=deadline_s if deadline_s < LONGEST_S else None)
    except subprocess.TimeoutExpired:
        _end_group(child.pid)
        child.communicate()
        return Ran(-1, b"", f"no answer within {deadline_s:.1f} s")
    except BaseException:
        _end_group(child.pid)
        child.wait()
        raise
    said = err.decode("utf-8", "replace")
    if child.returncode < 0 and not said:
        said = f"ended by signal {-child.returncode}: {signal.strsignal(-child.returncode)}"
    return Ran(child.returncode, out, said)


def _limit(pid: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # it has ended, or has lower limits already
        resource.prlimit(pid, resource.RLIMIT_AS, (LIMITS.tool_memory_bytes, LIMITS.tool_memory_bytes))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (LIMITS.tool_file_bytes, LIMITS.tool_file_bytes))


def _end_group(pid: int) -> None:
    """The driver is asked first, so that it removes its temporary files."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
        end = time.monotonic() + TIDY_S
        # Not reaped yet: until it is, the group's number is nobody else's.
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None and time.monotonic() < end:
            time.sleep(0.01)
        os.killpg(pid, signal.SIGKILL)


FREE = b"Free Software Foundation"
"""What `--version` of every gcc says, and of no other compiler."""

VERIFIED = range(11, 17)
"""Versions of gcc on which `make check-compilers` passed: docs/compilers.md. Units of older ones are left alone:
their debug information does not name global variables in registers."""


@dataclass(frozen=True)
class Toolchain:
    """Paths of the real tools of one build."""

    gcc: str = "gcc"
    assembler: str = "as"
    linker: str = "ld"

    @classmethod
    def find(cls, gcc: str | None = None, assembler: str | None = None) -> Toolchain:
        return cls(
            gcc or shutil.which("gcc") or "gcc",
            assembler or shutil.which("as") or "as",
            shutil.which("ld") or "ld",
        )

    @property
    def demangler(self) -> str:
        return shutil.which("c++filt") or "c++filt"

    @cached_property
    def version(self) -> str:
        return run([self.gcc, "-dumpfullversion"]).out.decode().strip()

    @property
    def major(self) -> int:
        """0 where it says no version."""
        first = self.version.partition(".")[0]
        return int(first) if first.isdecimal() else 0

    def assemble(self, text: str, output: Path, *flags: str, deadline_s: float = 60.0) -> Ran:
        """Assemble `text` (latin-1) into `output` within limits; the caller looks at `.ok` and `.err`."""
        return run(
            [self.assembler, "--64", *flags, "-o", str(output), "-"],
            stdin=text.encode("latin-1"),
            deadline_s=deadline_s,
            is_limited=True,
        )

    def compile(
        self, args: Sequence[str], *, cwd: Path | None = None, stdin: bytes = b"", deadline_s: float = 60.0
    ) -> Ran:
        return run([self.gcc, *args], cwd=cwd, stdin=stdin, deadline_s=deadline_s)
