"""The pairs: drawn alike from alike seeds, right, within the contract, and never a benchmark kernel."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train import families
from gccllm.lab.train.checking import How, build_checker, check
from gccllm.lab.train.corpus import draw_batch, prompts_of, reserved_texts, split_of
from gccllm.lab.train.examples import composition, taught
from gccllm.lab.train.shapes import Pair
from gccllm.propose import prelude
from gccllm.propose.c_words import KEEP
from gccllm.propose.recipes import LEVEL_FLAGS
from gccllm.propose.tokens import Tokens

TOOLS = Toolchain.find()


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return draw_batch(20, 0, 160)


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checker(TOOLS, tmp_path_factory.mktemp("check"))


def test_draws_are_a_function_of_seed_and_batch() -> None:
    assert draw_batch(3, 5, 30) == draw_batch(3, 5, 30)
    assert draw_batch(3, 5, 30) != draw_batch(3, 6, 30)


def test_every_family_is_drawn() -> None:
    drawn = Counter(families.draw(random.Random(i)).key.split("/")[0] for i in range(1500))
    assert len(drawn) >= len(families.FAMILIES)
    assert sum(count for name, count in drawn.items() if name.startswith("held-")) > 0


def test_experts_agree_with_the_plain_side(pairs: list[Pair], checker: Path) -> None:
    results = check(TOOLS, checker, pairs, [p.answer for p in pairs], How(tests=40, timing=False, seed=7))
    assert [(p.key, r.status) for p, r in zip(pairs, results, strict=True) if not r.is_pass] == []
    assert all(r.tests > 0 for r in results)


def test_experts_as_drafts_agree_with_the_plain_side_too(pairs: list[Pair], checker: Path) -> None:
    """The macros' plain loops mean what the wide ones mean: an answer may be tried with them."""
    results = check(TOOLS, checker, pairs, [p.answer for p in pairs], How(tests=40, timing=False, seed=7, draft=True))
    assert [(p.key, p.answer, r.status) for p, r in zip(pairs, results, strict=True) if not r.is_pass] == []


def test_every_plain_loop_stands_for_a_macro_and_is_met() -> None:
    plain = prelude.plain()[len(prelude.text()) :]
    public = set(re.findall(r"^#define ([A-Z][A-Z0-9]*)\(", plain, re.MULTILINE))
    assert public <= set(prelude.macros()), "a plain loop of a macro that no answer can name"
    assert set(re.findall(r"^#undef (\w+)", plain, re.MULTILINE)) - {"UNSIGNED_"} == public
    drawn = " ".join(pair.answer for batch in range(12) for pair in draw_batch(21, batch, 160))
    assert {name for name in public if f"{name}(" not in drawn} == set()


def test_the_check_finds_planted_errors(pairs: list[Pair], checker: Path) -> None:
    swaps = (("<=", ">"), ("FIND(", "COUNT("), ("==", "!="), ("MAX(", "MIN("), ("+=", "-="), ("IN(", "OUT("))
    broken = []
    for pair in pairs:
        for old, new in swaps:
            if old in pair.answer:
                broken.append((pair, pair.answer.replace(old, new, 1)))
                break
    some = next(p for p in pairs if p.types.returns == "i32" and p.types.params[0].startswith("p"))
    broken += [(some, "return *(i32 *)8;"), (some, "return nothing;")]
    results = check(TOOLS, checker, [p for p, _ in broken], [t for _, t in broken], How(tests=60, timing=False))
    assert results[-1].status == "build"
    assert results[-2].status == "fault"
    assert len(broken) > 40
    assert sum(not r.is_pass for r in results) >= 0.85 * len(results)


def test_one_wrong_answer_does_not_spoil_its_neighbours(pairs: list[Pair], checker: Path) -> None:
    answers = [p.answer for p in pairs[:6]]
    answers[2] = "return ((;"
    results = check(TOOLS, checker, pairs[:6], answers, How(timing=False))
    assert [r.status == "build" for r in results] == [i == 2 for i in range(6)]


@pytest.mark.parametrize("level", [0, 3, 5])
def test_every_answer_compiles_for_every_width(pairs: list[Pair], level: int) -> None:
    functions = "\n".join(p.function(f"fn{i}") for i, p in enumerate(pairs))
    ran = TOOLS.compile(
        ["-xc", "-S", "-o-", *prelude.FLAGS, *LEVEL_FLAGS.get(level, ()), "-"],
        stdin=(prelude.text() + functions + "\n").encode(),
    )
    assert ran.ok, ran.err[:2000]
    assert "call" not in ran.out.decode(), "an answer calls a function"


def test_every_answer_has_words(pairs: list[Pair]) -> None:
    prompts = prompts_of(TOOLS, pairs)
    rows = [(prompts[i], p) for i, p in enumerate(pairs) if i in prompts]
    tokens = Tokens.build([(prompt, p.answer) for prompt, p in rows])
    for prompt, pair in rows:
        text = tokens.decode_c(tokens.encode_c(pair.answer, prompt), prompt)
        # words have no suffixes of numbers
        assert text.replace(" ", "") == re.sub(r"\b(\d+)[uUlL]+\b", r"\1", pair.answer).replace(" ", "")


def test_a_kernel_is_reserved_in_each_spelling_that_gcc_makes_equal() -> None:
    reserved = reserved_texts(TOOLS)
    form = "int KERN(const int32_t *p, int m) { int i = 0; while (i < m) { if (p[i] < %d) return 0; i++; } return 1; }"
    some = draw_batch(1, 1, 1)[0]
    made = [Pair("scan", "k", c, "", some.types, ()) for c in (form % 0, form % 5)]
    prompts = prompts_of(TOOLS, made)
    assert prompts[0] in reserved
    assert prompts[1] not in reserved


def test_splits_follow_the_composition_and_the_family() -> None:
    rng = random.Random(0)
    keys = [families.draw(rng).key for _ in range(600)]
    splits = {key: {split_of(key, str(i)) for i in range(50)} for key in keys}
    assert any(names == {"unseen"} for names in splits.values())
    assert all(names == {"unseen"} or "unseen" not in names for names in splits.values())
    assert all((names == {"family"}) == key.startswith("held-") for key, names in splits.items())
    # the type of the count and the form of the loop make no new composition
    assert {split_of(f"scan/find/u8/eq/{count}", "p") == "unseen" for count in ("int", "long", "end")} in (
        {True},
        {False},
    )


def test_what_is_taught_is_decided_by_the_composition() -> None:
    row = {"split": "train", "expert": "return 1;", "answer": KEEP, "prompt": "p"}
    rows = [row | {"key": "a/b/c/d/int", "ticks": [100, 90 + n, 80]} for n in range(5)]
    rows += [row | {"key": "a/b/c/e/int", "ticks": [100, 80 + n, 80]} for n in range(3)]
    answers = {composition(r): r["answer"] for r in taught(rows)}
    assert answers == {"a/b/c/d": "return 1;", "a/b/c/e": KEEP}
