"""Edges that only a solver finds inputs for are taken by inputs that the baseline really ran."""

from __future__ import annotations

from kit import harvested

from gccllm.harvest.probe import LAST_RESORT
from gccllm.harvest.solved import SOLVED

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


def test_what_c_leaves_open_is_the_last_resort() -> None:
    found = harvested(BEYOND_C)
    assert found.missing == []
    assert [test.ints[0] & 3 for test in found.tests if test.label == LAST_RESORT] == [3]
