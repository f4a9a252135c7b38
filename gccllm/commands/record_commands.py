"""`gccllm tests ls|show|minimise|gc`: one function a subcommand, each returns the exit status.

What replays anything is imported where it is needed: `ls` and `gc` start at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from gccllm.assembly import BodyError
from gccllm.base.core import Decline
from gccllm.base.names import named as named_functions
from gccllm.base.names import spoken_name
from gccllm.base.toolchain import Toolchain
from gccllm.base.words import counted as many
from gccllm.commands import record_report as report
from gccllm.commands.garbage import garbage
from gccllm.commands.schema import as_json
from gccllm.record.store import TestStore, counted
from gccllm.sandbox.image import AssembleError

if TYPE_CHECKING:
    from gccllm.commands.minimise import Worth
    from gccllm.harvest.types import Signature

SHOWN = 20
START = 16
"""Digits of a key that the log has."""
UNUSABLE = (BodyError, AssembleError, Decline, ValueError)
"""What a bench that cannot be used raises."""


class Unknown(Exception):
    """Nothing in the store has this name."""


def named(store: TestStore, words: Sequence[str]) -> list[str]:
    """Keys with tests: those of functions of these names or that start so; all when there are no words.

    Raises Unknown for a word that names none.
    """
    keys = [key for key in store.keys() if store.path(key).exists()]  # noqa: SIM118
    if not words:
        return keys
    names = {key: known.function for key in keys if (known := store.bench(key))}
    chosen = []
    for word in words:
        meant = named_functions(word, names.values())
        found = [key for key in keys if names.get(key) in meant or (len(word) >= 4 and key.startswith(word))]
        if not found:
            raise Unknown(f"the test store has no tests of '{word}'; `gccllm tests ls` lists what it has")
        chosen += [key for key in found if key not in chosen]
    return chosen


@dataclass(frozen=True, slots=True)
class Listed:
    """What `ls` lists."""

    of_project: frozenset[str] | None
    """How the keys of the project's functions start; None: all projects."""
    is_with_uncalled: bool


def ls(store: TestStore, console: Console, listed: Listed, for_machines: bool) -> int:
    everyone = report.rows(store)
    found = [row for row in everyone if listed.of_project is None or row["key"][:START] in listed.of_project]
    if for_machines:
        print(as_json("tests ls", functions=found))
        return 0
    report.print_rows(console, found, listed.is_with_uncalled)
    if others := len(everyone) - len(found):
        console.print(f"{many(others, 'function')} of other projects (`gccllm tests ls --all`)")
    _complain(store, console)
    return 0


def show(store: TestStore, console: Console, tools: Toolchain, word: str, everything: bool) -> int:
    """Every test of a function: its arguments, and what it is worth when the bench can be used."""
    for key, one in _examined(store, tools, word):
        name = spoken_name(one.recorded.function)
        if one.why:
            console.print(f"{name}: {one.why}", markup=False, soft_wrap=True)
        if one.signature and one.recorded.calls:
            report.print_tests(console, store, one, len(one.recorded.calls) if everything else SHOWN)
        elif not one.recorded.calls:
            seen = many(one.recorded.total, "call")
            console.print(f"{name}: {seen} seen, none kept{_dropped(store, key)}")
            for line in report.advice(head.dropped if (head := store.head(key)) else {}):
                console.print(line, soft_wrap=True, highlight=False)
    _complain(store, console)
    return 1 if store.problems else 0


def show_as_json(store: TestStore, tools: Toolchain, word: str) -> int:
    """`show` for a machine."""
    rows = [
        {
            "key": key, "function": one.recorded.function, "calls": one.recorded.total, "why": one.why,
            "tests": report.test_rows(one),
        }
        for key, one in _examined(store, tools, word)
    ]  # fmt: skip
    print(as_json("tests show", functions=rows))
    return 1 if store.problems else 0


def _examined(store: TestStore, tools: Toolchain, word: str) -> Iterator[tuple[str, report.Examined]]:
    """Key and tests of each function that `word` names; their worth goes into the store."""
    from gccllm.base.scratch import scratch
    from gccllm.commands.minimise import worth_of
    from gccllm.harvest.wire import signature_of

    for key in named(store, [word]):
        known, recorded = store.bench(key), store.read(key)
        if known is None or recorded is None:
            continue
        signature: Signature | None = None
        worth: Worth | None = None
        why = ""
        try:
            signature = signature_of(known.bench)
            if recorded.calls:
                with scratch() as directory:
                    worth = worth_of(known, recorded, tools, directory)
                store.note(key, worth.coverage(store.stamp(key)))
        except UNUSABLE as error:
            why = f"{'the bench holds no types' if signature is None else 'its tests cannot be replayed'}: {error}"
        yield key, report.Examined(recorded, signature, worth, why)


def minimise_all(store: TestStore, console: Console, tools: Toolchain, words: Sequence[str], keep: int) -> int:
    from gccllm.commands.minimise import minimise

    done, failed = [], False
    for key in named(store, words):
        try:
            if (one := minimise(store, key, tools, keep)) is not None:
                done.append(one)
        except UNUSABLE as error:
            failed = True
            known = store.bench(key)
            console.print(f"{spoken_name(known.function) if known else key[:12]}: left as it is: {error}")
    report.print_minimised(console, done)
    _complain(store, console)
    return 1 if failed or store.problems else 0


def gc(store: TestStore, console: Console, days: float, everything: bool, dry_run: bool) -> int:
    """Remove what is no longer needed (`garbage`); with `everything`, all tests and benches."""
    count = freed = 0
    for item in garbage(store, -1.0 if everything else days):
        count += len(item.paths)
        freed += item.size
        name = item.paths[0].name.partition(".")[0][:12] or item.paths[0].name
        console.print(f"{name}  {report.size(item.size)}  {'everything goes' if everything else item.why}")
        if not dry_run:
            for path in item.paths:
                path.unlink(missing_ok=True)
    console.print(f"{many(count, 'file')}, {report.size(freed)}{' would be' if dry_run else ''} removed")
    return 0


def _dropped(store: TestStore, key: str) -> str:
    head = store.head(key)
    return f"; dropped: {counted(head.dropped)}" if head and head.dropped else ""


def _complain(store: TestStore, console: Console) -> None:
    for reason, detail in dict.fromkeys(store.problems):
        console.print(f"[red]{reason.label}[/]: {detail}", soft_wrap=True)
