"""The unwind rows we derive are those that gcc wrote."""

from __future__ import annotations

import pytest

from gccllm.assembly import Body, BodyError, Function, code_of
from gccllm.assembly.cfi import directives, unwind
from gccllm.assembly.layout import layout
from gccllm.base.reasons import Reason
from tests.kit.eh_frame import Rules, marked, rows_of
from tests.kit.sources import C_EXAMPLES, CPP_EXAMPLES
from tests.kit.units import TOOLS, module


def annotated(body: Body, name: str = "", noreturn: frozenset[str] = frozenset()) -> list[str]:
    """The body's lines with unwind directives between them."""
    notes, _ = directives(body, unwind(body, TOOLS, name, noreturn))
    return layout(body, notes)


def ours(function: Function, numbers: list[int]) -> dict[str, Rules]:
    """Our rows for gcc's body, under the markers of gcc's own text."""
    body = function.body
    sections: dict[str, list[int]] = {}
    for number in numbers:
        sections.setdefault(function.items[number].section.name, []).append(number)
    order = [number for chunk in sections.values() for number in chunk]
    seams: set[int] = set()
    for chunk in list(sections.values())[:-1]:
        seams.add(len(chunk) + max(seams, default=0))
    out = ["\t.text", "x:", "\t.cfi_startproc"]
    done = 0
    lines = annotated(body, function.name, code_of(body, TOOLS, function.name).terminal_calls)
    for line in "\n".join(lines).split("\n"):  # the padding of a call is more than one
        if line.startswith("\t") and not line.startswith("\t."):
            if done in seams and line == "\tud2":
                seams.discard(done)  # put between the pieces, not gcc's
            else:
                out.append(f"mark.{order[done]}:")
                done += 1
        out.append(line)
    constants = Body((), body.constants).text()
    return rows_of("\n".join(out) + "\n\t.cfi_endproc\n" + constants, TOOLS)


def compare(function: Function) -> int:
    text, numbers = marked(function)
    theirs = rows_of(text, TOOLS)
    mine = ours(function, numbers)
    for number in numbers:
        name = f"mark.{number}"
        if name not in theirs:
            continue
        where = f"{function.name}: {function.items[number].statement}"
        # While r10 still holds the CFA, telling it from r10 or from r10's slot is the same.
        if theirs[name].cfa != mine[name].cfa and not ("r10" in str(mine[name].cfa) or "r10" in str(theirs[name].cfa)):
            assert theirs[name].cfa == mine[name].cfa, where
        for register, rule in mine[name].saved.items():
            assert theirs[name].saved.get(register, rule) == rule, where
    return len(numbers)


@pytest.mark.parametrize(
    "flags",
    [("-O3",), ("-O2", "-fno-omit-frame-pointer"), ("-O3", "-march=x86-64-v3"), ("-O1", "-fPIC", "-fno-plt"),
     ("-Os", "-fcf-protection"), ("-O0",), ("-O2", "-fstack-protector-all", "-mno-red-zone")],
    ids=" ".join,
)  # fmt: skip
def test_rows_agree_with_gcc_at_every_instruction(flags: tuple[str, ...]) -> None:
    seen = 0
    chosen = [(C_EXAMPLES[n], "c") for n in (0, 2, 5, 6)] + [(CPP_EXAMPLES[2], "c++")]
    for source, language in chosen:
        for function in module(source, *flags, language=language).functions.values():
            try:
                _ = function.body
            except BodyError:
                continue
            seen += compare(function)
    assert seen > 300


def rows(text: str, *noreturn: str) -> list[str]:
    lines = annotated(Body.parse(text), noreturn=frozenset(noreturn))
    return [line.strip().replace("\t", " ") for line in lines if ".cfi" in line or line[0] != "\t"]


