"""`gccllm record -- CMD`: run a command whose program was built in mode `record`, and keep the calls it makes.

The command keeps its input, output and exit status; its children, threads and later programs are recorded as well. What
the recorder leaves in the run's folder goes into the test store, and the folder is removed.

Recorded calls are copies of the program's memory. They stay in folders that only the user can enter; no part of this
package sends them anywhere. With `redact` only the bytes are kept that the function reads.

Covers any number of processes and images; processes that were killed leave what they had captured. Not covered: a
program that clears its environment, and set-user-id programs (the recorder does nothing there).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.assembly import BodyError
from gccllm.base.command import run_through
from gccllm.base.core import Decline
from gccllm.base.toolchain import Toolchain
from gccllm.base.words import counted as many
from gccllm.commands.record_report import advice, size
from gccllm.record.capture import CaptureError, Counts, RecordedCall, read_capture, read_counts
from gccllm.record.limit import Limit
from gccllm.record.store import TestStore, counted
from gccllm.sandbox.image import AssembleError
from gccllm.store import Store

DIRECTORY = "GCCLLM_RECORD_DIR"
CALLS = "GCCLLM_RECORD_CALLS"
MOST_PATH = 1023
"""The recorder takes no longer path of a folder."""
MOST_BYTES = 2 << 30
"""Of a run's folder, whatever the number of processes."""
NOTHING_KEPT = 3
"""Exit status where the command succeeded and no call could be kept."""
_CAPTURE = re.compile(r"(?P<process>.+)\.(?P<key>[0-9a-f]{16})\.[^.]+\.cap")


@dataclass
class Ingested:
    """The result of reading a run's files."""

    functions: int = 0
    """Known functions that the program called."""
    seen: int = 0
    """Calls that it made of them."""
    captured: int = 0
    taken: int = 0
    """Of these what the store could take."""
    kept: int = 0
    """Calls of this and earlier runs that the store holds of these functions."""
    size: int = 0
    """Bytes of their files."""
    dropped: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    """What could not be read or written, a line each."""


@dataclass(frozen=True, slots=True)
class Recording:
    """How a run is recorded."""

    parent: Path | None = None
    """Where the run's folder is made (default: $TMPDIR)."""
    calls: int | None = None
    """Kept of a function and process; the recorder's own number if not given."""
    redact: bool = False
    keep: bool = False
    """Leave the run's folder where it is."""
    most: int = MOST_BYTES
    """Bytes of the run's files at which the recording ends; the command goes on."""


def run(command: Sequence[str], store: TestStore, how: Recording | None = None, tools: Toolchain | None = None) -> int:
    """Run and record `command`; its exit status, as a shell reports it: 127 not found, 126 cannot be run, 128 + signal.

    NOTHING_KEPT where the command succeeded and no call was kept. Raises OSError when there is no place for the run's
    folder.
    """
    how = how or Recording()
    if shutil.which(command[0]) is None:
        found = Path(command[0]).exists()
        _say(f"{command[0]}: {'cannot be run' if found else 'not found'}")
        return 126 if found else 127
    if how.parent is not None:
        how.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="gccllm-record-", dir=how.parent)).resolve()  # mode 0700
    directory = place / "calls"
    directory.mkdir(mode=0o700)
    if len(os.fsencode(directory)) > MOST_PATH:
        shutil.rmtree(place)
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(directory))
    env = dict(os.environ) | {DIRECTORY: str(directory)}
    if how.calls is not None:
        env[CALLS] = str(how.calls)
    with Limit(directory, how.most) as limit:
        code = run_through(command, env, _say, _settle)
    directory = limit.found
    done = ingest(directory, store, tools or Toolchain.find() if how.redact else None)
    if done.captured:
        # What the unit cache answers was decided without these calls.
        Store(store.root.parent).bump_epoch()
    if how.keep or done.problems:
        done.problems.append(f"the files of this run are in {directory}")
    else:
        shutil.rmtree(place, ignore_errors=True)
    if limit.is_reached:
        done.problems.append(
            f"the recording ended when its files had grown to {how.most >> 20} MiB; the command went on. Fewer calls"
            " (--calls), a larger --limit, or shorter runs one by one get all of it"
        )
    for line in report(done, store, how.redact):
        _say(line)
    return code or (0 if done.taken else NOTHING_KEPT)


def report(done: Ingested, store: TestStore, redact: bool) -> Iterator[str]:
    """The report of a run, line by line."""
    words = f"; dropped: {counted(done.dropped)}" if +done.dropped else ""
    hints = [*advice(done.dropped)]
    if not done.seen and not done.captured:
        yield (
            "no call was recorded: nothing that ran was built with GCCLLM_MODE=record, or no recorded function was "
            f"called (`gccllm tests ls --uncalled` lists them){words}"
        )
    elif not done.taken and not done.problems:
        why = hints[0].removeprefix("dropped: ") if hints else f"nothing was captured{words}"
        yield f"no call was kept of the {done.seen} that {many(done.functions, 'function')} made: {why}"
    else:
        yield (
            f"{many(done.seen, 'call')} of {many(done.functions, 'function')} seen, {done.captured} captured; "
            f"{done.kept} kept with those of earlier runs ({size(done.size)}){words}"
        )
        if hints and sum(done.dropped.values()) > done.captured:
            yield hints[0]
    yield from done.problems
    if done.captured:
        what = "the bytes that the functions read" if redact else "copies of the program's memory"
        yield (
            f"WARNING: recorded calls are {what} and can hold passwords, keys and personal data. They lie in "
            f"{store.root}, readable by you alone, and are never sent to any server. "
            "To forget them: gccllm tests gc --all"
        )


