"""A recording that ends by itself when its files have grown to a limit; the program goes on.

Each process keeps to its own budget, but a test suite has any number of processes. The folder is renamed: the
recorder, which knows the old name alone, can write nothing more and counts `file` for what it drops, as it does on a
full disk. Nothing that was captured is lost. The folder lies in a private one, so that no other user can replace it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

POLL_S = 0.5
SHARE = 0.05
"""Of one core's time that looking may take, where a folder has very many files."""


class Limit:
    """Watches `folder` while the command runs. `found` is where the files are in the end."""

    def __init__(self, folder: Path, most: int) -> None:
        """`most`: bytes of all files together."""
        self.folder, self.most = folder, most
        self.found = folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def is_reached(self) -> bool:
        return self.found != self.folder

    def __enter__(self) -> Limit:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = POLL_S
        while not self._over.wait(pause):
            begin = time.thread_time()
            if size_of(self.folder) >= self.most:
                ended = self.folder.with_name(self.folder.name + ".full")
                with contextlib.suppress(OSError):
                    self.folder.rename(ended)
                    self.found = ended
                return
            pause = max(POLL_S, (time.thread_time() - begin) / SHARE)


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder; those that go away meanwhile do not count."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total
