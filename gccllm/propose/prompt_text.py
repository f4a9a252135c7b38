"""The prompt as text, for models that read text, and the parser of their answers.

Format 1. A user message is a list of headed, fenced blocks in this order; an empty block is left out:

    Function: `NAME`
    Instruction sets: level N (M without a guard): WORDS
    Signature / C source / Assembly of gcc -O3 / Assembly without vectorisation     each a fenced block
    Attempt: REASON: DETAIL; input: ARGUMENTS                                        a fenced block, once per attempt
    the request itself

Fences are one backtick longer than any run of backticks inside. `recover` reads the same text back into a Prompt: the
local server serves the built-in model, which does not read prose, behind the same interface as any other.

An answer is one fenced block marked `asm` or `c`. `parse_answer` is generous about what surrounds it and about nothing
inside it: what the block holds is judged later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gccllm.base.core import Decline
from gccllm.base.reasons import Reason
from gccllm.propose.protocol import Attempt, Isa, Prompt
from gccllm.propose.signature import CSignature

VERSION = 1
MAX_ANSWER = 256 << 10
"""Characters of a whole answer, prose included."""
MAX_CODE = 64 << 10
"""Characters of the code inside it."""

SYSTEM = """\
You rewrite one x86-64 function so that it runs faster than what gcc -O3 made of it, with exactly the same behaviour.

Same behaviour means: the same return value, the same bytes in all memory, no store to a byte that the original does
not store, no read outside the 64-byte blocks that the original reads, the same calls in the same order, and
floating-point results equal to the last bit (no reassociation, no fused multiply-add). Overlapping pointers are allowed
wherever the original defines a result for them. System V calling convention; no system calls.

Use a better algorithm, fewer or cheaper instructions, vector instructions up to the level given, or no branches.

Answer with exactly one fenced block and nothing after it, in one of two dialects:
- ```c: a complete C function with the same name and parameters, for gcc 12. Helpers and constant tables may stand
  before it. #include only <immintrin.h>, <stdint.h>, <stddef.h>, <stdbool.h>, <string.h>, <limits.h>, <math.h>;
  no asm, no volatile, no variables that keep a value between calls.
- ```asm: the complete body in GNU AT&T syntax: instructions and .L labels, then private constants, each introduced by
  `.section .rodata`, an alignment and a label. No other directives.
"""

_HEADS = {
    "signature": "Signature",
    "c_source": "C source",
    "baseline": "Assembly of gcc -O3",
    "scalar": "Assembly without vectorisation",
}
_INFO = {"signature": "c", "c_source": "c", "baseline": "asm", "scalar": "asm"}


def user_message(prompt: Prompt) -> str:
    """The prompt in format 1."""
    isa = prompt.isa
    parts = [
        f"Function: `{prompt.function}`",
        f"Instruction sets: level {isa.allowed} ({isa.permitted} without a guard): {isa.describe()}",
    ]
    for field, head in _HEADS.items():
        text = getattr(prompt, field)
        if text:
            parts.append(f"{head}:\n{_fenced(text, _INFO[field])}")
    for attempt in prompt.attempts:
        detail = " ".join(attempt.detail.split())
        said = f"{attempt.reason}: {detail}" if detail else attempt.reason
        parts.append(f"Attempt: {said}\n{_fenced(attempt.body, attempt.dialect)}")
    if prompt.attempts:
        parts.append("The attempts above were not good enough, for the reasons given. Write a different rewrite.")
    else:
        parts.append(f"Write a faster `{prompt.function}`.")
    return "\n\n".join(parts) + "\n"


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """Chat messages of the prompt."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user_message(prompt)}]


