"""Terminal rendering of stats, ls and explain; the facts come from the log and the store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from gccllm.assembly import level_name
from gccllm.base.config import OTHER_VARIABLES, SETTINGS, Settings
from gccllm.base.limits import LIMITS
from gccllm.base.names import spoken
from gccllm.base.reasons import Reason, Scope
from gccllm.base.words import counted
from gccllm.commands.terminal import Column, print_rows
from gccllm.store import Entry
from gccllm.store.entry import recipe_name, recipe_words
from gccllm.unit.policy import IN_PROGRAM

_WORDS = {Reason.NOT_IN_STORE.label: "declined", Reason.UNTRIED.label: "undecided"}
_WORD_STYLE = {"admitted": "bold green", "queued": "yellow", "undecided": "yellow", "declined": "dim"}
_REASONS = {reason.label: reason for reason in Reason}
NO_UNIT = "no unit seen: no build in this directory has used gcc-llm (make CC=gcc-llm); all projects: `stats --all`"
NAME_WIDTH = 32
"""Longer names push the columns after them to the right."""
ROOM_FOR_MEANING = 140


def word_of(word: str, reason: str | None) -> str:
    """The word that is shown: the log says `queued` also where the mode works on nothing, or no build has been."""
    return _WORDS.get(reason or "", word)


def summarise(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts over the log. A function's last decision counts, so that a rebuild does not count twice."""
    last: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    units: dict[tuple[str, str], Mapping[str, Any]] = {}
    engine: Counter[str] = Counter()
    for event in events:
        where = (str(event.get("cwd", "")), str(event.get("source", event.get("unit", ""))))
        if event["event"] == "function":
            last[(*where, str(event.get("function")))] = event
        elif event["event"] in ("unit", "unit_declined"):
            units[where] = event
        # What the shim says of an engine that failed, not what that engine said itself (`engine`): once is enough.
        elif event["event"] in ("shim", "store", "model") and "reason" in event:
            engine[str(event["reason"])] += 1
    decided = [(word_of(str(e.get("word")), e.get("reason")), str(e.get("reason") or "")) for e in last.values()]
    words = Counter(word for word, _ in decided)
    admitted = [event for event in last.values() if event.get("word") == "admitted"]
    return {
        "units": len(
            units.keys() | {where[:2] for where in last}
        ),  # of a unit's work in `tune` only functions are logged
        "units_declined": dict(Counter(str(e["reason"]) for e in units.values() if e.get("reason"))),
        "functions": {word: words.get(word, 0) for word in ("admitted", "declined", "queued")},
        "reasons": dict(Counter(reason for _, reason in decided if reason).most_common()),
        "queued": dict(Counter(reason for word, reason in decided if reason and word == "queued").most_common()),
        "proposers": dict(Counter(str(e.get("proposer")) for e in admitted)),
        "speedups": {str(e.get("function")): e.get("speedup") for e in admitted},
        "engine": dict(engine),
    }


def print_stats(console: Console, summary: Mapping[str, Any], entries: Sequence[Entry], waiting: int = 0) -> None:
    """`waiting`: units in the queue."""
    accepted = [entry for entry in entries if entry.outcome == "accepted"]
    if not summary["units"] and not entries:
        console.print(NO_UNIT, soft_wrap=True)
    else:
        _print_counts(console, summary, accepted, len(entries) - len(accepted))
    if waiting:
        verb = "waits" if waiting == 1 else "wait"
        console.print(f"[yellow]{counted(waiting, 'unit')}[/] {verb} for `gccllm tune`")
    if below := summary["units_declined"].get(Reason.OPTIMISATION_OFF.label, 0):
        console.print(f"{counted(below, 'unit')} compiled below -O1: nothing to do there")
    _print_reasons(console, summary)
    if accepted:
        print_entries(console, accepted)


def _print_counts(console: Console, summary: Mapping[str, Any], accepted: Sequence[Entry], failures: int) -> None:
    functions = summary["functions"]
    console.print(
        f"[bold]{counted(summary['units'], 'unit')}[/] seen, functions: [green]{functions['admitted']} admitted[/], "
        f"{functions['declined']} declined, [yellow]{functions['queued']} queued[/]; "
        f"store: {counted(len(accepted), 'rewrite')}, {counted(failures, 'remembered failure')}"
    )


