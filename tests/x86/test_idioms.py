"""What the table says an instruction does not depend on, the processor does not depend on."""

from __future__ import annotations

import ctypes

import pytest

from gccllm.base.toolchain import run
from gccllm.x86.decode import Code, Insn, assemble
from tests.kit.replay import CPU_LEVEL, needs
from tests.kit.units import TOOLS

# Form -> the registers that it reads; the bytes that it merges in are another matter.
FORMS = {
    "pcmpgtd %xmm0,%xmm0": set(), "pandn %xmm0,%xmm0": set(), "psubd %xmm0,%xmm0": set(),
    "vpcmpgtq %xmm1,%xmm1,%xmm2": set(), "kxnorw %k1,%k1,%k1": set(), "andl $0,%eax": set(), "orl $-1,%eax": set(),
    "pcmpeqd %xmm0,%xmm0": set(), "vpsubb %xmm1,%xmm1,%xmm2": set(), "bsf %edi,%eax": {"RDI"},
    "vmovss %xmm1,%xmm2,%xmm0": {"ZMM1"}, "pinsrd $1,%edi,%xmm0": {"RDI"}, "roundss $1,%xmm1,%xmm0": {"ZMM1"},
    "vpinsrb $1,%edi,%xmm1,%xmm0": {"RDI"}, "orl $255,%eax": {"RAX"}, "orb $-1,%al": set(), "orw $255,%ax": {"RAX"},
    "andw $0,%ax": set(), "orq $-1,%rax": set(), "subps %xmm0,%xmm0": {"ZMM0"}, "xorps %xmm1,%xmm1": set(),
}  # fmt: skip
HARNESS = """
	.globl run{n}
run{n}:
	movq %rdi, %r11
	movq (%r11), %rax
	vmovdqu 16(%r11), %xmm0
	vmovdqu 32(%r11), %xmm1
	vmovdqu 48(%r11), %xmm2
	{mask}
	movq 8(%r11), %rdi
	{form}
	movq %rax, (%r11)
	vmovdqu %xmm0, 16(%r11)
	vmovdqu %xmm1, 32(%r11)
	vmovdqu %xmm2, 48(%r11)
	{unmask}
	ret
"""
PLACES = {"RAX": (0, 8), "RDI": (8, 8), "ZMM0": (16, 16), "ZMM1": (32, 16), "ZMM2": (48, 16), "K1": (64, 8)}
HAS_MASKS = CPU_LEVEL >= 4
pytestmark = needs(3)


def decoded(form: str) -> Insn:
    code = assemble("f", f"\t{form}\n", TOOLS)
    assert isinstance(code, Code)
    return code.insns[0]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    place = tmp_path_factory.mktemp("effects")
    mask = {"mask": "kmovq 64(%r11), %k1", "unmask": "kmovq %k1, 64(%r11)"} if HAS_MASKS else {"mask": "", "unmask": ""}
    rows = [HARNESS.format(n=n, form=form, **mask) for n, form in enumerate(FORMS)]
    (place / "run.s").write_text("".join(rows) + '\t.section\t.note.GNU-stack,"",@progbits\n')
    assert run(["gcc", "-shared", "-o", str(place / "run.so"), str(place / "run.s")]).ok
    return ctypes.CDLL(str(place / "run.so"))


@pytest.mark.parametrize("form", FORMS)
def test_the_table_says_what_is_read(form: str) -> None:
    assert decoded(form).effects.reads == FORMS[form]


@pytest.mark.parametrize("form", FORMS)
def test_the_processors_result_does_not_depend_on_what_is_not_read(library: ctypes.CDLL, form: str) -> None:
    """Two starting values of each register that is neither read nor merged: what is written comes out the same.

    `bsf` with a source that is not zero: no compiler relies on what the processor does otherwise.
    """
    if "%k" in form and not HAS_MASKS:
        pytest.skip("no mask registers on this processor")
    effects = decoded(form).effects
    free = PLACES.keys() - effects.reads - effects.merged
    outs = []
    for filler in (0x11, 0xEE):
        state = ctypes.create_string_buffer(bytes(range(1, 73)), 72)
        for first, size in (PLACES[register] for register in free):
            state[first : first + size] = bytes((filler + n) & 0xFF for n in range(size))
        getattr(library, f"run{list(FORMS).index(form)}")(state)
        width = {
            register: 1 if "%al" in form else 2 if "%ax" in form else size for register, (_, size) in PLACES.items()
        }
        outs.append({r: state.raw[PLACES[r][0] : PLACES[r][0] + width[r]] for r in effects.writes & PLACES.keys()})
    assert outs[0]
    assert outs[0] == outs[1]
