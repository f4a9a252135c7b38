"""Inputs in unusual floating-point modes: other roundings, and denormals treated as zero.

A program may set a mode at any time (fesetround, an object made with -ffast-math), and gcc's machine code goes on to do
something definite. An input counts in a mode when the baseline terminates normally there, with one result under both
poisons, and the trapping build agrees: where gcc's own builds disagree, gcc leaves the result open.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from gccllm.base.core import Test
from gccllm.harvest.probe import Probe
from gccllm.harvest.recorded import MUTATED
from gccllm.harvest.run import State
from gccllm.sandbox import layout

LABEL = "mode"
"""Of generated inputs; recorded calls in another mode are changed recorded calls."""
MODES = {"down": 0x3F80, "up": 0x5F80, "to zero": 0x7F80, "no denormals": 0x9FC0}
"""MXCSR with rounding other than to nearest; with flush to zero and denormals are zero."""
MOST_CHANGED, OTHERS = 24, 8
"""Inputs for each mode on which the baseline itself ends otherwise than in the usual mode, and other inputs."""

_FLOATS = re.compile(
    r"^\t(?!v?(?:p|mov|and|or|xor|unpck|shuf|perm|blend|insert|extract|broadcast|expand|compress|gather|scatter|maskmov"
    r"|testp|lddqu))\w*[sp][sdh]\t|^\tv?cvt|^\tf(?!ence)\w+",
    re.MULTILINE,
)
_CALL = re.compile(r"^\t(?:call|jmp)\t([\w.]+)", re.MULTILINE)


def has_floats(text: str) -> bool:
    """Whether a slice computes with floating-point numbers, by itself or by a call of the mathematical library."""
    return bool(_FLOATS.search(text)) or any(m[1] in layout.MATH_FUNCTIONS for m in _CALL.finditer(text))


def in_modes(probe: Probe, tests: Sequence[Test], seed: int) -> list[Test]:
    """Some of `tests` in every mode; none for a function without floating-point numbers."""
    if not has_floats(probe.target.text):
        return []
    rng = Random(seed + 5)
    found: list[Test] = []
    for mode in MODES.values():
        labels = [MUTATED if test.pages else LABEL for test in tests]
        made = [replace(test, mxcsr=mode, label=label, weight=0.0) for test, label in zip(tests, labels, strict=True)]
        changed, others = probe.in_mode(tests, made)
        found += rng.sample(changed, min(MOST_CHANGED, len(changed))) + rng.sample(others, min(OTHERS, len(others)))
    states = [State(test, 0) for test in found]
    probe.trace(states)
    return [state.test for state in states if state.traced]
