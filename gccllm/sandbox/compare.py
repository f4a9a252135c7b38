"""What one run did, as a record, and whether two runs agree.

`differs` compares many runs at once, `difference` and `same` two records in words. The first of a pair is the
baseline's; neither says which of the two is right.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from gccllm.base.core import Observation, Returned, RunStatus, Slot
from gccllm.base.reasons import Reason
from gccllm.sandbox import layout
from gccllm.sandbox.environment import STRICT, Environment

_STATUS = {
    layout.Status.DIED: RunStatus.DIED,
    layout.Status.OK: RunStatus.OK,
    layout.Status.FAULT: RunStatus.FAULT,
    layout.Status.TIMEOUT: RunStatus.TIMEOUT,
    layout.Status.SYSCALL: RunStatus.SYSCALL,
    layout.Status.ABI: RunStatus.ABI,
    layout.Status.SKIPPED: RunStatus.TIMEOUT,
}

Raw = npt.NDArray[np.void]


def decode_observation(row: Any) -> Observation:
    """One OBSERVATION record (a numpy void) as the shared type."""
    return Observation(
        status=_STATUS.get(int(row["status"]), RunStatus.DIED),  # type: ignore[call-overload]
        signal=int(row["signal"]),
        fault_address=int(row["fault"]),
        abi=int(row["abi"]),
        returned={
            Slot.RAX: row["rax"].tobytes(),
            Slot.RDX: row["rdx"].tobytes(),
            Slot.XMM0: row["xmm0"].tobytes(),
            Slot.XMM1: row["xmm1"].tobytes(),
            Slot.ST0: row["st0"].tobytes()[:10],
            Slot.ST1: row["st1"].tobytes()[:10],
        },
        memory=row["memory"].tobytes(),
        calls=row["calls"].tobytes(),
        ticks=int(row["ticks"]),
        fp_flags=int(row["fp_flags"]),
        errno=int(row["error"]),
    )


ANY_FLAGS = 0xFFFFFFFF
"""Exception flags of a baseline that it does not define."""


def forget_undefined_flags(first: Raw, second: Raw) -> None:
    """Set ANY_FLAGS where a baseline's flags depend on the poison, the two runs being one under each.

    gcc lets vector code work on junk in the upper part of an argument's register, which raises what it happens to.
    """
    differing = first["fp_flags"] != second["fp_flags"]
    first["fp_flags"][differing] = second["fp_flags"][differing] = ANY_FLAGS


def same(
    a: Observation, b: Observation, returns: tuple[Returned, ...], environment: Environment = STRICT
) -> str | None:
    """None when both terminated normally and agree on every result byte, all memory, all calls and the environment;
    else the difference in words. `a` is the baseline."""
    found = difference(a, b, returns, environment)
    return None if found is None else found[1]


def difference(
    a: Observation, b: Observation, returns: tuple[Returned, ...], environment: Environment = STRICT
) -> tuple[Reason, str] | None:
    """`same`, with the named reason."""
    if b.status is not RunStatus.OK:
        return _REFUSED.get(b.status, Reason.FAULTED), _says(b)
    if a.status is not RunStatus.OK:
        return Reason.WRONG_VALUE, f"the baseline does not define this input: {_says(a)}"
    # First: an answer taken at the wrong moment makes everything after it differ.
    if a.calls != b.calls:
        return Reason.WRONG_CALLS, "the calls, their arguments or the memory at a call differ"
    for result in returns:
        want, got = (o.returned[result.slot][: result.size] for o in (a, b))
        if want != got:
            return Reason.WRONG_VALUE, f"{result.slot}: want {_number(want)}, got {_number(got)}"
    if a.memory != b.memory:
        return Reason.WRONG_MEMORY, "the memory after the call differs"
    if environment.errno and a.errno != b.errno:
        return Reason.WRONG_ERRNO, f"want {_errno(a)}, got {_errno(b)}"
    if environment.fp_flags and a.fp_flags not in (b.fp_flags, ANY_FLAGS):
        return Reason.WRONG_FLAGS, f"want {_flags(a)}, got {_flags(b)}"
    return None


_REFUSED = {
    RunStatus.FAULT: Reason.FAULTED,
    RunStatus.DIED: Reason.FAULTED,
    RunStatus.TIMEOUT: Reason.TIMED_OUT,
    RunStatus.SYSCALL: Reason.SYSTEM_CALL,
    RunStatus.ABI: Reason.ABI_BROKEN,
}


def _says(o: Observation) -> str:
    if o.status is RunStatus.ABI:
        return "abi: " + ", ".join(str(bit.name).lower() for bit in layout.AbiBit(o.abi))
    if o.status is RunStatus.FAULT:
        return f"fault: signal {o.signal} at {o.fault_address:#x}"
    return str(o.status)


def _errno(o: Observation) -> str:
    return "errno as it was" if o.errno == layout.ERRNO_BEFORE else os.strerror(o.errno)


def _flags(o: Observation) -> str:
    return "+".join(name for bit, name in enumerate(_FLAGS) if o.fp_flags >> bit & 1) or "no flag"


_FLAGS = ("invalid", "denormal", "division by zero", "overflow", "underflow", "inexact")


def _number(data: bytes) -> str:
    return f"{int.from_bytes(data, 'little'):#x}"


def differs(a: Raw, b: Raw, returns: tuple[Returned, ...], environment: Environment = STRICT) -> npt.NDArray[np.bool_]:
    """Vectorised `difference(...) is not None` over two results of `run_raw`, (n,) and (n,) to (n,)."""
    bad: npt.NDArray[np.bool_] = (a["status"] != layout.Status.OK) | (b["status"] != layout.Status.OK)
    bad |= (a["memory"] != b["memory"]).any(axis=1) | (a["calls"] != b["calls"]).any(axis=1)
    for result in returns:
        width = layout.OBSERVATION[result.slot.value].itemsize
        want, got = (np.ascontiguousarray(x[result.slot.value]).view(np.uint8).reshape(len(x), width) for x in (a, b))
        bad |= (want[:, : result.size] != got[:, : result.size]).any(axis=1)
    if environment.fp_flags:
        bad |= (a["fp_flags"] != b["fp_flags"]) & (a["fp_flags"] != ANY_FLAGS)
    if environment.errno:
        bad |= a["error"] != b["error"]
    return bad