def _print_reasons(console: Console, summary: Mapping[str, Any]) -> None:
    queued = summary["queued"]
    rows = [("queued", reason, count) for reason, count in queued.items()]
    rows += [("declined", reason, count - queued.get(reason, 0)) for reason, count in summary["reasons"].items()]
    rows += [("unit", reason, count) for reason, count in summary["units_declined"].items()]
    rows += [(_failed(reason), reason, count) for reason, count in summary["engine"].items()]
    rows = sorted((row for row in rows if row[2]), key=lambda row: -row[2])
    if not rows:
        return
    most = rows[0][2]
    table = []
    for what, reason, count in rows:
        known = _REASONS.get(reason)
        because = Text(known.says if known else "")
        if known and known.next_step:
            because.append(f"\n→ {known.next_step}", style="cyan")
        bar = "█" * max(1, round(12 * count / most))
        table.append((reason, what, str(count), bar, because))
    columns = (
        Column("reason"),
        Column("what"),
        Column("count", is_right=True),
        Column("", worth=1),
        Column("because", wraps=True),
    )
    print_rows(console, columns, table)


def _failed(reason: str) -> str:
    """What an event's reason speaks of: a candidate, a proposer, the store or the engine."""
    scope = known.scope if (known := _REASONS.get(reason)) else Scope.ENGINE
    return "candidate" if scope in (Scope.REFUTED, Scope.UNDECIDED) else scope.value


_ENTRY_COLUMNS = (
    Column("function", wraps=True),
    Column("speed-up", is_right=True),
    Column("95% interval", worth=3),
    Column("ISA", is_right=True, worth=4),
    Column("proposer", worth=6),
    Column("recipe", worth=5),
    Column("tests", is_right=True, worth=7),
    Column("mutants", is_right=True, worth=2),
    Column("evidence", worth=1),
)


def print_stages(console: Console, spent: Mapping[str, float]) -> None:
    """CPU seconds by stage, most first."""
    if not spent:
        console.print("no work is in the log")
        return
    whole = sum(spent.values()) or 1.0
    rows = [(stage, f"{seconds:.1f}", f"{seconds / whole:.0%}") for stage, seconds in spent.items()]
    print_rows(console, (Column("stage"), Column("CPU s", is_right=True), Column("share", is_right=True)), rows)


def print_entries(console: Console, entries: Sequence[Entry], title: str | None = None) -> None:
    names = spoken(entry.function for entry in entries)
    rows = []
    for entry in sorted(entries, key=lambda e: -(e.evidence.timing.speedup if e.evidence else 0)):
        if (evidence := entry.evidence) is None:
            continue
        timing = evidence.timing
        rows.append(
            (
                Text(names[entry.function]),
                f"{timing.speedup:.2f}x",
                f"{timing.low:.2f}-{timing.high:.2f}",
                short_level(entry.isa_level),
                Text(entry.proposer),
                Text(recipe_name(entry.recipe)),
                "" if is_of_a_trial(entry) else str(evidence.tests),
                "" if is_of_a_trial(entry) else f"{evidence.mutants[0]}/{evidence.mutants[1]}",
                Text(evidence.level),
            )
        )
    print_rows(console, _ENTRY_COLUMNS, rows, title)


def print_decisions(console: Console, decisions: Sequence[Any], verbose: bool = False) -> None:
    """One line per function: name, word (`word_of`), reason, detail; then what each reason means and what can be
    done. What is not hot comes last."""
    names = spoken(decision.function for decision in decisions)
    width = min(max(map(len, names.values()), default=8), NAME_WIDTH)
    for decision in sorted(decisions, key=_standing):
        word = word_of(decision.word, decision.reason.label if decision.reason else None)
        line = Text(f"{names[decision.function]:<{width}}  ")
        line.append(f"{word:<9}", style=_WORD_STYLE.get(word, ""))
        if decision.reason is not None:
            line.append(f"  {decision.reason.label}")
        if decision.detail:
            said = decision.detail if verbose else shortened(decision.detail)
            line.append(f": {said}" if decision.reason else f"  {said}", style="dim")
        _print_line(console, line)
        if verbose and decision.entry is not None:
            _print_attempts(console, decision.entry)
    counts = Counter(d.reason for d in decisions if d.reason is not None)
    if counts:
        console.print("\nWhat that means, and what can be done:", style="bold")
    for reason, count in counts.most_common():
        line = Text.assemble((reason.label, "cyan"), f" ({counted(count, 'function')}): {reason.says}")
        _print_line(console, line)
        if reason.next_step:
            _print_line(console, Text(f"  → {reason.next_step}", style="cyan"))


def _print_line(console: Console, line: Text) -> None:
    """Wrapped on a terminal; in a pipe a line stays a line."""
    if console.is_terminal:
        console.print(line, overflow="fold")
    else:
        console.print(line, soft_wrap=True)


def _standing(decision: Any) -> tuple[bool, bool, bool, str]:
    is_idle = decision.reason in (Reason.NOT_HOT, Reason.COLD)
    return decision.word != "admitted", decision.word != "queued", is_idle, decision.function


def shortened(detail: str) -> str:
    """The first parts of a long list; `explain -v` has all of it."""
    parts = detail.split("; ")
    return detail if len(parts) < 4 else "; ".join([*parts[:2], f"{len(parts) - 2} more (-v)"])


