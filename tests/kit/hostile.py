"""Entries that a stranger could write: right checksum, right key, and each asks for too much in its own way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gccllm.base.core import CalleeSpec, FarCode, FarData
from gccllm.harvest.generate import GlobalSymbol
from gccllm.harvest.types import Array, Field, Integer, Param, Pointer, Record
from gccllm.harvest.wire import _decoded
from gccllm.store.entry import SCHEMA, Entry
from gccllm.store.graph import encode
from tests.campaign.fuzz_corpus import entries

ROOT = Path(__file__).resolve().parents[2]

LINES = {
    "zeros": "\t.data\n\t.zero\t1500000000",
    "zeros, nine digits": "\t.data\n\t.zero\t999999999",
    "many zeros": "\t.data\n" + "\t.zero\t1000000\n" * 20,
    "fill": "\t.data\n\t.fill\t100000000,8,1",
    "skip by an expression": "\t.data\n\t.skip\t1<<30",
    "skip by a symbol": "\t.set\tn, 1500000000\n\t.data\n\t.skip\tn",
    "alignment": "\t.data\n\t.byte\t1\n\t.balign\t1073741824",
    "alignment by a power": "\t.data\n\t.byte\t1\n\t.p2align\t30",
    "many alignments": "\t.data\n" + "\t.byte\t1\n\t.balign\t4096\n" * 10_000,
    "no operations": "\t.nops\t1000000000",
    "the location counter": "\t.set\t., .+1500000000",
    "the location counter, assigned": "\t.data\n\t. = .+1500000000",
    "origin": "\t.data\n\t.org\t1500000000",
    "common": "\t.comm\tx,1500000000,8",
    "repeat": "\t.rept\t1000000000\n\tnop\n\t.endr",
    "for each": "\t.irpc\tx,0123456789\n\tnop\n\t.endr",
    "macro": "\t.macro\tm\n\tm\n\t.endm\n\tm",
    "dcb": "\t.data\n\t.dcb.b\t1500000000,1",
    "ds": "\t.data\n\t.ds.b\t1500000000",
    "incbin": '\t.incbin\t"/etc/passwd"',
    "include": '\t.include\t"/etc/passwd"',
    "incbin behind a statement": '\tnop; .incbin "/etc/passwd"',
    "incbin behind a comment": '\t/* */ .incbin "/etc/passwd"',
    "two statements": "\tnop; nop",
    "a quoted name": '\t.globl\t"../../../tmp/x"',
    "a quoted call": '\tcall\t"../../../tmp/x"',
    "a name with a line in it": '\tcall\t"x\\n.incbin \\"/etc/passwd\\""',
    "section with a strange name": '\t.section\t"a b;c","ax",@progbits',
    "symbol version": "\t.symver\tf, f@V1",
    "too many lines": "\tnop\n" * 500_000,
}
"""Lines at the end of the slice."""

BYTE = Integer(1, False)
Facts = dict[str, Any]


def _pointee(change: Callable[[], Any]) -> Callable[[Facts], None]:
    """The first parameter points to something else."""

    def apply(facts: Facts) -> None:
        signature = facts["signature"]
        first = dataclasses.replace(signature.params[0], type=Pointer(change()))
        facts["signature"] = dataclasses.replace(signature, params=(first, *signature.params[1:]))

    return apply


def _doubled() -> Record:
    """2 ** 60 numbers in a record of one byte."""
    inner: Any = BYTE
    for _ in range(60):
        inner = Record("r", 1, fields=[Field("a", 0, inner), Field("b", 0, inner)])
    return inner  # type: ignore[no-any-return]


def _nested() -> Any:
    inner: Any = BYTE
    for _ in range(200):
        inner = Array(inner, 1)
    return inner


def _of_itself() -> Record:
    record = Record("r", 8)
    record.fields.append(Field("a", 0, record))
    return record


def _pointer_to_itself() -> Pointer:
    pointer = Pointer(Integer(1, False))
    pointer.to = pointer
    return pointer


def _signature(**fields: Any) -> Callable[[Facts], None]:
    def apply(facts: Facts) -> None:
        facts["signature"] = dataclasses.replace(facts["signature"], **fields)

    return apply


def _parameters(facts: Facts) -> None:
    one: Param = facts["signature"].params[0]
    facts["signature"] = dataclasses.replace(facts["signature"], params=(one,) * 10_000)


FAR = FarCode(CalleeSpec(), "f:\n\tret\n")
FACTS: dict[str, Callable[[Facts], None]] = {
    "a record of a terabyte": _pointee(lambda: Record("r", 1 << 40)),
    "a record of less than nothing": _pointee(lambda: Record("r", -1)),
    "an array of a terabyte": _pointee(lambda: Record("r", 8, fields=[Field("a", 0, Array(BYTE, 1 << 40))])),
    "an array of many empty things": _pointee(lambda: Array(Record("r", 0), 1 << 60)),
    "a number of a gigabyte": _pointee(lambda: Integer(1 << 30, False)),
    "records doubled": _pointee(_doubled),
    "arrays nested": _pointee(_nested),
    "a record that holds itself": _pointee(_of_itself),
    "a pointer to itself": _pointee(_pointer_to_itself),
    "a field outside of its record": _pointee(lambda: Record("r", 8, fields=[Field("a", 1 << 40, BYTE)])),
    "many parameters": _parameters,
    "parameters that are none": _signature(params=("x",)),
    "a number in the place of a name": _signature(name=7),
    "a name that is a path": _signature(name="../../x"),
    "a callee that is a path": _signature(callees={"../../../tmp/x": CalleeSpec()}),
    "far code with incbin": _signature(callees={"f": dataclasses.replace(FAR, text='f:\n\t.incbin "/etc/passwd"\n')}),
    "far code with zeros": _signature(callees={"f": dataclasses.replace(FAR, text="f:\n\t.zero\t1500000000\n")}),
    "far code of a path": _signature(callees={"f": dataclasses.replace(FAR, more=(("../../x", "x:\n\tret\n"),))}),
    "far data of a terabyte": _signature(callees={"d": FarData(1 << 40)}),
    "a symbol of a terabyte": lambda facts: facts.update(symbols=(GlobalSymbol("s", 1 << 40, None),)),
    "a symbol that is a path": lambda facts: facts.update(symbols=(GlobalSymbol("../x", 8, None),)),
    "no symbols": lambda facts: facts.pop("symbols"),
    "symbols that are none": lambda facts: facts.update(symbols=("x",)),
    "no context": lambda facts: facts.update(context="x"),
    "no signature": lambda facts: facts.update(signature=facts["context"]),
}  # fmt: skip


def model() -> Entry:
    """An accepted entry that stands."""
    return entries()[0]


def hostile() -> Iterator[tuple[str, Entry]]:
    entry = model()
    bench = entry.bench
    assert bench is not None
    for name, lines in LINES.items():
        text = bench.slice + "\t.text\n" + lines + "\n"
        yield name, entry.model_copy(update={"bench": bench.model_copy(update={"slice": text})})
        if len(text) < 1 << 16:
            yield (
                f"{name}, in the trapping build",
                entry.model_copy(update={"bench": bench.model_copy(update={"ubsan": bench.ubsan + lines + "\n"})}),
            )
    for name, change in FACTS.items():
        facts = _decoded(bench)
        change(facts)
        encoded = {"facts": encode(facts)}
        yield name, entry.model_copy(update={"bench": bench.model_copy(update=encoded)})


def sealed(data: bytes) -> bytes:
    """Any bytes as an entry with a right head."""
    check = hashlib.blake2b(data, digest_size=32).hexdigest()
    return f"gccllm-entry {SCHEMA} {check} {len(data)}\n".encode() + data


def odd_documents() -> Iterator[tuple[str, bytes]]:
    """Entries whose JSON is the trouble."""
    whole = json.loads(model().dump().partition(b"\n")[2])

    def changed(name: str, value: str) -> bytes:
        return json.dumps(whole | {name: "HERE"}).replace('"HERE"', value).encode()

    yield "deep lists", sealed(changed("attempts", "[" * 1_000_000 + "]" * 1_000_000))
    yield "deep objects", sealed(changed("refusals", '{"a":' * 500_000 + "1" + "}" * 500_000))
    yield "a long number", sealed(changed("isa_level", "9" * 1_000_000))
    yield "a number that is none", sealed(changed("created", "NaN"))
    yield "an endless number", sealed(changed("expires", "Infinity"))
    yield "many attempts", sealed(changed("attempts", "[" + "{}," * 2_000_000 + "{}]"))
    yield "many refusals", sealed(changed("refusals", "{" + ",".join(f'"{i}":1' for i in range(300_000)) + "}"))
    yield "a time beyond the calendar", sealed(changed("created", "1e300"))
    yield "a name that colours a terminal", sealed(changed("function", '"\\u001b[31mf"'))
    yield "a name that is markup", sealed(changed("function", '"[/red]"'))
    yield "a key that is a path", sealed(changed("key", '"../../x"'))
    yield "not UTF-8", sealed(changed("function", '"\\ud800"'))
    yield "no text", sealed(b"\xff" * 1000)
    yield "too large", sealed(b" " * (9 << 20))
