"""What no input can do: branches of machine code that are never taken, shown with an SMT solver."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gccllm.assembly.body import Body
from gccllm.assembly.cfg import Edge
from gccllm.base.deadline import NEVER, Deadline
from gccllm.base.limits import LIMITS
from gccllm.base.toolchain import Toolchain


def infeasible(body: Body, suspects: Iterable[Edge], tools: Toolchain, deadline: Deadline = NEVER) -> frozenset[Edge]:
    """`edges.infeasible`.

    The solver is large and most functions have no need of it, so it is loaded at the first call.
    """
    from gccllm.prove import edges

    return edges.infeasible(body, suspects, tools, deadline.within(LIMITS.proof_s))


def same(body: Body, changes: Sequence[tuple[int, Body]], tools: Toolchain, deadline: Deadline = NEVER) -> list[bool]:
    """Which changed bodies (the line, and the body with other instructions there) are shown to do what `body` does.

    See `change.Equivalence`.
    """
    from gccllm.prove.change import Equivalence

    asked = Equivalence(body, tools, deadline.within(LIMITS.proof_s))
    return [asked.holds(line, other) for line, other in changes]