def test_a_block_after_an_epilogue_in_layout_gets_its_own_rows() -> None:
    text = "\tpushq %rbx\n\ttestl %edi, %edi\n\tjne .L1\n\tpopq %rbx\n\tret\n.L1:\n\tcall g\n\tpopq %rbx\n\tret\n"
    assert rows(text) == [
        ".cfi_def_cfa_offset 16", ".cfi_offset 3, -16",
        ".cfi_def_cfa_offset 8", ".cfi_restore 3",
        ".L1:", ".cfi_def_cfa_offset 16", ".cfi_offset 3, -16",
        ".cfi_def_cfa_offset 8", ".cfi_restore 3",
    ]  # fmt: skip


def test_padding_before_a_loop_has_the_row_of_the_code_that_runs_through_it() -> None:
    lines = annotated(Body.parse("\tpushq %rbx\n.L1:\n\tcall g\n\tjne .L1\n\tpopq %rbx\n\tret\n"))
    padding = next(at for at, line in enumerate(lines) if ".p2align" in line)
    assert lines[:padding] == ["\tpushq\t%rbx", "\t.cfi_def_cfa_offset\t16", "\t.cfi_offset\t3, -16"]


def test_a_spill_into_the_red_zone_counts_once_the_register_changes() -> None:
    text = "\tmovq %rbx, -16(%rsp)\n\tmovl %edi, %ebx\n\tmovl %ebx, %eax\n\tmovq -16(%rsp), %rbx\n\tret\n"
    assert rows(text) == [".cfi_offset 3, -24", ".cfi_restore 3"]


def test_a_call_that_cannot_return_may_leave_another_depth_behind_it() -> None:
    text = "\ttestl %edi, %edi\n\tjne .L1\n\tsubq $24, %rsp\n\tcall dies\n.L1:\n\tret\n"
    assert rows(text, "dies") == [".cfi_def_cfa_offset 32", ".L1:", ".cfi_def_cfa_offset 8"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\tsubq $8, %rsp\n\tret\n", Reason.STACK_DEPTH),
        ("\tpushq %rbx\n\tjmp elsewhere\n", Reason.STACK_DEPTH),
        ("\tpopq %rax\n\tret\n", Reason.STACK_DEPTH),
        ("\tmovl %edi, %ebx\n\tret\n", Reason.CFI),
        ("\txorl %r12d, %r12d\n\tret\n", Reason.CFI),
        ("\ttestl %edi, %edi\n\tcmovneq %rax, %rbx\n\tret\n", Reason.CFI),
        ("\tpushq %rbx\n\tpushq %rbp\n\tpopq %rbx\n\tpopq %rbp\n\tret\n", Reason.CALLEE_SAVED),
        ("\tmovq %rdi, %rsp\n\tret\n", Reason.CFI),
        ("\txchgq %rax, %rsp\n\tret\n", Reason.CFI),
        ("\tandq $-32, %rsp\n\tret\n", Reason.CFI),
        ("\tenter $16, $0\n\tleave\n\tret\n", Reason.CFI),
        ("\ttestl %edi, %edi\n\tjne .L1\n\tpushq %rbx\n.L1:\n\tret\n", Reason.CFI),
        (".L1:\n\tpushq %rax\n\tjmp .L1\n", Reason.CFI),
    ],
)
def test_code_that_cannot_be_unwound_is_refused(text: str, reason: Reason) -> None:
    with pytest.raises(BodyError) as caught:
        annotated(Body.parse(text))
    assert caught.value.reason is reason, caught.value


@pytest.mark.parametrize(
    "text",
    [
        "\tpushq %rbx\n\tmovl %edi, %ebx\n\tpopq %rbx\n\tret\n",
        "\tsubq $-8, %rsp\n\taddq $-8, %rsp\n\tret\n",
        "\tleaq -24(%rsp), %rsp\n\tleaq 24(%rsp), %rsp\n\tjmp elsewhere\n",
        "\tpushq %rbp\n\tmovq %rsp, %rbp\n\tandq $-64, %rsp\n\tsubq %rax, %rsp\n\tleave\n\tret\n",
        "\tcmpl %ebx, %edi\n\tret\n",
    ],
)
def test_its_neighbours_are_not(text: str) -> None:
    assert annotated(Body.parse(text))
