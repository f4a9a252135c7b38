"""The built-in model's words: what goes in comes out, and what has no words is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gccllm.propose.protocol import Prompt
from gccllm.propose.signature import CSignature
from gccllm.propose.slots import FIXED, STRUCTURAL, Slots
from gccllm.propose.tokens import Tokens

PROMPT = """\
	testl	%esi, %esi
	jle	.L2
	leaq	(%rdi,%rsi,4), %rax
.L1:
	cmpl	$1234567, (%rdi)
	je	.L3
	addq	$4, %rdi
	cmpq	%rax, %rdi
	jne	.L1
.L2:
	movl	$-77, %eax
	ret
.L3:
	movl	$99, %eax
	ret
"""
ANSWER = """\
	movl	$1234567, %eax
	vpbroadcastd	%eax, %zmm2
.L1:
	vmovdqu32	(%rdi), %zmm0{%k1}{z}
	vpcmpd	$0, %zmm2, %zmm0, %k2{%k1}
	cmpl	$1234568, -8(%rdi)
	jne	.L1
	movl	$-77, %eax
	ret
"""


C_ANSWER = "u64 k = FIND(b, a, x > 1234567); return k < LEN(b) ? k : -1;"
TYPES = CSignature("i32", ("pi32", "i32"))


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens.build([(PROMPT, ANSWER)], dialect="asm")


def test_an_answer_comes_back_as_it_was(tokens: Tokens) -> None:
    ids = tokens.encode_asm(ANSWER, PROMPT)
    assert tokens.decode_asm(ids, PROMPT) == ANSWER


def test_a_constant_of_the_prompt_is_copied_by_name(tokens: Tokens) -> None:
    ids = tokens.encode_asm(ANSWER, PROMPT)
    other = PROMPT.replace("1234567", "40404").replace("99", "98")
    want = ANSWER.replace("1234567", "40404").replace("1234568", "40405")
    assert tokens.decode_asm(ids, other) == want


def test_prompts_that_differ_in_constants_only_have_the_same_ids(tokens: Tokens) -> None:
    assert tokens.encode_text(PROMPT) == tokens.encode_text(PROMPT.replace("1234567", "40404"))


def test_a_prompt_for_c_begins_with_the_types(tokens: Tokens) -> None:
    ids = tokens.encode_prompt(Prompt("f", PROMPT, scalar=PROMPT, types=TYPES))
    assert [tokens.words[i] for i in ids[:4]] == ["<c>", "=i32", ":pi32", ":i32"]
    assert tokens.words[ids[-1]] == "<sep>"
    with pytest.raises(ValueError, match="signature"):
        tokens.encode_prompt(Prompt("f", PROMPT, scalar=PROMPT))


def test_a_prompt_for_assembly_begins_with_the_isa_level(tokens: Tokens) -> None:
    for level in (0, 3, 5):
        assert tokens.words[tokens.encode_text(PROMPT, None, level)[0]] == f"<isa{level}>"
    assert tokens.words[tokens.encode_text(PROMPT, None, 6)[0]] == "<isa5>"


@pytest.fixture(scope="module")
def spoken() -> Tokens:
    return Tokens.build([(PROMPT, C_ANSWER)])


def test_an_answer_in_c_comes_back(spoken: Tokens) -> None:
    text = spoken.decode_c(spoken.encode_c(C_ANSWER, PROMPT), PROMPT)
    assert text.replace(" ", "") == C_ANSWER.replace(" ", "")


def test_a_number_of_the_prompt_is_copied_by_name_in_c(spoken: Tokens) -> None:
    ids = spoken.encode_c("return x > 1234568;", PROMPT)
    assert " kk0p" in [spoken.words[i] for i in ids]
    assert spoken.decode_c(ids, PROMPT.replace("1234567", "500")) == "return x > 501 ;"


def test_c_that_has_no_words_is_refused(spoken: Tokens) -> None:
    with pytest.raises(ValueError, match="no lexeme"):
        spoken.encode_c('asm("nop");', PROMPT)
    with pytest.raises(ValueError, match="no token"):
        spoken.encode_c("return system;", PROMPT)
    with pytest.raises(ValueError, match="outside a number"):
        spoken.decode_c([spoken.ids[" return"], spoken.ids[" #12"]], PROMPT)
    with pytest.raises(ValueError, match="in C"):
        spoken.decode_c([spoken.ids["%eax"]], PROMPT)


def test_the_pairs_of_neighbours_are_those_of_the_answers(spoken: Tokens, tmp_path: Path) -> None:
    ids = spoken.encode_c(C_ANSWER, PROMPT)
    known = spoken.with_follows([ids])
    known.save(tmp_path / "tokens.json")
    follows = Tokens.load(tmp_path / "tokens.json").follows
    assert follows is not None
    assert follows[spoken.ids["<sep>"]] == {ids[0]}
    assert spoken.end in follows[ids[-1]]
    assert spoken.ids[" return"] not in follows[spoken.ids[" return"]]


@settings(max_examples=100, deadline=None)
@given(value=st.integers(0, 2**64 - 1) | st.integers(0, 300))
def test_any_number_comes_back_in_c(value: int) -> None:
    assert C_VOCABULARY.decode_c(C_VOCABULARY.encode_c(f"return {value};", PROMPT), PROMPT) == f"return {value} ;"


def test_a_word_outside_the_vocabulary_is_refused(tokens: Tokens) -> None:
    with pytest.raises(ValueError, match="aeskeygenassist"):
        tokens.encode_text(PROMPT.replace("testl", "aeskeygenassist"))
    with pytest.raises(ValueError, match="no token"):
        tokens.encode_text("\tmovl\tglobal(%rip), %eax\n\tret\n")


def test_a_prompt_that_is_too_long_is_refused(tokens: Tokens) -> None:
    with pytest.raises(ValueError, match="limit"):
        tokens.encode_text(PROMPT * 40)


def test_ids_that_make_no_text_are_refused(tokens: Tokens) -> None:
    with pytest.raises(ValueError):
        tokens.decode_asm([tokens.size], PROMPT)
    with pytest.raises(ValueError):
        tokens.decode_asm([tokens.ids["%eax"]], PROMPT)
    with pytest.raises(ValueError, match="kk9"):
        tokens.decode_asm([tokens.ids["\tmovl"], tokens.ids["$kk9"]], PROMPT)


def test_a_vocabulary_survives_its_file(tokens: Tokens, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    tokens.save(path)
    assert Tokens.load(path).words == tokens.words
    path.write_text(path.read_text().replace('"schema":2', '"schema":9'))
    with pytest.raises(ValueError, match="schema"):
        Tokens.load(path)


def test_tokens_are_distinct(tokens: Tokens) -> None:
    assert len(set(tokens.words)) == tokens.size
    assert tokens.size % 32 == 0


numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300)
registers = st.sampled_from(["%eax", "%rcx", "%r10", "%r8d", "%zmm3", "%xmm1"])
memory = st.sampled_from(["(%rdi)", "(%r11)", "(%rdi,%rsi,4)", "(%rax,%rdx)"])
operands = (
    registers
    | numbers.map(lambda n: f"${n}")
    | memory
    | st.builds(lambda n, m: f"{n}{m}" if n else m, st.integers(-9999, 9999), memory)
)
lines = st.builds(lambda a, b: f"\tmovl\t{a}, {b}", operands, operands) | st.integers(1, 20).map(lambda n: f".L{n}:")
texts = st.lists(lines, min_size=1, max_size=12).map(lambda rows: "\n".join(["\tmovl\t%eax, %ecx", *rows]) + "\n")


C_VOCABULARY = Tokens.build([(PROMPT, C_ANSWER)])
VOCABULARY = Tokens.build([(PROMPT, ANSWER)], dialect="asm")


@settings(max_examples=100, deadline=None)
@given(prompt=texts, answer=texts)
@example(prompt="\tmovl\t%eax, $171\n", answer="\tmovl\t%eax, 85(%rdi)\n")
def test_any_numbers_come_back(prompt: str, answer: str) -> None:
    vocabulary = VOCABULARY
    assert vocabulary.decode_asm(vocabulary.encode_asm(answer, prompt), prompt) == answer


@settings(max_examples=100, deadline=None)
@given(prompt=texts)
def test_slots_are_the_large_numbers_in_order(prompt: str) -> None:
    slots = Slots.of(prompt).values
    assert not set(slots) & STRUCTURAL
    found = [int(m) for m in re.findall(r"(?<![\w.%])-?(\d+)(?=$|[,(\n])", prompt.replace("$", ""))]
    order = list(dict.fromkeys(n for n in found if n not in STRUCTURAL))
    assert list(slots) == order[: len(slots)]


def test_the_experts_own_numbers_are_never_slots() -> None:
    slots = Slots((78, 90))
    assert 78 in FIXED
    assert slots.name(78, answer=True) is None
    assert slots.name(90, answer=True) == "kk1"
