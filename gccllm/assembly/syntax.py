"""The lexical level of gcc's AT&T assembly: statements, operands, symbols, and what kind of jump a mnemonic is.

Covers what gcc (and clang, for side compiles) prints for x86-64 ELF. Not covered: macros, `.rept`, conditional
assembly, Intel syntax, character literals; callers decline such text.

Text is latin-1 decoded, one character a byte: never use `str.strip()` or `str.split()` without arguments here, because
they would eat bytes of UTF-8 identifiers (0x85 and 0xa0 count as white space).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gccllm.base.core import Reasoned

BLANKS = " \t\r\f\v"
SYMBOL = r"[A-Za-z_.$\x80-\xff][A-Za-z0-9_.$\x80-\xff]*"

_LABEL = re.compile(rf"({SYMBOL}|[0-9]+)[ \t]*:")
_ASSIGN = re.compile(rf"({SYMBOL})[ \t]*=(?!=)[ \t]*(.*)", re.DOTALL)
_WORD = re.compile(r"(\{[a-z0-9 ]+\}|[^ \t]+)[ \t]*(.*)", re.DOTALL)
_PLAIN = re.compile(r"\t([a-z.][a-z0-9_.]*)(?:\t([-A-Za-z0-9_.%$@(*+][-A-Za-z0-9_.%$@()*+:, ]*(?<! )))?")
_TRICKY = re.compile(r"[\"#;]|/\*|^[ \t]*/")

# One pass over an operand. Registers, relocation operators and numbers are skipped, symbols are group 1.
_TOKEN = re.compile(
    rf"%[a-z0-9]+|@[A-Za-z0-9_]+|0[xX][0-9a-fA-F]+|[0-9]+[bf](?![0-9A-Za-z_])|[0-9]+|({SYMBOL})|\$(?=[-+.A-Za-z_(0-9~])"
)
_SPACES = re.compile(r"[ \t]+")
_LOCAL_NUMBER = re.compile(r"(?<![0-9A-Za-z_.$%@\x80-\xff])[0-9]+[bf](?![0-9A-Za-z_])")


class Kind(enum.Enum):
    LABEL = "label"
    DIRECTIVE = "directive"
    INSTRUCTION = "instruction"
    ASSIGN = "assign"


class Statement(NamedTuple):
    """One statement: `name` is a label, a directive with its dot, an assigned symbol, or the first word of an
    instruction; `args` is the untouched rest without comments."""

    kind: Kind
    name: str
    args: str = ""


class BodyError(Reasoned):
    """The text is not a body we can represent, or a body cannot be used as asked.

    `reason` is a member of `Reason`, `detail` the values compared.
    """


class LexError(ValueError):
    """A string or comment does not end on its line, or a statement has no known form."""


def strip_comments(line: str) -> list[str]:
    """The `;`-separated statements of a physical line without comments.

    Raises LexError for a string or a `/* */` comment that does not end on the line.
    """
    if not _TRICKY.search(line):
        bare = line.strip(BLANKS)
        return [bare] if bare else []
    if ";" not in line and "#" not in line and "/" not in line and "\\" not in line and line.count('"') % 2 == 0:
        bare = line.strip(BLANKS)
        return [bare] if bare else []
    out: list[str] = []
    piece: list[str] = []
    at, end = 0, len(line)
    while at < end:
        char = line[at]
        if char == '"':
            stop = at + 1
            while stop < end and line[stop] != '"':
                stop += 2 if line[stop] == "\\" else 1
            if stop >= end:
                raise LexError("unterminated string")
            piece.append(line[at : stop + 1])
            at = stop + 1
            continue
        if char == "#" or (char == "/" and not "".join(piece).strip(BLANKS) and line[at : at + 2] != "/*"):
            break
        if line.startswith("/*", at):
            stop = line.find("*/", at + 2)
            if stop < 0:
                raise LexError("unterminated comment")
            piece.append(" ")
            at = stop + 2
            continue
        if char == ";":
            out.append("".join(piece).strip(BLANKS))
            piece = []
        else:
            piece.append(char)
        at += 1
    out.append("".join(piece).strip(BLANKS))
    return [text for text in out if text]


def lex(line: str) -> list[Statement]:
    """Statements of one physical line. Raises LexError."""
    if plain := _PLAIN.fullmatch(line):  # nearly every line of a unit; the rest says the same with more care
        kind = Kind.DIRECTIVE if plain[1][0] == "." else Kind.INSTRUCTION
        return [Statement(kind, plain[1], plain[2] or "")]
    out: list[Statement] = []
    for text in strip_comments(line):
        rest = text
        while match := _LABEL.match(rest):
            out.append(Statement(Kind.LABEL, match[1]))
            rest = rest[match.end() :].strip(BLANKS)
        if not rest:
            continue
        if match := _ASSIGN.match(rest):
            out.append(Statement(Kind.ASSIGN, match[1], match[2]))
            continue
        word = _WORD.match(rest)
        if word is None:
            raise LexError(f"no statement: {rest[:40]!r}")
        kind = Kind.DIRECTIVE if rest.startswith(".") else Kind.INSTRUCTION
        out.append(Statement(kind, word[1], word[2]))
    return out


def split_commas(args: str) -> list[str]:
    """Split at commas outside parentheses and strings; parts are stripped of blanks. Empty text gives no part."""
    if not args:
        return []
    parts: list[str] = []
    depth = 0
    start = 0
    at, end = 0, len(args)
    while at < end:
        char = args[at]
        if char == '"':
            at += 1
            while at < end and args[at] != '"':
                at += 2 if args[at] == "\\" else 1
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth <= 0:
            parts.append(args[start:at].strip(BLANKS))
            start = at + 1
        at += 1
    parts.append(args[start:].strip(BLANKS))
    return parts


def symbols(expression: str) -> Iterator[str]:
    """Symbols an operand or data expression names, in order, `.` (here) included, registers and `@PLT` parts not."""
    for match in _TOKEN.finditer(expression):
        if match[1] is not None:
            # `$name` is an immediate; a symbol that itself starts with `$` is never printed so by gcc.
            name = match[1].lstrip("$") if match[1][0] == "$" else match[1]
            if name and not name[0].isdigit():
                yield name


def normal_operand(text: str) -> str:
    return _SPACES.sub("", text)


def substitute(expression: str, rename: Callable[[str], str]) -> str:
    """The expression with every symbol replaced by `rename(symbol)`."""

    def one(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return match[0]
        if name[0] == "$":
            bare = name.lstrip("$")
            if not bare or bare[0].isdigit():
                return name
            return name[: len(name) - len(bare)] + rename(bare)
        return rename(name)

    return _TOKEN.sub(one, expression)


def has_numeric_label(expression: str) -> bool:
    """Does it name a numeric local label (`1f`, `2b`)?"""
    return _LOCAL_NUMBER.search(expression) is not None


def words(text: str) -> tuple[str, ...]:
    """A table of words written as text."""
    return tuple(word for word in text.replace("\n", " ").split(" ") if word)


PREFIXES = frozenset(words("rep repe repz repne repnz lock notrack bnd data16 addr32 rex64 rex.w cs ds es ss fs gs"))

CONDITIONS = words("o no b nae c nb ae nc e z ne nz be na nbe a s ns p pe np po l nge nl ge le ng nle g")

JCC = frozenset(f"j{c}" for c in CONDITIONS) | {"jrcxz", "jecxz", "loop", "loope", "loopne", "loopz", "loopnz"}


class Flow(enum.Enum):
    """How control leaves an instruction."""

    NEXT = "next"
    BRANCH = "branch"  # conditional, direct
    JUMP = "jump"  # unconditional, direct (label or tail call)
    INDIRECT_JUMP = "indirect_jump"
    CALL = "call"
    INDIRECT_CALL = "indirect_call"
    RETURN = "return"
    STOP = "stop"  # ud2, hlt, int3: control does not come back


def flow(mnemonic: str, operand: str = "") -> Flow:
    """The flow of an instruction by its mnemonic and first operand."""
    if mnemonic in JCC:
        return Flow.BRANCH
    if mnemonic in ("jmp", "jmpq"):
        return Flow.INDIRECT_JUMP if operand.startswith("*") and not callee(operand) else Flow.JUMP
    if mnemonic in ("call", "callq"):
        return Flow.INDIRECT_CALL if operand.startswith("*") and not callee(operand) else Flow.CALL
    if mnemonic in ("ret", "retq", "iretq"):
        return Flow.RETURN
    if mnemonic in ("ud2", "ud1", "ud0", "hlt", "int3"):
        return Flow.STOP
    return Flow.NEXT


def callee(operand: str) -> str:
    """The symbol of a direct call or jump operand; "" when it is not a plain symbol.

    `foo`, `foo@PLT`, and `*foo@GOTPCREL(%rip)`, which -fno-plt prints for the same call.
    """
    if operand.startswith("*"):
        if not operand.endswith("@GOTPCREL(%rip)"):
            return ""
        operand = operand[1:]
    name = operand.split("@", 1)[0]
    return name if re.fullmatch(SYMBOL, name) else ""
