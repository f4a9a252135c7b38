"""Store maintenance: verify again, export, import, collect garbage."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

from rich.console import Console
from rich.text import Text

from gccllm.base.config import Settings
from gccllm.base.names import named, spoken, spoken_name
from gccllm.base.words import counted
from gccllm.commands.context import tools_of
from gccllm.commands.report import is_of_a_trial
from gccllm.store import Entry, Found, Store
from gccllm.store.layers import write_atomically
from gccllm.unit.isa_allowance import beyond_this_cpu


def verify(store: Store, settings: Settings, console: Console, keys: Sequence[str], only_project: bool) -> int:
    """Run every check but timing again on accepted entries; 0 when all stand, 1 when one fails or none was found.

    A failing entry of the user's own store is removed; a project's is reported, since it belongs to the project. One
    that needs another CPU is left as it is: nothing was found out about it.
    """
    from gccllm.verdict.recheck import recheck

    tools = tools_of(settings)

    accepted = [f for f in store.entries("project" if only_project else None) if f.entry.outcome == "accepted"]
    names = spoken(found.entry.function for found in accepted)
    meant = frozenset[str]().union(*(named(key, names) for key in keys))
    chosen = [f for f in accepted if not keys or f.entry.function in meant or f.entry.key.startswith(tuple(keys))]
    for reason, detail in store.problems:
        console.print(f"[red]{reason.label}[/]: {detail}")
    missing = [*_missing(accepted, names, keys, settings if only_project else None)]
    for line in missing:
        console.print(line, soft_wrap=True, markup=False)
    broken, elsewhere = len(store.problems), 0
    for found in chosen:
        entry, name = found.entry, names[found.entry.function]
        if why := beyond_this_cpu(entry.isa_level, tools):
            elsewhere += 1
            _say(console, name, ("not here", "yellow"), f"{found.layer:<8} {why}")
            continue
        if is_of_a_trial(entry):
            _say(console, name, ("stands", "green"), f"{found.layer:<8} {_nothing_to_run(entry)}")
            continue
        started = time.monotonic()
        failure = recheck(entry, settings)
        took = time.monotonic() - started
        if failure is None:
            tests = entry.evidence.tests if entry.evidence else 0
            _say(console, name, ("stands", "green"), f"{found.layer:<8} {tests} tests, {took:.1f} s")
        else:
            broken += 1
            _say(console, name, ("FAILS", "red"), f"{found.layer:<8} {failure}")
            if found.layer == "user":
                store.remove(found)
    stand = len(chosen) - elsewhere - (broken - len(store.problems))
    rest = f", {elsewhere} cannot be run on this CPU" if elsewhere else ""
    console.print(f"{stand} of {len(chosen) + len(store.problems)} rewrites stand{rest}")
    return 0 if stand and not broken and not missing else 1


def _nothing_to_run(entry: Entry) -> str:
    return f"compiled: each build makes it anew by {entry.recipe}; nothing to run"


def _missing(
    accepted: Sequence[Found], names: Mapping[str, str], keys: Sequence[str], project: Settings | None
) -> Iterator[str]:
    """A line for each thing that was to be verified and is not there. `project`: only its cache was."""
    for key in keys:
        if not named(key, names) and not any(found.entry.key.startswith(key) for found in accepted):
            yield f"no accepted rewrite is called '{key}', and no key starts so; `gccllm cache ls` lists them"
    if keys or accepted:
        return
    if project is None:
        yield "the store has no accepted rewrite: build, or run `gccllm tune`"
    elif project.project_cache is None:
        yield "no gccllm.toml here or above, so there is no project's cache; `gccllm init toml` begins one"
    else:
        yield f"{project.project_cache} holds no rewrite; `gccllm cache export` puts there what builds used"


def _say(console: Console, name: str, state: tuple[str, str], words: str) -> None:
    word, style = state
    console.print(Text.assemble(f"{name:<24} ", (f"{word:<8}", style), f" {words}"), soft_wrap=True)


def export(store: Store, target: Path, keys: Set[str] | None = None) -> int:
    """Copy the user's accepted entries, or those of `keys`, to another layer; returns how many. Raises OSError."""
    count = 0
    for found in store.entries("user"):
        if found.entry.outcome == "accepted" and (keys is None or found.entry.key in keys):
            write_atomically(target / "rewrites" / found.path.name, found.path.read_bytes())
            count += 1
    return count


def import_(store: Store, settings: Settings, directory: Path, console: Console) -> int:
    """Take over the accepted entries of another layer, each only after passing its checks here. 0 when all passed.

    They stay untrusted: a build that finds one checks it again as its own unit's.
    """
    from gccllm.verdict.recheck import recheck

    other = Store(directory)
    taken = refused = 0
    # Read as a project layer, so that a damaged foreign file is reported and left where it is.
    for found in Store(store.user, other.user).entries("project"):
        if found.entry.outcome != "accepted":
            continue
        if failure := recheck(found.entry, settings):
            refused += 1
            console.print(f"{spoken_name(found.entry.function)}: refused: {failure}", markup=False, soft_wrap=True)
        else:
            store.take_over(found)
            taken += 1
    if taken:
        store.bump_epoch()
    if not taken and not refused:
        console.print(f"{directory / 'rewrites'} holds no rewrite", soft_wrap=True, markup=False)
    console.print(f"{counted(taken, 'rewrite')} imported, {refused} refused")
    return 1 if refused or not taken else 0


def gc(store: Store, everything: bool) -> str:
    """Drop what can be made again; with `everything`, the accepted rewrites too. Says what it did."""
    now = time.time()
    dropped = 0
    for found in list(store.entries("user")):
        expired = found.entry.outcome == "nothing" and (found.entry.expires or 0) <= now
        if everything or expired:
            found.path.unlink(missing_ok=True)
            dropped += 1
    for name in ("units", "quarantine", "locks", *(["queue", "imported"] if everything else []), "screened", "vouched"):
        shutil.rmtree(store.user / name, ignore_errors=True)
    for leftover in store.user.glob("*/.*.*"):
        if leftover.is_file() and now - leftover.stat().st_mtime > 3600:
            leftover.unlink(missing_ok=True)
    store.bump_epoch()
    return f"{counted(dropped, 'entry', 'entries')} dropped; unit answers, quarantine and locks cleared"
