"""The project's `gccllm.toml`: where it is, and whether it counts.

A file counts when this user or root owns it (and the link that leads to it, if it is one) and nobody outside its group
may write it. Anything else is passed over as if it were not there, and the search goes on above: in /tmp, or below a
directory of somebody else, another user's file must not steer a build. `settings.c` has the same rules.

A file that its group may write counts: with the usual umask of 002 every checkout is such a one, and who may write it
may write the sources beside it too. Not covered: access lists, and directories that others may rename things in.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.base.limits import LIMITS
from gccllm.base.regular import read_regular

PROJECT_FILE = "gccllm.toml"


@dataclass(frozen=True, slots=True)
class ProjectFile:
    directory: Path | None = None
    """Directory of the nearest file that counts; None: there is none."""
    data: bytes = b""
    passed_over: list[str] = field(default_factory=list)
    """A line for each file that does not count."""


def find(start: Path, *, any_owner: bool = False) -> ProjectFile:
    """The nearest `gccllm.toml` at or above `start` that counts. `any_owner`: whoever owns it."""
    passed_over: list[str] = []
    for directory in (start, *start.parents):
        path = directory / PROJECT_FILE
        try:
            data = read(path, any_owner=any_owner)
        except FileNotFoundError:
            continue
        except OSError as error:
            if os.path.lexists(path):  # else nobody may look into the folder
                passed_over.append(f"{path} is ignored: {error.strerror or error}")
            continue
        return ProjectFile(directory, data, passed_over)
    return ProjectFile(None, b"", passed_over)


def read(path: Path, *, any_owner: bool) -> bytes:
    """Raises OSError, whose `strerror` says why the file does not count."""
    link = path.lstat()
    data, status = read_regular(path, LIMITS.settings_bytes)
    if not any_owner:
        for uid in (link.st_uid, status.st_uid):
            if uid not in (0, os.geteuid()):
                raise OSError(0, f"user {uid} owns it, not you; GCCLLM_PROJECT_OWNER=any takes it all the same")
        if status.st_mode & stat.S_IWOTH:
            raise OSError(0, "everybody may write it: chmod o-w")
    return data