def _fenced(text: str, info: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{info}\n{text if text.endswith(chr(10)) else text + chr(10)}{fence}"


_BLOCK = re.compile(
    r"^(?P<head>Signature|C source|Assembly of gcc -O3|Assembly without vectorisation|Attempt)(?:: ?(?P<said>[^\n]*))\n"
    r"(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$",
    re.M | re.S,
)


def recover(message: str) -> Prompt | None:
    """The Prompt of a user message in format 1, without its unit; None when it is none.

    Fenced texts come back with a final line break.
    """
    name = re.match(r"Function: `([^`\n]+)`\n", message)
    level = re.search(r"^Instruction sets: level (\d+) \((\d+) without a guard\)", message, re.M)
    if name is None or level is None:
        return None
    fields: dict[str, str] = {}
    attempts: list[Attempt] = []
    names = {head: field for field, head in _HEADS.items()}
    for block in _BLOCK.finditer(message):
        if block["head"] == "Attempt":
            reason, _, detail = block["said"].partition(": ")
            attempts.append(Attempt(block["text"], reason, detail, block["info"]))
        else:
            fields.setdefault(names[block["head"]], block["text"])
    if "baseline" not in fields:
        return None
    return Prompt(
        function=name[1],
        baseline=fields["baseline"],
        scalar=fields.get("scalar", ""),
        isa=Isa(permitted=int(level[2]), allowed=int(level[1])),
        signature=fields.get("signature", "").strip(),
        types=CSignature.parse(fields.get("signature", "")),
        c_source=fields.get("c_source"),
        attempts=tuple(attempts),
    )


# --- answers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    dialect: str
    """`asm` or `c`."""
    code: str


_ASM_INFO = frozenset({"asm", "assembly", "s", "gas", "att", "x86asm", "x86", "x86-64", "x86_64", "nasm", "armasm"})
_C_INFO = frozenset({"c", "c11", "c17", "c99", "h", "cpp", "c++", "cc"})


def parse_answer(text: str) -> Answer:
    """The code of an answer: the last fenced block that is marked as assembly or C, else the last block of all.

    An unclosed fence runs to the end of the text. Everything before a final `</think>` is ignored.
    Raises Decline(TOO_LONG) over the size limits and Decline(NO_CODE) when no block holds anything.
    """
    if len(text) > MAX_ANSWER:
        raise Decline(Reason.TOO_LONG, f"answer of {len(text)} characters")
    blocks = [(info, code) for info, code in _blocks(text.rpartition("</think>")[2]) if code.strip()]
    marked = [block for block in blocks if block[0] in _ASM_INFO | _C_INFO]
    if not blocks:
        raise Decline(Reason.NO_CODE, "no fenced block")
    info, code = (marked or blocks)[-1]
    if len(code) > MAX_CODE:
        raise Decline(Reason.TOO_LONG, f"code of {len(code)} characters")
    if info in _ASM_INFO:
        dialect = "asm"
    elif info in _C_INFO:
        dialect = "c"
    else:
        dialect = "c" if re.search(r"\{[^{}]*;", code) else "asm"
    return Answer(dialect, code)


def _blocks(text: str) -> list[tuple[str, str]]:
    """(first word of the info string in lower case, content) of every fenced block, in order."""
    blocks: list[tuple[str, str]] = []
    fence, info, lines = "", "", list[str]()
    for line in text.replace("\r\n", "\n").split("\n"):
        bare = line.strip()
        if not fence:
            opening = re.match(r"(`{3,}|~{3,})\s*([\w+.-]*)", bare)
            if opening:
                fence, info, lines = opening[1], opening[2].lower(), []
        elif bare.startswith(fence) and not bare.strip(fence[0]):
            blocks.append((info, "\n".join(lines) + "\n"))
            fence = ""
        else:
            lines.append(line)
    if fence:
        blocks.append((info, "\n".join(lines) + "\n"))
    return blocks


_HARMLESS = re.compile(r"\.(?:globl|global|type|size|p2align|align|balign|cfi_\w+|text|file|ident|loc|att_syntax)\b")
_CODE_SECTION = re.compile(r"\.section\s+(?:\.text[\w.]*|\.note\.GNU-stack|\.note\.gnu\.property)\b")


def bare_body(code: str, function: str) -> str:
    """An `asm` answer without what models like to put around a body.

    Dropped, in the code part only: the function's own label, `.globl .type .size .p2align .align .balign .cfi_* .text
    .file .ident .loc .att_syntax`, `.section` of .text or of notes, and a leading `endbr64` (the splice puts back what
    the original had). All of them are either gcc's to write or without effect on what the code computes. From the first
    other `.section` on (private constants, where alignment means something) only `.type`, `.size`, `.globl` go.
    Everything else is left for `Body.parse` to refuse.
    """
    kept: list[str] = []
    in_code = True
    seen_instruction = False
    for line in code.split("\n"):
        bare = line.split("#", 1)[0].strip() if '"' not in line else line.strip()
        if bare.startswith(f"{function}:"):
            line = bare = bare[len(function) + 1 :].strip()
        if not bare:
            continue
        if _CODE_SECTION.match(bare) or bare == ".text":
            in_code = True
            continue
        if bare.startswith((".section", ".rodata", ".data")):
            in_code = False
        if in_code and _HARMLESS.match(bare):
            continue
        if not in_code and re.match(r"\.(?:type|size|globl|global)\b", bare):
            continue
        if in_code and not seen_instruction and bare == "endbr64":
            continue
        seen_instruction = seen_instruction or not (bare.endswith(":") or bare.startswith("."))
        kept.append(line)
    return "\n".join(kept) + "\n"
