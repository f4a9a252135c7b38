"""The `c` dialect: a C function that gcc turns into a body.

The answer is untrusted text given to a compiler, so it may not reach for anything outside itself: headers from a short
list, no inline assembly, no attributes or pragmas that place or run code. What it computes is not looked at here; the
resulting body passes the same gates as any other.

Covers functions whose definition is found in the unit's own source (the answer takes its place, and sees the unit's
types and macros) and functions that need no types but the standard ones. Not covered: C++ units, definitions inside
headers or made by macros that need the unit's types (gcc then refuses: does_not_compile).
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from gccllm.assembly import BodyError, Module
from gccllm.base.core import Decline
from gccllm.base.reasons import Reason
from gccllm.propose import csource
from gccllm.propose.prompt_text import MAX_CODE
from gccllm.propose.protocol import Prompt
from gccllm.propose.recipes import LEVEL_FLAGS, SAME_SYMBOLS
from gccllm.propose.unit import CompileUnit

HEADERS = ("immintrin.h", "limits.h", "math.h", "stdbool.h", "stddef.h", "stdint.h", "string.h")

_INCLUDE = re.compile(r"[ \t]*#[ \t]*include[ \t]*<([\w./]+)>[ \t]*")
_PRAGMA = re.compile(r"[ \t]*#[ \t]*pragma[ \t]+GCC[ \t]+(?:ivdep|unroll[ \t]+\d+)[ \t]*")
_DEFINE = re.compile(r"[ \t]*#[ \t]*(?:define|undef)[ \t]+([A-Za-z_]\w*)")
# Words that place code, run it at start-up, name symbols, or reach the assembler or the file system.
_FORBIDDEN_WORDS = re.compile(
    r"\b(?:asm|__asm|__asm__|_Pragma|__declspec|__has_include|__has_embed|_Thread_local|__thread|__FILE__|__BASE_FILE__"
    r"|__INCLUDE_LEVEL__|__attribute|extern|volatile|__volatile__|__volatile|setjmp|longjmp|alloca|__builtin_alloca\w*)\b"
)
_ATTRIBUTES = frozenset({
    "aligned", "always_inline", "artificial", "assume_aligned", "cold", "const", "fallthrough", "flatten", "hot",
    "leaf", "may_alias", "noclone", "noinline", "nonnull", "nothrow", "packed", "pure", "returns_nonnull", "unused",
    "vector_size",
})  # fmt: skip
_ATTRIBUTE = re.compile(r"\b__attribute__\b(?P<rest>\s*\(\s*\((?P<names>[^()]*(?:\([^()]*\)[^()]*)*)\)\s*\))?")


def compile_answer(code: str, prompt: Prompt, *, deadline_s: float = 20.0) -> str:
    """Body text of a C answer.

    Raises Decline: FORBIDDEN_C, DOES_NOT_COMPILE with gcc's first error, TOO_LONG, NO_CODE when the function is not in
    it, or the BodyError's own reason.
    """
    unit = prompt.unit
    if unit is None or unit.language != "c":
        raise Decline(Reason.DOES_NOT_COMPILE, "the unit's source is not known, or is C++")
    code = checked(code)
    found = csource.find(code, prompt.function)
    if found is None:
        raise Decline(Reason.NO_CODE, f"no definition of {prompt.function}")
    module = _compile(_placed(code, prompt.function, unit), prompt, unit, "_mm" in code, deadline_s)
    function = module.functions.get(prompt.function)
    if function is None:
        raise Decline(Reason.NO_CODE, f"gcc made no function {prompt.function} of it")
    try:
        return function.body.without_endbr().text()
    except BodyError as error:
        raise Decline(error.reason, error.detail) from error


def checked(code: str) -> str:
    """`code` with spliced lines joined and comments gone. Raises Decline(FORBIDDEN_C or TOO_LONG)."""
    if len(code) > MAX_CODE:
        raise Decline(Reason.TOO_LONG, f"{len(code)} characters of C")
    if "\0" in code:
        raise Decline(Reason.FORBIDDEN_C, "NUL character")
    if "%:" in code or "??" in code or "##" in code:
        raise Decline(Reason.FORBIDDEN_C, "digraphs, trigraphs and token pasting hide what is written")
    code = re.sub(r"\\[ \t]*\r?\n", "", code.replace("\r\n", "\n"))
    code = csource.without_comments(code)
    plain = csource.blanked(code, directives=False)
    for line in plain.split("\n"):
        if line.lstrip().startswith("#"):
            _check_directive(line)
    word = _FORBIDDEN_WORDS.search(plain)
    if word:
        raise Decline(Reason.FORBIDDEN_C, f"`{word.group()}`")
    for attribute in _ATTRIBUTE.finditer(plain):
        names = re.findall(r"[A-Za-z_]\w*", re.sub(r"\([^()]*\)", " ", attribute["names"] or "?"))
        unknown = [name for name in names if name.strip("_") not in _ATTRIBUTES]
        if attribute["rest"] is None or unknown:
            raise Decline(Reason.FORBIDDEN_C, f"attribute {', '.join(unknown) or 'of unusual form'}")
    return code


def _check_directive(line: str) -> None:
    include = _INCLUDE.fullmatch(line)
    if include and include[1] in HEADERS:
        return
    define = _DEFINE.match(line)
    if _PRAGMA.fullmatch(line) or (define and define[1].strip("_") not in _ATTRIBUTES):
        return
    raise Decline(Reason.FORBIDDEN_C, f"`{line.strip()[:60]}`")


def _placed(code: str, function: str, unit: CompileUnit) -> str:
    """A source that holds the answer: the unit's own with the function exchanged, or the answer by itself."""
    original = unit.original
    found = csource.find(original, function) if original is not None else None
    headers = "".join(f"#include <{header}>\n" for header in HEADERS)
    if original is None or found is None:
        return headers + code
    return original[: found.start] + "\n" + headers + code + "\n" + original[found.end :]


def _compile(source: str, prompt: Prompt, unit: CompileUnit, has_intrinsics: bool, deadline_s: float) -> Module:
    # Intrinsics say what is meant; plain C may still gain from the vectoriser.
    level = "-O2" if has_intrinsics else "-O3"
    isa = LEVEL_FLAGS.get(prompt.isa.allowed, ()) if prompt.isa.allowed > prompt.isa.permitted else ()
    with tempfile.TemporaryDirectory(prefix="gccllm-c-") as scratch:
        path = Path(scratch) / unit.source.name
        path.write_bytes(source.encode("latin-1", "replace"))
        beside = unit.source if unit.source.is_absolute() else unit.cwd / unit.source
        # No pattern may become a call to memset or memcpy that the baseline does not make.
        exact = ("-ffp-contract=off", "-fno-tree-loop-distribute-patterns")
        extra = (*isa, level, *SAME_SYMBOLS, *exact, "-iquote", str(beside.parent))
        module = unit.module_of(path, extra, deadline_s=deadline_s)
    if module is None:
        raise Decline(Reason.DOES_NOT_COMPILE, _first_error(unit.last_error))
    return module


def _first_error(said: str) -> str:
    lines = [line for line in said.splitlines() if " error: " in line or "rror:" in line]
    line = (lines or said.splitlines() or [""])[0]
    # The scratch path says nothing to a model.
    return re.sub(r"^\S*/", "", line)[:300]
