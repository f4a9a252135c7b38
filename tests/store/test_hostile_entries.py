"""A hostile entry is refused by a named reason, and that costs little memory, disk and time."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gccllm.base.core import Decline
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.entry_limits import check_text
from gccllm.harvest.wire import signature_of
from gccllm.store import Entry, EntryError, Store
from gccllm.verdict.recheck import recheck
from tests.kit import hostile as kit

MOST_MEMORY_KB = 768 << 10
MOST_DISK = 32 << 20
"""Bytes of any file; nothing that is refused needs one."""

RUN = """
import json, resource, sys
from tests.kit import hostile as kit
from gccllm.base.config import load
from gccllm.verdict.recheck import recheck
from gccllm.store import Entry, EntryError

def loaded(raw):
    try:
        Entry.load(raw)
    except EntryError as error:
        return error.reason.label
    return "taken"

said = {name: loaded(raw) for name, raw in kit.odd_documents()}
said |= {name: str(recheck(entry, load())) for name, entry in kit.hostile()}
memory = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
json.dump({"said": said, "memory": memory}, sys.stdout)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of them, one after the other, in one process that may write no large file."""
    place = tmp_path_factory.mktemp("hostile")
    done = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(kit.ROOT), "TMPDIR": str(place)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_DISK, MOST_DISK)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(place.iterdir()) == []
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", [name for name, _ in kit.hostile()])
def test_a_hostile_entry_is_refused_before_anything_is_made_of_it(run: dict[str, Any], name: str) -> None:
    assert run["said"][name].split(":")[0] in (Reason.ENTRY_LIMITS.label, "ValueError"), run["said"][name]


@pytest.mark.parametrize("name", [name for name, _ in kit.odd_documents()])
def test_an_odd_document_is_no_entry(run: dict[str, Any], name: str) -> None:
    assert run["said"][name] == Reason.ENTRY_CORRUPT.label


@pytest.mark.parametrize("name", kit.FACTS)
def test_whoever_asks_for_the_types_alone_gets_an_error_and_no_more(name: str) -> None:
    """That is how an entry is compared with the function it is for."""
    bench = dict(kit.hostile())[name].bench
    assert bench is not None
    with contextlib.suppress(ValueError):
        signature_of(bench)


def test_refusing_them_all_costs_little_memory(run: dict[str, Any]) -> None:
    assert run["memory"] < MOST_MEMORY_KB


def test_what_the_project_ships_is_within_the_limits() -> None:
    for path in (kit.ROOT / "cache" / "rewrites").glob("*.entry"):
        bench = Entry.load(path.read_bytes()).bench
        assert bench is not None
        check_text(bench.slice)
        check_text(bench.ubsan)
        kit._decoded(bench)


@pytest.mark.parametrize(
    "row", ["\trep movsb", "\tvpaddd\t(%rdi){1to16}, %zmm0, %zmm1{%k1}{z}", '\t.string\t"a\\"b\\n"']
)
def test_plain_assembly_is_within_the_limits(row: str) -> None:
    check_text(f"\t.text\nf:\n{row}\n\tret\n\t.size\tf, .-f\n")
    with pytest.raises(Decline):
        check_text(f"\t.text\nf:\n{row}; nop\n\tret\n")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large"])
def test_what_is_no_regular_file_is_no_entry(tmp_path: Path, kind: str) -> None:
    key = kit.model().key
    path = tmp_path / "project" / "rewrites" / f"{key}.entry"
    path.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    store = Store(tmp_path / "user", tmp_path / "project")
    assert store.find(key) is None
    assert [reason for reason, _ in store.problems] == [Reason.ENTRY_CORRUPT]


def test_the_assembler_writes_no_endless_file(tmp_path: Path) -> None:
    """The second line of defence, for texts that never were an entry's."""
    done = Toolchain.find().assemble(f"\t.data\n\t.zero\t{4 * LIMITS.tool_file_bytes}\n", tmp_path / "x.o")
    assert not done.ok
    assert "size" in done.err or "signal" in done.err
    assert sum(path.stat().st_blocks * 512 for path in tmp_path.iterdir()) <= LIMITS.tool_file_bytes


def test_their_model_stands() -> None:
    from gccllm.base.config import load

    assert recheck(kit.model(), load()) is None


def test_reasons_name_the_field_that_is_wrong() -> None:
    raw = kit.sealed(b'{"key": "x"}')
    with pytest.raises(EntryError, match="key"):
        Entry.load(raw)
