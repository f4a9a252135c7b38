"""Programs that run on a terminal, for the tests of what they say there."""

from __future__ import annotations

import os
import pty
from collections.abc import Mapping, Sequence
from pathlib import Path


def on_a_terminal(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> str:
    """What a program prints on its terminal, which is all that it has. It ends well, or the test fails."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(argv[0], list(argv), env)
    said = b""
    try:
        while piece := os.read(terminal, 4096):
            said += piece
    except OSError:  # the other side is closed
        pass
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)
    return said.decode()
