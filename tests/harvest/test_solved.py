"""Edges that only a solver finds inputs for are taken by inputs that the baseline really ran."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gccllm.assembly import Module
from gccllm.base.core import Candidate, Outcome
from gccllm.base.reasons import Reason
from gccllm.harvest.probe import DOUBTFUL, UNDEFINED
from gccllm.harvest.solved import SOLVED
from gccllm.verify.adequacy import score
from gccllm.verify.judge import judge
from tests.kit.harvest import compiled, harvested, solved_bench

KEYED = """
unsigned f(const unsigned *a, unsigned n) {
    unsigned s = 0;
    for (unsigned i = 0; i < n; i++) s = s * 31 + a[i];
    return n == 3 && a[2] * 2654435761u == 0x12345678u ? s / 5 : s;
}
"""


def test_a_key_is_found() -> None:
    found = harvested(KEYED)
    assert found.missing == []
    (test, *_) = [test for test in found.tests if test.label == SOLVED]
    address = test.ints[0]
    page = next(page for page in test.pages if page.address <= address < page.address + 4096)
    last = int.from_bytes(page.data[address - page.address + 8 :][:4], "little")
    assert last * 2654435761 % (1 << 32) == 0x12345678


STATIC = """
static unsigned key, tries;
int f(unsigned given) {
    for (unsigned i = 0; i < given >> 30; i++) tries += i;
    if (given * 2246822519u == key * key + 77 && key > 100) { tries = 0; return 1; }
    return 0;
}
void set(unsigned k) { key = k; }
"""


def test_the_units_own_data_is_filled_too() -> None:
    found = harvested(STATIC)
    assert found.missing == []
    assert any(test.label == SOLVED and any(piece.symbol == "key" for piece in test.globals) for test in found.tests)


BEYOND_C = """
unsigned f(const unsigned *a, unsigned n) {
    unsigned s = 0;
    for (unsigned i = 0; i < n; i++) s = s * 31 + a[i];
    if (s * 2654435761u == 0x12345678u && ((uintptr_t)a & 3) == 3)
        s -= a[0] / 3;
    return s;
}
"""


def test_what_c_leaves_open_is_taken_all_the_same() -> None:
    found = harvested(BEYOND_C)
    assert found.missing == []
    assert {test.ints[0] & 3 for test in found.tests if test.label in (DOUBTFUL, UNDEFINED)} >= {3}


SUM = """
unsigned f(const unsigned *a, unsigned n) {
    unsigned i, s = 0;
    for (i = 0; i < n; i++) s = s * 31 + a[i];
    EXTRA
    return s;
}
"""


def body_of(code: str) -> Candidate:
    return Candidate(Module.parse(compiled(code, "-O2")).functions["f"].body.text(), "model", "by hand")


HIDDEN = "if (n == 5 && a[4] * 2654435761u == 0x12345678u) "
WRONG, AGAIN = "s ^= 1;", "for (i = 0, s = 0; i < n; i++) s = s * 31 + a[i];"


@pytest.mark.parametrize(("extra", "outcome"), [(WRONG, Outcome.REFUTED), (AGAIN, Outcome.ACCEPTED)])
def test_what_a_candidate_does_on_one_value_only_is_seen(extra: str, outcome: Outcome) -> None:
    bench, candidate = solved_bench(SUM.replace("EXTRA", "")), body_of(SUM.replace("EXTRA", HIDDEN + extra))
    alone = judge(candidate, replace(bench, solver=None)).verdict
    assert alone.reason is Reason.EDGES_UNSEEN
    verdict = judge(candidate, bench).verdict
    assert verdict.outcome is outcome, verdict


STEPS = """
unsigned f(unsigned a) {
    unsigned s = 0;
    for (unsigned i = 0; i < a >> 30; i++) s += i;
    a *= 2654435761u;
    return a < 77777u ? s + 9 : a < 777777777u ? s * 7 : a < 1777777777u ? s ^ a : s / 3;
}
"""


def test_mutants_that_one_value_tells_apart_are_killed() -> None:
    """`jb` and `jbe` part on one number in four thousand million."""
    bench = solved_bench(STEPS)
    alone, asked = (score(replace(bench, solver=one, more=lambda near, _: [])).best for one in (None, bench.solver))
    assert asked.killed > alone.killed
    assert asked.total == alone.total
