"""Thread-local data in code: the operands that reach it, and the sequences that ld knows by their shape.

    local exec        %fs:x@tpoff; x@tpoff(%reg) beside %fs:0
    initial exec      movq x@gottpoff(%rip), %reg, or addq; then %fs:(%reg), or beside %fs:0
    local dynamic     leaq x@tlsld(%rip), %rdi; call __tls_get_addr@PLT; then x@dtpoff(%rax)
    general dynamic   data16 leaq x@tlsgd(%rip), %rdi; .value 0x6666; rex64; call __tls_get_addr@PLT

The linker rewrites each into one further up where the output allows it, and goes by the bytes: nothing stands between
the pieces of a sequence, and no branch leads there. The padding of a general-dynamic call, which gcc prints as data
and a bare prefix, is a run of prefixes of that call here (`Line.prefixes`), and is printed as gcc does.

Not covered: descriptors (-mtls-dialect=gnu2), emulated thread-local data, address spaces (__seg_fs).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gccllm.assembly.syntax import Statement, callee, symbols
from gccllm.base.runtime import GET_ADDRESS

if TYPE_CHECKING:
    from gccllm.assembly.body import Line

EMULATED = "__emutls_get_address"

_OPERATOR = re.compile(r"@(tpoff|gottpoff|dtpoff|tlsgd|tlsld|tlsdesc|tlscall)\b", re.IGNORECASE)
_NUMBER = re.compile(r"%fs:(-?(?:0[xX])?[0-9a-fA-F]+)(?![\w@(])")
_CANARY = 40

_PADDING = {
    (".value", "0x6666"): ("data16", "data16"), (".word", "0x6666"): ("data16", "data16"),
    (".byte", "0x66"): ("data16",),
}  # fmt: skip
_PRINTED = {
    ("data16", "data16", "rex64"): "\t.value\t0x6666\n\trex64",
    ("data16", "rex64"): "\t.byte\t0x66\n\trex64",
}


# --- statements ---------------------------------------------------------------------------------------------------


def models(args: str) -> tuple[str, ...]:
    """The relocation operators in operands, lower case: `tpoff`, `tlsgd` and so on."""
    return tuple(found.lower() for found in _OPERATOR.findall(args)) if "@" in args else ()


def is_used(code: Iterable[Statement]) -> bool:
    """Whether instructions reach thread-local data. The stack protector's own word is none."""
    for s in code:
        if models(s.args) or EMULATED in s.args:
            return True
        if "%fs:" in s.args and not _is_canary(s.args):
            return True
    return False


def is_odd(code: Sequence[Statement]) -> bool:
    """Whether they do so in a way that is not covered here."""
    if not is_used(code):
        return False
    found = {model for s in code for model in models(s.args)}
    if found & {"tlsdesc", "tlscall"} or any(EMULATED in s.args for s in code):
        return True
    numbers = {int(text, 0) for s in code for text in _NUMBER.findall(s.args)}
    return not found or bool(numbers - {0, _CANARY})


def models_of(code: Iterable[Statement]) -> dict[str, str]:
    """Thread-local symbol to the operator by which the code reaches it: `tlsgd`, `gottpoff` or `tpoff`.

    The first of these that is used stands for all: what reaches a symbol of any module reaches it everywhere.
    """
    order = ("tlsgd", "gottpoff", "tpoff")
    as_one = {"tlsld": "tlsgd", "dtpoff": "tlsgd", "tlsdesc": "tlsgd", "tlscall": "tlsgd"}
    found: dict[str, str] = {}
    for s in code:
        for operator in _OPERATOR.finditer(s.args):
            name = next(iter(reversed(list(symbols(s.args[: operator.start()])))), "")
            model = as_one.get(operator[1].lower(), operator[1].lower())
            if name:
                found[name] = min(model, found.get(name, model), key=order.index)
    return found


def _is_canary(args: str) -> bool:
    return f"%fs:{_CANARY}" in args


def padded(before: tuple[str, ...], statement: Statement) -> tuple[str, ...] | None:
    """The prefixes `before` with a statement of padding behind them; None when it is none.

    gcc prints data, clang bare prefixes.
    """
    if statement.name == "data16" and not statement.args and len(before) < 2:
        return (*before, "data16")
    if not before:
        return _PADDING.get((statement.name, statement.args))
    is_last = statement.name == "rex64" and not statement.args and before[-1] == "data16"
    return (*before, "rex64") if is_last else None


# --- lines --------------------------------------------------------------------------------------------------------


def printed(prefixes: tuple[str, ...]) -> str:
    """The statements that gcc prints for the padding of a call; empty for other prefixes."""
    return _PRINTED.get(prefixes, "")


def is_fixed(line: Line) -> bool:
    """Whether the line is part of a sequence that the linker knows by its shape."""
    found = [model for operand in line.operands for model in models(operand)]
    return any(model in ("tlsgd", "tlsld", "gottpoff") for model in found) or _is_call(line) or _is_padded(line)


def misshapen(lines: Sequence[Line]) -> str:
    """What is wrong with the sequences of a body, in words; empty when nothing is."""
    waits = ""
    for line in lines:
        found = [model for operand in line.operands for model in models(operand)]
        said = line.text().strip().replace("\t", " ").replace("\n", "; ")
        if waits:
            if not _is_call(line) or _is_padded(line) != (waits == "tlsgd"):
                return f"no call of {GET_ADDRESS} behind the address: {said}"
            waits = ""
        elif _is_call(line) or _is_padded(line):
            return f"an address is missing before: {said}"
        if "tlsgd" in found or "tlsld" in found:
            waits = found[0]
            prefixes = ("data16",) if waits == "tlsgd" else ()
            if not _is_address(line, waits) or line.prefixes != prefixes:
                return f"another form than the linker knows: {said}"
        elif "gottpoff" in found and not _is_offset(line):
            return f"another form than the linker knows: {said}"
        elif "tlsdesc" in found or "tlscall" in found:
            return f"a thread-local descriptor: {said}"
    return f"no call of {GET_ADDRESS} behind the last address" if waits else ""


def _is_call(line: Line) -> bool:
    return line.mnemonic in ("call", "callq") and bool(line.operands) and callee(line.operands[0]) == GET_ADDRESS


def _is_padded(line: Line) -> bool:
    return line.prefixes in _PRINTED


def _is_address(line: Line, model: str) -> bool:
    return (
        line.mnemonic in ("lea", "leaq")
        and len(line.operands) == 2
        and line.operands[0].lower().endswith(f"@{model}(%rip)")
        and line.operands[1] == "%rdi"
    )


def _is_offset(line: Line) -> bool:
    return (
        line.mnemonic in ("mov", "movq", "add", "addq")
        and not line.prefixes
        and len(line.operands) == 2
        and line.operands[0].lower().endswith("@gottpoff(%rip)")
        and re.fullmatch(r"%r[a-z0-9]{1,2}", line.operands[1]) is not None
    )
