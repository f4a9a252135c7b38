"""Calls that work on much memory: recorded whole, timed as they are, checked on shorter ones made of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gccllm.base.core import PAGE_BYTES
from gccllm.base.scratch import scratch
from gccllm.base.toolchain import Toolchain
from gccllm.commands.minimise import worth_of
from gccllm.commands.record_report import worth_words
from gccllm.harvest.long import Looked
from gccllm.harvest.recorded import timeable
from gccllm.record.onbench import OnBench
from gccllm.record.store import Recorded
from tests.kit.program import Program

TOOLS = Toolchain.find()
LOOPS = """
#include <stddef.h>
struct buffer { const unsigned char *data; int kind; size_t size; };

long sum(const unsigned char *p, size_t n) {
    long s = 0;
    for (size_t i = 0; i < n; i++) s += p[i];
    return s;
}
void bounds(const int *p, const int *end, int *low, int *high) {
    *low = *high = *p;
    for (; p != end; p++) { if (*p < *low) *low = *p; if (*p > *high) *high = *p; }
}
unsigned hash(const struct buffer *b) {
    unsigned h = 2166136261u;
    for (size_t i = 0; i < b->size; i++) h = (h ^ b->data[i]) * 16777619u;
    return h;
}
"""
MAIN = """
#include <stdio.h>
#include <stdlib.h>
struct buffer { const unsigned char *data; int kind; size_t size; };
long sum(const unsigned char *, size_t);
void bounds(const int *, const int *, int *, int *);
unsigned hash(const struct buffer *);

int main(void) {
    size_t n = %d << 20;
    unsigned x = 1;
    int low, high;
    unsigned char *p = malloc(n);
    for (size_t i = 0; i < n; i++) p[i] = (x = x * 1664525 + 1013904223) >> 24;
    for (int turn = 0; turn < 3; turn++) {
        struct buffer b = {p, turn, n};
        p[turn] = turn;
        bounds((int *)p, (int *)(p + n), &low, &high);
        printf("%%ld %%d %%d %%u\\n", sum(p, n), low, high, hash(&b));
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def mebibyte(tmp_path_factory: pytest.TempPathFactory) -> Program:
    program = Program(tmp_path_factory.mktemp("loops"), LOOPS, MAIN % 1)
    program.record()
    return program


def recorded(program: Program, name: str) -> tuple[str, Recorded]:
    for key in program.tests.keys():  # noqa: SIM118
        if (found := program.tests.read(key)) is not None and found.function == name:
            return key, found
    raise AssertionError(f"nothing was recorded of {name}")


@contextmanager
def looked(program: Program, name: str) -> Iterator[list[Looked]]:
    key, found = recorded(program, name)
    bench = program.tests.bench(key)
    assert bench is not None
    with scratch() as place, OnBench(bench, TOOLS, place) as on:
        yield on.looked(found.calls)


@pytest.mark.parametrize("name", ["sum", "bounds", "hash"])
def test_a_call_over_a_mebibyte_is_timed_whole_and_checked_on_shorter_ones(mebibyte: Program, name: str) -> None:
    """Its length is an argument, the distance to an end, or a field of a record."""
    with looked(mebibyte, name) as found:
        assert len(found) == 3
        for one in found:
            assert one.state is not None, one.why
            assert len(one.state.test.pages) >= (1 << 20) // PAGE_BYTES
            assert one.is_long
        shorter = [state for one in found for state in one.shorter]
        assert len(shorter) > 20
        assert all(state.traced and state.test.label == "shortened" for state in shorter)
        assert sorted(len(state.test.pages) for state in shorter)[len(shorter) // 2] < 30, "those that it touches"


def test_what_shorter_calls_show_counts_for_the_call(mebibyte: Program, tmp_path: Path) -> None:
    key, found = recorded(mebibyte, "hash")
    bench = mebibyte.tests.bench(key)
    assert bench is not None
    worth = worth_of(bench, found, TOOLS, tmp_path)
    assert worth.replayed == 3
    assert worth.edges[0] == worth.edges[1] > 0
    assert worth.mutants[0] > 0.9 * worth.mutants[1] > 0
    assert [line.split(":")[0] for line in worth_words(worth)] == ["3 are too long for every candidate to run"]


def test_a_timing_takes_as_many_large_calls_as_it_has_room_for(mebibyte: Program) -> None:
    with looked(mebibyte, "bounds") as found:
        states = [one.state for one in found if one.state is not None]
        assert timeable(states) == states, "they share nearly all of their pages"
        assert 200 < len(timeable([replace(state) for state in states * 1000])) < 300


def test_a_call_whose_trace_would_be_too_long_is_looked_at_alone(tmp_path: Path) -> None:
    program = Program(tmp_path, LOOPS, (MAIN % 8).replace("turn < 3", "turn < 1"))
    program.record()
    with looked(program, "hash") as (one,):
        assert one.state is not None, one.why
        assert not one.state.traced
        assert len(one.state.test.pages) >= (8 << 20) // PAGE_BYTES
        assert one.shorter


def test_a_call_that_does_not_replay_says_which_page_it_lacks(mebibyte: Program) -> None:
    key, found = recorded(mebibyte, "sum")
    bench, call = mebibyte.tests.bench(key), found.calls[0]
    assert bench is not None
    lost = call.pages[100]
    lacking = replace(call, pages=tuple(page for page in call.pages if page is not lost))
    with scratch() as place, OnBench(bench, TOOLS, place) as on:
        (one,) = on.looked([lacking])
    assert one.state is None
    assert one.why == f"it touches {lost.address:#x}, which was not recorded"
