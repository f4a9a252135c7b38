"""The test store: recorded calls and the bench of each recorded function, under `<store>/tests/`.

    <key[:2]>/<key>.bench    slice, baseline and types of the function (`Bench`), written by the record build
    <key[:2]>/<key>.tests    its recorded calls: a fair sample of all processes and runs, equal pages kept once
    <key[:2]>/<key>.coverage the worth of those tests, once measured (edges, mutants)
    callees/<name>.s         slices of functions that recorded functions of other units may call (`record.callees`)
    <key[:2]>/.lock          held while a file of the folder is merged with new data

Files are 0600, folders 0700, and put in place by rename. A damaged file is a named error in `problems` and counts as
absent; the next recording replaces it.

Recorded memory can hold secrets: nothing here, and nothing that reads it, sends it anywhere. `gccllm.store` knows only
`rewrites/`, so neither export nor any layer of the store of rewrites takes tests along.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.regular import read_regular
from gccllm.harvest.types import Signature
from gccllm.record.capture import KEY, Counts, RecordedCall
from gccllm.record.reservoir import MAX_BYTES, MAX_CALLS, Reservoir
from gccllm.record.testfile import (
    Benched,
    Coverage,
    Head,
    TestsError,
    dump_bench,
    dump_tests,
    load_bench,
    load_head,
    load_tests,
)
from gccllm.store.entry import Bench
from gccllm.store.layers import write_atomically

CALLEE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
"""Names of functions whose slices are kept."""
LOCK_S = 120.0
"""Longest wait for another process that merges."""


@dataclass(frozen=True)
class Recorded:
    """What is known of one function's calls. `calls` and `weights` go together."""

    key: str
    function: str
    source: str
    names: tuple[str, ...]
    """Names of the data symbols of `RecordedCall.symbols`."""
    calls: tuple[RecordedCall, ...]
    weights: tuple[float, ...]
    """How many calls of the program each stands for; together `total`."""
    total: int
    ticks: float
    """Mean ticks of a recorded call, weighted; the page faults of the recording are in it."""
    digests: tuple[str, ...] = ()
    """Names of the calls in the store."""


