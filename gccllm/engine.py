"""What the assembler shim starts: one unit in, one answer out. `docs/internals/formats.md` gives the request's format.

usage: gccllm-engine DIRECTORY

DIRECTORY holds `request` and `in.s`. Written back: `out.s` (by rename) when there is something to splice, `strict` when
GCCLLM_STRICT=1 and an eligible function is undecided.

exit: 0 answered (with or without out.s)   1 the engine failed   3 strict failure
Nothing is printed for a user: the shim keeps our output in a log. Never leaves a half-written answer.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gccllm.base import config
from gccllm.base.core import Request
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.store.build_budget import process_age_s, share

EXIT_OK, EXIT_FAILED, EXIT_STRICT = 0, 1, 3


def main(argv: list[str] | None = None) -> int:
    args = sys.argv[1:] if argv is None else argv
    if len(args) != 1:
        print("usage: gccllm-engine DIRECTORY", file=sys.stderr)
        return EXIT_FAILED
    directory = Path(args[0])
    started = time.monotonic()
    settings = config.load()
    log = Log(settings.store_dir, pid=os.getpid())
    try:
        request = read_request(directory)
        settings = config.load(request.cwd)
        with contextlib.ExitStack() as charged:  # until the last file is written: the build waits for that too
            return answer(Call(directory, request, settings, log, started), charged)
    except Exception as error:
        log.write("engine", Reason.ENGINE_CRASHED, detail=f"{type(error).__name__}: {error}")
        raise


def run() -> NoReturn:
    """`main`, then exit without Python's own clean-up, for which a build would wait another .1 to .3 s."""
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the shim."""

    directory: Path
    request: Request
    settings: config.Settings
    log: Log
    started: float
    """On the monotonic clock."""


def answer(call: Call, charged: contextlib.ExitStack) -> int:
    """The exit status. `charged`: where the build's wait begins."""
    from gccllm.pipeline import rewrite_unit
    from gccllm.store import Store
    from gccllm.store.layers import write_atomically
    from gccllm.unit.plan import find_source
    from gccllm.unit.session import Build

    directory, request, settings, log = call.directory, call.request, call.settings, call.log
    store = Store(settings.store_dir, settings.project_cache)
    for complaint in settings.complaints:
        log.write("config", detail=complaint)
    if settings["strict"] and settings.complaints:
        (directory / "strict").write_text(f"{settings.complaints[0]}\n")
        return EXIT_STRICT
    source = str(find_source(request)[0] or "?")
    log = log.bind(cwd=str(request.cwd), unit=request.unit_key[:16], source=source)
    is_for_a_run = settings["mode"] in ("record", "trial")
    deadline = Deadline(settings["budget"])
    if settings["mode"] == "record":
        from gccllm.record_unit import record_unit

        result = record_unit(request, Build(settings, store, log, deadline))
    elif settings["mode"] == "trial":
        from gccllm.trial_unit import trial_unit

        result = trial_unit(request, Build(settings, store, log, deadline))
    elif settings["mode"] == "inline":
        log.watcher = lambda function, stage: note_step(directory, function, stage)
        waits = share(store.user, request.build, settings["build_budget"], process_age_s())
        deadline = deadline.within(charged.enter_context(waits))
        result = rewrite_unit(request, Build(settings, store, log, deadline, is_waiting=True))
    else:
        result = rewrite_unit(request, Build(settings, store, log, deadline))
    log.write(
        "unit",
        result.unit_reason,
        seconds=round(time.monotonic() - call.started, 3),
        functions=len(result.decisions),
        admitted=sum(d.word in ("admitted", "recording", "on trial") for d in result.decisions),
        options=list(request.gcc_options),
    )
    undecided = () if is_for_a_run else result.undecided
    if undecided and settings["strict"]:
        (directory / "strict").write_text(f"{len(undecided)} undecided: {', '.join(undecided)}; run `gccllm tune`\n")
        return EXIT_STRICT
    text = result.text.encode("latin-1") if result.text is not None else b""
    if text:
        write_atomically(directory / "out.s", text)
    if is_for_a_run:  # it says nothing of what another mode would build
        return EXIT_OK
    try:
        store.put_unit(request.unit_key, text, result.sources if text else (), is_decided=not undecided)
        if undecided and settings["mode"] != "cached":
            queue(directory, store.user, request.unit_key)
    except OSError as error:
        log.write("store", Reason.STORE_UNWRITABLE, detail=str(error))
    return EXIT_OK


def note_step(directory: Path, function: str, stage: str) -> None:
    """The progress line that the shim shows on a waiting terminal. Best effort."""
    from gccllm.base.names import spoken_name

    with contextlib.suppress(OSError):
        (directory / "status").write_text(f"{spoken_name(function)} ({stage})\n")


def queue(directory: Path, store_dir: Path, key: str) -> None:
    """Leave the unit for `gccllm tune`: a copy of the request, put in place by one rename. Raises OSError."""
    place = store_dir / "queue" / key
    if not key or place.exists():
        return
    fresh = place.with_name(f".{key[:16]}.{os.getpid()}")
    fresh.mkdir(parents=True)
    try:
        for name in ("request", "in.s"):
            shutil.copyfile(directory / name, fresh / name)
        fresh.rename(place)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\t": "\t"}


def _unescape(value: str) -> str:
    return re.sub(r"\\[\\nt]", lambda escape: _ESCAPES[escape[0]], value)


def read_request(directory: Path) -> Request:
    """Raises OSError when a file is missing, ValueError when a needed key is."""
    single, lists = request_words(directory)
    if missing := {"compiler", "assembler", "cwd"} - single.keys():
        raise ValueError(f"request lacks {', '.join(sorted(missing))}")
    return Request(
        text=(directory / "in.s").read_bytes().decode("latin-1"),
        as_argv=tuple(lists["as_arg"]),
        gcc_options=tuple(lists["gcc_option"]),
        driver_argv=tuple(lists["driver_arg"]),
        compiler=single["compiler"],
        assembler=single["assembler"],
        cwd=Path(single["cwd"]),
        unit_key=single.get("unit_key", ""),
        build=single.get("build", ""),
    )


def request_words(directory: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """What a request says, without the assembly: words that come once, words that come often. Raises OSError."""
    single: dict[str, str] = {}
    lists: dict[str, list[str]] = {"as_arg": [], "gcc_option": [], "driver_arg": []}
    raw = (directory / "request").read_text("utf-8", "surrogateescape")
    for line in raw.split("\n"):
        name, tab, value = line.partition("\t")
        if not tab:
            continue
        if name in lists:
            lists[name].append(_unescape(value))
        else:
            single[name] = _unescape(value)
    return single, lists


if __name__ == "__main__":
    run()
