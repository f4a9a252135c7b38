"""The readers in Python that are fuzzed: what each gets, and what it may raise."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gccllm.assembly import Body, BodyError, Module, NotLossless
from gccllm.base import config, events
from gccllm.base.core import Decline
from gccllm.base.toolchain import Toolchain
from gccllm.engine import read_request
from gccllm.harvest.dwarf import UnitTypes
from gccllm.harvest.wire import target_and_context
from gccllm.record.capture import CaptureError, read_capture, read_counts
from gccllm.record.reservoir import Reservoir
from gccllm.record.testfile import TestsError, load_bench, load_tests
from gccllm.store import Entry, EntryError
from gccllm.unit import profile
from gccllm.unit.plan import unquote_options
from tests.campaign import fuzz_corpus as corpus
from tests.campaign.mutate import mutated

Made = Callable[[random.Random], bytes]


@dataclass(frozen=True)
class Target:
    make: Made
    read: Callable[[bytes], object]
    allowed: tuple[type[BaseException], ...] = ()
    share: float = 1.0
    """Of the executions, beside the others."""


def _from(seeds: Callable[[], Sequence[bytes]], *tokens: bytes) -> Made:
    return lambda rng: mutated(rng, seeds(), tokens)


def _sealed(magic: str, words: Callable[[bytes], str], seeds: Callable[[], Sequence[bytes]]) -> Made:
    """What is behind the first line is changed, and the line made right again; sometimes the line is changed."""

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.2:
            return mutated(rng, seeds())
        whole = rng.choice(seeds())
        data = mutated(rng, [whole.partition(b"\n")[2]], (b'"', b"null", b"[]", b"{}", b'"n"'), 8 << 20)
        check = hashlib.blake2b(data, digest_size=32).hexdigest()
        return f"{magic} 1 {check} {len(data)}{words(whole)}\n".encode() + data

    return make


def _entry(rng: random.Random) -> bytes:
    whole = rng.choice(corpus.entries()).dump()
    head, _, data = whole.partition(b"\n")
    if rng.random() < 0.2:
        return mutated(rng, [whole])
    data = mutated(rng, [data], (b'"', b"null", b"[]", b"{}", b"1e400"), 8 << 20)
    check = hashlib.blake2b(data, digest_size=32).hexdigest().encode()
    return b" ".join([*head.split(b" ")[:2], check, str(len(data)).encode()]) + b"\n" + data


def _bench(rng: random.Random) -> bytes:
    """A bench as JSON, with one part of it changed."""
    bench = rng.choice(corpus.entries()).bench
    assert bench is not None
    document = bench.model_dump(mode="json")
    part = rng.choice(("slice", "baseline", "ubsan", "facts", "facts", "facts"))
    if part == "facts":
        tokens = (b'{"n": 0}', b'{"t": []}', b'"Record"', b'"Array"')
        text = mutated(rng, [json.dumps(document["facts"]).encode()], tokens)
        return json.dumps(document | {"facts": "HERE"}).encode().replace(b'"HERE"', text)
    text = mutated(rng, [document[part].encode("latin-1", "replace")], (b".zero", b"\t.skip\t1<<40\n", b".incbin"))
    return json.dumps(document | {part: text.decode("latin-1")}).encode()


def _read_module(data: bytes) -> None:
    text = data.decode("latin-1")
    module = Module.parse(text)
    if module.text() != text:
        raise AssertionError("the text is not printed back as it was")
    for function in module.functions.values():
        with contextlib.suppress(BodyError):
            body = function.body
            if Body.parse(body.text()).text() != body.text():
                raise AssertionError(f"{function.name}: its body is not printed back as it was")
    list(module.objects)


def _read_body(data: bytes) -> None:
    body = Body.parse(data.decode("latin-1"))
    if Body.parse(body.text()).text() != body.text():
        raise AssertionError("the body is not printed back as it was")


def _read_bench(data: bytes) -> None:
    from pydantic import ValidationError

    from gccllm.store.entry import Bench

    try:
        bench = Bench.model_validate_json(data)
    except ValidationError:
        return
    target_and_context(bench, Toolchain(), Path("/nowhere"))


def _read_dwarf(data: bytes) -> None:
    types = UnitTypes(data)
    for name in ("walk", "sum", "pick"):
        try:
            types.signature(name)
        except Decline:
            continue


@cache
def _place() -> Path:
    return Path(tempfile.mkdtemp(prefix="gccllm-fuzz-"))


def _file(name: str, data: bytes) -> Path:
    path = _place() / name
    path.write_bytes(data)
    return path


def _read_settings(data: bytes) -> None:
    os.chmod(_file("gccllm.toml", data), 0o644)
    settings = config.load(_place(), {})
    if settings["cc"] or settings["cache_dir"] or settings["mode"] == "record" or settings["isa"] == "native":
        raise AssertionError("a project has set what it may not")
    _ = settings.profile_path, settings.project_cache


def _read_environment(data: bytes) -> None:
    words = data.decode("utf-8", "surrogateescape").split("\n")
    os.chmod(_file("gccllm.toml", b""), 0o644)
    names = [setting.env for setting in config.SETTINGS]
    _ = config.load(_place(), dict(zip(names, words, strict=False))).profile_path


def _read_events(data: bytes) -> None:
    (_place() / "log").mkdir(exist_ok=True)
    _file("log/events.jsonl", data)
    list(events.read(_place()))


def _read_request(data: bytes) -> None:
    _file("in.s", b"")
    _file("request", data)
    read_request(_place())


def _tests_words(whole: bytes) -> str:
    return " " + whole.partition(b"\n")[0].split(b" ")[4].decode()


ENVIRONMENT = b"inline\n7\nmodel\n\n\n8\n1\nguarded\no3\n0\n\n\nown\n1\na,b\n\n\nx\n3\n3\n3"
TARGETS: dict[str, Target] = {
    "assembly": Target(
        _from(corpus.assembly, b"\t.set\t", b".L2", b"%rax", b"\t.section\t", b"#APP\n", b"1:\n"), _read_module,
        (NotLossless,),
    ),
    "body": Target(
        _from(corpus.bodies, b"\t.zero\t", b"%xmm0", b"\trep ", b".LC0:\n", b"{%k1}", b"\t.section\t.rodata\n"),
        _read_body, (BodyError,), 4.0,
    ),
    "entry": Target(_entry, Entry.load, (EntryError,), 2.0),
    "bench": Target(_bench, _read_bench, (ValueError, BodyError, Decline), 4.0),
    "capture": Target(_from(corpus.captures), read_capture, (CaptureError,), 2.0),
    "counts": Target(_from(lambda: (corpus.COUNTS,), b"=", b" "), read_counts, (CaptureError,)),
    "recorded tests": Target(
        _sealed("gccllm-tests", _tests_words, corpus.tests_files),
        lambda data: load_tests(data, corpus.KEY, Reservoir()), (TestsError,),
    ),
    "recorded bench": Target(
        _sealed("gccllm-bench", lambda _: "", corpus.bench_files), lambda data: load_bench(data, corpus.KEY),
        (TestsError,),
    ),
    "types": Target(_from(corpus.objects), _read_dwarf, (Decline,), 0.5),
    "settings": Target(
        _from(corpus.settings_files, b"'''", b'"""', b"[[", b"mode", b"1979-05-27", b"{a=1}"), _read_settings, (), 2.0
    ),
    "environment": Target(_from(lambda: (ENVIRONMENT,)), _read_environment),
    "profile": Target(_from(lambda: (corpus.PROFILE,)), lambda data: profile.load_profile(_file("profile", data))),
    "events": Target(_from(lambda: (corpus.EVENTS,)), _read_events),
    "request": Target(_from(lambda: (corpus.REQUEST,)), _read_request, (ValueError,)),
    "options": Target(
        _from(lambda: corpus.OPTIONS), lambda data: unquote_options(data.decode("latin-1")), (ValueError,)
    ),
}  # fmt: skip
