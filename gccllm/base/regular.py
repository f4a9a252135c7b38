"""Reading a file that somebody else may have put there: whole, a regular file, and no larger than agreed."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_regular(path: Path, most: int) -> tuple[bytes, os.stat_result]:
    """The bytes and what the open file's inode says. Raises OSError: no such file; a pipe, a device or a folder (a
    pipe's other end may never come); more than `most` bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is no regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(0, f"it is over {most} bytes")
    return data, status
