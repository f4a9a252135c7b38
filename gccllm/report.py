"""What a person reads: stats, explain and show. Only rendering; the facts come from the log and the store."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from gccllm.assembly import LEVELS
from gccllm.reasons import Reason
from gccllm.store import Entry

_WORD_STYLE = {"admitted": "bold green", "queued": "yellow", "declined": "dim"}
_SAYS = {reason.label: reason.says for reason in Reason}


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
    words = Counter(str(event.get("word")) for event in last.values())
    admitted = [event for event in last.values() if event.get("word") == "admitted"]
    return {
        "units": len(units),
        "units_declined": dict(Counter(str(e["reason"]) for e in units.values() if e.get("reason"))),
        "functions": {word: words.get(word, 0) for word in ("admitted", "declined", "queued")},
        "reasons": dict(Counter(str(e.get("reason")) for e in last.values() if e.get("reason")).most_common()),
        "proposers": dict(Counter(str(e.get("proposer")) for e in admitted)),
        "speedups": {str(e.get("function")): e.get("speedup") for e in admitted},
        "engine": dict(engine),
    }


def print_stats(console: Console, summary: Mapping[str, Any], entries: Sequence[Entry], waiting: int = 0) -> None:
    """`waiting`: units in the queue."""
    functions = summary["functions"]
    accepted = [entry for entry in entries if entry.outcome == "accepted"]
    console.print(
        f"[bold]{summary['units']}[/] units seen, functions: [green]{functions['admitted']} admitted[/], "
        f"{functions['declined']} declined, [yellow]{functions['queued']} queued[/]; "
        f"store: {len(accepted)} rewrites, {len(entries) - len(accepted)} remembered failures"
    )
    if waiting:
        console.print(f"[yellow]{waiting} units[/], of all projects, wait for `gccllm tune`")
    if below := summary["units_declined"].get(Reason.OPTIMISATION_OFF.label, 0):
        console.print(f"{below} units compiled below -O1: nothing to do there")
    queued = {reason.label for reason in (Reason.BUDGET, Reason.SET_UP, Reason.NOT_IN_STORE)}
    rows = [("queued" if reason in queued else "declined", reason, count)
            for reason, count in summary["reasons"].items()]  # fmt: skip
    rows += [("unit", reason, count) for reason, count in summary["units_declined"].items()]
    rows += [("ours", reason, count) for reason, count in summary["engine"].items()]
    if rows:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("what", "reason", "count", "because"):
            table.add_column(column, justify="right" if column == "count" else "left")
        most = max(count for _, _, count in rows)
        for what, reason, count in sorted(rows, key=lambda row: -row[2]):
            bar = "█" * max(1, round(12 * count / most))
            table.add_row(what, reason, f"{count} {bar:<12}", _SAYS.get(reason, ""))
        console.print(table)
    if accepted:
        console.print(entries_table(accepted))


def entries_table(entries: Sequence[Entry], title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title)
    # Names and figures are never cut; what stands further right gives way on a narrow terminal.
    for column in ("function", "speed-up", "95% interval", "ISA", "proposer", "recipe", "tests", "mutants", "evidence"):
        table.add_column(
            column,
            justify="right" if column in ("tests", "mutants", "ISA", "speed-up") else "left",
            no_wrap=column in ("function", "speed-up", "95% interval", "ISA"),
        )
    for entry in sorted(entries, key=lambda e: -(e.evidence.timing.speedup if e.evidence else 0)):
        if (evidence := entry.evidence) is None:
            continue
        timing = evidence.timing
        table.add_row(
            entry.function,
            f"{timing.speedup:.2f}x",
            f"{timing.low:.2f}-{timing.high:.2f}",
            level_name(entry.isa_level),
            entry.proposer,
            recipe_name(entry.recipe),
            str(evidence.tests),
            f"{evidence.mutants[0]}/{evidence.mutants[1]}",
            evidence.level,
        )
    return table


def print_decisions(console: Console, decisions: Sequence[Any], verbose: bool = False) -> None:
    """One line per function: name, admitted/declined/queued, reason, what it means."""
    width = max((len(d.function) for d in decisions), default=8)
    for decision in sorted(decisions, key=lambda d: (d.word != "admitted", d.word != "queued", d.function)):
        line = Text(f"{decision.function:<{width}}  ")
        line.append(f"{decision.word:<8}", style=_WORD_STYLE.get(decision.word, ""))
        if decision.reason is not None:
            line.append(f"  {decision.reason.label}: {decision.reason.says}")
        if decision.detail:
            line.append(f"  ({decision.detail})", style="dim")
        console.print(line, soft_wrap=True)
        if verbose and decision.entry is not None:
            for words in (evidence_words(decision.entry), recording_words(decision.entry)):
                if words:
                    console.print(Text(f"    {words}", style="dim"), soft_wrap=True)
            for attempt in decision.entry.attempts:
                gain = f" {attempt['speedup']:.2f}x" if attempt.get("speedup") else ""
                why = f" {attempt.get('reason') or ''} {attempt.get('detail') or ''}".rstrip()
                console.print(
                    Text(
                        f"    {attempt['proposer']}: {recipe_name(attempt['recipe'])}: {attempt['outcome']}{gain}{why}",
                        style="dim",
                    ),
                    soft_wrap=True,
                )


def level_name(number: int) -> str:
    """A level as x86-64 has it: v1 is what every such processor runs."""
    return {level.number: level.name for level in LEVELS}.get(number, str(number)).removeprefix("x86-64-") or "v1"


def recipe_name(recipe: str) -> str:
    """How a rewrite was made, without its flags: those are in `gccllm show`."""
    return re.split("[:,]", recipe)[0]


def evidence_words(entry: Entry) -> str:
    """How well tested a rewrite is; empty for a remembered failure."""
    if (evidence := entry.evidence) is None:
        return ""
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


def print_entry(console: Console, entry: Entry) -> None:
    """Baseline and rewrite side by side, with the evidence under them."""
    baseline = entry.bench.baseline if entry.bench else ""
    if entry.outcome != "accepted":
        console.print(
            f"{entry.function}: nothing admitted: {entry.reason}: {_SAYS.get(entry.reason, '')} {entry.detail}"
        )
    left, right = align(baseline.splitlines(), entry.body.splitlines())
    table = Table(box=box.SIMPLE_HEAD, expand=True, title=f"{entry.function}  ({entry.source})")
    table.add_column("gcc", ratio=1)
    name = entry.recipe.partition(":")[0]
    table.add_column(f"{entry.proposer}: {name}" if entry.body else "no rewrite", ratio=1)
    table.add_row(_syntax(left), _syntax(right))
    parts: list[Any] = [table]
    if evidence := entry.evidence:
        timing = evidence.timing
        lines = [
            f"evidence    {evidence_words(entry)}",
            *([f"recorded    {words}"] if (words := recording_words(entry)) else []),
            f"speed-up    {timing.speedup:.3f} (95% {timing.low:.3f} to {timing.high:.3f}), A/A {timing.aa:.3f}, "
            f"{timing.rounds} rounds in {timing.processes} processes, on {evidence.cpu}",
            "classes     " + ", ".join(f"{name} {ratio:.2f}x" for name, ratio in timing.classes.items()),
            f"needs       ISA level {entry.isa_level}",
            f"made by     {entry.recipe}",
            f"again       gccllm cache verify {entry.key[:12]}",
        ]
        parts.append(Panel("\n".join(lines), box=box.SIMPLE))
    if entry.refusals:
        parts.append(Text("refused: " + ", ".join(f"{k} {v}" for k, v in sorted(entry.refusals.items()))))
    console.print(Group(*parts))


def _syntax(lines: Sequence[str]) -> Syntax:
    return Syntax("\n".join(line.expandtabs(8) for line in lines), "gas", theme="ansi_dark", background_color="default")


def align(left: Sequence[str], right: Sequence[str]) -> tuple[list[str], list[str]]:
    """Pad two texts so that equal lines stand side by side."""
    out_left: list[str] = []
    out_right: list[str] = []
    for _, a0, a1, b0, b1 in difflib.SequenceMatcher(a=left, b=right, autojunk=False).get_opcodes():
        height = max(a1 - a0, b1 - b0)
        out_left += [*left[a0:a1], *[""] * (height - (a1 - a0))]
        out_right += [*right[b0:b1], *[""] * (height - (b1 - b0))]
    return out_left, out_right


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, default=str)
