"""A body as the machine has it: assembled and decoded (`x86.decode`), its lines beside the instructions they became.

A mark before every line tells which instruction is which, so no listing is parsed. The last bodies asked for are kept:
one judgement looks at a candidate from several sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from gccllm.assembly.body import Body, Line
from gccllm.assembly.syntax import BodyError
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.x86.decode import Code, Insn, Refused, assemble, mark

KEPT = 64
"""Bodies: about as many as one round of candidates."""

_PRIVATE = re.compile(r"(?<![\w.$])(\.L[\w.$]*)([+-][0-9]+)?")


def code_of(body: Body, tools: Toolchain, name: str = "") -> Code:
    """A body assembled and decoded. `name`: what it calls itself by, where it does.

    Raises BodyError(UNPARSABLE) with the assembler's message when that refuses the text.
    """
    rows = [line.text() if line.label else mark(at) + line.text() for at, line in enumerate(body.lines)]
    constants = Body((), body.constants).text() if body.constants else ""
    return _assembled("\n".join(rows) + "\n" + constants, name if name in body.externals else "", tools)


@lru_cache(KEPT)
def _assembled(text: str, name: str, tools: Toolchain) -> Code:
    code = assemble(name, text, tools)
    if isinstance(code, Refused):
        raise BodyError(Reason.UNPARSABLE, code.message)
    return code


def by_line(body: Body, tools: Toolchain, name: str = "") -> Mapping[int, Insn]:
    """The instruction of each line that is no label.

    Raises BodyError(UNPARSABLE), as `code_of` does, and where a line is not one instruction.
    """
    code = code_of(body, tools, name)
    starts = sorted(code.marks.items())
    out: dict[int, Insn] = {}
    for (at, start), end in zip(starts, [*(offset for _, offset in starts[1:]), code.size], strict=True):
        insn = code.insns[code.at[start]] if start in code.at else None
        if insn is None or insn.raw.is_invalid or insn.end != end:
            raise BodyError(Reason.UNPARSABLE, f"line {at + 1} does not decode as one instruction")
        is_own = insn.relocation is not None and not insn.relocation.symbol
        out[at] = replace(insn, private=_private(body.lines[at])) if is_own else insn
    return out


def _private(line: Line) -> tuple[str, int] | None:
    """The private label that an operand names, and the number behind it."""
    found = next((found for operand in line.operands if (found := _PRIVATE.search(operand))), None)
    return (found[1], int(found[2] or "0")) if found else None
