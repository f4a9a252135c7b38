"""Running a tool: to its end or to its deadline, whatever that is."""

from __future__ import annotations

import pytest

from gccllm.base.toolchain import run


@pytest.mark.parametrize("deadline_s", [float("inf"), 1e12, 600.0])
def test_a_tool_that_ends_is_waited_for(deadline_s: float) -> None:
    """`gccllm tune` without a budget has no deadline."""
    ran = run(["sh", "-c", "cat; exit 3"], stdin=b"x", deadline_s=deadline_s)
    assert (ran.code, ran.out) == (3, b"x")


def test_a_tool_that_does_not_end_is_stopped_with_its_children() -> None:
    ran = run(["sh", "-c", "sleep 1000 & wait"], deadline_s=0.2)
    assert ran.code == -1
    assert "no answer within" in ran.err
