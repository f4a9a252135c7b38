"""One source file through the pipeline outside a build: `gccllm explain`, tests and benchmarks."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gccllm import policy
from gccllm.config import Settings
from gccllm.core import Quit, Request
from gccllm.deadline import Deadline
from gccllm.events import Log
from gccllm.pipeline import Result, rewrite_unit
from gccllm.plan import unquote_options
from gccllm.propose.unit import compile_flags
from gccllm.reasons import Reason
from gccllm.store import Store
from gccllm.toolchain import Toolchain, clean_environment, run


def request_for(source: Path, flags: Sequence[str], gcc: str | None = None, cwd: Path | None = None) -> Request:
    """The request that a build would make of `gcc-llm FLAGS -c SOURCE`, at the level of FLAGS.

    Raises Quit(NOT_GCC_OUTPUT) when gcc refuses it.
    """
    cwd = cwd or Path.cwd()
    tools = Toolchain.find(gcc or shutil.which("gcc"))
    added = [flag for flag in policy.LAUNCHER_ADDS if flag not in flags]
    argv = [*flags, *added, "-S", "-o", "-", str(source)]
    compiled = run([tools.gcc, *argv], cwd=cwd)
    if not compiled.ok:
        raise Quit(Reason.NOT_GCC_OUTPUT, compiled.err.strip().splitlines()[0] if compiled.err.strip() else tools.gcc)
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


def last_flags(source: Path, events: Iterable[Mapping[str, Any]]) -> tuple[str, ...] | None:
    """The code-deciding options of the last compile of `source` in the log; None when there was none."""
    wanted, found = str(source.resolve()), None
    for event in events:
        if event.get("source") == wanted and event["event"] in ("unit", "unit_declined") and "options" in event:
            found = tuple(event["options"])
    return None if found is None else compile_flags(found)


def explain(source: Path, flags: Sequence[str], settings: Settings) -> Result:
    """The decisions on every function of one source file. Raises Quit when gcc refuses it."""
    request = request_for(source, flags, settings["cc"] or None)
    store = Store(settings.store_dir, settings.project_cache)
    log = Log(settings.store_dir, cwd=str(request.cwd), unit="explain")
    return rewrite_unit(request, settings, store, log, deadline=Deadline(settings["budget"]))
