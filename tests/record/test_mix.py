"""Recorded calls beside generated inputs: the same rules, the same gates; and the workload that they are."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from gccllm.assembly import Body
from gccllm.base.core import PAGE_BYTES, Candidate, Decline, Page, Test
from gccllm.base.reasons import Reason
from gccllm.harvest.abi import convention_of
from gccllm.harvest.harvest import Budget, Harvest, harvest, more_near
from gccllm.harvest.probe import Probe
from gccllm.harvest.recorded import DECK, States, classes, deck
from gccllm.harvest.run import State
from gccllm.harvest.target import HarvestTarget
from gccllm.harvest.wire import Subject
from gccllm.verdict.suite import Suite, is_equal_on, slower_guard_class, workbench
from gccllm.verify import adequacy, timing
from gccllm.verify.judge import judge
from gccllm.verify.sampling import Pair
from gccllm.verify.screen import Context
from gccllm.verify.workbench import Workbench
from tests.kit.states import HEAP, SOURCE, Heap, lookups, table, target

ALONE = Budget(explore_rounds=0, perturb_rounds=6, states=120)
"""Nothing is made: recorded calls stand alone."""
FEW = Budget(explore_rounds=2, explore_scenes=30, grid_scenes=0, value_rounds=1, perturb_rounds=2, tests=60, states=120)
S = 600.0


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mix")


@pytest.fixture(scope="module")
def lookup(where: Path) -> HarvestTarget:
    return target(where)


@pytest.fixture(scope="module")
def alone(lookup: HarvestTarget) -> Harvest:
    return harvest(lookup, 1, S, ALONE, recorded=lookups())


# --- tests ------------------------------------------------------------------------------------------------------------


def test_recorded_calls_stay_where_they_are_and_carry_their_weight(alone: Harvest) -> None:
    given = lookups()
    kept = [test for test in alone.tests if test.label == "recorded"]
    assert len(kept) == len(given)
    assert {test.pages for test in kept} == {test.pages for test in given}
    assert not any(test.regions for test in kept)


def test_made_inputs_and_recorded_calls_are_one_set(lookup: HarvestTarget) -> None:
    found = harvest(lookup, 1, S, replace(FEW, timing=False), recorded=lookups(12))
    assert found.count("recorded") == 12
    assert len(found.tests) - found.count("recorded") - found.count("mutated") > 20
    assert found.edges_taken == found.edges_all


def test_calls_that_run_too_long_do_not_take_others_with_them(where: Path) -> None:
    place = where / "spin"
    place.mkdir()
    spin = target(
        place, "unsigned spin(unsigned n) { unsigned s = n; while (n--) s = s * 1664525u + n % 7; return s; }", "spin"
    )
    long = [Test(ints=(0xFFFF_0000 + n,), int_bytes=(4,)) for n in range(30)]
    short = [Test(ints=(n,), int_bytes=(4,)) for n in range(30)]
    with Probe(spin) as probe:
        states = States(probe, (), 1, lambda: False)
        states.admit([*long, *short])
        assert {state.test.ints for state in states.recorded} == {test.ints for test in short}
        assert states.lost == len(long)


def test_an_edge_behind_several_words_is_found_word_by_word(where: Path) -> None:
    place = where / "doors"
    place.mkdir()
    doors = target(
        place,
        "struct doors { long a, b, c, d; };"
        "long doors(const struct doors *p) {"
        " if (p->a != 0) return p->b; if (p->b != 1) return p->c + 7; if (p->c != -1) return p->d * 3;"
        " if (p->d != 0) return p->b ^ 21; return 5; }",
        "doors",
    )
    heap = Heap()
    shut = Test(ints=(heap.place(struct.pack("<4q", 51, 52, 53, 54)),), int_bytes=(8,), pages=heap.pages())
    found = harvest(doors, 1, S, replace(ALONE, perturb_rounds=1, timing=False), recorded=[shut])
    assert found.edges_taken == found.edges_all


def test_equal_calls_become_one_of_their_joint_weight(lookup: HarvestTarget) -> None:
    one = lookups(3, weight=2.0)
    with Probe(lookup) as probe:
        states = States(probe, (), 1, lambda: False)
        states.admit([*one, *one, one[0]])
    assert sorted(state.test.weight for state in states.recorded) == [4.0, 4.0, 6.0]
    assert states.lost == 0


def test_edges_that_no_call_took_are_reached_from_states_that_came_near(lookup: HarvestTarget) -> None:
    """All calls find their key at the head of a chain: no call goes on to the next slot, and none misses."""
    heads = []
    for number in range(10):
        keys = list(range(8 * number, 8 * number + 24))
        address, pages = table(keys, 3)
        heads.append(Test(ints=(address, keys[-1 - number % 4]), int_bytes=(8, 4), pages=pages))
    with Probe(lookup) as probe:
        states = States(probe, (), 1, lambda: False)
        states.admit(heads)
        before = len(probe.missing)
        states.chase(12)
        assert before > 0 == len(probe.missing)
        assert all(state.test.weight == 0 and state.test.label == "mutated" for state in states.mutants)


def test_the_same_seed_gives_the_same_tests(lookup: HarvestTarget) -> None:
    first, second = (harvest(lookup, 5, S, ALONE, recorded=lookups(10)) for _ in range(2))
    assert first.tests == second.tests
    assert first.timing == second.timing


def test_a_state_that_needs_anothers_page_is_no_test(lookup: HarvestTarget) -> None:
    """Both lie in one batch, so the page is mapped: the wrong state does not even fault."""
    heap = Heap(HEAP)
    slots = heap.place(struct.pack("<Iiq", 7, -1, 70))
    far = Page(HEAP + 0x10_0000, struct.pack("<QQIi", slots, HEAP + 0x20_0000, 0, 1).ljust(PAGE_BYTES, b"\0"))
    buckets = Page(HEAP + 0x20_0000, struct.pack("<i", 0).ljust(PAGE_BYTES, b"\0"))
    whole = Test(ints=(far.address, 7), int_bytes=(8, 4), pages=(*heap.pages(), far, buckets))
    lacking = replace(whole, pages=(*heap.pages(), far))
    with Probe(lookup) as probe:
        found = probe.defined_states([whole, lacking])
        assert [state.test for state in found] == [whole]
        assert probe.discards["touches what was not recorded"] + probe.discards["fault"] == 1


def test_undefined_behaviour_is_no_test(where: Path) -> None:
    place = where / "overflow"
    place.mkdir()
    total = target(
        place, "int total(const int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i]; return s; }", "total"
    )

    def state(*numbers: int) -> Test:
        heap = Heap()
        address = heap.place(struct.pack(f"<{len(numbers)}i", *numbers))
        return Test(ints=(address, len(numbers)), int_bytes=(8, 4), pages=heap.pages())

    with Probe(total) as probe:
        good, bad = state(1, 2, 3), state(2**31 - 1, 1, 0)
        assert [one.test for one in probe.defined_states([good, bad])] == [good]
        assert probe.discards["undefined behaviour"] == 1


def test_types_that_nothing_can_be_made_of_do_with_recorded_calls_alone(where: Path) -> None:
    place = where / "complex"
    place.mkdir()
    source = (
        "double reals(const _Complex double *p, int n)\n"
        "{ double s = 0; for (int i = 0; i < n; i++) s += __real__ p[i]; return s; }\n"
    )
    reals = target(place, source, "reals")
    with pytest.raises(Decline) as decline:
        harvest(reals, 1, S, FEW)
    assert decline.value.reason is Reason.UNSUPPORTED_TYPE
    recorded = []
    for n in range(1, 12):
        heap = Heap()
        address = heap.place(b"".join(struct.pack("<dd", i / 4, -i) for i in range(n)))
        recorded.append(Test(ints=(address, n), int_bytes=(8, 4), pages=heap.pages()))
    found = harvest(reals, 1, S, FEW, recorded=recorded)
    assert {test.label for test in found.tests} <= {"recorded", "mutated"}
    assert found.count("recorded") == len(recorded)
    assert found.timing
    assert not found.guard_classes


def test_nothing_made_and_nothing_recorded_is_no_inputs(lookup: HarvestTarget) -> None:
    nowhere = Test(ints=(0x10, 5), int_bytes=(8, 4))
    with pytest.raises(Decline) as decline:
        harvest(lookup, 1, S, ALONE, recorded=[nowhere])
    assert decline.value.reason is Reason.NO_INPUTS


def test_more_near_recorded_states_are_recorded_states_changed(lookup: HarvestTarget, alone: Harvest) -> None:
    near = [test for test in alone.tests if test.label == "recorded"][:6]
    more = more_near(lookup, near, 1, most=60)
    assert {test.label for test in more} >= {"mutated"}
    assert not {(test.ints, test.pages) for test in more} & {(test.ints, test.pages) for test in near}


# --- the gates --------------------------------------------------------------------------------------------------------

LIMITED = SOURCE.replace("int i = t->", "int left = 24; int i = t->").replace(
    "while (i >= 0)", "while (i >= 0 && left--)"
)
"""Gives up after 24 slots: right on every table whose chains are short."""
OTHER = SOURCE.replace("while (i >= 0) {", "for (; i >= 0; i = t->slots[i].next) {").replace("i = s->next;", "")


def bench(where: Path, lookup: HarvestTarget, tests: list[Test]) -> Workbench:
    context = Context("lookup", arguments=convention_of(lookup.signature).live_in)
    return workbench(Subject(lookup, context), tests, 1)


def body_of(where: Path, source: str, name: str = "lookup") -> Candidate:
    place = where / f"candidate{abs(hash(source))}"
    place.mkdir(exist_ok=True)
    return Candidate(target(place, source, name, "-O2").body.text(), "model", "by hand")


def test_a_wrong_answer_that_only_a_recorded_state_reveals_is_refuted(where: Path, lookup: HarvestTarget) -> None:
    wrong = body_of(where, LIMITED)
    short = harvest(lookup, 1, S, ALONE, recorded=lookups(30))
    verdict = judge(wrong, bench(where, lookup, short.tests)).verdict
    assert verdict.reason is not Reason.WRONG_VALUE
    long = harvest(lookup, 1, S, ALONE, recorded=lookups(30, size=200, bits=2))
    verdict = judge(wrong, bench(where, lookup, long.tests)).verdict
    assert verdict.reason is Reason.WRONG_VALUE
    assert verdict.test is not None
    assert verdict.test.label in ("recorded", "mutated")


def test_a_right_answer_passes_on_recorded_states(where: Path, lookup: HarvestTarget, alone: Harvest) -> None:
    one = bench(where, lookup, alone.tests)
    case = judge(body_of(where, OTHER), one)
    assert case.verdict.is_accepted or case.verdict.reason is Reason.COPY, case.verdict
    assert is_equal_on(one, lookup.body, alone)


# --- the workload -----------------------------------------------------------------------------------------------------


def states_of(*rows: tuple[int, float, int]) -> list[State]:
    """(work, weight, how many) each."""
    number = 0
    out = []
    for work, weight, many in rows:
        for _ in range(many):
            number += 1
            out.append(State(Test(ints=(number,), weight=weight), ticks=8 * work, work=work, traced=True))
    return sorted(out, key=lambda state: state.work)


def share(part: list[State], whole: list[State]) -> float:
    return sum(s.work * s.test.weight for s in part) / sum(s.work * s.test.weight for s in whole)


def test_classes_hold_equal_shares_of_the_time_not_of_the_calls() -> None:
    """990 calls of 100 and 10 of 100,000: the rare ones are 91% of the time, and so two of three classes."""
    ranked = states_of((100, 10.0, 99), (100_000, 1.0, 10))
    parts = classes(ranked)
    assert [label for label, _ in parts] == ["recorded-short", "recorded-middle", "recorded-long"]
    assert all(0.2 < share(part, ranked) < 0.5 for _, part in parts)
    assert {state.work for state in parts[-1][1]} == {100_000}
    assert sum(len(part) for _, part in parts) == len(ranked)


def test_few_calls_are_one_class() -> None:
    assert [label for label, _ in classes(states_of((50, 1.0, 9)))] == ["recorded"]
    assert [label for label, _ in classes(states_of((50, 1.0, 30)))] != ["recorded"]


def test_a_deck_holds_inputs_in_proportion_to_the_calls_that_they_stand_for() -> None:
    tests = [Test(ints=(1,), weight=90.0), Test(ints=(2,), weight=9.0), Test(ints=(3,), weight=0.9)]
    dealt = deck(tests)
    counts = [sum(test is one for test in dealt) for one in tests]
    assert counts == [100, 10, 1]
    assert deck([replace(test, weight=3.0) for test in tests]) == [replace(test, weight=3.0) for test in tests]
    heavy = deck([Test(ints=(n,), weight=10.0**n) for n in range(12)])
    assert len(heavy) <= DECK + 12
    assert len(set(heavy)) == 12


def test_recorded_calls_decide_and_made_inputs_watch(lookup: HarvestTarget) -> None:
    found = harvest(lookup, 1, S, FEW, recorded=lookups(24))
    assert set(found.timing) <= {"recorded", "recorded-short", "recorded-middle", "recorded-long"}
    assert set(found.timing) == set(found.held_out)
    assert found.guard_classes
    assert not any(test.pages for tests in found.guard_classes.values() for test in tests)


def test_too_few_calls_decide_only_where_there_is_nothing_else(lookup: HarvestTarget) -> None:
    with Probe(lookup) as probe:
        states = States(probe, (), 1, lambda: False)
        states.admit(lookups(5))
        assert states.timing() == ({}, {})
    assert set(harvest(lookup, 1, S, ALONE, recorded=lookups(5)).timing) == {"recorded"}


def test_deciding_and_confirming_calls_are_different_ones(alone: Harvest) -> None:
    decides = {test.ints + test.pages for tests in alone.timing.values() for test in tests}
    confirms = {test.ints + test.pages for tests in alone.held_out.values() for test in tests}
    assert decides
    assert confirms
    assert not decides & confirms


def test_what_cannot_be_replayed_is_counted_by_its_weight(lookup: HarvestTarget) -> None:
    address, _ = table([1, 2, 3], 1)
    lost = Test(ints=(address, 1), int_bytes=(8, 4), pages=(), weight=30.0)
    found = harvest(lookup, 1, S, ALONE, recorded=[*lookups(10), lost])
    assert any("75% of the program's" in line for line in found.why), found.why


# --- a rewrite that wins on small inputs and loses on the real ones ---------------------------------------------------

TABLED = """
long f(const unsigned char *p, int n) {
    unsigned char t[64];
    long s = 0;
    for (int k = 0; k < 64; k++) t[k] = (k * k + 3) % 61;
    for (int i = 0; i < n; i++) s += t[p[i] & 63];
    return s;
}
"""
DIRECT = """
long f(const unsigned char *p, int n) {
    long s = 0;
    for (int i = 0; i < n; i++) { unsigned k = p[i] & 63, v = k * k + 3; while (v >= 61) v -= 61; s += v; }
    return s;
}
"""
"""No table to make first, so far faster on a few bytes; some thirty steps a byte where the table needs one."""


def strings(sizes: list[int], weight: float) -> list[Test]:
    out = []
    for number, size in enumerate(sizes):
        heap = Heap()
        address = heap.place(bytes((i * 7 + number) & 63 | 32 for i in range(size)) or b"x")
        out.append(Test(ints=(address, size), int_bytes=(8, 4), pages=heap.pages(), weight=weight))
    return out


@pytest.fixture(scope="module")
def tabled(where: Path) -> HarvestTarget:
    place = where / "tabled"
    place.mkdir()
    return target(place, TABLED, "f", "-fno-tree-vectorize")


def suite_of(where: Path, tabled: HarvestTarget, found: Harvest) -> tuple[Suite, Body]:
    context = Context("f", arguments=convention_of(tabled.signature).live_in)
    place = where / f"direct{len(list(where.iterdir()))}"
    place.mkdir()
    body = target(place, DIRECT, "f", "-fno-tree-vectorize").body
    one = workbench(Subject(tabled, context), found.tests, 1)
    score = adequacy.Adequacy(adequacy.Score(0, 0, 0, ()), ())
    return Suite(Subject(tabled, context), one, found, score), body


def test_a_rewrite_that_loses_where_the_time_goes_is_not_faster(where: Path, tabled: HarvestTarget) -> None:
    """Nineteen of twenty calls are short, and the candidate wins those; the long ones are most of the time."""
    recorded = strings(list(range(1, 33)), 19.0) + strings(list(range(900, 932)), 1.0)
    found = harvest(tabled, 1, S, ALONE, recorded=recorded)
    suite, body = suite_of(where, tabled, found)
    assert set(found.timing) == {"recorded-short", "recorded-middle", "recorded-long"}
    few = {"short": [test for tests in found.timing.values() for test in tests if test.ints[1] <= 2]}
    assert timing.screen_speed(Pair(suite.bench, body), few) > 1.1
    assert timing.screen_speed(Pair(suite.bench, body), {"long": found.timing["recorded-long"]}) < 0.8
    assert 0 < timing.screen_speed(Pair(suite.bench, body), found.timing) < 0.9


def test_a_rewrite_that_is_much_slower_on_other_inputs_is_told_so(where: Path, tabled: HarvestTarget) -> None:
    short, long = strings([1, 2] * 8, 1.0), strings(list(range(900, 916)), 1.0)
    found = harvest(tabled, 1, S, ALONE, recorded=[*short, *long])
    suite, body = suite_of(where, tabled, replace(found, guard_classes={"short": short, "long": long}))
    assert slower_guard_class(suite, body, 0).startswith("long: 0.")
    assert slower_guard_class(suite, tabled.body, 0) == ""
    only_short, _ = suite_of(where, tabled, replace(found, guard_classes={"short": short}))
    assert slower_guard_class(only_short, body, 0) == ""
