"""Answers of the built-in model, the insides of C functions, as bodies: all answers of one function in one compile.

An answer is untrusted text. It may hold lexemes of C and nothing that reaches the compiler's other languages: no
directive, no string, no attribute, no inline assembly, no name that begins with an underscore, and it may not close the
function that it is put in. The resulting bodies pass the same gates as any other candidate.

Covered: functions whose types have words (`signature`). The code model, red zone, fixed registers and frame pointers
follow the unit's own flags; its -march and -O do not: an answer is compiled for a level, by the prelude's flags.
Not covered: the unit's types, macros and globals (an answer has none), landing pads (splicing puts them back).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gccllm.assembly import Body, BodyError, Module, NotLossless, canonical
from gccllm.base.core import Candidate, Decline
from gccllm.base.deadline import Deadline
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Ran, Toolchain, run
from gccllm.propose import prelude
from gccllm.propose.c_batch import BatchFailed, compile_batch
from gccllm.propose.c_dialect import checked
from gccllm.propose.protocol import Failure, Prompt
from gccllm.propose.recipes import LEVEL_FLAGS, SAME_SYMBOLS
from gccllm.propose.signature import CSignature
from gccllm.propose.unit import CompileUnit, limited, privatised

MAX_ANSWER = 4000
"""Characters of one answer."""
DRAFT = ("-O0",)
"""Flags after the prelude's own, for code that is only to be tried: the plain loops need no optimiser."""

_APART = tuple(flag for flag in SAME_SYMBOLS if flag != "-fkeep-static-functions")
"""Equal answers are not merged, and each stays in one piece; the prelude's own functions are inlined or not made."""
_FOLLOWED = re.compile(
    r"-f(?:no-)?(?:pic|pie|plt|omit-frame-pointer|stack-clash-protection|zero-call-used-regs|trivial-auto-var-init)(?:=.*)?|-ffixed-.*"
    r"|-fcall-(?:used|saved)-.*|-mcmodel=.*|-m(?:no-)?red-zone|-m(?:no-)?stackrealign|-mpreferred-stack-boundary=.*"
    r"|-m(?:no-)?direct-extern-access|-m(?:no-)?vzeroupper|-mharden-sls=.*",
    re.I,
)
_LEXEMES = re.compile(r"[\w\s()\[\]{}<>=!~&|^+\-*/%?:;,.]*")
_RESERVED = re.compile(r"(?<![\w])(?:_\w*|fn\d+|goto|typeof|auto|register|static|extern|typedef|struct|union|enum)\b")

_DECORATORS = frozenset({"z"})
"""`{z}` of a masked instruction, which looks like a symbol to the lexer of operands."""


def unit_flags(unit: CompileUnit | None) -> tuple[str, ...]:
    """Options of the unit that an answer's code has to share."""
    return tuple(flag for flag in unit.flags if _FOLLOWED.fullmatch(flag)) if unit is not None else ()


def refusal(answer: str) -> Failure | None:
    """Why an answer is not given to the compiler, or None."""
    if len(answer) > MAX_ANSWER:
        return Failure(Reason.TOO_LONG, f"{len(answer)} characters of C", answer[:200])
    if not _LEXEMES.fullmatch(answer) or "//" in answer or "/*" in answer:
        return Failure(Reason.FORBIDDEN_C, "a character that no answer has, or a comment", answer[:200])
    if word := _RESERVED.search(answer):
        return Failure(Reason.FORBIDDEN_C, f"`{word.group()}`", answer[:200])
    try:
        checked(answer)
    except Decline as decline:
        return Failure(decline.reason, decline.detail, answer[:200])
    if not _is_balanced(answer):
        return Failure(Reason.FORBIDDEN_C, "its brackets do not match", answer[:200])
    return None if answer.strip() else Failure(Reason.NO_CODE, "an empty answer")


def _is_balanced(answer: str) -> bool:
    """An open parenthesis of a macro would take all answers behind it along; a brace would end the function."""
    waiting: list[str] = []
    for sign in re.findall(r"[(){}\[\]]", answer):
        if sign in "({[":
            waiting.append(sign)
        elif not waiting or waiting.pop() + sign not in ("()", "{}", "[]"):
            return False
    return not waiting


@dataclass
class Compiled:
    """Answers of one function after one compile: gcc's text, in which answer i is the function `fn<i>`."""

    text: str
    failures: dict[int, Failure]
    """Answers that are not in it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What answers of one function are compiled for."""

    types: CSignature
    tools: Toolchain
    unit: CompileUnit | None = None
    level: int = 0
    """ISA level."""
    draft: bool = False
    """With the macros' plain loops and without the optimiser, a third of the time; to be tried, never timed or
    linked."""


