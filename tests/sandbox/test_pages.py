"""Memory of recorded calls: put back before every call, compared after it, and no store or read unseen."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gccllm.assembly import Module, slice_text
from gccllm.base.core import (
    ARENA_BASE,
    PAGE_BYTES,
    Decline,
    GlobalBytes,
    Page,
    Region,
    Returned,
    RunStatus,
    Slot,
    Test,
    arena_address,
)
from gccllm.base.reasons import Reason
from gccllm.sandbox import encode, layout, replay, trace
from gccllm.sandbox.compare import difference, differs, same
from gccllm.sandbox.image import CalleeSpec, build_image
from gccllm.sandbox.layout import RequestKind
from gccllm.sandbox.replay import Replayer
from gccllm.verify import contract, sampling, timing
from gccllm.verify.sampling import Effort, Pair
from tests.kit.pages import HEAP, SOURCE, STACK, Memory, chain
from tests.kit.replay import TOOLS, compiled, function
from tests.kit.timed import SORT, Bench

LONG = (Returned(Slot.RAX, 8),)
EXT = {"ext": CalleeSpec(ints=(8, 8), returns=LONG)}
FUNCTIONS = ["walk", "walk_again", "walk_stores", "walk_looks", "raise", "first"]
VALUES = [[7], [1, 2, 3], [5, -4, 3, 2, 1], list(range(20)), []]
TESTS = [chain(values, seed) for seed, values in enumerate(VALUES)]


@pytest.fixture(scope="module")
def module() -> Module:
    return Module.parse(compiled(SOURCE, "-O2", "-fno-ipa-ra", "-fno-inline"))


@pytest.fixture(scope="module")
def replayer(module: Module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayer]:
    """Every function, and the checked build of most."""
    texts = [trace.instrument(module.functions[name].body, name, traced=frozenset({"walk"})) for name in FUNCTIONS]
    text = module.text() + "\t.text\n" + "".join(texts) + function("wild", "movq $1, (%rdi)", "ret")
    with Replayer(build_image(tmp_path_factory.mktemp("image"), text, TOOLS, EXT), LONG) as running:
        yield running


def signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


@pytest.mark.parametrize("poison", [0, 1])
@pytest.mark.parametrize("fork_each", [False, True])
def test_a_function_finds_the_recorded_memory(replayer: Replayer, poison: int, fork_each: bool) -> None:
    seen = replayer.run("walk", TESTS, poison=poison, fork_each=fork_each)
    assert [o.status for o in seen] == [RunStatus.OK] * len(TESTS)
    assert [signed(o.returned[Slot.RAX]) for o in seen] == [sum(values) for values in VALUES]


def test_every_way_of_running_leaves_the_same_memory(replayer: Replayer) -> None:
    for entry in ("walk", "raise", "asks"):
        want = replayer.run(entry, TESTS)
        for other in (
            replayer.run(entry, TESTS, fork_each=True),
            replayer.run(entry, TESTS[::-1])[::-1],
            [replayer.run(entry, [test])[0] for test in TESTS],
        ):
            assert [same(a, b, LONG) for a, b in zip(want, other, strict=True)] == [None] * len(TESTS)


def test_pages_are_put_back_before_every_call(replayer: Replayer) -> None:
    seen = replayer.run("raise", [TESTS[2], TESTS[1], TESTS[2], TESTS[2]])
    assert seen[0].returned[Slot.RAX] == seen[2].returned[Slot.RAX] == seen[3].returned[Slot.RAX]
    assert seen[0].memory == seen[2].memory == seen[3].memory


def test_pages_arenas_and_globals_are_one_memory(replayer: Replayer) -> None:
    table = GlobalBytes("table", 0, bytes(b for i in range(8) for b in (100 * i).to_bytes(8, "little")))
    test = replace(TESTS[1], globals=(table,), arenas=1, regions=(Region(0, 0, b"x"),))
    (seen,) = replayer.run("walk", [test])
    assert signed(seen.returned[Slot.RAX]) == 6 + 600
    assert seen.memory != replayer.run("walk", TESTS[1:2])[0].memory


@pytest.mark.parametrize(
    ("baseline", "candidate", "reason"),
    [
        ("walk", "walk_again", None),
        ("walk", "walk_short", Reason.WRONG_VALUE),
        ("walk", "walk_counts", Reason.WRONG_MEMORY),
        ("raise", "raise_more", Reason.WRONG_MEMORY),
        ("asks", "asks_first", Reason.WRONG_CALLS),
        ("walk", "first", Reason.WRONG_VALUE),
    ],
)
def test_a_wrong_candidate_is_refuted_on_recorded_memory(
    replayer: Replayer, baseline: str, candidate: str, reason: Reason | None
) -> None:
    tests = TESTS[1:4]
    want, got = replayer.run(baseline, tests), replayer.run(candidate, tests)
    found = [difference(a, b, LONG) for a, b in zip(want, got, strict=True)]
    assert {f and f[0] for f in found} == {reason}


def test_a_store_into_a_page_that_the_program_could_not_write_faults(replayer: Replayer) -> None:
    test = chain([1, 2, 3], read_only=True)
    want, got = replayer.run("walk", [test])[0], replayer.run("walk_stores", [test])[0]
    assert (want.status, got.status) == (RunStatus.OK, RunStatus.FAULT)
    assert got.fault_address == test.ints[0] + 8
    assert replayer.run("walk_stores", [chain([1, 2, 3])])[0].status is RunStatus.OK


def test_what_is_loaded_beside_a_test_does_not_change_its_digest(replayer: Replayer) -> None:
    """The same page is fixed alone, and copied where another test has other bytes there or may write it."""
    test = chain([1, 2, 3], 1, read_only=True)
    for beside in (chain([4, 5, 6], 9, read_only=True), chain([1, 2, 3], 1)):
        alone = replayer.run("walk", [test])[0]
        together = replayer.run("walk", [test, beside, test])
        assert alone.status is RunStatus.OK
        assert alone.memory == together[0].memory == together[2].memory


def test_a_read_only_page_that_had_to_be_mapped_writable_is_still_compared(replayer: Replayer) -> None:
    test, beside = chain([1, 2, 3], 1, read_only=True), chain([1, 2, 3], 1)
    want, _ = replayer.run("first", [test, beside])
    got, _ = replayer.run("wild", [test, beside])
    assert difference(want, got, ()) == (Reason.WRONG_MEMORY, "the memory after the call differs")


def test_a_page_is_gone_when_no_loaded_test_has_it(replayer: Replayer) -> None:
    word = Test(ints=(HEAP,), int_bytes=(8,))
    with_page = replace(word, pages=(Page(HEAP, b"\5" * PAGE_BYTES),))
    assert replayer.run("first", [with_page])[0].returned[Slot.RAX] == b"\5" * 8
    (seen,) = replayer.run("first", [word])
    assert (seen.status, seen.fault_address) == (RunStatus.FAULT, HEAP)


@pytest.mark.parametrize(
    "pages",
    [
        [Page(HEAP + 8, bytes(PAGE_BYTES))],
        [Page(HEAP, bytes(PAGE_BYTES - 1))],
        [Page(HEAP, bytes(PAGE_BYTES)), Page(HEAP, bytes(PAGE_BYTES))],
        *(
            [Page(address, bytes(PAGE_BYTES))]
            for address in (
                0, PAGE_BYTES, 1 << 47, (1 << 64) - PAGE_BYTES, layout.PAGE_END, layout.CONTROL,
                layout.IMAGE_BASE, layout.IMAGE_LOW, layout.IMAGE_BASE + layout.DATA_AT, layout.LOG_BASE,
                layout.LOG_BASE + layout.LOG_BYTES, ARENA_BASE - PAGE_BYTES,
                arena_address(3), layout.STACK_BASE - PAGE_BYTES, layout.STACK_BASE + layout.STACK_BYTES,
            )
        ),
    ],
    ids=lambda pages: f"{pages[0].address:#x}",
)  # fmt: skip
def test_pages_that_cannot_be_are_refused(replayer: Replayer, pages: list[Page]) -> None:
    with pytest.raises(ValueError):
        replayer.run("first", [Test(ints=(HEAP,), int_bytes=(8,), pages=tuple(pages))])


def test_pages_next_to_the_replayers_own_addresses_can_be(replayer: Replayer) -> None:
    for address in (
        layout.PAGE_FIRST, layout.CONTROL - PAGE_BYTES, layout.IMAGE_LOW + layout.IMAGE_BYTES,
        layout.LOG_BASE - PAGE_BYTES,
        ARENA_BASE - 2 * PAGE_BYTES, layout.STACK_BASE - 2 * PAGE_BYTES,
    ):  # fmt: skip
        test = Test(ints=(address + PAGE_BYTES - 8,), int_bytes=(8,), pages=(Page(address, b"\7" * PAGE_BYTES),))
        assert replayer.run("first", [test])[0].returned[Slot.RAX] == b"\7" * 8


# --- collisions -----------------------------------------------------------------------------------


def own_stack(running: Replayer) -> int:
    """An address that the replaying process itself uses."""
    assert running._child is not None
    rows = Path(f"/proc/{running._child.process.pid}/maps").read_text().splitlines()
    row = next(row for row in rows if row.endswith("[stack]"))
    return int(row.split("-")[0], 16)


@pytest.mark.skipif(
    Path("/proc/sys/kernel/randomize_va_space").read_text().strip() == "0", reason="addresses are not random here"
)
def test_a_page_on_the_replayers_own_memory_gets_another_process(replayer: Replayer) -> None:
    replayer.run("walk", TESTS)
    assert replayer._child is not None
    before, address = replayer._child.process.pid, own_stack(replayer)
    test = Test(ints=(address,), int_bytes=(8,), pages=(Page(address, b"\3" * PAGE_BYTES),))
    assert replayer.run("first", [test])[0].returned[Slot.RAX] == b"\3" * 8
    assert replayer._child.process.pid != before


def test_a_page_that_never_finds_its_place_free_is_a_named_reason(
    replayer: Replayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayer.run("walk", TESTS)
    address = own_stack(replayer)
    monkeypatch.setattr(replay, "_LAYOUTS", 1)
    # Also one that can be mapped before the one that cannot: it must not stay.
    pages = (Page(HEAP, bytes(PAGE_BYTES)), Page(address, bytes(PAGE_BYTES)))
    with pytest.raises(Decline) as decline:
        replayer.run("first", [Test(ints=(HEAP,), int_bytes=(8,), pages=pages)])
    assert decline.value.reason is Reason.PAGES_UNMAPPABLE
    monkeypatch.undo()
    assert replayer.run("walk", TESTS)[1].status is RunStatus.OK


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_holds_each_content_once(replayer: Replayer) -> None:
    batch = encode.Batch()
    tests = [replace(TESTS[3], ints=(TESTS[3].ints[0], TESTS[3].ints[1] + 16 * i)) for i in range(300)]
    assert all(batch.takes(test, encode.encode(test, replayer.image)) for test in tests)
    assert len(batch.contents) == len(batch.addresses) == len(TESTS[3].pages)
    assert sum(map(len, batch.payload())) < (len(TESTS[3].pages) + 100) * PAGE_BYTES + 300 * 1024


@pytest.mark.parametrize(("limit", "value"), [("MAX_PAGES", 24), ("MAX_TESTS", 3)])
def test_tests_that_do_not_fit_into_one_request_are_split(
    replayer: Replayer, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    tests = [chain([seed, 2, 3], seed, heap=HEAP + 0x100_0000 * seed) for seed in range(20)]
    want = replayer.run_raw("raise", tests)
    monkeypatch.setattr(layout, limit, value)
    assert not differs(want, replayer.run_raw("raise", tests), LONG).any()
    traces = trace.trace_many(replayer, trace.traced_name("raise"), tests)
    assert [t.status for t in traces] == [RunStatus.OK] * 20


def test_many_tests_of_many_pages_stay_within_bounds(replayer: Replayer) -> None:
    rng = random.Random(5)
    tests = []
    for i in range(500):
        memory = Memory(i)
        for k in range(12):
            memory.put(HEAP + 0x10_0000 * rng.randrange(600) + PAGE_BYTES * k, k)
        address = next(iter(memory.pages))
        tests.append(Test(ints=(address,), int_bytes=(8,), pages=memory.taken()))
    seen = replayer.run_raw("first", tests)
    assert (seen["status"] == layout.Status.OK).all()
    assert (seen["rax"] == 0).all()
    assert replayer._child is not None
    used = Path(f"/proc/{replayer._child.process.pid}/status").read_text().split("VmHWM:")[1].split()[0]
    assert int(used) < 200 * 1024


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_of_any_pages_arrive(replayer: Replayer, data: st.DataObject) -> None:
    tests, want = [], []
    for _ in range(data.draw(st.integers(1, 5))):
        numbers = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True))
        fills = [data.draw(st.integers(0, 255)) for _ in numbers]
        pages = tuple(
            Page(STACK + PAGE_BYTES * n, bytes([f]) * PAGE_BYTES, data.draw(st.booleans()))
            for n, f in zip(numbers, fills, strict=True)
        )
        length = data.draw(st.integers(0, PAGE_BYTES))
        tests.append(Test(ints=(pages[-1].address, length), int_bytes=(8, 8), pages=pages))
        want.append(fills[-1] * length * (length + 1) // 2)
    seen = replayer.run("total", tests)
    assert [signed(o.returned[Slot.RAX]) for o in seen] == want


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_load_is_refused_or_harmless(replayer: Replayer, changes: list[tuple[int, int]]) -> None:
    """Everything after the contents of the pages may be damaged: addresses, records, references."""
    batch = encode.Batch()
    for test in TESTS:
        batch.takes(test, encode.encode(test, replayer.image))
    contents, *rest = batch.payload()
    damaged = bytearray(b"".join(rest))
    for at, value in changes:
        damaged[at % len(damaged)] = value
    replayer._loaded = encode.Batch()
    with contextlib.suppress(ValueError, Decline, replay._Collision):
        head = replay._Request(RequestKind.LOAD, len(batch.contents), len(batch.addresses))
        replayer._ask(head, [contents, damaged], 60.0)
    assert replayer._child is not None
    assert replayer._child.process.poll() is None
    assert [o.status for o in replayer.run("walk", TESTS)] == [RunStatus.OK] * len(TESTS)


# --- the checked build ----------------------------------------------------------------------------


def traced(replayer: Replayer, entry: str, tests: list[Test]) -> list[trace.Trace]:
    return trace.trace_many(replayer, trace.traced_name(entry), tests)


def in_page(rows: trace.Intervals, page: int) -> list[tuple[int, int]]:
    return [(int(a) - page, int(b) - page) for a, b in rows if page <= a < page + PAGE_BYTES]


def test_a_trace_has_what_is_touched_in_pages_and_not_the_own_frame(replayer: Replayer) -> None:
    test = TESTS[0]
    (seen,) = traced(replayer, "walk", [test])
    node, out = test.ints
    assert in_page(seen.reads, node // PAGE_BYTES * PAGE_BYTES) == [(node % PAGE_BYTES, node % PAGE_BYTES + 16)]
    assert in_page(seen.writes, STACK) == [(out - STACK, out - STACK + 16)]
    assert not ((seen.reads >= layout.STACK_BASE) & (seen.reads < layout.STACK_BASE + layout.STACK_BYTES)).any()
    assert not len(trace.outside_test(seen, test, replayer))


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ("walk", None),
        ("walk_again", None),  # it reads the sum that it wrote: the baseline writes there, too
        ("walk_stores", Reason.STRAY_STORE),
        ("walk_looks", Reason.STRAY_READ),
    ],
)
def test_the_contract_holds_in_pages(replayer: Replayer, candidate: str, reason: Reason | None) -> None:
    tests = TESTS[1:4]
    pairs = zip(traced(replayer, "walk", tests), traced(replayer, candidate, tests), strict=True)
    found = [contract.check(a, b) for a, b in pairs]
    assert {f and f[0] for f in found} == {reason}


def test_a_page_of_another_test_is_foreign_to_this_one(replayer: Replayer) -> None:
    apart = HEAP + 0x4000_0000
    other = Test(ints=(apart,), int_bytes=(8,), pages=(Page(apart, b"\1" * PAGE_BYTES),))
    stray = replace(TESTS[1], ints=(apart, TESTS[1].ints[1]))
    seen = traced(replayer, "first", [other, stray])
    assert [s.status for s in seen] == [RunStatus.OK, RunStatus.OK]
    assert not len(trace.outside_test(seen[0], other, replayer))
    assert trace.outside_test(seen[1], stray, replayer).tolist() == [[apart, apart + 8]]
    assert contract.check(traced(replayer, "walk", [other, TESTS[1]])[1], seen[1]) is not None


def test_a_store_into_a_page_of_another_test_is_refused(replayer: Replayer) -> None:
    apart = HEAP + 0x4000_0000
    other = Test(ints=(apart,), int_bytes=(8,), pages=(Page(apart, b"\1" * PAGE_BYTES),))
    stray = replace(TESTS[1], ints=(TESTS[1].ints[0], apart))
    _, want, got = traced(replayer, "walk", [other, TESTS[1], stray])
    assert trace.outside_test(got, stray, replayer).tolist() == [[apart, apart + 16]]
    found = contract.check(want, got)
    assert found is not None
    assert found[0] is Reason.STRAY_STORE


# --- timing ---------------------------------------------------------------------------------------


def test_calls_on_pages_are_timed_from_the_same_memory_each(tmp_path: Path) -> None:
    """Sorting takes far longer on what is not sorted: what was laid down once only would be sorted from then on."""
    text = compiled(SORT)
    target = Bench("f", slice_text(Module.parse(text), "f"), tmp_path)
    body = Module.parse(text).functions["f"].body
    rng = random.Random(2)
    tests, ready = [], []
    for seed in range(6):
        numbers = [rng.getrandbits(31) for _ in range(200)]
        for values, kept in ((numbers, tests), (sorted(numbers), ready)):
            data = b"".join(v.to_bytes(4, "little") for v in values).ljust(PAGE_BYTES, b"\0")
            # Half of the tests share an address.
            address = HEAP + PAGE_BYTES * (seed // 2)
            kept.append(Test(ints=(address, 200), int_bytes=(8, 4), pages=(Page(address, data),)))
    taken = sampling.sample(Pair(target, body), {"mixed": tests, "sorted": ready}, 3, Effort(5))
    per_call = {label: float(np.median(r["first"] / r["calls"] - r["empty"])) for label, r in taken.items()}
    assert len(taken["mixed"]) == 5
    assert per_call["mixed"] > 4 * per_call["sorted"]


def test_a_candidate_that_leaves_other_pages_is_not_timed(module: Module, tmp_path: Path) -> None:
    target = Bench("raise", slice_text(module, "raise"), tmp_path)
    tests = {"a": TESTS[1:4]}
    bodies = {name: module.functions[name].body for name in ("raise", "raise_more")}
    assert timing.screen_speed(Pair(target, bodies["raise"]), tests, lock_path=tmp_path / "lock") > 0.2
    assert timing.screen_speed(Pair(target, bodies["raise_more"]), tests, lock_path=tmp_path / "lock") == 0.0


def test_a_page_is_left_alone_between_tests_that_share_its_content(replayer: Replayer) -> None:
    tests = [chain([i, 2, 3], 1, read_only=bool(i % 2)) for i in range(4)]
    want = replayer.run("walk", list(itertools.chain(tests, tests)))
    assert [signed(o.returned[Slot.RAX]) for o in want] == [5, 6, 7, 8] * 2
