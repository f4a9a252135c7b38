"""The memory contract: what a candidate may touch beyond computing the right answer.

    writes   only bytes that the baseline writes on the same input
    reads    bytes that the baseline reads or writes, and any byte of a naturally aligned 64-byte block that holds a
             byte the baseline reads: such a read cannot fault where the baseline's does not

Checked per input on the logs of `trace`. It detects what comparing memory cannot: stores that put back the value that
was there (a race for another thread, a fault on read-only memory), and reads past the end of an object inside a page.

Not covered: the order of stores; values read by one thread while another writes; accesses to the candidate's own stack
frame.
"""

from __future__ import annotations

import numpy as np

from gccllm.base.core import RunStatus
from gccllm.base.reasons import Reason
from gccllm.sandbox.trace import Intervals, Trace, merged, minus

BLOCK_BYTES = 64


def check(baseline: Trace, candidate: Trace) -> tuple[Reason, str] | None:
    """None when the candidate keeps to the contract, else the reason and the bytes in question.

    Both traces must be of the same test. Returns (TRACE_LIMIT, ...) when one of them is incomplete: nothing is shown.
    """
    if baseline.overflow or candidate.overflow:
        return Reason.TRACE_LIMIT, f"after {max(baseline.steps, candidate.steps)} entries"
    if baseline.status is not RunStatus.OK or candidate.status is not RunStatus.OK:
        whose = "baseline" if baseline.status is not RunStatus.OK else "candidate"
        return Reason.FAULTED, f"traced {whose}: {(baseline if whose == 'baseline' else candidate).status}"
    stray = minus(candidate.writes, baseline.writes)
    if len(stray):
        return Reason.STRAY_STORE, _says(stray, "writes", "writes")
    stray = minus(candidate.reads, allowed_reads(baseline))
    if len(stray):
        return Reason.STRAY_READ, _says(stray, "reads", "reads the 64-byte block of")
    return None


def allowed_reads(baseline: Trace) -> Intervals:
    """Every byte that a candidate may read on this input."""
    size = np.uint64(BLOCK_BYTES)
    blocks = baseline.reads // size * size
    blocks[:, 1] = (baseline.reads[:, 1] + size - np.uint64(1)) // size * size
    return merged(np.concatenate([blocks, baseline.writes]))


def _says(stray: Intervals, does: str, does_not: str) -> str:
    first, end = (int(x) for x in stray[0])
    total = int((stray[:, 1] - stray[:, 0]).sum())
    more = f", {total} bytes in {len(stray)} places in all" if len(stray) > 1 else ""
    return f"{does} {end - first} bytes at {first:#x}, where the baseline never {does_not} a byte{more}"
