"""What a function's own code implies for any correct answer: which parameters matter, whether memory is written.

    reads    the parameters whose registers are live at entry: gcc keeps no read that nothing depends on, so a right
             answer names all of these. It may name others: what gcc saw through need not be seen through again.
    stores   whether it stores outside its own frame; so does a right answer, then and only then

Covered: integer, pointer and float parameters in registers, by the System V rules. Not covered: parameters on the
stack, functions with stores that take their frame's address (nothing is said of stores then), code that the
decoder refuses (nothing is said at all).
Cost: one run of the assembler.
"""

from __future__ import annotations

from dataclasses import dataclass

from gccllm.assembly import Body, BodyError
from gccllm.assembly.code import code_of
from gccllm.base.toolchain import Toolchain
from gccllm.propose.signature import CSignature
from gccllm.x86.convention import ARGUMENTS
from gccllm.x86.decode import Code
from gccllm.x86.liveness import read_first


@dataclass(frozen=True, slots=True)
class Facts:
    """None: not known."""

    reads: frozenset[str] | None = None
    """Letters of parameters."""
    stores: bool | None = None


def facts_of(text: str, types: CSignature, tools: Toolchain) -> Facts:
    """Of a body's text. Never raises for what the text is."""
    try:
        body = Body.parse(text)
        code = code_of(body, tools)
    except (BodyError, OSError, ValueError):
        return Facts()
    read = read_first(code)
    registers = _registers(types)
    return Facts(frozenset(x for x, register in registers.items() if register in read), _stores(body, code))


def _registers(types: CSignature) -> dict[str, str]:
    """The register of each parameter."""
    free = {file: iter(names) for file, names in ARGUMENTS.items()}
    return {
        letter: next(free["vector" if word in ("f32", "f64") else "int"])
        for letter, word in zip("abcdef", types.params, strict=False)
    }


def _stores(body: Body, code: Code) -> bool | None:
    lines = body.lines
    framed = any(line.mnemonic.startswith("mov") and line.operands == ("%rsp", "%rbp") for line in lines)
    frame = {"RSP", "RBP"} if framed else {"RSP"}
    if not any(access.is_written and access.base not in frame for insn in code.insns for access in insn.accesses):
        return False
    # The frame's address in another register: stores through it may stay inside the frame.
    for line in lines:
        origin, to = line.operands if len(line.operands) == 2 else ("", "")
        if to != "%rbp" and (origin == "%rsp" or (line.mnemonic.startswith("lea") and "%rsp" in origin)):
            return None
    return True
