"""The layers of the store: the project's committed `cache/`, then the user's cache.

    <layer>/rewrites/<key>.entry     entries
    <user>/screened/<digest>         entries that passed the static gate of this version in a unit of their situation
    <user>/vouched/<digest>          entries from elsewhere that passed all other checks there as well
    <user>/imported/rewrites/        entries that were taken over from elsewhere: untrusted, as the project's
    <user>/quarantine/               damaged entries, moved out of the way
    <user>/locks/<key>.lock          keeps two builds from working on the same function
    <user>/secret                    seed of the tests that entries from elsewhere are checked with
    <user>/epoch                     changes whenever unit-cache answers may be stale
    <user>/units/ queue/ log/        the shim's unit cache, the queue, the log

Writes go to the user layer only, by rename, so that a reader sees a whole entry or none and a kill loses at most the
entry being written. Not covered: remote layers.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.regular import read_regular
from gccllm.store.entry import Entry, EntryError

_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Found:
    entry: Entry
    layer: str
    """`project`, `imported` or `user`."""
    path: Path
    checksum: str


class Store:
    """Raises OSError only from `put`; every lookup error is a miss with a recorded reason in `problems`."""

    def __init__(self, user: Path, project: Path | None = None) -> None:
        self.user = user
        self.project = project
        self.problems: list[tuple[Reason, str]] = []

    def layers(self) -> list[tuple[str, Path]]:
        project = [("project", self.project)] if self.project else []
        return [*project, ("imported", self.user / "imported"), ("user", self.user)]

    def find(self, key: str, now: float | None = None) -> Found | None:
        """The accepted entry of the first layer that has one, else an unexpired negative one, else None."""
        negative: Found | None = None
        for layer, root in self.layers():
            found = self._read(layer, root / "rewrites" / f"{key}.entry")
            if found is None or found.entry.key != key:
                continue
            if found.entry.outcome == "accepted":
                return found
            if (found.entry.expires or 0) > (now or time.time()):
                negative = negative or found
        return negative

    def may_have(self, prefix: str) -> bool:
        """Whether some layer has an entry whose key begins like this, of whatever situation."""
        return any(any((root / "rewrites").glob(f"{prefix}*.entry")) for _, root in self.layers())

    def entries(self, layer: str | None = None) -> Iterator[Found]:
        """Every readable entry, layer by layer, by key."""
        for name, root in self.layers():
            if layer in (None, name):
                for path in sorted((root / "rewrites").glob("*.entry")):
                    if found := self._read(name, path):
                        yield found

    def put(self, entry: Entry) -> Path:
        """Write to the user layer. Raises OSError (disk full, read-only, no home)."""
        if not _KEY.fullmatch(entry.key):
            raise ValueError(f"not a key: {entry.key!r}")
        path = self.user / "rewrites" / f"{entry.key}.entry"
        write_atomically(path, entry.dump())
        return path

    def take_over(self, found: Found) -> None:
        """Copy an entry from elsewhere. Raises OSError."""
        write_atomically(self.user / "imported" / "rewrites" / found.path.name, found.path.read_bytes())

    def forget(self, key: str) -> None:
        """Remove the user layer's entry of that key, if it has one. Raises OSError."""
        (self.user / "rewrites" / f"{key}.entry").unlink(missing_ok=True)

    def remove(self, found: Found) -> None:
        found.path.unlink(missing_ok=True)
        self.bump_epoch()

    # --- unit cache and epoch -------------------------------------------------------------------

    def put_unit(self, key: str, text: bytes, sources: tuple[str, ...] | None = (), *, is_decided: bool = True) -> None:
        """Answer for one whole unit, read by the shim without Python; empty text: gcc's own.

        sources     rows (`harvest.sources`) that must hold for the answer to stand; None, not known: nothing is written
        is_decided  False: some function waits for `gccllm tune`; builds leave it so for a day
        """
        if _KEY.fullmatch(key) and sources is not None:
            rows = sources if is_decided else (f"until\t{int(time.time()) + LIMITS.put_off_s}", *sources)
            data = b"".join(os.fsencode(row) + b"\n" for row in rows) + b"\n" + text
            check = hashlib.blake2b(data, digest_size=32).hexdigest()
            head = f"gccllm-unit 2 {check} {len(data)}\n".encode()
            write_atomically(self.user / "units" / key[:2] / key, head + data)

    def bump_epoch(self) -> None:
        """Make every unit-cache answer stale. Best effort: a store that cannot be written has no unit cache either."""
        with contextlib.suppress(OSError):
            write_atomically(self.user / "epoch", secrets.token_hex(8).encode())

    # --- trust ----------------------------------------------------------------------------------

    def secret(self) -> int:
        """A number that nobody who writes entries elsewhere knows; made once a store, drawn anew where none can be
        kept."""
        path = self.user / "secret"
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_bytes(), 16)
        number = secrets.randbits(63)
        with contextlib.suppress(OSError):
            write_atomically(path, b"%x" % number)
            path.chmod(0o600)
        return number

    def is_marked(self, kind: str, what: str) -> bool:
        """Whether `mark` was called with the same words: a check that need not be made again."""
        return self._mark(kind, what).is_file()

    def mark(self, kind: str, what: str) -> None:
        with contextlib.suppress(OSError):
            write_atomically(self._mark(kind, what), b"")

    def _mark(self, kind: str, what: str) -> Path:
        return self.user / kind / hashlib.blake2b(what.encode(), digest_size=32).hexdigest()

    @contextlib.contextmanager
    def working_on(self, key: str, wait_s: float) -> Iterator[bool]:
        """Hold the function's lock; yields False when another build held it for all of `wait_s`.

        Where no lock file can be made the work goes on without one: doing it twice is only slow.
        """
        lock = None
        try:
            (self.user / "locks").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.user / "locks" / f"{key}.lock", timeout=wait_s)
            lock.acquire()
        except Timeout:
            yield False
            return
        except OSError:
            yield True
            return
        try:
            yield True
        finally:
            lock.release()

    # --- reading --------------------------------------------------------------------------------

    def _read(self, layer: str, path: Path) -> Found | None:
        try:
            raw, _ = read_regular(path, LIMITS.entry_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems.append((Reason.ENTRY_CORRUPT, f"{path}: {error.strerror}"))
            return None
        try:
            entry = Entry.load(raw)
        except EntryError as error:
            self.problems.append((error.reason, f"{path}: {error.detail}"))
            if layer == "user" and error.reason is Reason.ENTRY_CORRUPT:
                self._quarantine(path)
            return None
        return Found(entry, layer, path, hashlib.blake2b(raw, digest_size=32).hexdigest())

    def _quarantine(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            (self.user / "quarantine").mkdir(parents=True, exist_ok=True)
            path.replace(self.user / "quarantine" / f"{path.name}.{int(time.time())}")


def write_atomically(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write beside `path`, flush to disk, rename over it. Raises OSError and leaves no partial file behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".{path.name[:40]}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
