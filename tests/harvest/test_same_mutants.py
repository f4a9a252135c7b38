"""No mutant that some test kills is ever shown to be the same function; some that none kills are."""

from __future__ import annotations

from pathlib import Path

import pytest

from gccllm.base.deadline import Deadline
from gccllm.prove.change import Equivalence
from gccllm.verify.mutate import assembling, mutants
from tests.kit.harvest import solved_bench

CLIPPED = """
long f(const short *a, int n, short low, short high) {
    long s = 0;
    for (int i = 0; i < n; i++) s += a[i] < low ? low : a[i] > high ? high : a[i];
    return s;
}
"""
PARSED = """
int f(const unsigned char *a, unsigned n) {
    int found = 0, sign = 1;
    for (unsigned i = 0; i < n; i++) {
        if (a[i] == '-' && !found) sign = -1;
        else if (a[i] >= '0' && a[i] <= '9') found = found * 10 + (a[i] & 15);
        else if (a[i] == 0) break;
    }
    return found * sign;
}
"""
SEARCHED = """
int f(const unsigned *a, int n, unsigned key) {
    int low = 0, high = n - 1;
    while (low <= high) {
        int middle = low + (high - low) / 2;
        if (a[middle] == key) return middle;
        if (a[middle] < key) low = middle + 1; else high = middle - 1;
    }
    return -1;
}
"""


@pytest.mark.parametrize("limit", [120, pytest.param(240, marks=pytest.mark.full)])
@pytest.mark.parametrize("code", [CLIPPED, PARSED, SEARCHED], ids=["clipped", "parsed", "searched"])
def test_no_mutant_that_a_test_kills_is_shown_the_same(tmp_path: Path, code: str, limit: int) -> None:
    bench = solved_bench(code)
    body = bench.baseline
    made = assembling([m for m in mutants(body, limit=limit, seed=1) if m.line >= 0], bench.tools, tmp_path)
    asked = Equivalence(body, bench.tools, Deadline(120.0))
    shown = [asked.holds(m.line, m.body) for m in made]
    names = [f"m{n}" for n in range(len(made))]
    image = bench.image([bench.entry_text(m.body, name, align=4) for m, name in zip(made, names, strict=True)])
    with bench.replayer(image) as replayer:
        killed = [bool(bench.wrong(replayer, name, range(len(bench.tests)), 0)[0]) for name in names]
    assert sum(killed) > 0.8 * len(killed)
    assert [m.what for m, dead, is_same in zip(made, killed, shown, strict=True) if dead and is_same] == []
    assert any(shown)
