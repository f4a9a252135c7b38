"""Who is eligible, and which stored rewrite is admitted. Decisions only; the mechanisms are elsewhere.

A unit's options are judged by the rows of `UNIT_ROWS`, each with an example that a test runs. An option that neither these
nor `options.ROWS` know declines too: nobody has said what a rewrite has to do about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gccllm.assembly import Function
from gccllm.base import options as gcc_options
from gccllm.base.config import Settings
from gccllm.base.core import Decline
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import VERIFIED
from gccllm.harvest.recorded import CLASSES as RECORDED_CLASSES
from gccllm.store import Entry


@dataclass(frozen=True, slots=True)
class UnitRow:
    """`pattern` (full match) over one option of the compile; `unless` is the option that switches it off again."""

    pattern: str
    reason: Reason
    example: str
    unless: str = ""


UNIT_ROWS: tuple[UnitRow, ...] = (
    UnitRow(r"-fsanitize(-coverage)?=.*", Reason.SANITIZER, "-fsanitize=address"),
    UnitRow(r"--?coverage|-fprofile-arcs|-ftest-coverage", Reason.COVERAGE, "-ftest-coverage", "-fno-profile-arcs"),
    UnitRow(r"-pg?|-fprofile-generate.*|-finstrument-functions", Reason.PROFILING, "-pg"),
    UnitRow(r"-mfentry|-mrecord-mcount|-mnop-mcount|-fpatchable-function-entry=.*", Reason.PATCHABLE_ENTRY, "-mfentry"),
    UnitRow(r"-fsplit-stack", Reason.SPLIT_STACK, "-fsplit-stack", "-fno-split-stack"),
    UnitRow(r"-m(indirect-branch|function-return)=(?!keep).*", Reason.INDIRECT_BRANCH, "-mindirect-branch=thunk"),
    UnitRow(r"-m(32|x32|16)|-mabi=ms", Reason.NOT_X86_64, "-m32", "-m64"),
    UnitRow(r"-mcmodel=(?!small).*", Reason.CODE_MODEL, "-mcmodel=kernel"),
    UnitRow(r"-mno-sse2?|-mgeneral-regs-only|-msoft-float", Reason.NO_SSE, "-mno-sse"),
    UnitRow(r"-ffreestanding|-mno-red-zone|-mskip-rax-setup|-mregparm=.*", Reason.FREESTANDING, "-ffreestanding"),
    UnitRow(r"-fplugin=.*", Reason.PLUGIN, "-fplugin=x.so"),
    UnitRow(r"-masm=intel", Reason.ASM_SYNTAX, "-masm=intel", "-masm=att"),
    UnitRow(r"-f(non-call-exceptions|trapv|stack-check.*|stack-limit-.*)", Reason.UNSUPPORTED_CODE, "-ftrapv"),
)  # fmt: skip

_IDENT = re.compile(r'^\t\.ident\t"GCC: \(.*\) ([0-9]+)\.[0-9.]+', re.MULTILINE)


def declines_unit(options: Sequence[str], as_argv: Sequence[str], text: str, settings: Settings) -> None:
    """Raises Decline with the first reason to leave the whole unit to gcc."""
    if settings["mode"] == "off":
        raise Decline(Reason.MODE_OFF)
    if len(text) > LIMITS.unit_bytes:
        raise Decline(Reason.UNIT_TOO_LARGE, f"{len(text)} bytes, limit {LIMITS.unit_bytes}")
    if '\t.file\t"<artificial>"\n' in text:
        raise Decline(Reason.LTO_LINK)
    unknown = set(gcc_options.unknown(options))
    for row in UNIT_ROWS:
        matched = [option for option in options if re.fullmatch(row.pattern, option)]
        if matched and not (row.unless and row.unless in options[options.index(matched[-1]) :]):
            raise Decline(row.reason, matched[-1])
        unknown -= set(matched)
    if unknown:
        raise Decline(Reason.OPTION_UNKNOWN, " ".join(sorted(unknown)))
    if any(re.match(r"-a([cdghlmns]|=|$)|--?listing", option) for option in as_argv):
        raise Decline(Reason.ASSEMBLER_LISTING)
    if any(option in ("--32", "--x32") for option in as_argv):
        raise Decline(Reason.NOT_X86_64)
    if ".section\t.gnu.lto_" in text and "__gnu_lto_slim" in text:
        raise Decline(Reason.SLIM_LTO)
    if '\t.ident\t"GCC: (' not in text:
        raise Decline(Reason.NOT_GCC_OUTPUT)
    if (named := _IDENT.search(text)) and int(named[1]) < VERIFIED[0]:
        raise Decline(Reason.GCC_UNVERIFIED, f"gcc {named[1]}")
    if (level := optimisation_level(options)) not in ("1", "2", "3", "fast"):
        raise Decline(Reason.OPTIMISATION_OFF, f"-O{level}")
    if private := [name for name in gcc_options.PRIVATE if gcc_options.is_in_force(options, name, default=True)]:
        raise Decline(Reason.PRIVATE_ARRANGEMENTS, ", ".join(f"-f{name}" for name in private))


def optimisation_level(options: Sequence[str]) -> str:
    """The level in force: `0`, `1`, `2`, `3`, `s`, `z`, `g`, `fast`. -O4 and above are 3, as gcc takes them."""
    level = "0"
    for option, _ in gcc_options.words_of(options):
        if match := re.fullmatch(r"-O(fast|[0-9]+|[sgz])?", option):
            word = match.group(1) or "1"
            level = word if not word.isdigit() else str(min(int(word), 3))
    return level


FUNCTION_ROWS: tuple[tuple[str, Reason, str], ...] = (
    ("is_empty", Reason.UNSUPPORTED_CODE, ""),
    ("has_computed_goto", Reason.UNSUPPORTED_CODE, ""),
    ("has_inline_asm", Reason.ASM_INLINE, r"^#APP\n(?:#.*\n)*\s*(.*)"),
    ("has_lock", Reason.ATOMIC, r"^\s*(lock\b.*|[lms]fence.*|(?:\w+ )?xchg.*\(.*)"),
    ("has_lsda", Reason.LSDA, ""),
    ("has_odd_tls", Reason.TLS, r"^\s*(\w.*(?:%[fg]s:|@tls|@TLS|__emutls).*)"),
    ("has_stack_protector", Reason.STACK_PROTECTOR, ""),
    ("has_indirect_call", Reason.INDIRECT_CALL, r"^\s*((?:\w+ )?(?:call|jmp)\w*\s+\*.*)"),
)
"""(attribute of assembly.Function, reason, what of its text shows it), in the order they are asked."""

TWICE_RETURNING = frozenset({"setjmp", "_setjmp", "__sigsetjmp", "sigsetjmp", "vfork", "getcontext", "savectx"})


def declines_function(function: Function, settings: Settings) -> None:
    """Raises Decline with the first static reason to leave one function to gcc."""
    for attribute, reason, pattern in FUNCTION_ROWS:
        if getattr(function, attribute):
            shown = re.search(pattern, "\n".join(function.lines), re.MULTILINE) if pattern else None
            raise Decline(reason, " ".join(shown[1].split()) if shown else "")
    if twice := TWICE_RETURNING & set(function.calls):
        raise Decline(Reason.SETJMP, ", ".join(sorted(twice)))
    limit = settings["max_instructions"]
    if function.instructions > limit:
        raise Decline(Reason.TOO_LARGE, f"{function.instructions} instructions, limit {limit}")


COMPILED = "compiled"
"""The evidence level of a body that the user's gcc makes of the user's source (`propose.compiled`)."""
IN_PROGRAM = "program"
"""The class of inputs of a trial: whatever the program does."""


def gain_asked(classes: Iterable[str]) -> float:
    """The gain that a rewrite must exceed, by the classes of inputs that it was timed on: more where no recorded call
    says what the program's inputs are like."""
    if set(classes) == {IN_PROGRAM}:
        return LIMITS.trial_gain
    return LIMITS.recorded_gain if set(classes) <= set(RECORDED_CLASSES) else LIMITS.generated_gain


def admits(entry: Entry, settings: Settings) -> Reason | None:
    """None when the entry may be linked under today's policy, else the reason it may not.

    Asked at every lookup, so that a stricter policy revokes old entries without touching their keys.
    """
    evidence = entry.evidence
    if entry.outcome != "accepted" or evidence is None:
        return Reason.NOTHING_FASTER
    if settings["isa"] == "baseline" and entry.isa_level > 0:
        return Reason.ISA
    if evidence.level != COMPILED:  # what the user's gcc makes anew of the user's source needs no tests
        if evidence.edges_baseline[0] < evidence.edges_baseline[1]:
            return Reason.EDGES_MISSED
        if evidence.mutants[0] < LIMITS.mutation_score * evidence.mutants[1]:
            return Reason.MUTANTS_SURVIVED
    if evidence.timing.speedup < 1 + gain_asked(evidence.timing.classes):
        return Reason.NOT_FASTER
    return None
