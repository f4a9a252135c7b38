"""What `gccllm tests` prints. Only rendering; the facts come from the test store and from replaying."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from gccllm.base.core import PAGE_BYTES
from gccllm.base.names import spoken, spoken_name
from gccllm.base.words import counted as many
from gccllm.commands.terminal import Column, fits
from gccllm.commands.terminal import print_rows as table_rows
from gccllm.harvest.types import Floating, Integer, Param, Pointer, Signature
from gccllm.record.capture import RecordedCall
from gccllm.record.reservoir import argument
from gccllm.record.store import Recorded, TestStore, counted

if TYPE_CHECKING:
    from gccllm.commands.minimise import Minimised, Worth
    from gccllm.harvest.long import Looked

_LS_COLUMNS = (
    Column("function", wraps=True),
    Column("source", worth=5),
    Column("calls", is_right=True, worth=7),
    Column("kept", is_right=True),
    Column("size", is_right=True, worth=1),
    Column("runs", is_right=True, worth=2),
    Column("edges", is_right=True, worth=6),
    Column("mutants", is_right=True, worth=4),
    Column("key", worth=3),
)
_TEST_COLUMNS = (
    Column("#", is_right=True),
    Column("calls", is_right=True, worth=4),
    Column("memory", is_right=True, worth=1),
    Column("reads", is_right=True, worth=2),
    Column("edges", is_right=True, worth=5),
    Column("kills", is_right=True, worth=3),
)
_MINIMISED_COLUMNS = (
    Column("function", wraps=True),
    Column("kept", is_right=True),
    Column("size", is_right=True, worth=2),
    Column("edges", is_right=True, worth=4),
    Column("mutants", is_right=True, worth=3),
    Column("for edges and mutants", worth=1),
)


def rows(store: TestStore) -> list[dict[str, Any]]:
    """One row a function of the store, those with most calls first."""
    found = []
    for key in store.keys():  # noqa: SIM118
        known, head, coverage = store.bench(key), store.head(key), store.coverage(key)
        path = store.path(key)
        found.append(
            {
                "key": key,
                "function": known.function if known else "",
                "source": known.source if known else "",
                "calls": head.total if head else 0,
                "kept": len(head.rows) if head else 0,
                "size": path.stat().st_size if path.exists() else 0,
                "runs": head.runs if head else 0,
                "ticks": head.ticks if head else 0.0,
                "dropped": head.dropped if head else {},
                "edges": coverage.edges if coverage else None,
                "mutants": coverage.mutants if coverage else None,
            }
        )
    return sorted(found, key=lambda row: (-row["calls"], row["function"], row["key"]))


def print_rows(console: Console, found: Sequence[dict[str, Any]], is_with_uncalled: bool) -> None:
    shown = [row for row in found if is_with_uncalled or row["kept"]]
    if shown:
        names = spoken(row["function"] for row in shown)
        cells = [
            (
                Text(names[row["function"]] or "(no bench)"), Text(row["source"]), str(row["calls"]), str(row["kept"]),
                size(row["size"]), str(row["runs"]), _of(row["edges"]), _of(row["mutants"]), row["key"][:12],
            )
            for row in shown
        ]  # fmt: skip
        table_rows(console, _LS_COLUMNS, cells)
    if quiet := len(found) - len(shown):
        console.print(f"{many(quiet, 'function')} can be recorded and have no test (`gccllm tests ls --uncalled`)")
    if not found:
        console.print("no function can be recorded yet: build with GCCLLM_MODE=record, then `gccllm record -- COMMAND`")


@dataclass(frozen=True, slots=True)
class Examined:
    """The recorded calls of one function, and what they are worth as tests."""

    recorded: Recorded
    signature: Signature | None
    worth: Worth | None
    why: str = ""
    """Why there are no types or no worth."""

    @property
    def params(self) -> tuple[Param, ...]:
        return tuple(self.signature.params) if self.signature else ()


def print_tests(console: Console, store: TestStore, one: Examined, most: int) -> None:
    """One function: what is known of it, and a row a test, the heaviest first."""
    recorded, worth = one.recorded, one.worth
    head = store.head(recorded.key)
    where = f"  {recorded.source}  key {recorded.key[:12]}"
    console.print(Text.assemble((spoken_name(recorded.function), "bold"), where), soft_wrap=True)
    dropped = f"; dropped: {counted(head.dropped)}" if head and head.dropped else ""
    runs = head.runs if head else 0
    console.print(f"{many(recorded.total, 'call')} in {many(runs, 'run')}, {len(recorded.calls)} kept{dropped}")
    if worth is not None:
        console.print(
            f"{worth.replayed} replay; these alone take {_of(worth.edges)} edges and kill {_of(worth.mutants)} mutants"
        )
        for line in worth_words(worth):
            console.print(line, soft_wrap=True, highlight=False)
    for line in advice(head.dropped if head else {}):
        console.print(line, soft_wrap=True, highlight=False)
    arguments = [Column(param.name or f"arg{n}", wraps=True) for n, param in enumerate(one.params)]
    columns = (*_TEST_COLUMNS[:2], *arguments, *_TEST_COLUMNS[2:])
    cells = []
    order = sorted(range(len(recorded.calls)), key=lambda n: (-recorded.weights[n], n))
    for number in order[:most]:
        call = recorded.calls[number]
        seen = ["", "", ""]
        if worth is not None:
            seen = [_read(worth.looked[number]), str(worth.takes(number)), str(worth.kills(number))]
        values = [value_of(call, param, recorded.names) for param in one.params]
        weight = f"{recorded.weights[number]:.0f}"
        cells.append((str(number), weight, *values, many(len(call.pages), "page"), *seen))
    if fits(console, columns, cells):
        table_rows(console, columns, cells)
    else:
        _print_lists(console, columns, cells)
    if len(order) > most:
        console.print(f"{len(order) - most} more; --all shows them")


def _print_lists(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A table that the terminal has no room for: a line for each cell, so that no figure is broken."""
    for number, *values in rows:
        console.print(f"\n# {number}")
        for column, value in zip(columns[1:], values, strict=True):
            if value:
                console.print(Text(f"  {column.name}: {value}"), overflow="fold")


