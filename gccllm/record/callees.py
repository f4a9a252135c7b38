"""Functions of other units, for those that call them: slices of what a recorded build has, in the test store.

A build that records keeps its units' global functions, because a unit knows nothing of the others. A function
of the same name in another program may have replaced one. That costs tests (they fault, or end differently), never a
wrong verdict: its calls are compared one by one, whatever it returns.
"""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import replace

from gccllm.assembly import BodyError, Module, reachable, slice_text
from gccllm.base.core import CalleeSpec
from gccllm.harvest.types import Signature
from gccllm.record.store import CALLEE, TestStore

LARGEST = 2000
"""Instructions of a function that is kept, its callees in the unit included."""


def keep_callees(tests: TestStore, module: Module) -> int:
    """Keep what other units may call and an image can run; how many there are. Raises OSError."""
    kept = 0
    for name in module.functions:
        if not CALLEE.fullmatch(name) or module.binding(name) != "global":
            continue
        with contextlib.suppress(BodyError):
            functions, objects = reachable(module, name)
            reached = [module.functions[one] for one in functions]
            if (
                sum(one.instructions for one in reached) <= LARGEST
                and not any(module.objects[one].is_writable for one in objects)
                and not any(one.uses_tls or one.has_inline_asm or one.has_indirect_call for one in reached)
            ):
                tests.put_callee(name, slice_text(module, name))
                kept += 1
    return kept


def assuming_external_code(signature: Signature) -> Signature:
    """`signature` as if every function of the program that cannot be stubbed were in the store: the unit that has
    it may be compiled later. What a C library has is not the program's."""
    library = ctypes.CDLL(None)
    found = {
        name: replace(spec, returns_pointer=False)
        for name, spec in signature.callees.items()
        if isinstance(spec, CalleeSpec) and spec.returns_pointer and not hasattr(library, name)
    }
    return replace(signature, callees=signature.callees | found)
