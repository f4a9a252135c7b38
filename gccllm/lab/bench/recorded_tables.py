"""What suite `recorded` found: per function and per project, as tables on a terminal and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any

from rich.console import Console

from gccllm.base.reasons import Reason
from gccllm.lab.bench import show
from gccllm.lab.bench.decisions import is_eligible

LEAST_SHARE = 0.01
"""Share of run time from which on a function has a row of its own."""
MOST_ROWS = 12


@dataclass(slots=True)
class Function:
    name: str
    source: str
    share: float = 0.0
    """Of the workload's samples, the interpreter's included."""
    recordable: str = ""
    """`yes`, or the reason why the record build gave it no stub."""
    calls: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    recorded: int = 0
    """Tests of the harvest that are recorded calls; `mutated`: made of them; `made`: made of types alone."""
    mutated: int = 0
    made: int = 0
    edges: list[int] | None = None
    """[taken, all]."""
    mutants: list[int] | None = None
    """[killed, all]."""
    word: str = ""
    """`admitted`, `declined` or `queued`."""
    reason: str = ""
    detail: str = ""
    proposer: str = ""
    recipe: str = ""
    speedup: float = 1.0
    eligible: bool = False

    @property
    def is_tested(self) -> bool:
        """Whether the tests were adequate, recorded calls among them."""
        return self.recorded > 0 and self.eligible and self.edges is not None and self.mutants is not None


@dataclass(slots=True)
class Outcome:
    project: str
    version: str = ""
    functions: list[Function] = field(default_factory=list)
    own_share: float = 0.0
    """Share of the workload's samples in the project's own objects; the rest is the interpreter and the C library."""
    tests_before: dict[str, int] = field(default_factory=dict)
    tests_after: dict[str, int] = field(default_factory=dict)
    tests_same: bool = False
    """Whether every test of the project ends with gcc-llm's build as with gcc's."""
    differing: list[str] = field(default_factory=list)
    same: str = ""
    """`yes`: the workload prints the same; else what failed first."""
    speedup: float = 1.0
    aa: float = 1.0
    seconds: dict[str, float] = field(default_factory=dict)
    how: str = ""
    """Settings of the run, and how busy the machine was."""


def outcome_of(document: Mapping[str, Any]) -> Outcome:
    """Read what was written; words that this version does not know are left out."""
    functions = [Function(**{f.name: row[f.name] for f in fields(Function) if f.name in row})
                 for row in document.get("functions", ())]  # fmt: skip
    known = {f.name: document[f.name] for f in fields(Outcome) if f.name in document}
    return Outcome(**{**known, "functions": functions})


def counted(tests: Mapping[str, str]) -> dict[str, int]:
    return dict(Counter(tests.values()))


def functions(
    at_recording: Iterable[Mapping[str, Any]],
    at_build: Iterable[Mapping[str, Any]],
    kept: Iterable[Mapping[str, Any]],
    shares: Mapping[str, float],
) -> list[Function]:
    """One row a function, those with most run time first.

    From the log of the record build, that of the build, `gccllm tests ls --json` and the profile. A name that several
    units define has a row for each, and each has the share of all. A build that only takes what there is says of the
    rest that it is not in the store: that replaces nothing.
    """
    found: dict[tuple[str, str], Function] = {}

    def row(source: object, name: object) -> Function:
        key = PurePath(str(source)).name, str(name)
        return found.setdefault(key, Function(key[1], key[0], shares.get(key[1], 0.0)))

    for event in at_recording:
        if event["event"] == "function":
            word = "yes" if event.get("word") == "recording" else str(event.get("reason"))
            one = row(event.get("source"), event.get("function"))
            one.recordable = one.recordable if one.recordable and word == NOT_THERE else word
    for known in kept:
        one = row(known["source"], known["function"])
        one.calls, one.kept, one.dropped = known["calls"], known["kept"], dict(known["dropped"])
    for event in at_build:
        if event["event"] not in ("function", "tests"):
            continue
        one = row(event.get("source"), event.get("function"))
        if event["event"] == "tests":
            one.recorded, one.mutated, one.made = (int(event[word]) for word in ("recorded", "mutated", "made"))
            one.edges, one.mutants = event["edges"], event["mutants"]
        elif not one.word or event.get("reason") != NOT_THERE:
            one.word, one.reason = str(event.get("word")), str(event.get("reason") or "")
            one.detail, one.proposer = str(event.get("detail") or "")[:300], str(event.get("proposer") or "")
            one.recipe, one.speedup = str(event.get("recipe") or ""), float(event.get("speedup") or 1.0)
            one.eligible = is_eligible(event)
    return sorted(found.values(), key=lambda one: (-one.share, -one.calls, one.name))


# --- tables -------------------------------------------------------------------------------------------------------

COLUMNS = ("project", "version", "functions", "recordable", "called", "adequate", "admitted", "its tests before",
           "after", "same", "whole program", "A/A", "build s")  # fmt: skip
NUMBERS = ("functions", "recordable", "called", "adequate", "admitted", "whole program", "A/A", "build s")
NOT_THERE = Reason.NOT_IN_STORE.label
WIDEST = 6
"""Projects side by side in a table of the document."""
FUNCTION_COLUMNS = ("function", "time", "recordable", "calls", "kept", "tests", "edges", "mutants", "outcome")
FUNCTION_NUMBERS = ("time", "calls", "kept", "edges", "mutants")


def row(outcome: Outcome) -> list[str]:
    every = outcome.functions
    return [
        outcome.project,
        outcome.version,
        str(len(every)),
        str(sum(one.recordable == "yes" for one in every)),
        str(sum(one.calls > 0 for one in every)),
        str(sum(one.is_tested for one in every)),
        str(sum(one.word == "admitted" for one in every)),
        _tests(outcome.tests_before),
        _tests(outcome.tests_after) + ("" if outcome.tests_same else f" DIFFER: {', '.join(outcome.differing)}"),
        outcome.same,
        f"{outcome.speedup:.3f}",
        f"{outcome.aa:.3f}",
        f"{outcome.seconds.get('build', 0.0):.0f}",
    ]


def _tests(counts: Mapping[str, int]) -> str:
    return " ".join(f"{n} {word}" for word, n in sorted(counts.items())) or "-"


def shown(outcome: Outcome) -> list[Function]:
    """Those that take time, and those that were admitted or have adequate recorded tests whatever their time."""
    hot = [one for one in outcome.functions if one.share >= LEAST_SHARE][:MOST_ROWS]
    worth = [one for one in outcome.functions if one not in hot and (one.word == "admitted" or one.is_tested)]
    return hot + worth


def function_row(one: Function) -> list[str]:
    tests = f"{one.recorded}+{one.mutated}+{one.made}" if one.recorded + one.mutated + one.made else "-"
    return [
        one.name, f"{one.share:.1%}", one.recordable or "-", str(one.calls), str(one.kept), tests, _of(one.edges),
        _of(one.mutants), _became(one),
    ]  # fmt: skip


def _became(one: Function) -> str:
    if one.word == "admitted":
        return f"admitted: {one.proposer}, {one.recipe.partition(':')[0]}, {one.speedup:.2f}x"
    return f"{one.reason}: {one.detail.partition('; ')[0]}"[:90].rstrip(": ") if one.reason else one.word


def _of(pair: Sequence[int] | None) -> str:
    return f"{pair[0]}/{pair[1]}" if pair else "-"


def time_rows(results: Sequence[Outcome]) -> list[list[str]]:
    """A row for each thing that became of functions: the share of each project's run time that they take."""
    shares: list[dict[str, float]] = []
    for outcome in results:
        found: dict[str, float] = {}
        for one in {one.name: one for one in outcome.functions}.values():
            word = "admitted" if one.word == "admitted" else one.reason or one.word or "-"
            found[word] = found.get(word, 0.0) + one.share
        shares.append(found | {"elsewhere": 1.0 - sum(found.values())})
    totals = {word: sum(found.get(word, 0.0) for found in shares) for word in {w for found in shares for w in found}}
    order = sorted(totals, key=lambda word: (word != "admitted", word == "elsewhere", -totals[word]))
    return [[word, *(f"{found.get(word, 0.0):.1%}" for found in shares)] for word in order if totals[word] >= 0.001]