def _read(one: Looked) -> str:
    if one.state is None:
        return "does not replay"
    if not one.state.traced:
        return f"long, {len(one.shorter)} shorter"
    return f"{sum(int(end) - int(start) for start, end in one.state.reads)} B"


def worth_words(worth: Worth) -> Iterator[str]:
    """A line for each reason why calls do not replay, or not as they were."""
    if long := [one for one in worth.looked if one.is_long and one.state is not None]:
        shorter = sum(len(one.shorter) for one in long)
        timed = f"{len(long)} are too long for every candidate to run: they are timed"
        yield f"{timed}; {shorter} shorter ones are tested in their place"
    for why, count in Counter(one.why for one in worth.looked if one.state is None).most_common():
        hint = " (the program built with -fsanitize=undefined says where)" if why == "undefined behaviour" else ""
        yield f"{count} do not replay: {why}{hint}"
    limited = Counter(one.why for one in worth.looked if one.state is not None and one.why)
    for why, count in limited.items():
        yield f"{count} are timed shorter than they were: {why}"


ADVICE = {
    "budget": "no processor time was left: GCCLLM_RECORD_CPU=100 lets the recording take as much as the program",
    "bytes": "a process had no room left: GCCLLM_RECORD_BYTES, 268435456 unless it is set, gives it more",
    "file": "a file could not be written: the disk is full, or the run had grown to --limit",
    "pages": "a call worked on more than 64 MiB; no setting raises that: record a run on less data",
    "timer": "a call took more than 200 ms for 4 MiB; no setting raises that: record a run on less data",
    "syscall": "the function asks the kernel for something; such a call cannot be replayed",
    "shared": "the function writes to memory that processes share; such a call cannot be replayed",
    "large": "a call had more than 96 MiB of different pages; no setting raises that: record a run on less data",
    "not_replayed": "the calls do not replay, so nothing can be redacted: `gccllm record` without --redact keeps them",
    "no_bench": "the program was built with another store, or the store was emptied: build it again in mode record",
    "seccomp": "the kernel refuses the confinement of the recorder",
    "memory": "the recorder had no memory: is the address space limited (ulimit -v)?",
}
"""What a word for a dropped call means, and what can be done."""


