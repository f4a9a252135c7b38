"""A convention is made of a signature, and the gates hold a body to the one that they are given."""

from __future__ import annotations

import pytest

from gccllm.assembly import Body, code_of
from gccllm.base.reasons import Reason
from gccllm.harvest.abi import convention_of
from gccllm.verify.screen import Context
from gccllm.x86.abi_flow import analyse
from gccllm.x86.convention import CALLEE_SAVED, SYSV, Convention, Exit, Frame, integer_result
from gccllm.x86.decode import Code
from gccllm.x86.liveness import live, low_bytes
from tests.kit.harvest import signature
from tests.kit.units import TOOLS

BIG = "struct big { long a[3]; };\n"
PAIR = "struct pair { double d; int *p; };\n"


def code(text: str) -> Code:
    return code_of(Body.parse(text), TOOLS)


@pytest.mark.parametrize(
    ("source", "live_in", "pointers", "stack_in", "live_out"),
    [
        ("int f(int n, const char *p, double d) { return n + *p + (int)d; }",
         {"RDI", "RSI", "ZMM0"}, {"RSI"}, 0, {"RAX": 4}),
        ("void f(int *p) { *p = 1; }", {"RDI"}, {"RDI"}, 0, {}),
        (BIG + "struct big f(long n) { return (struct big){{n, n, n}}; }", {"RDI", "RSI"}, {"RDI"}, 0, {"RAX": 8}),
        (PAIR + "float f(struct pair s) { return s.d + *s.p; }", {"RDI", "ZMM0"}, {"RDI"}, 0, {"ZMM0": 4}),
        (PAIR + "struct pair f(double d, int *p) { return (struct pair){d, p}; }",
         {"RDI", "ZMM0"}, {"RDI"}, 0, {"RAX": 8, "ZMM0": 8}),
        ("long f(long a, long b, long c, long d, long e, long g, long h, long i) { return a + b + h + i; }",
         {"RDI", "RSI", "RDX", "RCX", "R8", "R9"}, set(), 2, {"RAX": 8}),
    ],
)  # fmt: skip
def test_a_signature_says_what_is_passed_and_returned(
    source: str, live_in: set[str], pointers: set[str], stack_in: int, live_out: dict[str, int]
) -> None:
    made = convention_of(signature(source))
    assert (made.live_in, made.pointers, made.stack_in, made.live_out) == (live_in, pointers, stack_in, live_out)
    assert (made.preserved, made.frame) == (CALLEE_SAVED, Frame.OWN)
    assert made.live_in <= SYSV.live_in
    assert made.live_out.keys() <= SYSV.live_out.keys()


@pytest.mark.parametrize("size", [0, 1, 4, 8, 12, 16])
def test_an_entry_keeps_what_is_returned_in_general_registers(size: int) -> None:
    made = Convention(frozenset({"RDI"}), frozenset({"RDI"}), exits=(integer_result(size),))
    assert Context.of("f", made).convention == made


def test_several_exits_are_looked_at_together() -> None:
    made = Convention(exits=(Exit({"RAX": 4}), Exit({"RAX": 8, "RCX": 1})))
    assert made.live_out == {"RAX": 8, "RCX": 1}
    found = live(code("\tmovl %edi, %ecx\n\tret\n"), 0, made)
    assert low_bytes("RDI", 1) <= found


def test_a_body_is_held_to_the_preserved_registers_of_its_convention() -> None:
    body = code("\txorl %ebx, %ebx\n\txorl %ecx, %ecx\n\tret\n")

    def complaints(convention: Convention) -> list[str]:
        found = analyse(body, convention).problems
        assert {one.reason for one in found} <= {Reason.CALLEE_SAVED}
        return [one.detail.split()[0] for one in found]

    assert complaints(Convention()) == ["RBX"]
    assert complaints(Convention(preserved=())) == []
    assert complaints(Convention(preserved=("RBX", "RCX"))) == ["RBX", "RCX"]


def test_what_holds_no_value_at_the_entry_may_not_be_read() -> None:
    body = code("\tleaq (%rdi,%rsi), %rax\n\tret\n")
    assert analyse(body, Convention(frozenset({"RDI", "RSI"}))).problems == []
    assert [one.reason for one in analyse(body, Convention(frozenset({"RDI"}))).problems] == [Reason.DEAD_READ]