def print_all(out: Console, results: Sequence[Outcome]) -> None:
    for outcome in results:
        out.print(f"{outcome.project} {outcome.version}: {outcome.own_share:.0%} of the run time in its own code",
                  markup=False)  # fmt: skip
        show.table(out, FUNCTION_COLUMNS, [function_row(one) for one in shown(outcome)], FUNCTION_NUMBERS)
    show.table(out, COLUMNS, [row(o) for o in results], NUMBERS)
    show.table(out, ("run time by outcome", *(o.project for o in results)), time_rows(results))


def as_markdown(results: Sequence[Outcome]) -> str:
    parts = []
    for outcome in results:
        table = show.markdown(FUNCTION_COLUMNS, [_escaped(function_row(one)) for one in shown(outcome)])
        parts.append(
            f"## {outcome.project} {outcome.version}\n\n{outcome.own_share:.0%} of the workload's time is in its own "
            f"code. Run with: {outcome.how or 'not noted'}.\n\n{table}"
        )
    pieces = [results[start : start + WIDEST] for start in range(0, len(results), WIDEST)]
    reasons = [
        show.markdown(("run time by outcome", *(o.project for o in some)), time_rows(some)) for some in pieces
    ]  # fmt: skip
    return _DOCUMENT.format(
        projects=show.markdown(COLUMNS, [_escaped(row(o)) for o in results]),
        reasons="\n".join(reasons),
        functions="\n".join(parts),
    )


def _escaped(cells: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|").replace("\n", " ").replace("*", "\\*") for cell in cells]


_DOCUMENT = """# Recorded calls on real projects

Generated by `gccllm bench --suite recorded -- --docs docs/internals/recorded.md`. Each project is a source archive of
the Python package index or a source package of Debian. It is built by its own build system three times: with gcc, with
gcc-llm in mode `record`, and, after a workload has been recorded, with gcc-llm again; then the queue is worked off.
Only functions in which a profile of gcc's build shows time are considered. docs/record-and-use.md shows the
steps by hand.

{projects}
`recordable`: functions that got a recording stub. `called`: called by the recorded workload. `adequate`: functions
whose tests, recorded calls among them, cover every edge and kill enough mutants. `its tests`: the project's own, run
with gcc's build and with gcc-llm's; each must have the same result. `same`: whether the workload's output is the same.
`whole program`: CPU time of gcc's build over gcc-llm's on a workload with other data than was recorded, the interpreter
included; the median of paired runs in random order. `A/A`: gcc's build over a copy of it. `build s`: seconds of the
build with the search, without the queue's time.

Run time by what became of the functions (docs/reasons.md explains the words; `elsewhere`: the interpreter, the C
library, code in other languages):

{reasons}
In the tables below `time` is the share of the workload's samples; `tests` are recorded calls + mutated inputs +
generated inputs.

{functions}"""
