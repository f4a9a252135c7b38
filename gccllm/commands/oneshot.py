"""One source file through the pipeline outside a build: `gccllm explain`, tests and benchmarks."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gccllm.base import options
from gccllm.base.config import Settings
from gccllm.base.core import Decline, Request
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log, read
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import FREE, Ran, Toolchain, clean_environment, run
from gccllm.commands.queue import queued_units
from gccllm.engine import request_words
from gccllm.pipeline import Decision, Result, rewrite_unit
from gccllm.store import Store
from gccllm.unit.plan import unquote_options
from gccllm.unit.session import Build

Event = Mapping[str, Any]
WORK_S = 1e5
"""Most seconds of work that a user asked for by hand."""
CLOCK_S = 0.01
"""The log's times are rounded."""


def request_for(source: Path, flags: Sequence[str], gcc: str | None = None, cwd: Path | None = None) -> Request:
    """The request that a build would make of `gcc-llm FLAGS -c SOURCE`, at the level of FLAGS.

    Raises Decline(NOT_GCC_OUTPUT) when gcc refuses it.
    """
    cwd = cwd or Path.cwd()
    tools = Toolchain.find(gcc or shutil.which("gcc"))
    added = [flag for flag in options.LAUNCHER_ADDS if flag not in flags]
    argv = [*flags, *added, "-S", "-o", "-", str(source)]
    compiled = run([tools.gcc, *argv], cwd=cwd)
    if not compiled.ok:
        raise _refusal(tools, compiled)
    # gcc prints the options as it would hand them to its children.
    shown = run([tools.gcc, "-###", *argv], cwd=cwd, env=clean_environment()).err
    collected = [line.partition("=")[2] for line in shown.splitlines() if line.startswith("COLLECT_GCC_OPTIONS=")]
    return Request(
        text=compiled.out.decode("latin-1"),
        as_argv=("--64", "-o", "out.o", "in.s"),
        gcc_options=unquote_options(collected[0]) if collected else tuple(flags),
        driver_argv=tuple(argv),
        compiler=tools.gcc,
        assembler=tools.assembler,
        cwd=cwd,
    )


def _refusal(tools: Toolchain, compiled: Ran) -> Decline:
    """Why a compile failed: for the compiler, or for the source."""
    version = run([tools.gcc, "--version"])
    if not version.ok:
        return Decline(Reason.FOREIGN_COMPILER, f"{tools.gcc} does not run; install gcc or set GCCLLM_CC")
    if FREE not in version.out:
        return Decline(Reason.FOREIGN_COMPILER, f"{tools.gcc}; set GCCLLM_CC to a gcc")
    return Decline(Reason.NOT_GCC_OUTPUT, (compiled.err.strip() or tools.gcc).splitlines()[0])


def as_launched(flags: Sequence[str], opt: str) -> tuple[str, ...]:
    """The user's flags with those that the launcher adds, where it adds them: behind the last level."""
    at = max((n for n, flag in enumerate(flags) if re.fullmatch(r"-O([123]|fast)?", flag)), default=None)
    if opt == "untouched" or at is None or any(re.fullmatch(r"-O[0gsz]", flag) for flag in flags[at:]):
        return tuple(flags)
    raised = ("-O3",) if opt == "o3" and flags[at] in ("-O", "-O1", "-O2") else ()
    ours = (*raised, *(flag for flag in options.LAUNCHER_ADDS if flag not in flags))
    return (*flags[: at + 1], *ours, *flags[at + 1 :])


@dataclass(frozen=True, slots=True)
class LastBuild:
    """How a build compiled a file."""

    flags: tuple[str, ...]
    """The options that decide its code."""
    cwd: Path


def last_build(source: Path, store_dir: Path) -> LastBuild | None:
    """Of `source`; None where nothing is known of one. A build that had used up its budget queues a unit without a line
    in the log, so the queue is asked first."""
    if (queued := _queued(source, store_dir)) is not None:
        return queued
    wanted, found = str(source.resolve()), None
    for event in read(store_dir):
        if event.get("source") == wanted and event["event"] in ("unit", "unit_declined") and "options" in event:
            found = event
    if found is None:
        return None
    return LastBuild(options.repeated(tuple(found["options"])), Path(found.get("cwd") or Path.cwd()))


def _queued(source: Path, store_dir: Path) -> LastBuild | None:
    for place in queued_units(store_dir):
        with contextlib.suppress(OSError):
            single, lists = request_words(place)
            cwd = Path(single.get("cwd", "/"))
            named = [cwd / word for word in lists["driver_arg"] if not word.startswith("-")]
            if any(path.name == source.name and path.resolve() == source.resolve() for path in named):
                return LastBuild(options.repeated(tuple(lists["gcc_option"])), cwd)
    return None


def explain(
    source: Path, flags: Sequence[str], settings: Settings, *, is_work: bool = False, cwd: Path | None = None
) -> Result:
    """The decisions on every function of one source file. Raises Decline when gcc refuses it.

    is_work  work on what is undecided, for as long as it takes, and log it as a build does; else only look
    cwd      where the build compiled it, which is where its -I lead from; None: here
    """
    cwd = cwd if cwd is not None and cwd.is_dir() else Path.cwd()  # a build's directory may be gone
    spelled = source if cwd == Path.cwd() else Path(os.path.relpath(source, cwd))
    request = request_for(spelled, as_launched(flags, settings["opt"]), settings["cc"] or None, cwd)
    store = Store(settings.store_dir, settings.project_cache)
    log = Log(settings.store_dir, cwd=str(request.cwd), unit="explain")
    if is_work:
        working = settings.with_values(mode="inline")
        return rewrite_unit(request, Build(working, store, log, Deadline(WORK_S)))
    mode = settings["mode"]
    looking = settings if mode == "off" else settings.with_values(mode="cached")
    result = rewrite_unit(request, Build(looking, store, log.silent(), Deadline(settings["budget"])))
    if mode == "cached":
        return result
    last = last_decisions(source, read(settings.store_dir))
    is_queued = mode == "queue" or _queued(source, settings.store_dir) is not None
    undecided = Reason.QUEUED if is_queued else Reason.UNTRIED
    return replace(result, decisions=tuple(_in_mode(decision, mode, last, undecided) for decision in result.decisions))


def last_decisions(source: Path, events: Iterable[Event]) -> dict[str, Event]:
    """What the last build of `source`, as it is now, said of each function."""
    wanted, written = str(source.resolve()), source.stat().st_mtime - CLOCK_S
    return {
        str(e["function"]): e
        for e in events
        if e["event"] == "function" and e.get("source") == wanted and float(e.get("at", 0)) >= written
    }


def _in_mode(decision: Decision, mode: str, last: Mapping[str, Event], undecided: Reason = Reason.UNTRIED) -> Decision:
    """A lookup alone knows no more than what is in the store: what did the last build make of that, or would one?

    `undecided`: the reason where no build has said any.
    """
    event = last.get(decision.function, {})
    if decision.reason is not Reason.NOT_IN_STORE:
        # An answer that a build has since found outdated, and could not replace.
        is_newer = decision.entry is not None and float(event.get("at", 0)) > decision.entry.created
        if not is_newer or event.get("word") != "queued":
            return decision
    known = next((reason for reason in Reason if reason.label == event.get("reason")), None)
    # What was declined by an entry is not any more, for the store has none.
    is_said = event.get("word") == "queued" or (event.get("word") == "declined" and not event.get("key"))
    if is_said and known is not None and known.mode in ("", mode):
        return replace(decision, word=str(event["word"]), reason=known, detail=str(event.get("detail", "")))
    return replace(decision, reason=undecided)
