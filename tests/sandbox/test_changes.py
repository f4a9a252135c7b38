"""What changes in memory while a function of another unit runs, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gccllm.base.core import GlobalBytes, Observation, Region, Returned, RunStatus, Slot, Test, arena_address
from gccllm.sandbox.compare import same
from gccllm.sandbox.image import CalleeSpec
from gccllm.sandbox.replay import Replayer
from tests.kit.replay import INT, image

SOURCE = """
extern int ext(int);
static int hidden = 5; int shown = 7; int *held;
void bump(void) { hidden++; }
long value(long *p, int n) { ext(n); return p[1]; }
long late(long *p, int n) { long v = p[1]; ext(n); return v; }
long through(long **p, int n) { ext(n); return *p[1]; }
long address(long *p, int n) { ext(n); return p[0]; }
long a_static(long *p, int n) { ext(n); return hidden; }
long a_global(long *p, int n) { ext(n); return shown; }
long quiet(long *p, int n) { return p[1]; }
long shows_frame(long **p, int n) { long x = 3; p[0] = &x; ext(n); return x; }
"""
LONG = (Returned(Slot.RAX, 8),)
SEEDS = range(1, 300)
INSIDE = arena_address(0) + 64


@pytest.fixture(scope="module")
def replayer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayer]:
    callees = {"ext": CalleeSpec(ints=(4,), returns=INT)}
    with Replayer(image(tmp_path_factory.mktemp("image"), SOURCE, callees=callees), LONG) as running:
        yield running


def on(seed: int, spare: int = 0, kept: int = 0) -> Test:
    """f(p, 3): p[0] and p[1] are `INSIDE`, where 100 lies; then a 9."""
    words = [INSIDE, 9, 0, 0, 0, 0, 0, 0, 100]
    data = b"".join(word.to_bytes(8, "little") for word in words)
    return Test(ints=(arena_address(0), 3), int_bytes=(8, 4), regions=(Region(0, 0, data),), arenas=2, fill=1,
                changes=seed, spare=spare, kept=kept)  # fmt: skip


def answers(replayer: Replayer, entry: str, tests: list[Test]) -> list[int]:
    seen = replayer.run(entry, tests)
    assert all(one.status is RunStatus.OK for one in seen)
    return [int.from_bytes(one.returned[Slot.RAX], "little") for one in seen]


@pytest.mark.parametrize(("entry", "before"), [("value", 9), ("a_static", 5), ("a_global", 7)])
def test_whatever_others_can_reach_may_change(replayer: Replayer, entry: str, before: int) -> None:
    assert answers(replayer, entry, [on(0)]) == [before]
    found = answers(replayer, entry, [on(seed) for seed in SEEDS])
    assert 20 < sum(one != before for one in found) < len(found)


def test_a_value_that_was_read_too_early_shows(replayer: Replayer) -> None:
    tests = [on(seed) for seed in SEEDS]
    pairs = zip(replayer.run("value", tests), replayer.run("late", tests), strict=True)
    assert sum(same(one, two, LONG) is not None for one, two in pairs) > 20


def test_equal_calls_change_equal_memory(replayer: Replayer) -> None:
    tests = [on(seed, spare=1) for seed in SEEDS]
    runs: list[list[Observation]] = [replayer.run("value", tests), replayer.run("value", tests, fork_each=True)]
    assert all(same(one, two, LONG) is None for one, two in zip(*runs, strict=True))


def test_without_a_call_nothing_changes(replayer: Replayer) -> None:
    still, other = replayer.run("quiet", [on(0), on(12345)])
    assert same(still, other, LONG) is None


def test_a_pointer_stays_or_leads_to_a_copy(replayer: Replayer) -> None:
    assert set(answers(replayer, "address", [on(seed) for seed in SEEDS])) == {INSIDE}
    moved = answers(replayer, "address", [on(seed, spare=1) for seed in SEEDS])
    assert set(moved) == {INSIDE, INSIDE + arena_address(1) - arena_address(0)}
    both = [replace(on(seed, spare=1), regions=(Region(0, 8, INSIDE.to_bytes(8, "little")),)) for seed in SEEDS]
    assert len(answers(replayer, "through", both)) == len(both)  # there is memory wherever it leads


def test_restrict_keeps_an_arena_as_it_is(replayer: Replayer) -> None:
    assert set(answers(replayer, "value", [on(seed, kept=1, spare=1) for seed in SEEDS])) == {9}


def test_an_address_of_the_own_frame_in_memory_ends_the_test(replayer: Replayer) -> None:
    """Whoever finds it there may change what no stub changes."""
    assert replayer.run("shows_frame", [on(0)])[0].status is RunStatus.SYSCALL


def test_a_spare_arena_must_be_one(replayer: Replayer) -> None:
    with pytest.raises(ValueError, match="BAD_REQUEST"):
        replayer.run("value", [on(1, spare=2)])


def test_data_that_a_test_sets_changes_too(replayer: Replayer) -> None:
    tests = [replace(on(seed), globals=(GlobalBytes("shown", 0, bytes((50, 0, 0, 0))),)) for seed in SEEDS]
    assert len(set(answers(replayer, "a_global", tests))) > 2
