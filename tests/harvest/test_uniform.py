"""A comparison that is off by one in a single position of an unrolled remainder is found out."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.base.core import Candidate
from gccllm.harvest.uniform import LABEL, turning_points
from gccllm.harvest.values import Dictionary
from gccllm.verify.judge import judge
from tests.kit.harvest import harvested, solved_bench

SMALL = """void f(char *d, const char *s, size_t n) {
  for (size_t i = 0; i < n; i++) { char c = s[i]; d[i] = (c >= 'A' && c <= 'Z') ? c + 32 : c; } }"""
WORDS = """void f(unsigned *d, const unsigned *s, int n) {
  for (int i = 0; i < n; i++) d[i] = s[i] > 1000 ? s[i] * 3 : 0; }"""


REALS = """void f(float *d, const float *s, int n) {
  for (int i = 0; i < n; i++) d[i] = s[i] > 1000.0f ? s[i] * 3.0f : 0.0f; }"""


@pytest.mark.parametrize("code", [SMALL, WORDS], ids=["bytes", "words"])
def test_every_single_comparison_that_is_off_by_one_is_refused(code: str) -> None:
    bench = solved_bench(code)
    text = bench.baseline.text()
    places = list(re.finditer(r"\tcmp[bl]\t\$(\d+), %", text))
    assert len(places) > 3
    for place in places:
        wrong = text[: place.start(1)] + str(int(place[1]) + 1) + text[place.end(1) :]
        verdict = judge(Candidate(wrong, "test", "off by one"), bench).verdict
        assert not verdict.is_accepted, text[place.start() : place.end() + 20]


def test_a_strict_comparison_that_is_not_is_refused_in_every_place() -> None:
    bench = solved_bench(REALS)
    text = bench.baseline.text()
    strict = {"jbe": "jb", "ja": "jnb"}
    places = [place for place in re.finditer(r"\t(\w+)\t", text) if place[1] in strict]
    assert places
    for place in places:
        wrong = text[: place.start(1)] + strict[place[1]] + text[place.end(1) :]
        verdict = judge(Candidate(wrong, "test", "not strict"), bench).verdict
        assert not verdict.is_accepted, text[place.start() : place.end() + 20]


def test_a_text_keeps_its_end() -> None:
    found = harvested("size_t f(const char *s) { size_t n = 0; while (*s++) n++; return n; }")
    assert {test.label for test in found.tests} & {LABEL}


@given(
    st.lists(st.integers(-(2**63), 2**64), max_size=60), st.sampled_from([1, 2, 4, 8]), st.integers(0, 300),
    st.integers(0, 9),
)  # fmt: skip
def test_turning_points_are_different_values_of_the_size(ints: list[int], size: int, most: int, seed: int) -> None:
    found = turning_points(Dictionary(tuple(ints)), size, most, Random(seed))
    assert len(set(found)) == len(found) <= most
    assert all(0 <= value < 1 << 8 * size for value in found)
    if size == 1 and most >= 256:
        assert set(found) == set(range(256))
