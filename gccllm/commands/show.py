"""One entry of the store as a person reads it: the evidence, the model's answer, gcc's code beside the rewrite."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from gccllm.assembly import LEVELS, BodyError, level_name
from gccllm.assembly.data import DATA, data_bytes
from gccllm.base.names import spoken_name
from gccllm.base.reasons import Reason
from gccllm.base.words import counted
from gccllm.commands.report import CHOSEN, is_of_a_trial, recording_words
from gccllm.commands.terminal import print_table
from gccllm.store import Entry
from gccllm.store.entry import EvidenceRecord, printable, recipe_name, recipe_words

FOLDED_ROWS = 4
"""Rows of constants in a row that are still shown."""


def print_entry(console: Console, entry: Entry) -> None:
    console.print(Text(spoken_name(entry.function), style="bold"), soft_wrap=True)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="dim")
    facts.add_column(overflow="fold")
    for label, words in facts_of(entry):
        facts.add_row(label, Text(printable(words)))
    print_table(console, facts)
    if entry.answer:
        console.print("\n[bold]The model's answer in C[/]")
        console.print(_highlighted(shown_c(printable(entry.answer)), "c"), soft_wrap=True)
    if entry.bench and entry.body:
        _print_code(console, entry.bench.baseline, entry)


def facts_of(entry: Entry) -> Iterator[tuple[str, str]]:
    """(label, words), what decides first."""
    if entry.outcome != "accepted":
        yield from _why_nothing(entry)
    if evidence := entry.evidence:
        timing = evidence.timing
        yield "speed-up", f"{timing.speedup:.3f}x (95% {timing.low:.3f} to {timing.high:.3f}), A/A {timing.aa:.3f}"
        if is_of_a_trial(entry):
            yield "evidence", f"{evidence.level}, {CHOSEN}"
            yield "needs", isa_words(entry.isa_level)
            yield "timed", f"{counted(timing.rounds, 'run')} of the program, on {evidence.cpu}"
        else:
            yield from _tested(entry, evidence)
    if entry.source:
        yield "source", entry.source
    if spoken_name(entry.function) != entry.function:
        yield "symbol", entry.function
    yield "compiler", f"gcc {entry.compiler}, gcc-llm {entry.version}"
    yield "date", time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.created))
    if entry.recipe:
        yield "made by", f"{entry.proposer}: {recipe_words(entry.recipe)}"
    if entry.refusals:
        yield "refused", ", ".join(f"{label} {count}" for label, count in sorted(entry.refusals.items()))
    yield "key", entry.key
    if entry.outcome == "accepted":
        yield "again", f"gccllm cache verify {entry.key[:12]}"


def _tested(entry: Entry, evidence: EvidenceRecord) -> Iterator[tuple[str, str]]:
    timing, (killed, mutants) = evidence.timing, evidence.mutants
    yield "classes", ", ".join(f"{name} {ratio:.2f}x" for name, ratio in timing.classes.items())
    yield "tests", f"{evidence.tests} (seed {evidence.seed}), {evidence.level}"
    if words := recording_words(entry):
        yield "recorded", words
    yield "edges", "gcc {}/{}, rewrite {}/{}".format(*evidence.edges_baseline, *evidence.edges_candidate)
    yield "mutants", f"{killed} of {mutants} killed"
    yield "needs", isa_words(entry.isa_level)
    processes = counted(timing.processes, "process", "processes")
    yield "timed", f"{timing.rounds} rounds in {processes}, on {evidence.cpu}"


def _why_nothing(entry: Entry) -> Iterator[tuple[str, str]]:
    known = next((reason for reason in Reason if reason.label == entry.reason), None)
    yield "nothing", f"{entry.reason}: {known.says if known else ''}{f' ({entry.detail})' if entry.detail else ''}"
    if known and known.next_step:
        yield "next step", known.next_step


def isa_words(number: int) -> str:
    """A level by its name, with what it adds to every x86-64."""
    for level in LEVELS:
        if level.number == number:
            return f"{level.name} ({' '.join(sorted(level.features))})" if number else f"{level.name} (any)"
    return level_name(number)


# --- code -----------------------------------------------------------------------------------------------------------


def _print_code(console: Console, baseline: str, entry: Entry) -> None:
    """Line beside line, wrapped and never cut."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column("gcc", ratio=1, overflow="fold")
    table.add_column(f"{entry.proposer}: {recipe_name(entry.recipe)}", ratio=1, overflow="fold")
    sides = align(shown_code(baseline), shown_code(entry.body))
    left, right = (_highlighted("\n".join(lines), "gas").split("\n", allow_blank=True) for lines in sides)
    for one, other in zip(left, right, strict=False):
        table.add_row(one, other)
    print_table(console, table)


def shown_code(text: str) -> list[str]:
    """Assembly a person reads: narrow, a long table of constants as one line."""
    lines = [line.strip().replace("\t", " ") for line in printable(text).splitlines()]
    shown: list[str] = []
    for is_data, group in groupby(lines, key=lambda line: line.partition(" ")[0] in DATA):
        rows = list(group)
        if is_data and len(rows) > FOLDED_ROWS:
            rows = _folded(rows)
        shown += [row if row.endswith(":") else f"  {row}" for row in rows]
    return shown


def _folded(rows: list[str]) -> list[str]:
    try:
        count = sum(data_bytes(name, args) for name, _, args in (row.partition(" ") for row in rows))
    except (BodyError, KeyError, ValueError):
        return rows
    return [f"# {count} bytes of constants in {len(rows)} rows"]


def shown_c(answer: str) -> str:
    """The built-in model's words are apart and on one line: a line for each statement."""
    if "\n" in answer.strip():
        return answer.strip("\n")
    text, depth, out = re.sub(r" +(?=[;,)\]])|(?<=[(\[]) +", "", answer.strip()), 0, ""
    for sign in text:
        depth += (sign in "([") - (sign in ")]")
        out += sign + "\n" * (sign in ";{}" and not depth)
    return "\n".join(line.strip() for line in out.splitlines() if line.strip())


def _highlighted(code: str, language: str) -> Text:
    text = Syntax(code, language, theme="ansi_dark", background_color="default").highlight(code)
    text.right_crop(text.plain.endswith("\n"))  # of the lexer's
    return text


def align(left: Sequence[str], right: Sequence[str]) -> tuple[list[str], list[str]]:
    """Pad two texts so that equal lines stand side by side."""
    out_left: list[str] = []
    out_right: list[str] = []
    for _, a0, a1, b0, b1 in difflib.SequenceMatcher(a=left, b=right, autojunk=False).get_opcodes():
        height = max(a1 - a0, b1 - b0)
        out_left += [*left[a0:a1], *[""] * (height - (a1 - a0))]
        out_right += [*right[b0:b1], *[""] * (height - (b1 - b0))]
    return out_left, out_right


def as_words(entries: Sequence[Entry]) -> dict[str, Any]:
    """The first entry, and which others there are, for a machine."""
    entry = entries[0]
    return {
        "entry": entry.model_dump(mode="json", exclude={"bench"}),
        "name": spoken_name(entry.function),
        "baseline": entry.bench.baseline if entry.bench else "",
        "others": [other.key for other in entries[1:]],
    }


def newest(entries: Iterable[Entry]) -> list[Entry]:
    """Accepted ones first, of these the newest."""
    return sorted(entries, key=lambda entry: (entry.outcome == "accepted", entry.created), reverse=True)
