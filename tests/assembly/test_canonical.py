"""Equal code has equal canonical text; other code has not."""

from __future__ import annotations

from gccllm.assembly import Body, Module, baseline_key_text, canonical, canonicalize
from tests.kit.units import module

ONE = """
.Lunused:
	movl $0x10, %eax
.Lloop:
	addl .Lc(%rip), %eax
	addl .Ld(%rip), %eax
	jne .Lloop
	ret
	.section .rodata
	.align 4
.Ld:	.long 0x7
	.align 4
.Lc:	.long 7
.Lnobody: .long 9
"""
OTHER = """
	movl	$16,   %eax	# comment
.L77:	addl .LC3( %rip ),%eax
	addl .LC3(%rip), %eax
	jne .L77
	ret
	.section .rodata.cst4,"aM",@progbits,4
	.balign 4
.LC3:	.int 7
"""


def test_labels_space_number_bases_and_spare_constants_do_not_matter() -> None:
    assert canonical(Body.parse(ONE)) == canonical(Body.parse(OTHER))
    assert ".Lunused" not in canonical(Body.parse(ONE))


def test_an_operand_a_constant_or_an_alignment_does_matter() -> None:
    text = canonical(Body.parse(OTHER))
    for old, new in (("$16", "$17"), (".int 7", ".int 8"), (".balign 4", ".balign 8"), ("jne", "je")):
        assert canonical(Body.parse(OTHER.replace(old, new))) != text


def test_the_map_leads_back_to_the_body() -> None:
    body = Body.parse(ONE)
    short, back = canonicalize(body)
    assert back == {".L1": ".Lloop", ".LC1": ".Lc"}
    assert short.with_symbols(lambda name: back.get(name, name)).labels.keys() == {".Lloop"}


def test_a_constant_that_names_itself_is_not_merged_away() -> None:
    body = Body.parse(
        "\tleaq .La(%rip), %rax\n\tleaq .Lb(%rip), %rdx\n\tjmp *%rax\n.Lx:\n\tret\n\t.section .rodata\n"
        ".La:\n\t.long .Lx-.La\n.Lb:\n\t.long .Lx-.Lb\n"
    )
    assert canonical(body).count(".long") == 2


SOURCE = "static const double k[2]={1.5,2.5}; int n; double f(int i){return k[i&1]*3.5+n;}"


def key(unit: Module) -> str:
    return baseline_key_text(unit, unit.functions["f"])


def test_the_key_holds_what_the_function_reads_and_its_attributes() -> None:
    plain = key(module(SOURCE, "-O3"))
    assert plain == key(module("int other(int x){return x;}" + SOURCE, "-O3"))
    assert plain != key(module(SOURCE.replace("2.5", "2.75"), "-O3"))
    assert plain != key(module(SOURCE.replace("3.5", "3.75"), "-O3"))
    assert plain != key(module(SOURCE.replace("double f", "static double f") + "double(*p)(int)=f;", "-O3"))
    assert plain != key(module(SOURCE, "-O3", "-fcf-protection"))
    assert plain != key(module(SOURCE, "-O3", "-fno-asynchronous-unwind-tables"))


def test_debug_information_does_not_change_the_key() -> None:
    assert key(module(SOURCE, "-O3")) == key(module(SOURCE, "-O3", "-g3"))