def advice(dropped: Mapping[str, int]) -> Iterator[str]:
    """A line for each word that says something to do, the most frequent first."""
    for word, count in sorted(dropped.items(), key=lambda pair: -pair[1]):
        if count and word in ADVICE:
            yield f"dropped: {word} {count}: {ADVICE[word]}"


def value_of(call: RecordedCall, param: Param, names: Sequence[str]) -> str:
    """An argument as a person reads it: numbers by their type, pointers by what they point into."""
    raw = [argument(call, place) for place in param.places]
    kind = param.type
    if len(raw) == 1 and isinstance(kind, Integer):
        value = raw[0] & (1 << 8 * kind.size) - 1
        return str(value - (1 << 8 * kind.size) if kind.signed and value >> (8 * kind.size - 1) else value)
    if len(raw) == 1 and isinstance(kind, Floating):
        code, size_ = ("<f", 4) if kind.size == 4 else ("<d", 8)
        return f"{struct.unpack(code, (raw[0] & (1 << 8 * size_) - 1).to_bytes(size_, 'little'))[0]:g}"
    if len(raw) == 1 and (isinstance(kind, Pointer) or param.is_result):
        return place_of(call, raw[0], names)
    return " ".join(f"{value:#x}" for value in raw) or "-"


def place_of(call: RecordedCall, address: int, names: Sequence[str]) -> str:
    """Where an address points: NULL, the unit's own data, a recorded page, or elsewhere."""
    if address == 0:
        return "NULL"
    for name, (start, length) in zip(names, call.symbols, strict=False):
        if start <= address < start + max(length, 1):
            return f"{name}+{address - start:#x}"
    for number, page in enumerate(call.pages):
        if page.address <= address < page.address + PAGE_BYTES:
            return f"page {number}+{address - page.address:#x}"
    return f"{address:#x}, not touched"


def test_rows(one: Examined) -> list[dict[str, Any]]:
    """`print_tests` for a machine; no rows where the bench holds no types."""
    if one.signature is None:
        return []
    recorded, worth = one.recorded, one.worth
    return [
        {
            "weight": recorded.weights[number],
            "arguments": {
                param.name or f"arg{n}": value_of(call, param, recorded.names) for n, param in enumerate(one.params)
            },
            "pages": len(call.pages),
            "ticks": call.ticks,
            "replays": worth.looked[number].state is not None if worth else None,
            "why": worth.looked[number].why if worth else None,
            "shorter": len(worth.looked[number].shorter) if worth else None,
            "edges": worth.takes(number) if worth else None,
            "mutants": worth.kills(number) if worth else None,
        }
        for number, call in enumerate(recorded.calls)
    ]


def print_minimised(console: Console, done: Iterable[Minimised]) -> None:
    cells = []
    for one in done:
        before, after = one.worth_before, one.worth_after
        name = Text(spoken_name(one.function))
        cells.append((
            name, f"{one.before[0]} -> {one.after[0]}", f"{size(one.before[1])} -> {size(one.after[1])}",
            f"{_of(before.edges)} -> {_of(after.edges)}", f"{_of(before.mutants)} -> {_of(after.mutants)}",
            str(one.pinned),
        ))  # fmt: skip
    if cells:
        table_rows(console, _MINIMISED_COLUMNS, cells)


def size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 19 else f"{count / 1024:.1f} KiB"


def _of(pair: Sequence[int] | None) -> str:
    return f"{pair[0]}/{pair[1]}" if pair else "-"
