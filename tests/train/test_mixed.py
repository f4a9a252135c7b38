"""Free recombination: right, of many compositions, with numbers a prompt has, and never an idea held for the test."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train import families
from gccllm.lab.train.checking import How, build_checker, check
from gccllm.lab.train.corpus import prompts_of
from gccllm.lab.train.families import mixed
from gccllm.lab.train.families.mixed_parts import Draft, Expr, inner
from gccllm.lab.train.shapes import I8, I32, U8, U32, Pair
from gccllm.propose import prelude
from gccllm.propose.recipes import LEVEL_FLAGS
from gccllm.propose.slots import STRUCTURAL, Slots

TOOLS = Toolchain.find()


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return [mixed.draw(random.Random(f"mixed {i}")) for i in range(220)]


def composition(pair: Pair) -> str:
    return "/".join(pair.key.split("/")[:4])


def test_answers_agree_with_the_plain_side(pairs: list[Pair], tmp_path: Path) -> None:
    results = check(TOOLS, build_checker(TOOLS, tmp_path), pairs, [p.answer for p in pairs], How(timing=False, seed=3))
    wrong = [(p.key, p.c, p.answer, r.status) for p, r in zip(pairs, results, strict=True) if not r.is_pass]
    assert len(wrong) <= 2, wrong  # a draw that cannot happen is dropped from a corpus
    assert all(status == "fault" for *_, status in wrong), wrong
    assert sum(r.tests >= 12 for r in results) >= 0.98 * len(results)


def test_every_answer_compiles_for_every_width(pairs: list[Pair]) -> None:
    functions = "\n".join(p.function(f"fn{i}") for i, p in enumerate(pairs[:90]))
    for level in (0, 3, 5):
        flags = ["-xc", "-S", "-o-", *prelude.FLAGS, *LEVEL_FLAGS.get(level, ()), "-"]
        ran = TOOLS.compile(flags, stdin=(prelude.text() + functions + "\n").encode(), deadline_s=900)
        assert ran.ok, ran.err[:2000]
        assert not re.search(r"\tcall", ran.out.decode()), "an answer calls a function"


def test_most_draws_are_compositions_of_their_own() -> None:
    drawn = [composition(mixed.draw(random.Random(i))) for i in range(2000)]
    assert len(set(drawn)) > 1600
    assert len({key.split("/")[1] for key in drawn}) > 150


def test_an_answers_numbers_are_in_its_prompt(pairs: list[Pair]) -> None:
    prompts = prompts_of(TOOLS, pairs)
    assert len(prompts) >= 0.98 * len(pairs)
    lost = 0
    for i, prompt in prompts.items():
        slots = Slots.of(prompt)
        numbers = {int(n) for n in re.findall(r"(?<![\w.])\d+\b", pairs[i].answer)} - STRUCTURAL - {10}
        lost += any(slots.name(n, answer=True) is None for n in numbers)
    assert lost < 0.1 * len(prompts)


def test_the_table_of_held_ideas_knows_every_held_draw() -> None:
    for i in range(1200):
        rng = random.Random(i)
        held = rng.choice(families.HELD)(rng)
        assert re.search(mixed.HELD_IDEAS[held.family], held.answer), (held.family, held.answer)


def test_no_held_idea_is_drawn() -> None:
    answers = [mixed.draw(random.Random(f"held {i}")).answer for i in range(3000)]
    assert [a for a in answers if mixed.is_held(a)] == []
    # the macros of the held ideas do occur, in other company
    for macro in ("DIGITSUMS(", "MAX(", "POPS(", "REM(", "FINDLAST(", "HASH(", "WIDTH(", "COUNT(", "FIND2("):
        assert any(macro in a for a in answers), macro
    assert not any(re.search(r"(MAX|MIN)2?\([^;]*DIGITSUMS", a) for a in answers)
    assert not any(re.search(r"POP\(XORS|POP\(ORS|WIDTH\(ORS|WIDTH\(MAX", a) for a in answers)


@pytest.mark.parametrize(
    ("family", "answer"),
    [
        ("held-digit-max", "return MAX(0, b, a, SEL(x > 5, DIGITSUMS(10), 0));"),
        ("held-parity", "return POPS(b, a, x) & 1;"),
        ("held-often", "u32 m = MIN(a[0], b, a, x); return COUNT(b, a, x == m);"),
        ("held-level", "i32 m = MAX(a[0], b, a, x); MAP(b, a, a, x - m);"),
        ("held-field", "u64 k = FIND(b, a, x == 7); return COUNT(k, a, x > 3);"),
    ],
)
def test_a_held_idea_under_another_name_is_known(family: str, answer: str) -> None:
    assert re.search(mixed.HELD_IDEAS[family], answer)
    assert mixed.is_held(answer)


@given(st.recursive(st.sampled_from(["x", "@c", "37"]), lambda t: st.tuples(t, st.sampled_from("+-&^"), t)))
@settings(max_examples=60, deadline=None)
def test_operands_keep_their_meaning(tree: object) -> None:
    def text(node: object) -> str:
        if isinstance(node, tuple):
            left, sign, right = node
            return f"{inner(text(left))} {sign} {inner(text(right))}"
        return str(node)

    def value(node: object) -> int:
        if isinstance(node, tuple):
            p, q = value(node[0]), value(node[2])
            return {"+": p + q, "-": p - q, "&": p & q, "^": p ^ q}[node[1]]
        return {"x": 5, "@c": 11}.get(str(node), 37)

    assert eval(text(tree).replace("@c", "11"), {"x": 5}) == value(tree)


def test_narrow_arithmetic_is_cast_and_risky_is_not_compared() -> None:
    rng = random.Random(0)
    assert Expr("plus", "x + 9", "x + 9", is_exact=False).exact(U8) == "(uint8_t)(x + 9)"
    assert Expr("plus", "x + 9", "x + 9").exact(U32) == "(x + 9)"
    with pytest.raises(mixed.Again):
        Expr("plus", "x + 9", "x + 9", is_risky=True).exact(I32)
    d = Draft(rng, I8)
    assert d.scalar("c") == d.scalar("c") == "@c"
    assert [p.name for p in d.sig.params] == ["c"]
