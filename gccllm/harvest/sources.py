"""The source files of a unit, as rows that the assembler shim can check without Python.

    same    DIGEST SIZE MODIFIED CHANGED INODE PATH    the file still has these contents
    absent  PATH                                       nothing lies there: a file of it would be found first

gcc's text says nothing of types, qualifiers and the like: two sources may give the same text and not the same
situation. So the answer to a whole unit holds while the unit's text *and* its files are the same. Times are in
nanoseconds; a file that was changed just before it was looked at gets zeros for them, and is read every time.

Covers what the preprocessor read, and files that would now be found before one of them in a directory of the search
path. Not covered: what `__has_include` did not find, and files that were changed between the build's own compile and
this one, unless the code differed.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

RACY_NS = 2_000_000_000
"""A file may be changed again within one tick of its file system's clock: younger than this, its times prove
nothing."""
MOST_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Sources:
    """`rows` is None where they could not be made: then nothing is known of the files."""

    rows: tuple[str, ...] | None


def read_sources(rule: Path, said: str, cwd: Path, started_ns: int) -> Sources:
    """From the rule that -MD wrote and what -v said, of a compile in `cwd` that began at `started_ns`."""
    try:
        files = [cwd / name for name in _prerequisites(rule.read_text("utf-8", "surrogateescape"))]
        same = [_same(path, started_ns) for path in files]
    except (OSError, ValueError):
        return Sources(None)
    absent = _shadows(files, _searched(said, cwd))
    rows = (*same, *(f"absent\t{path}" for path in absent))
    if len(rows) > MOST_ROWS or any("\n" in row or "\t" in row.split("\t", 6)[-1] for row in rows):
        return Sources(None)
    return Sources(rows)


def _prerequisites(rule: str) -> list[str]:
    """File names behind the colon of a make rule. Raises ValueError when there is none."""
    _, colon, names = rule.replace("\\\n", " ").partition(": ")
    if not colon:
        raise ValueError("no rule")
    words = re.findall(r"(?:\\.|[^\s\\])+", names.split("\n\n")[0])
    return [re.sub(r"\\(.)", r"\1", word).replace("$$", "$") for word in dict.fromkeys(words)]


def _same(path: Path, started_ns: int) -> str:
    """Raises OSError; ValueError for a file that was changed since the compile began."""
    data, status = path.read_bytes(), path.stat()
    if max(status.st_ctime_ns, status.st_mtime_ns) >= started_ns or len(data) != status.st_size:
        raise ValueError(f"{path} was changed meanwhile")
    is_old = time.time_ns() - max(status.st_ctime_ns, status.st_mtime_ns) > RACY_NS
    times = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino) if is_old else (0, 0, 0)
    digest = hashlib.blake2b(data, digest_size=32).hexdigest()
    return "\t".join(map(str, ("same", digest, status.st_size, *times, path)))


def _searched(said: str, cwd: Path) -> list[Path]:
    """Directories of `#include "..."` and `#include <...>`, in order, out of what `gcc -v` prints."""
    block = re.search(r'^#include "\.\.\." search starts here:\n(.*?)^End of search list\.', said, re.M | re.S)
    return [cwd / line[1:] for line in block[1].splitlines() if line.startswith(" ")] if block else []


def _shadows(files: list[Path], searched: list[Path]) -> list[Path]:
    """Places where a file of the same spelling would be found before one of `files`, and is not."""
    beside = list(dict.fromkeys(path.parent for path in files if not str(path).startswith("/usr/")))
    out: dict[Path, None] = {}
    for path in files:
        for at, directory in enumerate(searched):
            if not path.is_relative_to(directory):
                continue
            for earlier in (*beside, *searched[:at]):
                missing = _missing(earlier, path.relative_to(directory))
                if missing is not None:
                    out[missing] = None
    return list(out)


def _missing(directory: Path, name: Path) -> Path | None:
    """The topmost part of `directory / name` that is not there: one row for all headers of a folder."""
    whole = directory / name
    if whole.exists():
        return None
    below = [whole, *(directory / parent for parent in name.parents)]  # the last is `directory` itself
    return next((path for path in reversed(below) if not path.exists()), None)
