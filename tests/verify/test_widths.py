"""Sums and counts in fewer bits than the baseline's are refused where that is sure, and nothing else is."""

from __future__ import annotations

import pytest

from gccllm.assembly import BodyError, Module
from gccllm.base.reasons import Reason
from gccllm.verify.widths import check_widths, needed_width
from gccllm.x86.convention import Convention, integer_result
from gccllm.x86.decode import Code, assemble
from tests.kit.replay import TOOLS, compiled

HEAD = "#include <immintrin.h>\n#include <stddef.h>\n#include <stdint.h>\n"


def body(source: str, *flags: str) -> Code:
    text = compiled(HEAD + source, "-fcf-protection=none", *(flags or ("-O3",)))
    code = assemble("target", Module.parse(text).functions["target"].body.text(), TOOLS)
    assert isinstance(code, Code), code
    return code


def returning(size: int) -> Convention:
    return Convention(exits=(integer_result(size),))


def refused(baseline: str, candidate: str, size: int, *flags: str) -> bool:
    try:
        check_widths(body(candidate, *flags), needed_width(body(baseline), returning(size)), returning(size))
    except BodyError as error:
        return error.reason is Reason.NARROW
    return False


BYTES = "long target(const unsigned char *p, long n) {{ {0} s = 0; for (long i = 0; i < n; i++) s += p[i]; return s; }}"
COUNT = "long target(const int *p, long n) {{ {0} c = 0; for (long i = 0; i < n; i++) c += p[i] > 0; return c; }}"
INTS = "int target(const int *p, long n) {{ {0} s = 0; for (long i = 0; i < n; i++) s += p[i]; return s; }}"


@pytest.mark.parametrize("flags", [("-O3",), ("-O3", "-fno-tree-vectorize"), ("-Os",)], ids=" ".join)
@pytest.mark.parametrize(
    ("source", "wide", "narrow", "size"),
    [(BYTES, "unsigned long", "unsigned", 8), (COUNT, "long", "unsigned short", 8), (INTS, "int", "short", 4)],
)  # fmt: skip
def test_narrow_sums_are_refused(source: str, wide: str, narrow: str, size: int, flags: tuple[str, ...]) -> None:
    assert refused(source.format(wide), source.format(narrow), size, *flags)
    assert not refused(source.format(wide), source.format(wide), size, *flags)
    assert not refused(source.format(narrow), source.format(wide), size, *flags), "wider is fine"


NARROW_LANES = """unsigned long target(const unsigned char *p, long n) {
  __m128i acc = _mm_setzero_si128(), zero = acc; long i = 0;
  for (; i + 16 <= n; i += 16) {
    __m128i x = _mm_loadu_si128((const __m128i *)(p + i));
    acc = _mm_add_epi16(acc, _mm_add_epi16(_mm_unpacklo_epi8(x, zero), _mm_unpackhi_epi8(x, zero)));
  }
  unsigned short t[8]; _mm_storeu_si128((__m128i *)t, acc);
  unsigned long s = 0; for (int k = 0; k < 8; k++) s += t[k];
  for (; i < n; i++) s += p[i];
  return s; }"""
SAD = """unsigned long target(const unsigned char *p, long n) {
  __m128i acc = _mm_setzero_si128(), zero = acc; long i = 0;
  for (; i + 16 <= n; i += 16) acc = _mm_add_epi64(acc, _mm_sad_epu8(_mm_loadu_si128((const __m128i *)(p + i)), zero));
  unsigned long s = _mm_cvtsi128_si64(acc) + _mm_cvtsi128_si64(_mm_unpackhi_epi64(acc, acc));
  unsigned rest = 0; for (; i < n; i++) rest += p[i];
  return s + rest; }"""
DRAINED = """long target(const int *p, long n) {
  long c = 0, i = 0;
  while (i + 4 <= n) {
    __m128i acc = _mm_setzero_si128();
    for (int k = 0; k < 1000 && i + 4 <= n; k++, i += 4)
      acc = _mm_sub_epi32(acc, _mm_cmpgt_epi32(_mm_loadu_si128((const __m128i *)(p + i)), _mm_setzero_si128()));
    c += (unsigned)_mm_extract_epi32(acc, 0) + (unsigned)_mm_extract_epi32(acc, 1);
    c += (unsigned)_mm_extract_epi32(acc, 2) + (unsigned)_mm_extract_epi32(acc, 3);
  }
  for (; i < n; i++) c += p[i] > 0;
  return c; }"""


def test_narrow_lanes_are_refused_and_lanes_that_are_drained_are_not() -> None:
    assert refused(BYTES.format("unsigned long"), NARROW_LANES, 8, "-O2")
    assert not refused(BYTES.format("unsigned long"), SAD, 8, "-O2")
    assert not refused(COUNT.format("long"), DRAINED, 8, "-O2", "-msse4.1")


@pytest.mark.parametrize(
    "source",
    [
        "int target(const unsigned char *p, long n)"
        "{ T s = 0; for (long i = 0; i < n; i++) s += p[i]; return s & 0xffff; }",
        "void target(const unsigned char *p, long n, unsigned short *out)"
        "{ T s = 0; for (long i = 0; i < n; i++) s += p[i]; *out = s; }",
        "unsigned short target(const unsigned char *p, long n)"
        "{ T s = 0; for (long i = 0; i < n; i++) s += p[i] * 3; return s; }",
    ],
)
@pytest.mark.parametrize("flags", ["-fno-tree-vectorize", "-ftree-vectorize"])
def test_bits_that_are_dropped_need_not_be_counted(source: str, flags: str) -> None:
    size = {"int": 4, "void": 0, "unsigned": 2}[source.split()[0]]
    baseline = body(source.replace("T", "unsigned long"), "-O3", flags)
    result = returning(size)
    check_widths(body(source.replace("T", "unsigned short"), "-O3"), needed_width(baseline, result), result)


def test_counters_that_only_end_loops_do_not_matter() -> None:
    source = "void target(int *p, int n) {{ for ({0} i = 0; i < n; i++) p[i] += i & 7; }}"
    assert not refused(source.format("long"), source.format("int"), 0)