def compile_text(answers: Sequence[str], setting: Setting, deadline_s: float = 20.0) -> Compiled:
    """All answers, those left out that gcc refuses. Never raises."""
    unit, level, draft = setting.unit, setting.level, setting.draft
    failures = {i: refused for i, answer in enumerate(answers) if (refused := refusal(answer)) is not None}
    lines = [
        "" if i in failures else f"{setting.types.head(f'fn{i}')} {{ {' '.join(answer.split())} }}"
        for i, answer in enumerate(answers)
    ]
    if len(failures) == len(lines):
        return Compiled("", failures)
    isa = LEVEL_FLAGS.get(max((known for known in LEVEL_FLAGS if known <= level), default=0), ())
    flags = [*prelude.FLAGS, *unit_flags(unit), *isa, *_APART, *(DRAFT if draft else ())]
    argv = [*limited(), setting.tools.gcc, "-xc", *flags, "-fmax-errors=0", "-S", "-o", "-", "-"]
    deadline = Deadline(deadline_s)
    build = lambda source: run(argv, stdin=source, deadline_s=deadline.left)  # noqa: E731
    text = _text(lines, build, failures, deadline, draft)
    for i, failure in failures.items():
        failures[i] = Failure(failure.reason, failure.detail, answers[i][:200])
    return Compiled(text, failures)


def _text(
    lines: list[str], build: Callable[[bytes], Ran], failures: dict[int, Failure], deadline: Deadline, draft: bool
) -> str:  # fmt: skip
    """gcc's text of the lines that are not empty; adds to `failures`."""
    try:
        ran, bad = compile_batch(lines, build, draft=draft)
        if len(ran.out) > LIMITS.side_bytes:
            raise BatchFailed("too much output")
    except BatchFailed as error:
        there = [i for i, line in enumerate(lines) if line]
        if len(there) == 1 or deadline.is_over:
            failures |= dict.fromkeys(there, Failure(Reason.DOES_NOT_COMPILE, str(error)[:300]))
            return ""
        # One of them breaks the compiler for all: the half with it does so again. Only the larger lot is kept.
        halves = there[: len(there) // 2], there[len(there) // 2 :]
        texts = [
            _text([x if i in half else "" for i, x in enumerate(lines)], build, failures, deadline, draft)
            for half in halves
        ]
        kept = max(texts, key=len)
        for half, text in zip(halves, texts, strict=True):
            if text is not kept:
                failures |= {i: Failure(Reason.DOES_NOT_COMPILE, "not tried again") for i in half if i not in failures}
        return kept
    failures |= {i: Failure(Reason.DOES_NOT_COMPILE, said[:300]) for i, said in bad.items()}
    return ran.out.decode("latin-1")


def compile_answers(
    answers: Sequence[str], name: str, setting: Setting, deadline_s: float = 20.0
) -> list[Body | Failure]:
    """The body of each answer, or why there is none, for function `name`. Never raises."""
    made = compile_text(answers, setting, deadline_s)
    try:
        module = Module.parse(privatised(made.text, None))
    except NotLossless as error:
        return [made.failures.get(i, Failure(Reason.NOT_LOSSLESS, str(error))) for i in range(len(answers))]
    return [made.failures.get(i) or _cut(module, f"fn{i}", name) for i in range(len(answers))]


def _cut(module: Module, entry: str, name: str) -> Body | Failure:
    """The body of function `entry` under the name it will have."""
    function = module.functions.get(entry)
    if function is None:
        return Failure(Reason.NO_CODE, "gcc made no function of it")
    try:
        body = function.body.without_endbr().replace_symbol(entry, name)
    except BodyError as error:
        return Failure(error.reason, error.detail)
    foreign = sorted(body.externals - {name} - _DECORATORS)
    return Failure(Reason.UNKNOWN_SYMBOL, ", ".join(foreign)[:200]) if foreign else body


def levels(prompt: Prompt) -> tuple[int, ...]:
    """ISA levels at which an answer becomes a candidate: the highest allowed, and what needs no guard."""
    return tuple(dict.fromkeys((min(prompt.isa.allowed, max(LEVEL_FLAGS)), prompt.isa.permitted)))


def candidates(
    answers: Sequence[str], prompt: Prompt, words: Sequence[str], failures: list[Failure], deadline: Deadline
) -> Iterator[Candidate]:
    """Candidates of answers (each with a few words of its origin), in order, equal bodies once; none without types.

    Every answer gives one for each of `levels`; its failure at the first level is added to `failures`.
    """
    if (types := prompt.types) is None:
        return
    tools = prompt.unit.tools if prompt.unit is not None else Toolchain.find()
    seen = {prompt.baseline, prompt.scalar}
    made = [
        compile_answers(answers, prompt.function, Setting(types, tools, prompt.unit, level), min(20.0, deadline.left))
        for level in levels(prompt)
    ]
    for i, answer in enumerate(answers):
        for level, bodies in zip(levels(prompt), made, strict=True):
            body = bodies[i]
            if isinstance(body, Failure):
                if bodies is made[0]:
                    failures.append(body)
                continue
            key = canonical(body)
            if key not in seen:
                seen.add(key)
                yield Candidate(body.text(), "model", f"{words[i]}, level {level}", "c", answer)