def decision_rows(decisions: Sequence[Any]) -> list[dict[str, Any]]:
    """`print_decisions` for a machine."""
    names = spoken(decision.function for decision in decisions)
    return [
        {
            "function": d.function,
            "name": names[d.function],
            "word": word_of(d.word, d.reason.label if d.reason else None),
            "reason": d.reason.label if d.reason else None,
            "detail": d.detail,
            "next_step": d.reason.next_step if d.reason else "",
        }
        for d in decisions
    ]


def _print_attempts(console: Console, entry: Entry) -> None:
    for words in (evidence_words(entry), recording_words(entry)):
        if words:
            _print_line(console, Text(f"    {words}", style="dim"))
    for attempt in entry.attempts:
        gain = f" {attempt['speedup']:.2f}x" if attempt.get("speedup") else ""
        why = f" {attempt.get('reason') or ''} {attempt.get('detail') or ''}".rstrip()
        recipe = recipe_words(attempt["recipe"]).partition(":")[0]
        words = f"    {attempt['proposer']}: {recipe}: {attempt['outcome']}{gain}{why}"
        _print_line(console, Text(words, style="dim"))


def short_level(number: int) -> str:
    """A level as x86-64 has it, for a column: v1 is what every such processor runs."""
    return level_name(number).removeprefix("x86-64-") if number else "v1"


CHOSEN = "chosen by a trial of the program"


def is_of_a_trial(entry: Entry) -> bool:
    """Whether the program itself has chosen the recipe: there are no tests, and no body is stored."""
    return entry.evidence is not None and set(entry.evidence.timing.classes) == {IN_PROGRAM}


def evidence_words(entry: Entry) -> str:
    """The evidence of a rewrite in words; empty for a remembered failure."""
    if (evidence := entry.evidence) is None:
        return ""
    if is_of_a_trial(entry):
        timing = evidence.timing
        return f"{evidence.level}, {CHOSEN}: {timing.speedup:.3f}x ({timing.low:.3f} to {timing.high:.3f})"
    return (
        f"{evidence.level}: {evidence.tests} tests (seed {evidence.seed}), "
        f"edges gcc {evidence.edges_baseline[0]}/{evidence.edges_baseline[1]}, "
        f"rewrite {evidence.edges_candidate[0]}/{evidence.edges_candidate[1]}, "
        f"mutants killed {evidence.mutants[0]}/{evidence.mutants[1]}"
    )


def recording_words(entry: Entry) -> str:
    """What recorded calls had to do with an entry; empty when there were none."""
    if (known := entry.recording) is None:
        return ""
    if not known.recorded and not known.mutated:
        return f"recorded calls (key {known.key[:12]}) gave no test"
    made = f", {entry.evidence.tests - known.recorded - known.mutated} made" if entry.evidence else ""
    return (
        f"of the tests {known.recorded} are recorded calls, of {known.calls:.0f} in all, and {known.mutated} are such "
        f"calls changed{made}; key {known.key[:12]}"
    )


def print_settings(console: Console, settings: Settings) -> None:
    """Where a line has no room for a setting's meaning, it is printed below."""
    rows = [(s, ",".join(v) if isinstance(v := settings[s.name], tuple) else str(v)) for s in SETTINGS]
    if console.width >= ROOM_FOR_MEANING:
        columns = [Column(name) for name in ("setting", "value", "from", "environment")]
        columns[1] = Column("value", wraps=True)
        cells = [(s.name, Text(value), settings.origins[s.name], s.env, Text(s.says)) for s, value in rows]
        print_rows(console, [*columns, Column("meaning", wraps=True)], cells)
    else:
        for setting, value in rows:
            origin = settings.origins[setting.name]
            line = Text.assemble((setting.name, "bold"), " = ", (value or "(none)", "green"), f"  from {origin}")
            line.append(f"  ({setting.env})", style="dim")
            console.print(line, overflow="fold")
            console.print(Padding(Text(setting.says, style="dim"), (0, 0, 0, 4)))
    console.print("\nVariables that are not settings and cannot be set in a file:")
    for name, says in OTHER_VARIABLES.items():
        state = ("  set", "green") if name in os.environ else ("", "")
        console.print(Text.assemble((name, "bold"), state, (f"  {says}", "dim")), soft_wrap=not console.is_terminal)
    console.print("\nFixed limits (names end in their unit):")
    for name, number, says in LIMITS.rows():
        line = Text.assemble((name, "bold"), " = ", (f"{number:,}", "green"), (f"  {says}", "dim"))
        console.print(line, soft_wrap=not console.is_terminal)
    project = settings.project or "none (no gccllm.toml here or above)"
    console.print(f"\nproject: {project}", soft_wrap=True, markup=False)
    console.print(f"store: {settings.store_dir}", soft_wrap=True, markup=False)
    for complaint in settings.complaints:
        console.print(Text(complaint, style="yellow"), soft_wrap=True)
