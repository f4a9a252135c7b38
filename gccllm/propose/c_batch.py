"""Many C answers in one compile: those that gcc refuses are identified and left out.

Each answer is a whole function `fn<i>` on a line of its own behind the prelude; what gcc says names the line, or, where
the error is inside a macro, the function. Used for the model's answers and for the pairs it is trained on.

Covered: errors of the compiler's front end, which name a place, and symbols that do not exist (`also`). Not covered:
an answer that crashes the compiler or exhausts it: the whole batch fails then, and the caller halves it or gives up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from gccllm.base.toolchain import Ran
from gccllm.propose import prelude

HEAD = '#line 1 "answers"\n'
ROUNDS = 24
"""Compiles of one batch before giving up: some errors are found only when those of an earlier phase are gone."""

_INSIDE = re.compile(r"In function ['‘]fn(\d+)['’]")
_AT = re.compile(r"answers:(\d+):\d+: (?:fatal )?error: (.*)")
_ERROR = re.compile(r": (?:fatal )?error: (.*)")


class BatchFailed(Exception):
    """gcc fails for a reason that no answer can be blamed for."""


def blamed(said: str) -> dict[int, str]:
    """Answers that gcc's errors are about, and the first error of each."""
    found: dict[int, str] = {}
    current = -1
    for line in said.splitlines():
        if inside := _INSIDE.search(line):
            current = int(inside[1])
        elif at := _AT.match(line):
            found.setdefault(int(at[1]) - 1, at[2])
        elif error := _ERROR.search(line):
            found.setdefault(current, error[1])
    found.pop(-1, None)
    return found


def compile_batch(
    functions: Sequence[str], build: Callable[[bytes], Ran], *, also: Callable[[], set[int]] = set, draft: bool = False
) -> tuple[Ran, dict[int, str]]:
    """The compile that succeeded, and the answers left out of it with gcc's words.

    `functions`  C functions `fn0`, `fn1`, ..., none with a line break
    `build`      compiles a source
    `also`       after a success: answers that are to be left out for another reason
    `draft`      the macros are their plain loops
    Raises BatchFailed.
    """
    bad: dict[int, str] = {}
    head = (prelude.plain() if draft else prelude.text()) + HEAD
    for _ in range(ROUNDS):
        lines = ["" if i in bad else text for i, text in enumerate(functions)]
        ran = build((head + "\n".join(lines) + "\n").encode())
        found = dict.fromkeys(also(), "undefined symbol") if ran.ok else blamed(ran.err)
        fresh = {i: said for i, said in found.items() if i not in bad and 0 <= i < len(functions)}
        if ran.ok and not fresh:
            return ran, bad
        if not fresh:
            raise BatchFailed(ran.err[:2000])
        bad |= fresh
    raise BatchFailed("gcc refuses answers without end")
