"""How a body is laid out in memory: its text with the alignment of loop heads that gcc gives its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gccllm.assembly.body import Body
from gccllm.assembly.cfg import cfg

LOOP_ALIGNMENT = ("\t.p2align 4,,10", "\t.p2align 3")
"""What gcc prints before a loop at -O2 and -O3: 16 bytes if at most 10 are lost, else 8."""
NOTHING: Mapping[int, Sequence[str]] = MappingProxyType({})


def loop_heads(body: Body) -> frozenset[int]:
    """Lines (labels) that head a natural loop. On line 0 there is none: the function's own alignment is enough."""
    graph = cfg(body)
    starts = (graph.blocks[loop.header].first for loop in graph.loops)
    return frozenset(at for at in starts if at and body.lines[at].label)


def layout(body: Body, before: Mapping[int, Sequence[str]] = NOTHING) -> list[str]:
    """Text lines of the instructions, loop heads aligned; constants are not printed.

    `before`: what else to print before a line, and before its alignment.
    """
    heads = loop_heads(body)
    out: list[str] = []
    for at, line in enumerate(body.lines):
        out.extend(before.get(at, ()))
        if at in heads:
            out.extend(LOOP_ALIGNMENT)
        out.append(line.text())
    return out


def layout_text(body: Body) -> str:
    """`layout` and the constants: what a splice places and timing measures."""
    constants = Body((), body.constants).text() if body.constants else ""
    return "\n".join(layout(body)) + "\n" + constants
