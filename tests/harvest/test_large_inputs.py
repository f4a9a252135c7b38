"""Accumulators that are too narrow for millions of elements are found out, however a function is told how far to go."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gccllm.assembly import Module
from gccllm.base.core import Candidate, Outcome
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.harvest import large
from gccllm.harvest.large import enlarged
from gccllm.verify.judge import judge
from gccllm.verify.workbench import Workbench
from tests.kit.harvest import bench_of, compiled, target

BYTES = (
    "unsigned long f(const unsigned char *p, long n) { WIDE s = 0; for (long i = 0; i < n; i++) s += p[i]; return s; }"
)
COUNT = "long f(const int *p, int n) { WIDE c = 0; for (int i = 0; i < n; i++) c += p[i] > 0; return c; }"
RECORD = """struct buf { const unsigned char *p; unsigned n; };
unsigned long f(const struct buf *b) { WIDE c = 0; for (unsigned i = 0; i < b->n; i++) c += b->p[i] != 0; return c; }"""
GLOBAL = """const int *data; int length;
unsigned long f(void) { WIDE c = 0; for (int i = 0; i < length; i++) c += data[i] & 1; return c; }"""
END = "unsigned long f(const short *p, const short *e) { WIDE c = 0; while (p < e) c += *p++ != 0; return c; }"
TEXT = "unsigned long f(const char *s) { WIDE n = 0; while (*s++) n++; return n; }"
GIVEN = "long f(const char *p, char c, long n) { WIDE s = 0; for (long i = 0; i < n; i++) s += p[i] == c; return s; }"
WRITTEN = "void f(unsigned *p, long n) { WIDE k = 0; for (long i = 0; i < n; i++) { k++; p[i] = k; } }"
BEST = """long f(const unsigned *p, long n) {
  WIDE at = 0; for (long i = 1; i < n; i++) if (p[i] > p[at]) at = i; return at; }"""


def bench(code: str) -> Workbench:
    one = target(code)
    work = bench_of(one)
    return replace(work, large=lambda _: enlarged(one, work.tests))


@pytest.mark.parametrize(
    ("code", "wide", "narrow"),
    [
        (BYTES, "unsigned long", "unsigned"),
        (COUNT, "long", "unsigned short"),
        (COUNT, "long", "float"),
        (RECORD, "unsigned long", "unsigned short"),
        (GLOBAL, "unsigned long", "unsigned short"),
        (END, "unsigned long", "unsigned short"),
        (TEXT, "unsigned long", "unsigned short"),
        (GIVEN, "long", "unsigned short"),
        (WRITTEN, "unsigned", "unsigned short"),
        (BEST, "long", "unsigned short"),
    ],
    ids=["bytes", "count", "float count", "record", "global", "end", "text", "given", "written", "place"],
)
def test_a_narrow_accumulator_is_refuted(code: str, wide: str, narrow: str) -> None:
    work = bench(code.replace("WIDE", wide))
    text = compiled(code.replace("WIDE", narrow), "-O2", "-fno-tree-vectorize")
    body = Module.parse(text).functions["f"].body.text()
    verdict = judge(Candidate(body, "model", "by hand"), work).verdict
    assert not verdict.is_accepted
    assert verdict.stage in ("large", "replay")


def test_a_body_that_is_right_passes() -> None:
    work = bench(BYTES.replace("WIDE", "unsigned long"))
    text = compiled(BYTES.replace("WIDE", "unsigned long"), "-O2")
    verdict = judge(Candidate(Module.parse(text).functions["f"].body.text(), "recompile", "-O2"), work).verdict
    assert verdict.is_accepted
    assert any(len(test.pages) * 4096 >= 20_000_000 for test in work.large_tests)


def test_without_time_for_large_inputs_nothing_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    work = bench(COUNT.replace("WIDE", "long"))
    monkeypatch.setattr(large, "LIMITS", replace(LIMITS, large_s=-1.0))
    text = compiled(COUNT.replace("WIDE", "long"), "-Os")
    verdict = judge(Candidate(Module.parse(text).functions["f"].body.text(), "recompile", "-Os"), work).verdict
    assert (verdict.outcome, verdict.stage, verdict.reason) == (Outcome.UNDECIDED, "large", Reason.DEADLINE)


@given(
    st.sampled_from((1, 2, 4, 8)),
    st.integers(1, 9000),
    st.integers(1, 64),
    st.booleans(),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_pages_hold_the_elements_and_what_ends_them(
    size: int, count: int, period: int, has_last: bool, has_zero: bool
) -> None:
    period = 1 << period.bit_length() - 1
    element = bytes(n % 250 + 1 for n in range(size * period))
    last = b"\xfe" * size if has_last else b""
    pages = large._laid(1 << 40, large.Content(element, last), count * size, False,
                        (count * size, size) if has_zero else None)  # fmt: skip
    assert all(len(page.data) == 4096 for page in pages)
    want = bytearray((element * (count // period + 2))[: (count + 1) * size])
    if has_last:
        want[(count - 1) * size : count * size] = last
    if has_zero:
        want[count * size :] = bytes(size)
    assert b"".join(page.data for page in pages).startswith(want)
