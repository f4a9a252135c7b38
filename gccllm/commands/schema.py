"""What `--json` prints: one table of commands and keys, from which docs/internals/formats.md and a test are made.

A key is a path: `[]` after a name means each member of a list, `*` any name. Lists and objects may hold more than what
is named here; what is named stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SCHEMA = 1

_EVERY = {
    "schema": "1; changes when keys change",
    "command": "the command that printed it",
}

REPORTS: Mapping[str, Mapping[str, str]] = {
    "stats": {
        **_EVERY,
        "units": "number of translation units seen",
        "units_declined": "reason -> units that were left to gcc as a whole",
        "functions.admitted": "functions with a rewrite",
        "functions.declined": "functions left to gcc",
        "functions.queued": "functions waiting for `gccllm tune`",
        "reasons": "reason -> functions",
        "queued": "reason -> functions, of those that wait",
        "proposers": "proposer -> functions with a rewrite",
        "speedups": "function -> speed-up of its rewrite",
        "engine": "reason -> events: of the engine, the store, a proposer, or candidates refused unseen",
        "waiting": "units in the queue",
        "stages": "stage of the work -> CPU seconds",
        "store.accepted": "rewrites",
        "store.entries": "rewrites and remembered failures",
    },
    "explain": {
        **_EVERY,
        "functions[].function": "symbol",
        "functions[].name": "the same name as in the source (C++)",
        "functions[].word": "`admitted`, `declined`, `queued`, or `undecided`: no build has tried it yet",
        "functions[].reason": "one of reasons.md, or null",
        "functions[].detail": "the values compared, the option, the instruction, the member",
        "functions[].next_step": "what to do about it; may be empty",
        "unit": "why the whole unit was left to gcc, or null",
        "detail": "of `unit`",
    },
    "show": {
        **_EVERY,
        "entry": "the entry (section Entry) without `bench`",
        "entry.key": "its identity",
        "entry.function": "symbol",
        "entry.outcome": "`accepted` or `nothing`",
        "entry.body": "assembly of the rewrite",
        "entry.answer": "the model's answer in C; may be empty",
        "name": "`entry.function` as in the source (C++)",
        "baseline": "gcc's assembly; empty where nothing was found",
        "others": "keys of other entries of that name",
    },
    "cache ls": {
        **_EVERY,
        "entries[].layer": "`project`, `imported` or `user`",
        "entries[].key": "64 hex digits",
        "entries[].function": "symbol",
        "entries[].outcome": "`accepted` or `nothing`; the other keys are the entry's (section Entry), without `bench`",
    },
    "config": {
        **_EVERY,
        "settings.*.value": "in force",
        "settings.*.origin": "`default`, `user`, `project` or `env`",
        "settings.*.environment": "the variable that sets it",
        "settings.*.says": "what it means",
        "variables.*.is_set": "whether the environment has this variable, which is no setting",
        "variables.*.says": "what it means",
        "limits.*.value": "a fixed limit",
        "limits.*.says": "what it means",
        "project": "directory of the gccllm.toml that counts, or null",
        "store": "directory of the user's store",
        "complaints": "one line for each value that was ignored",
    },
    "doctor": {
        **_EVERY,
        "ready": "whether no check failed",
        "checks[].check": "its name",
        "checks[].state": "`ok`, `warn` or `fail`",
        "checks[].says": "what was found, and how to fix it",
    },
    "tests ls": {
        **_EVERY,
        "functions[].key": "64 hex digits",
        "functions[].function": "symbol",
        "functions[].source": "name of the file",
        "functions[].calls": "calls seen",
        "functions[].kept": "calls kept as tests",
        "functions[].size": "bytes",
        "functions[].runs": "recorded runs",
        "functions[].ticks": "time-stamp-counter ticks of the calls seen",
        "functions[].dropped": "reason -> calls that were not kept",
        "functions[].edges": "covered and total, or null",
        "functions[].mutants": "killed and total, or null",
    },
    "tests show": {
        **_EVERY,
        "functions[].key": "64 hex digits",
        "functions[].function": "symbol",
        "functions[].calls": "calls seen",
        "functions[].tests[].weight": "calls that it stands for",
        "functions[].tests[].arguments": "parameter -> its value, or what it points into",
        "functions[].tests[].pages": "pages of memory that it brings",
        "functions[].tests[].ticks": "time-stamp-counter ticks of the call, as recorded",
        "functions[].tests[].replays": "whether gcc's body runs on it as recorded; null where that could not be tried",
        "functions[].tests[].why": "why not, or why it is timed shorter; may be empty, or null",
        "functions[].tests[].shorter": "shortened copies that are tested in its place, or null",
        "functions[].tests[].edges": "edges of gcc's body that it takes, or null",
        "functions[].tests[].mutants": "mutants that it kills, or null",
        "functions[].why": "why none of its tests could be replayed; may be empty",
    },
}


def as_json(command: str, **words: Any) -> str:
    """One object for a machine."""
    words = {"schema": SCHEMA, "command": command, **words}
    return json.dumps(words, indent=2, sort_keys=True, default=str)


def missing(command: str, value: Any) -> list[str]:
    """The documented keys that an output of the command lacks."""
    return [path for path in REPORTS[command] if not _has(value, path.replace("[]", ".[]").strip(".").split("."))]


def _has(value: Any, path: list[str]) -> bool:
    if not path:
        return True
    first, rest = path[0], path[1:]
    if first == "[]":
        return isinstance(value, list) and all(_has(one, rest) for one in value)
    if not isinstance(value, dict):
        return False
    if first == "*":
        return all(_has(one, rest) for one in value.values())
    return first in value and _has(value[first], rest)