# --- the files of a run -------------------------------------------------------------------------------------------


def ingest(directory: Path, store: TestStore, redact_with: Toolchain | None = None) -> Ingested:
    """Put the captures of known functions (those with a bench) into the store. Never raises for what a file holds.

    `redact_with`: keep only the bytes that the baselines read, found out with these tools.
    """
    done = Ingested()
    counts = _counts(directory, done)
    files: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(directory.glob("*.cap")):
        if match := _CAPTURE.fullmatch(path.name):
            files.setdefault(match["key"], {}).setdefault(match["process"], []).append(path)
    starts = {*files, *(key[:16] for rows in counts.values() for key in rows)}
    for start in sorted(starts):
        known = [key for key in store.keys(start) if store.bench(key) is not None]
        if len(known) != 1:  # two functions with one start do not happen; if they do, neither is used
            done.dropped["no_bench"] += sum(len(paths) for paths in files.get(start, {}).values())
            continue
        try:
            _ingest_function(known[0], Run(files, counts), store, done, redact_with)
        except OSError as error:
            done.problems.append(f"the test store cannot be written: {error}")
            break
    return done


@dataclass(frozen=True, slots=True)
class Run:
    """What a run left."""

    files: Mapping[str, Mapping[str, Sequence[Path]]]
    """Start of a key to process to its captures."""
    counts: Mapping[str, Mapping[str, Counts]]
    """Process to key to its counts."""


def _ingest_function(key: str, run: Run, store: TestStore, done: Ingested, redact_with: Toolchain | None) -> None:
    files, counts = run.files.get(key[:16], {}), run.counts
    pool = store.reservoir(key)
    signature = store.signature(key)
    with contextlib.ExitStack() as stack:
        shear = _shear(key, store, done, redact_with, stack) if redact_with and files else None
        for process in sorted({*files, *(name for name, rows in counts.items() if key in rows)}):
            calls = list(_captures(key, files.get(process, ()), done))
            row = counts.get(process, {}).get(key, Counts(key, "", 0, 0))
            seen = max([row.calls, *(call.seen for call in calls)])
            done.captured += len(calls)
            done.dropped.update(row.dropped)
            pool.dropped.update(row.dropped)
            if shear is not None:
                number = len(calls)
                calls = shear(calls)
                done.dropped["not_replayed"] += number - len(calls)
            pool.add(calls, seen, signature)
    done.dropped += Counter(large=pool.dropped["large"])
    if pool.total:
        done.functions += 1
        done.seen += pool.total
        store.merge(key, pool)
        done.taken += len(pool.items)
    if (head := store.head(key)) is not None:
        done.kept += len(head.rows)
        done.size += store.path(key).stat().st_size


def _shear(
    key: str, store: TestStore, done: Ingested, tools: Toolchain, stack: contextlib.ExitStack
) -> Callable[[Sequence[RecordedCall]], list[RecordedCall]]:
    """What redacts the calls of a function; where its bench cannot be used, what keeps none of them."""
    from gccllm.record.onbench import OnBench

    try:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gccllm-redact-")))
        known = store.bench(key)
        if known is None:
            raise ValueError("its bench is gone")
        return stack.enter_context(OnBench(known, tools, folder)).redacted
    except (BodyError, AssembleError, Decline, ValueError) as error:
        done.problems.append(f"{key[:16]} cannot be replayed, so nothing of it is kept: {error}")
        return lambda calls: []


def _captures(key: str, paths: Sequence[Path], done: Ingested) -> Iterator[RecordedCall]:
    for path in paths:
        try:
            call = read_capture(path)
        except CaptureError as error:
            done.dropped[error.reason.label] += 1
        except OSError as error:
            done.problems.append(f"{path.name}: {error.strerror}")
        else:
            if call.key == key:
                yield call
            else:
                done.dropped["no_bench"] += 1


def _counts(directory: Path, done: Ingested) -> dict[str, dict[str, Counts]]:
    """Process to key to its counts. A function may have several rows (a copy in several units): they add up."""
    found: dict[str, dict[str, Counts]] = {}
    for path in sorted(directory.glob("*.counts")):
        try:
            rows = read_counts(path)
        except CaptureError as error:
            done.dropped[error.reason.label] += 1
            continue
        except OSError as error:
            done.problems.append(f"{path.name}: {error.strerror}")
            continue
        process = found.setdefault(path.name.removesuffix(".counts"), {})
        for row in rows:
            before = process.get(row.key, Counts(row.key, row.name, 0, 0))
            process[row.key] = Counts(
                row.key, row.name, before.calls + row.calls, before.captured + row.captured,
                Counter(before.dropped) + Counter(row.dropped),
            )  # fmt: skip
    return found


# --- the command --------------------------------------------------------------------------------------------------


def _say(line: str) -> None:
    print(f"gccllm record: {line}", file=sys.stderr)


_ADDR_NO_RANDOMIZE = 0x0040000
"""From <sys/personality.h>."""
_libc = ctypes.CDLL(None)


def _settle() -> None:
    """In the child: addresses that are the same in every process.

    Equal addresses let processes share pages in the test store, and the replayer map a batch once. Where the kernel
    refuses (some containers do), the recording is larger and replays slower, and nothing else changes.
    """
    now = _libc.personality(0xFFFFFFFF)
    if now >= 0:
        _libc.personality(now | _ADDR_NO_RANDOMIZE)
