"""The size of a body's stack frame, against the baseline's: a rewrite runs in threads that have a stack for gcc's code.

Over a page, -fstack-clash-protection would need probes, and a guard page may be jumped over: refused unless the
baseline itself moves the stack pointer so far at once. In a function that calls itself every level pays: there less is
allowed.

Not covered: the frames of functions that the candidate calls and the baseline does not (memcpy and its like).
"""

from __future__ import annotations

from gccllm.assembly import BodyError
from gccllm.base.reasons import Reason
from gccllm.x86.abi_flow import Flow

ALLOWED = 384
"""Bytes of stack pointer below the baseline's deepest: a few spilled registers of a wide loop. With the red zone's 128,
a rewrite writes at most 512 bytes more of the stack. Measured: of 600 bodies that the recipes give for the kernels, the
deepest is 152 bytes below its baseline."""
ALLOWED_RECURSIVE = 64
"""The same where the body calls itself."""
PAGE = 4096


def check_frame(ours: Flow, theirs: Flow, *, is_recursive: bool) -> None:
    """Compare what two bodies do to the stack pointer. `is_recursive`: ours calls itself. Raises BodyError(FRAME)."""
    allowed = ALLOWED_RECURSIVE if is_recursive else ALLOWED
    if ours.depth > theirs.depth + allowed:
        raise BodyError(Reason.FRAME, f"{ours.depth} bytes, the baseline {theirs.depth}")
    if ours.depth >= PAGE and theirs.stride <= PAGE:  # the baseline probes a page at a time, or is small
        raise BodyError(Reason.FRAME, f"{ours.depth} bytes without probes")
