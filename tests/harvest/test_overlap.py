"""Memory that may overlap does so in some inputs: behind fields, in globals, of unlike types where flags allow it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gccllm.assembly import Module, is_pointed_to
from gccllm.base.core import Candidate, Test
from gccllm.harvest.overlap import LABEL
from gccllm.verify.judge import judge
from gccllm.verify.workbench import Workbench
from tests.kit.harvest import bench_of, compiled, target

PLAIN = ("-O3", "-fno-tree-vectorize")


def bench(code: str, *flags: str, strict: bool = True) -> Workbench:
    one = target(code, *PLAIN, *flags)
    return bench_of(replace(one, signature=replace(one.signature, strict_aliasing=strict)))


def overlapping(work: Workbench) -> list[Test]:
    return [test for test in work.tests if test.label == LABEL]


def rewritten(work: Workbench, code: str, *flags: str) -> str:
    """How the judge ends for what gcc makes of other code: the stage."""
    body = Module.parse(compiled(code, "-O3", *flags)).functions["f"].body.text()
    verdict = judge(Candidate(body, "model", "by hand"), work).verdict
    return "accepted" if verdict.is_accepted else verdict.stage


IVDEP = '_Pragma("GCC ivdep") '
"""Lets gcc vectorise the loop that follows as if nothing overlapped."""
LOOP = "APART for (long i = 0; i < n; i++) to[i] = from[i] * 3 + 1;"
FIELDS = f"""struct job {{ unsigned *to; const unsigned *from; long n; }};
void f(const struct job *j) {{ unsigned *to = j->to; const unsigned *from = j->from; long n = j->n; {LOOP} }}"""
RECORDS = f"""struct buf {{ unsigned *p; long n; }};
void f(const struct buf *a, const struct buf *b) {{
  unsigned *to = a->p; const unsigned *from = b->p; long n = a->n < b->n ? a->n : b->n; {LOOP} }}"""
GLOBAL = f"unsigned from[1000]; void f(unsigned *to, long n) {{ {LOOP} }}"
GLOBALS = f"unsigned *g; const unsigned *h; void f(long n) {{ unsigned *to = g; const unsigned *from = h; {LOOP} }}"
OWN = f"""struct s {{ long n; unsigned *to; unsigned own[64]; }};
void f(struct s *s) {{ unsigned *to = s->to; const unsigned *from = s->own; long n = s->n & 63; {LOOP} }}"""
UNLIKE = f"""void f(unsigned *to, const float *from_, long n) {{
  const unsigned *from = (const unsigned *)from_; {LOOP} }}"""


def plain(code: str) -> str:
    return code.replace("APART ", "")


@pytest.mark.parametrize(
    "code", [FIELDS, RECORDS, GLOBAL, GLOBALS, OWN], ids=["fields", "records", "global", "globals", "own"]
)
def test_a_rewrite_that_takes_two_pieces_for_apart_is_refuted(code: str) -> None:
    work = bench(plain(code))
    assert len(overlapping(work)) >= 10
    assert rewritten(work, code.replace("APART ", IVDEP)) == "replay"
    assert rewritten(work, plain(code)) == "accepted"


def test_unlike_types_overlap_only_without_strict_aliasing() -> None:
    assert not overlapping(bench(plain(UNLIKE)))
    work = bench(plain(UNLIKE), "-fno-strict-aliasing", strict=False)
    assert rewritten(work, UNLIKE.replace("APART ", IVDEP), "-fno-strict-aliasing") == "replay"


@pytest.mark.parametrize(
    "code",
    [
        f"void f(unsigned *restrict to, const unsigned *from, long n) {{ {LOOP} }}",
        FIELDS.replace("unsigned *to;", "unsigned *restrict to;"),
        "int f(const int *a, const int *b, int n) { int s = 0; while (n--) s ^= a[n] * b[n]; return s; }",
    ],
    ids=["restrict", "restrict field", "only read"],
)  # fmt: skip
def test_what_must_be_apart_or_is_only_read_stays_apart(code: str) -> None:
    work = bench(plain(code))
    assert work.tests
    assert not overlapping(work)


@pytest.mark.parametrize(
    ("code", "is_known"),
    [
        ("static int x; int f(void) { return ++x; }", False),
        ("static int x = 1; int f(void) { return ++x; }", False),
        ("int x; int f(void) { return ++x; }", True),
        ("static int x; int f(void) { return ++x; } int *g(void) { return &x; }", True),
        ("static int x; int *p = &x; int f(void) { return ++x; }", True),
    ],
)
@pytest.mark.parametrize("flag", ["-fPIC", "-fno-pie", "-fcommon"])
def test_a_variable_is_pointed_to_where_its_address_is_taken(code: str, is_known: bool, flag: str) -> None:
    assert is_pointed_to(Module.parse(compiled(code, "-O2", flag)), "x") == is_known


def test_a_copy_that_c_leaves_open_makes_no_test() -> None:
    def apart(call: str) -> bool:
        work = bench(f"void f(char *d, const char *s, unsigned n) {{ {call}(d, s, n); }}")
        spans = [(test.ints[0], test.ints[1], test.ints[2] & 0xFFFFFFFF) for test in work.tests]
        return not any(0 < abs(d - s) < n for d, s, n in spans)

    assert apart("memcpy")
    assert not apart("memmove")
