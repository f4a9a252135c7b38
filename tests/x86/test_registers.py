"""The table of registers says what the assembler, iced-x86 and the psABI say."""

from __future__ import annotations

from pathlib import Path

import pytest
from iced_x86 import Register, RegisterInfo

from gccllm.x86.convention import CALL_RESULTS, CALLEE_SAVED, CALLER_SAVED, INTEGER_ARGUMENTS
from gccllm.x86.decode import Code, assemble
from gccllm.x86.effects import full_name
from gccllm.x86.registers import GENERAL, GENERAL_ROWS, MASK_ROWS, MASKS, PARTS, VECTOR_ROWS, VECTORS, att
from tests.kit.units import TOOLS

# An instruction whose first operand is the part, for each size.
FORMS = {1: "testb %cl, {}", 2: "movw %cx, {}", 4: "movl %ecx, {}", 8: "movq %rcx, {}",
         16: "vmovdqa64 %xmm0, {}", 32: "vmovdqa64 %ymm0, {}", 64: "vmovdqa64 %zmm0, {}"}  # fmt: skip


def test_every_name_is_the_assemblers_and_iced_knows_it_as_that_part() -> None:
    numbers = {row.name: row.number for row in (*GENERAL_ROWS, *VECTOR_ROWS, *MASK_ROWS)}
    for operand, part in PARTS.items():
        form = FORMS[part.size] if part.register not in MASKS else "kmovq %k0, {}"
        code = assemble("f", f"\t{form.format(operand)}\n", TOOLS)
        assert isinstance(code, Code), operand
        named = code.insns[0].raw.op_register(0)
        assert full_name(named) == part.register
        assert RegisterInfo(named).size == part.size
        assert RegisterInfo(RegisterInfo(named).full_register).number == numbers[part.register]
        assert (part.first == 1) == (named in (Register.AH, Register.BH, Register.CH, Register.DH))


def test_dwarf_numbers_are_the_assemblers(tmp_path: Path) -> None:
    """The assembler takes a register's name or its number in a directive of unwind tables."""
    rows = (*GENERAL_ROWS, *VECTOR_ROWS[:16], *MASK_ROWS)
    objects = []
    for spelled in ([f"%{row.parts[-1] if row in VECTOR_ROWS else row.parts[0]}" for row in rows],
                    [str(row.dwarf) for row in rows]):  # fmt: skip
        text = "f:\n\t.cfi_startproc\n" + "".join(f"\tnop\n\t.cfi_same_value {one}\n" for one in spelled)
        assert TOOLS.assemble(f"{text}\t.cfi_endproc\n", tmp_path / "x.o").ok
        objects.append((tmp_path / "x.o").read_bytes())
    assert objects[0] == objects[1]


def test_roles_are_those_of_the_psabi() -> None:
    assert INTEGER_ARGUMENTS == ("RDI", "RSI", "RDX", "RCX", "R8", "R9")
    assert CALLEE_SAVED == ("RBX", "RBP", "R12", "R13", "R14", "R15")
    assert {"RAX", "RDX", "ZMM0", "ZMM1"} == CALL_RESULTS
    assert {*CALLEE_SAVED, *CALLER_SAVED, "RSP"} == {*GENERAL, *VECTORS, *MASKS}


@pytest.mark.parametrize(("register", "size", "operand"), [("RDI", 4, "%edi"), ("R9", 1, "%r9b"), ("RSP", 8, "%rsp")])
def test_a_part_is_spelled_as_the_assembler_wants_it(register: str, size: int, operand: str) -> None:
    assert att(register, size) == operand
