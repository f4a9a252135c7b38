"""The built-in model's words: what goes in comes out, and what has no words is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gccllm.propose.protocol import Isa, Prompt
from gccllm.propose.tokens import FIXED, STRUCTURAL, Slots, Tokens

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


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens.build([(PROMPT, ANSWER)])


def test_an_answer_comes_back_as_it_was(tokens: Tokens) -> None:
    ids = tokens.encode_answer(ANSWER, PROMPT)
    assert tokens.decode_answer(ids, PROMPT) == ANSWER


def test_a_constant_of_the_prompt_is_copied_by_name(tokens: Tokens) -> None:
    ids = tokens.encode_answer(ANSWER, PROMPT)
    other = PROMPT.replace("1234567", "40404").replace("99", "98")
    want = ANSWER.replace("1234567", "40404").replace("1234568", "40405")
    assert tokens.decode_answer(ids, other) == want


def test_prompts_that_differ_in_constants_only_have_the_same_ids(tokens: Tokens) -> None:
    assert tokens.encode_text(PROMPT, 5) == tokens.encode_text(PROMPT.replace("1234567", "40404"), 5)


def test_the_isa_level_is_the_first_token(tokens: Tokens) -> None:
    for level in (0, 3, 5):
        ids = tokens.encode_prompt(Prompt("f", PROMPT, scalar=PROMPT, isa=Isa(0, level)))
        assert tokens.words[ids[0]] == f"<isa{level}>"
        assert tokens.words[ids[-1]] == "<sep>"
    newer = tokens.encode_prompt(Prompt("f", PROMPT, scalar=PROMPT, isa=Isa(0, 6)))
    assert tokens.words[newer[0]] == "<isa5>"


def test_a_word_outside_the_vocabulary_is_refused(tokens: Tokens) -> None:
    with pytest.raises(ValueError, match="aeskeygenassist"):
        tokens.encode_text(PROMPT.replace("testl", "aeskeygenassist"), 5)
    with pytest.raises(ValueError, match="no token"):
        tokens.encode_text("\tmovl\tglobal(%rip), %eax\n\tret\n", 5)


def test_a_prompt_that_is_too_long_is_refused(tokens: Tokens) -> None:
    with pytest.raises(ValueError, match="limit"):
        tokens.encode_text(PROMPT * 40, 5)


def test_ids_that_make_no_text_are_refused(tokens: Tokens) -> None:
    with pytest.raises(ValueError):
        tokens.decode_answer([tokens.size], PROMPT)
    with pytest.raises(ValueError):
        tokens.decode_answer([tokens.ids["%eax"]], PROMPT)
    with pytest.raises(ValueError, match="kk9"):
        tokens.decode_answer([tokens.ids["\tmovl"], tokens.ids["$kk9"]], PROMPT)


def test_a_vocabulary_survives_its_file(tokens: Tokens, tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "tokens.json"  # type: ignore[operator]
    tokens.save(path)
    assert Tokens.load(path).words == tokens.words
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 9'))
    with pytest.raises(ValueError, match="schema 9"):
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


VOCABULARY = Tokens.build([(PROMPT, ANSWER)])


@settings(max_examples=100, deadline=None)
@given(prompt=texts, answer=texts)
@example(prompt="\tmovl\t%eax, $171\n", answer="\tmovl\t%eax, 85(%rdi)\n")
def test_any_numbers_come_back(prompt: str, answer: str) -> None:
    vocabulary = VOCABULARY
    assert vocabulary.decode_answer(vocabulary.encode_answer(answer, prompt), prompt) == answer


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
