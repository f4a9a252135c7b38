"""What assembly does not show: volatile accesses, relaxed atomics and empty inline assembly look like plain code in it.

gcc's last tree dump of a side compile does show them, after inlining, so that a volatile read in an inlined helper
counts for the function it ended up in. One compile serves a unit.

Covers what is in the function's own code. Not covered: effects inside functions it calls; those stay calls.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gccllm.core import Quit
from gccllm.harvest.side import DUMP_OPTION, SIDE_S
from gccllm.reasons import Reason
from gccllm.toolchain import Toolchain

# `x ={v} {CLOBBER};` marks the end of a variable's life and is no access.
_EFFECTS: tuple[tuple[re.Pattern[str], Reason], ...] = (
    (re.compile(r"__asm__"), Reason.ASM_INLINE),
    (re.compile(r"__atomic_|__sync_|\bGOMP_|\.ATOMIC_"), Reason.ATOMIC),
    (re.compile(r"\{v\}(?! \{CLOBBER)"), Reason.VOLATILE),
)
_HEAD = re.compile(r"^;; Function .*\(([^\s,()]+), funcdef_no=", re.MULTILINE)


def hidden_effects(
    tools: Toolchain,
    flags: Sequence[str],
    source: Path | str,
    *,
    language: str = "c",
    cwd: Path | None = None,
    deadline_s: float = SIDE_S,
) -> dict[str, tuple[Reason, str]]:
    """Assembler name of each function with such an effect -> (reason, the statement).

    Raises Quit(SIDE_COMPILE) when gcc gives no dump: then nothing is known of any function. Raises Quit(DEADLINE).
    """
    with tempfile.TemporaryDirectory(prefix="gccllm-") as scratch:
        dump = Path(scratch) / "tree"
        ran = tools.compile(
            [*flags, "-w", "-S", "-x", language, str(source), "-o", "/dev/null", f"{DUMP_OPTION}={dump}"],
            cwd=cwd,
            deadline_s=deadline_s,
        )
        if ran.code == -1:
            raise Quit(Reason.DEADLINE, f"side compile: {ran.err}")
        if not ran.ok or not dump.exists():
            raise Quit(Reason.SIDE_COMPILE, "no tree dump of the unit")
        return effects_in(dump.read_bytes().decode("latin-1"))


def effects_in(dump: str) -> dict[str, tuple[Reason, str]]:
    """The same, of the text of a dump."""
    heads = list(_HEAD.finditer(dump))
    found: dict[str, tuple[Reason, str]] = {}
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        code = dump[head.end() : after.start() if after else len(dump)]
        for pattern, reason in _EFFECTS:
            if shown := pattern.search(code):
                line = code[code.rfind("\n", 0, shown.start()) + 1 :].split("\n", 1)[0].strip()
                found[head.group(1)] = (reason, line[:100])
                break
    return found
