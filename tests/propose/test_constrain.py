"""The constraint: every answer as they are taught passes, and what does not balance never comes out."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gccllm.base.toolchain import Toolchain
from gccllm.propose import c_macros, prelude
from gccllm.propose.constrain import Constraint
from gccllm.propose.facts import Facts, facts_of
from gccllm.propose.signature import CSignature
from gccllm.propose.slots import Slots
from gccllm.propose.tokens import Tokens
from tests.kit import tiny_words

TYPES = CSignature("i64", ("pu8", "i32"))
TOKENS = tiny_words.vocabulary()
ALL = Tokens.build([(tiny_words.SCALAR, answer) for answer in tiny_words.ANSWERS], macros=prelude.macros())
SLOTS = len(Slots.of(tiny_words.SCALAR).values)


def ids_of(answer: str, tokens: Tokens = TOKENS) -> list[int]:
    return tokens.encode_c(answer, tiny_words.SCALAR)


def is_accepted(answer: str, types: CSignature | None = TYPES, slots: int = SLOTS, tokens: Tokens = TOKENS) -> bool:
    return Constraint.of(tokens, types, slots).accepts(ids_of(answer, tokens))


@pytest.mark.parametrize("answer", tiny_words.ANSWERS)
def test_taught_answer_passes(answer: str) -> None:
    assert is_accepted(answer)


@pytest.mark.parametrize("answer", [
    "return COUNT(b, a, x == 57;", "return COUNT(b, a, x == 57));", "return COUNT(b, a);", "return COUNT(b, a, x, x);",
    "return COUNT(b, a, (x == 57);", "return b ? a;", "return b : a;", "return;", "return b", "u64 k = 0;", "return k;",
    "return c;", "u64 = 3; return b;", "u64 a = 3; return a;", "return b b;", "return + ;", "return b + ;",
    "{ return b;", "return b; }", "if (b > 7 return b;", "return a[b;", "return COUNT(b, a, x = 57);", "3; return b;",
    "KEEP return b;", "return KEEP;", "b = ; return b;", "u64 k < 3; return k;", "return (b;",
    "for (u64 i = 0; i < b; i++ return b;", "return i 3;", "else return b; return 57 [ 3 ];",
])  # fmt: skip
def test_what_is_no_answer_is_refused(answer: str) -> None:
    assert not is_accepted(answer)


def test_function_without_result_returns_nothing() -> None:
    types = CSignature("v", ("pu8", "i32"))
    assert is_accepted("u64 k = 0; if (b > 7) return; k++;", types)
    assert not is_accepted("return b;", types)


def test_parameter_the_function_does_not_have_is_refused() -> None:
    assert is_accepted("return a[0];", CSignature("i64", ("pu8",)))
    assert not is_accepted("return a[0] + b;", CSignature("i64", ("pu8",)))


def test_slot_the_prompt_does_not_have_is_refused() -> None:
    assert SLOTS == 2
    assert is_accepted("return 57 + 200;")
    assert not is_accepted("return 57 + 200;", slots=1)


def test_neighbours_are_those_of_some_taught_answer() -> None:
    tokens = TOKENS.with_follows([ids_of(answer) for answer in tiny_words.ANSWERS])
    assert all(is_accepted(answer, tokens=tokens) for answer in tiny_words.ANSWERS)
    assert is_accepted("return COUNT(b, a, x <= 200);", tokens=tokens)
    assert is_accepted("return b * 7;".replace("*", "+"))
    assert not is_accepted("return 7 + b;", tokens=tokens)


def walk(seed: int, types: CSignature, tokens: Tokens, most: int = 80) -> list[int] | None:
    """Ids drawn at random among those that may come; None when the walk does not end."""
    constraint = Constraint.of(tokens, types, SLOTS)
    state, ids, rng = constraint.start, list[int](), random.Random(seed)
    for _ in range(most):
        may = [int(i) for i in np.flatnonzero(constraint.row(state))]
        if tokens.end in may:
            assert constraint.accepts(ids)
            return ids
        # closing words often, so that walks end
        closing = [i for i in may if tokens.words[i] in (" )", " ;", " ]", " }", " :")]
        pool = closing if closing and rng.random() < 0.5 else may
        if not pool:
            return None
        token = rng.choice(pool)
        after = constraint.step(state, token)
        assert after is not None, tokens.words[token]
        state = after
        ids.append(token)
    return None


@settings(deadline=None)
@given(
    st.integers(0, 1 << 30), st.sampled_from([TYPES, CSignature("v", ()), CSignature("pi16", ("pi16", "i8", "f64"))])
)
def test_whatever_comes_out_balances(seed: int, types: CSignature) -> None:
    ids = walk(seed, types, TOKENS)
    if ids is None:
        return
    text = TOKENS.decode_c(ids, tiny_words.SCALAR)
    pairs, stack = {"(": ")", "[": "]", "{": "}", "?": ":"}, []
    for word in text.split():
        for mark in (word[-1] if word.endswith("(") else word,):
            if mark in pairs:
                stack.append(pairs[mark])
            elif mark in pairs.values():
                assert stack
                assert stack.pop() == mark
    assert not stack
    assert text == "KEEP" or text.endswith((";", "}"))


def test_random_walks_do_end() -> None:
    assert sum(walk(seed, TYPES, TOKENS) is not None for seed in range(60)) > 5


@pytest.mark.parametrize("answer", tiny_words.ANSWERS)
def test_row_and_step_say_the_same(answer: str) -> None:
    constraint = Constraint.of(TOKENS, TYPES, SLOTS)
    state = constraint.start
    for token in ids_of(answer):
        row = constraint.row(state)
        steps = [constraint.step(state, i) is not None for i in range(TOKENS.size)]
        assert [bool(may) for i, may in enumerate(row) if i != TOKENS.end] == [
            may for i, may in enumerate(steps) if i != TOKENS.end
        ]
        after = constraint.step(state, token)
        assert after is not None
        state = after
    assert constraint.row(state)[TOKENS.end]


def test_answers_of_every_family_pass() -> None:
    families = pytest.importorskip("gccllm.lab.train.families")
    rng = random.Random(4)
    pairs = [draw(rng) for _, draw in families.FAMILIES.values() for _ in range(60)]
    tokens = Tokens.build([("\tret\n", pair.answer) for pair in pairs])
    refused = {
        pair.answer
        for pair in pairs
        if not Constraint.of(tokens, pair.types, 0).accepts(tokens.encode_c(pair.answer, "\tret\n"))
    }
    assert not refused


POINTERS = CSignature("pu8", ("pu8", "i32", "pu8", "f64"))
NUMBERS = CSignature("i64", ("pu8", "i32", "pu8", "f64"))


@pytest.mark.parametrize("types", [POINTERS, NUMBERS])
@pytest.mark.parametrize(("returned", "is_pointer"), [
    ("a", True), ("a + b", True), ("a + b * b - 1", True), ("b ? a + b : c", True), ("b < 7 ? c : 0", True),
    ("0", None),
    ("b", False), ("c - a", False), ("a[b]", False), ("c - a + b", False), ("COUNT(c - a, a, x == 57)", False),
    ("a < c", False), ("b ? b : 3", False), ("!b", False), ("(c - a) * 3", False), ("a[b] * b", False),
    ("HASH(57, b, a, 3)", False), ("(u8)a[b] - c[b]", False), ("-b", False), ("a == 0", False),
])  # fmt: skip
def test_what_is_returned_is_what_the_function_returns(returned: str, is_pointer: bool | None,
                                                       types: CSignature) -> None:  # fmt: skip
    """None: 0 may be either."""
    accepted = is_accepted(f"return {returned};", types, tokens=ALL)
    assert accepted == (is_pointer is not (types is NUMBERS) or is_pointer is None)


@pytest.mark.parametrize("answer", [
    "return COUNT(a, b, x == 57);", "return COUNT(b, b, x == 57);", "return COUNT(b, 57, x == 57);",
    "return COUNT(a, a, x == 57);", "return COUNT(b, a, x == c);", "return COUNT(a - b, a, x == 57);", "return b[a];",
    "return a * 3;", "return 3 * a;", "return a + c - 3;", "return a & 1;", "return -a;", "return a < b;",
    "return a[c];",
    "return LEN(a);", "return HASH(57, b, a, c);", "u64 k = a; return k;", "return b < a;", "return ~a;",
    "return FIND(b, b + a, x == 57);", "return SUM(u64, b, a, x + c);", "return a[b] * c;", "b = a; return b;",
    "return COUNT(b, a < c, x == 57);", "return a == 7;",
])  # fmt: skip
def test_pointers_and_numbers_in_each_others_places_are_refused(answer: str) -> None:
    assert not is_accepted(answer, NUMBERS, tokens=ALL)
    assert is_accepted(answer, None, tokens=ALL)  # it is the types, not the syntax


def facts_accept(answer: str, facts: Facts, types: CSignature = NUMBERS) -> bool:
    return Constraint.of(ALL, types, SLOTS, facts).accepts(ids_of(answer, ALL))


def test_answer_names_all_that_the_code_reads() -> None:
    answer = "return COUNT(b, a, x == 57);"
    assert facts_accept(answer, Facts())
    assert facts_accept(answer, Facts(frozenset("ab")))
    assert facts_accept(answer, Facts(frozenset("a")))
    assert not facts_accept(answer, Facts(frozenset("abc")))
    assert all(facts_accept("KEEP", Facts(frozenset(reads), True)) for reads in ("", "abc"))


@pytest.mark.parametrize("answer", [
    "REVERSE(b, a); return b;", "a[b] = 3; return b;", "a[b] += 3; return b;", "a[b]++; return b;",
    "MAP(b, a, a, x + 1); return b;", "if (b) a[0] = 3; return b;",
])  # fmt: skip
def test_answer_stores_if_and_only_if_the_code_does(answer: str) -> None:
    assert facts_accept(answer, Facts(stores=True))
    assert facts_accept(answer, Facts())
    assert not facts_accept(answer, Facts(stores=False))


def test_locals_are_no_memory() -> None:
    answer = "u64 k = 0; k += a[b]; k++; return k;"
    assert facts_accept(answer, Facts(stores=False))
    assert not facts_accept(answer, Facts(stores=True))


def test_every_expert_keeps_what_its_own_code_says() -> None:
    families = pytest.importorskip("gccllm.lab.train.families")
    corpus = pytest.importorskip("gccllm.lab.train.corpus")
    rng, tools = random.Random(11), Toolchain.find()
    pairs = [draw(rng) for _, draw in families.FAMILIES.values() for _ in range(5)]
    prompts = corpus.prompts_of(tools, pairs)
    taught = [(pairs[i], text) for i, text in prompts.items()]
    assert len(taught) > len(pairs) // 2
    tokens = Tokens.build([(text, pair.answer) for pair, text in taught])
    refused = [
        pair.answer
        for pair, text in taught
        if not Constraint.of(tokens, pair.types, len(Slots.of(text).values), facts_of(text, pair.types, tools)).accepts(
            tokens.encode_c(pair.answer, text)
        )
    ]
    assert refused == []


def test_prelude_is_read() -> None:
    macros = c_macros.macros()
    assert macros["FIND"].arguments == 3
    assert macros["FIND"].binds == {"x"}
    assert not macros["COUNT"].has_statement
    assert "W" in c_macros.constants()
    assert not any(name.endswith("_") for name in (*macros, *c_macros.constants()))
    assert all(c_macros.macro_of(macro.bracket) == macro for macro in macros.values())
