"""Rewrites that are right about every number and wrong about the rest: flags, errno, roundings, denormals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gccllm.base.reasons import Reason
from gccllm.harvest.wire import facts_of, target_and_context
from gccllm.sandbox.environment import Environment
from gccllm.store.entry import Bench
from gccllm.verify.screen import Context
from tests.kit.harvest import verdicts
from tests.kit.targets import target_of

LOOP = "void f({0} *restrict d, const {0} *s, long n) {{ for (long i = 0; i < n; i++) {1}; }}"
FLAGS = {
    "a division that is not asked for": (
        LOOP.format("double", "if (s[i] != 0) d[i] = 3 / s[i]"),
        LOOP.format("double", '{ double q = 3 / s[i]; if (s[i] != 0) d[i] = q; __asm__("" :: "x"(q)); }'),
    ),
    "a rounding that says so": (
        LOOP.format("double", "d[i] = __builtin_nearbyint(s[i] + 0.25)"),
        LOOP.format("double", "d[i] = __builtin_rint(s[i] + 0.25)"),
    ),
    "a comparison that is silent about a NaN": (
        "long f(const double *s, long n) { long r = 0; for (long i = 0; i < n; i++) r += s[i] < 1; return r; }",
        "long f(const double *s, long n) { long r = 0; for (long i = 0; i < n; i++) r += __builtin_isless(s[i], 1);"
        " return r; }",
    ),
}


@pytest.mark.parametrize("what", FLAGS)
def test_exception_flags_are_part_of_the_result_unless_the_options_say_otherwise(what: str) -> None:
    right, wrong = FLAGS[what]
    same, other = verdicts(right, wrong, flags=("-msse4.1", "-fno-math-errno"))
    assert same.is_accepted, same
    assert other.reason is Reason.WRONG_FLAGS, other
    assert verdicts(right, wrong, flags=("-msse4.1", "-fno-math-errno", "-fno-trapping-math"))[1].is_accepted


ERRNO = {
    "log": ("d[i] = __builtin_log(s[i])", "d[i] = s[i] == 0 ? -1 / __builtin_fabs(s[i]) : __builtin_log(s[i])"),
    "sqrt": ("d[i] = __builtin_sqrt(s[i])",
             "{ double r; __asm__(\"sqrtsd %1, %0\" : \"=x\"(r) : \"x\"(s[i])); d[i] = r; }"),
    "fmod": ("d[i] = __builtin_fmod(s[i], 0.0)",
             "{ double z = 0; __asm__(\"\" : \"+x\"(z)); d[i] = z / z + s[i] * 0; }"),
}  # fmt: skip


@pytest.mark.parametrize("what", ERRNO)
def test_errno_is_memory(what: str) -> None:
    same, other = verdicts(*(LOOP.format("double", text) for text in ERRNO[what]))
    assert same.is_accepted, same
    assert other.reason in (Reason.WRONG_ERRNO, Reason.WRONG_MEMORY), other


MODES = {
    "the sign before a rounding": (
        LOOP.format("float", "d[i] = -(s[i] * 0.1f)"),
        LOOP.format("float", '{ float m; __asm__("" : "=x"(m) : "0"(-s[i])); d[i] = m * 0.1f; }'),
    ),
    "a sum of negatives": (
        "float f(const float *s, long n) { float r = 0; for (long i = 0; i < n; i++) r -= s[i] * 0.1f; return r; }",
        "float f(const float *s, long n) { float r = -0.0f; for (long i = 0; i < n; i++) r += s[i] * 0.1f;"
        ' __asm__("" : "+x"(r)); return 0 - r; }',
    ),
    "a denormal that counts as zero": (
        "long f(const float *s, long n) { long r = 0; for (long i = 0; i < n; i++) r += s[i] == 0; return r; }",
        "long f(const unsigned *s, long n) { long r = 0; for (long i = 0; i < n; i++) r += (s[i] << 1) == 0;"
        " return r; }",
    ),
}


@pytest.mark.parametrize("what", MODES)
def test_a_program_may_be_in_any_mode(what: str) -> None:
    """Flags are not compared here, so that it is the mode that tells."""
    right, wrong = MODES[what]
    same, other = verdicts(right, wrong, flags=("-frounding-math", "-fno-trapping-math"))
    assert same.is_accepted, same
    assert other.reason in (Reason.WRONG_MEMORY, Reason.WRONG_VALUE), other
    assert other.test is not None
    assert other.test.label == "mode"


@pytest.mark.parametrize("flags", [(), ("-ffast-math",)])
def test_an_entry_keeps_what_is_compared(tmp_path: Path, flags: tuple[str, ...]) -> None:
    text = LOOP.format("double", "d[i] = s[i] / 3")
    (tmp_path / "t.c").write_text(text)
    target = target_of(tmp_path / "t.c", "f", ["-O3", *flags], tmp_path)
    context = Context("f")
    facts = json.loads(json.dumps(facts_of(target, context)))
    kept, _ = target_and_context(
        Bench(slice=target.text, baseline=target.body.text(), facts=facts), target.tools, tmp_path
    )
    assert kept.environment == Environment(fp_flags=not flags, errno=not flags)
