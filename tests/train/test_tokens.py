"""The built-in model's words: what goes in comes out, and what has no words is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gccllm.propose.protocol import Prompt
from gccllm.propose.signature import CSignature
from gccllm.propose.slots import STRUCTURAL, Slots
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
C_ANSWER = "u64 k = FIND(b, a, x > 1234567); return k < LEN(b) ? k : -1;"
TYPES = CSignature("i32", ("pi32", "i32"))


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens.build([(PROMPT, C_ANSWER)])


def test_prompts_that_differ_in_constants_only_have_the_same_ids(tokens: Tokens) -> None:
    assert tokens.encode_text(PROMPT, TYPES) == tokens.encode_text(PROMPT.replace("1234567", "40404"), TYPES)


def test_a_prompt_for_c_begins_with_the_types(tokens: Tokens) -> None:
    ids = tokens.encode_prompt(Prompt("f", PROMPT, scalar=PROMPT, types=TYPES))
    assert [tokens.words[i] for i in ids[:4]] == ["<c>", "=i32", ":pi32", ":i32"]
    assert tokens.words[ids[-1]] == "<sep>"
    with pytest.raises(ValueError, match="signature"):
        tokens.encode_prompt(Prompt("f", PROMPT, scalar=PROMPT))


def test_an_answer_in_c_comes_back(tokens: Tokens) -> None:
    text = tokens.decode_c(tokens.encode_c(C_ANSWER, PROMPT), PROMPT)
    assert text.replace(" ", "") == C_ANSWER.replace(" ", "")


def test_a_number_of_the_prompt_is_copied_by_name_in_c(tokens: Tokens) -> None:
    ids = tokens.encode_c("return x > 1234568;", PROMPT)
    assert " kk0p" in [tokens.words[i] for i in ids]
    assert tokens.decode_c(ids, PROMPT.replace("1234567", "500")) == "return x > 501 ;"


def test_c_that_has_no_words_is_refused(tokens: Tokens) -> None:
    with pytest.raises(ValueError, match="no lexeme"):
        tokens.encode_c('asm("nop");', PROMPT)
    with pytest.raises(ValueError, match="no token"):
        tokens.encode_c("return system;", PROMPT)
    with pytest.raises(ValueError, match="outside a number"):
        tokens.decode_c([tokens.ids[" return"], tokens.ids[" #12"]], PROMPT)
    with pytest.raises(ValueError, match="in C"):
        tokens.decode_c([tokens.ids["%eax"]], PROMPT)


def test_the_pairs_of_neighbours_are_those_of_the_answers(tokens: Tokens, tmp_path: Path) -> None:
    ids = tokens.encode_c(C_ANSWER, PROMPT)
    known = tokens.with_follows([ids])
    known.save(tmp_path / "tokens.json")
    follows = Tokens.load(tmp_path / "tokens.json").follows
    assert follows is not None
    assert follows[tokens.ids["<sep>"]] == {ids[0]}
    assert tokens.end in follows[ids[-1]]
    assert tokens.ids[" return"] not in follows[tokens.ids[" return"]]


@settings(max_examples=100, deadline=None)
@given(value=st.integers(0, 2**64 - 1) | st.integers(0, 300))
def test_any_number_comes_back_in_c(value: int) -> None:
    assert C_VOCABULARY.decode_c(C_VOCABULARY.encode_c(f"return {value};", PROMPT), PROMPT) == f"return {value} ;"


def test_a_word_outside_the_vocabulary_is_refused(tokens: Tokens) -> None:
    with pytest.raises(ValueError, match="aeskeygenassist"):
        tokens.encode_text(PROMPT.replace("testl", "aeskeygenassist"), TYPES)
    with pytest.raises(ValueError, match="no token"):
        tokens.encode_text("\tmovl\tglobal(%rip), %eax\n\tret\n", TYPES)


def test_a_prompt_that_is_too_long_is_refused(tokens: Tokens) -> None:
    with pytest.raises(ValueError, match="limit"):
        tokens.encode_text(PROMPT * 40, TYPES)


def test_ids_that_make_no_text_are_refused(tokens: Tokens) -> None:
    with pytest.raises(ValueError, match="no such token"):
        tokens.decode_c([tokens.size], PROMPT)
    with pytest.raises(ValueError, match="kk9"):
        tokens.decode_c([tokens.ids[" return"], tokens.ids[" kk9"]], PROMPT)


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


@settings(max_examples=100, deadline=None)
@given(prompt=texts)
def test_slots_are_the_large_numbers_in_order(prompt: str) -> None:
    slots = Slots.of(prompt).values
    assert not set(slots) & STRUCTURAL
    found = [int(m) for m in re.findall(r"(?<![\w.%])-?(\d+)(?=$|[,(\n])", prompt.replace("$", ""))]
    order = list(dict.fromkeys(n for n in found if n not in STRUCTURAL))
    assert list(slots) == order[: len(slots)]
