"""What work may cost one build, all its compiles together (setting `build_budget`).

The shim names the build (`wrappers/build.c`); the store keeps one small file for each, `builds/<name>`: how many
seconds some compile of it was held up by an engine, and which engines are at work. Seconds in which several were count
once: that is what the build waits. When they are used up, `builds/<name>.spent` tells the shim to ask no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from gccllm.base.limits import LIMITS
from gccllm.store.layers import write_atomically


@contextlib.contextmanager
def share(store: Path, build: str, budget_s: float, waited_s: float = 0.0) -> Iterator[float]:
    """Seconds that this compile may work; what it took, and the `waited_s` until now, is charged to the build at the
    end. Without a name of the build, or a store to write to, `budget_s` is this compile's own."""
    if not build:
        yield budget_s
        return
    try:
        left = budget_s - _charge(store, build, budget_s, waited_s)
    except (OSError, ValueError):
        yield budget_s
        return
    try:
        yield max(0.0, left)
    finally:
        with contextlib.suppress(OSError, ValueError):
            _charge(store, build, budget_s, None)


def _charge(store: Path, build: str, budget_s: float, waited_s: float | None) -> float:
    """Note that this process starts its work, after a wait, or (None) ends it; the seconds spent until now.

    Raises OSError, ValueError.
    """
    path = store / "builds" / build
    if path.parent != store / "builds":
        raise ValueError(f"no name of a build: {build!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        now = time.monotonic()  # one clock for all processes since the machine started
        if path.exists():
            known = json.loads(path.read_text())
            spent, last, at_work = float(known["spent"]), float(known["last"]), list(known["at_work"])
        else:
            _forget_old(path.parent)
            spent, last, at_work = 0.0, now, []
        spent += max(0.0, now - last) if at_work else waited_s or 0.0
        at_work = [pid for pid in at_work if pid != os.getpid() and Path(f"/proc/{int(pid)}").exists()]
        if waited_s is not None:
            at_work.append(os.getpid())
        write_atomically(path, json.dumps({"spent": spent, "last": now, "at_work": at_work}).encode())
        if spent > budget_s - LIMITS.build_s:
            write_atomically(path.with_name(f"{build}.spent"), b"")
    return spent


def process_age_s() -> float:
    """How long this process has been there: a build waits for its start too."""
    status = Path("/proc/self/stat").read_text()
    ticks = int(status[status.rindex(")") :].split()[20])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def _forget_old(place: Path) -> None:
    for path in place.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LIMITS.account_s:
                path.unlink()