class TestStore:
    """`root` is the folder itself: `TestStore.of(store_dir)` for that of a store.

    Raises OSError only where something is written. What cannot be read is a miss, and `problems` says why.
    """

    __test__ = False  # not a pytest class

    def __init__(self, root: Path, max_calls: int = MAX_CALLS, max_bytes: int = MAX_BYTES) -> None:
        self.root = root
        self.max_calls = max_calls
        self.max_bytes = max_bytes
        self.problems: list[tuple[Reason, str]] = []

    @classmethod
    def of(cls, store_dir: Path) -> TestStore:
        return cls(store_dir / "tests")

    def path(self, key: str, kind: str = "tests") -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"not a key: {key!r}")
        return self.root / key[:2] / f"{key}.{kind}"

    def keys(self, start: str = "") -> list[str]:
        """Keys that have a bench or tests, in order."""
        found = (path.name.partition(".")[0] for path in self.root.glob("[0-9a-f][0-9a-f]/*.*"))
        return sorted({key for key in found if KEY.fullmatch(key) and key.startswith(start)})

    # --- benches ------------------------------------------------------------------------------

    def put_bench(self, key: str, bench: Bench, function: str, source: str, symbols: tuple[str, ...]) -> None:
        """Make the function known. Raises OSError."""
        raw = dump_bench(Benched(key=key, function=function, source=source, symbols=symbols, bench=bench))
        path = self.path(key, "bench")
        with contextlib.suppress(OSError):
            if path.read_bytes() == raw:
                os.utime(path)
                return
        write_private(path, raw)

    def bench(self, key: str) -> Benched | None:
        path = self.path(key, "bench")
        if (raw := self._read(path)) is not None:
            try:
                return load_bench(raw, key).model_copy(update={"callee": self.callee})
            except TestsError as error:
                self._problem(path, error.reason, error.detail)
        return None

    # --- functions that others call, `record.callees` -----------------------------------------

    def callees(self) -> list[str]:
        """Names of the functions whose slices are here."""
        return sorted(path.stem for path in (self.root / "callees").glob("*.s"))

    def callee(self, name: str) -> str:
        """The slice of a function; empty when there is none. It counts as used."""
        try:
            path = self.callee_path(name)
            text = path.read_bytes().decode("utf-8", "surrogateescape")
            os.utime(path)
            return text
        except (OSError, ValueError):
            return ""

    def put_callee(self, name: str, text: str) -> None:
        """Raises OSError, and ValueError for what is no name in C."""
        path, raw = self.callee_path(name), text.encode("utf-8", "surrogateescape")
        with contextlib.suppress(OSError):
            if path.read_bytes() == raw:
                os.utime(path)
                return
        write_private(path, raw)

    def callee_path(self, name: str) -> Path:
        """Raises ValueError for what is no name in C."""
        if not CALLEE.fullmatch(name):
            raise ValueError(f"not a function's name: {name!r}")
        return self.root / "callees" / f"{name}.s"

    def signature(self, key: str) -> Signature | None:
        from gccllm.harvest.wire import signature_of  # imports what listing the store has no need of

        known = self.bench(key)
        with contextlib.suppress(ValueError):
            return signature_of(known.bench) if known else None
        return None

    # --- tests, for a recording ---------------------------------------------------------------

    def add(self, key: str, calls: Sequence[RecordedCall], counts: Counts | int) -> None:
        """The calls that one process kept, out of all that it counted. Raises OSError."""
        more = self.reservoir(key)
        if isinstance(counts, Counts):
            more.dropped.update(counts.dropped)
            counts = counts.calls
        more.add(calls, counts, self.signature(key))
        self.merge(key, more)

    def reservoir(self, key: str) -> Reservoir:
        """An empty one with this store's budget, to be filled and merged. Raises ValueError for what is no key."""
        self.path(key)
        return Reservoir(self.max_calls, self.max_bytes)

    def merge(self, key: str, more: Reservoir) -> None:
        """Put what one run recorded of a function beside what earlier runs did. Raises OSError."""
        with self.locked(key):
            kept = self.reservoir(key)
            head = self._fill(key, kept)
            kept.merge(more)
            write_private(self.path(key), dump_tests(key, kept, (head.runs if head else 0) + 1))

    @contextlib.contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Raises OSError, also when another process holds the lock for very long."""
        folder = self.path(key).parent
        _private_folder(folder)
        try:
            with FileLock(folder / ".lock", timeout=LOCK_S, mode=0o600):
                yield
        except Timeout as error:
            raise OSError(f"{folder / '.lock'} was held by another process for {LOCK_S:.0f} s") from error

    # --- tests, for everybody -----------------------------------------------------------------

    def load(self, key: str) -> Recorded | None:
        """The recorded calls of a function for a build, which counts as use. None when it has none, or no bench."""
        if (recorded := self.read(key)) is not None:
            for kind in ("tests", "bench"):
                with contextlib.suppress(OSError):
                    os.utime(self.path(key, kind))
        return recorded

    def read(self, key: str) -> Recorded | None:
        """`load` without any change to the store."""
        if not self.path(key).exists() or (known := self.bench(key)) is None:
            return None
        kept = self.reservoir(key)
        if (head := self._fill(key, kept)) is None:
            return None
        weights = kept.weights()
        return Recorded(
            key, known.function, known.source, known.symbols,
            tuple(item.call for item in kept.items.values()), tuple(weights[digest] for digest in kept.items),
            head.total, head.ticks, tuple(kept.items),
        )  # fmt: skip

    def head(self, key: str) -> Head | None:
        """Numbers and rows of a function's tests, without their pages."""
        path = self.path(key)
        if (raw := self._read(path)) is not None:
            try:
                return load_head(raw, key)[0]
            except TestsError as error:
                self._problem(path, error.reason, error.detail)
        return None

    def stored(self, key: str) -> Reservoir | None:
        """The sample as stored; None when there is none."""
        kept = self.reservoir(key)
        return kept if self._fill(key, kept) else None

    def replace(self, key: str, kept: Reservoir) -> None:
        """Put `kept`, made out of `stored`, in its place; hold `locked` over both. Raises OSError."""
        head = self.head(key)
        write_private(self.path(key), dump_tests(key, kept, head.runs if head else 0))

    def stamp(self, key: str) -> str:
        """The checksum of a function's tests; empty when it has none. Reads one line."""
        with contextlib.suppress(OSError, ValueError), self.path(key).open("rb") as file:
            words = file.readline(256).split()
            return words[2].decode("latin-1")[:64] if len(words) > 2 else ""
        return ""

    def coverage(self, key: str) -> Coverage | None:
        """The worth of the tests, if it was measured for exactly these."""
        raw = self._read(self.path(key, "coverage"))
        with contextlib.suppress(ValueError):
            if raw is not None and (known := Coverage.model_validate_json(raw)).stamp == self.stamp(key):
                return known
        return None

    def note(self, key: str, coverage: Coverage) -> None:
        """Best effort: it can be found out again."""
        with contextlib.suppress(OSError):
            write_private(self.path(key, "coverage"), coverage.model_dump_json().encode() + b"\n")

    def remove(self, key: str) -> None:
        """Forget a function's tests and bench. Raises OSError."""
        for kind in ("tests", "coverage", "bench"):
            self.path(key, kind).unlink(missing_ok=True)

    # --- files --------------------------------------------------------------------------------

    def _fill(self, key: str, into: Reservoir) -> Head | None:
        path = self.path(key)
        if (raw := self._read(path)) is not None:
            try:
                return load_tests(raw, key, into)
            except TestsError as error:
                self._problem(path, error.reason, error.detail)
        return None

    def _read(self, path: Path) -> bytes | None:
        try:
            return read_regular(path, LIMITS.recording_bytes)[0]
        except FileNotFoundError:
            return None
        except OSError as error:
            self._problem(path, Reason.TESTS_CORRUPT, str(error.strerror))
            return None

    def _problem(self, path: Path, reason: Reason, detail: str) -> None:
        self.problems.append((reason, f"{path}: {detail}"))


def _private_folder(folder: Path) -> None:
    """`folder` and, where they are missing, the two above it, readable by the user alone."""
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for place in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)


def write_private(path: Path, data: bytes) -> None:
    """Put a file of mode 0600 in place by rename. Raises OSError and leaves no partial file behind."""
    _private_folder(path.parent)
    write_atomically(path, data, 0o600)


def counted(words: Mapping[str, int]) -> str:
    """`busy 3, limit 1`: words and how often, most frequent first."""
    return ", ".join(f"{word} {count}" for word, count in sorted(words.items(), key=lambda w: (-w[1], w[0])) if count)
