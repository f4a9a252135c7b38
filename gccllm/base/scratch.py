"""A directory for one piece of work, gone when the work ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gccllm-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)
