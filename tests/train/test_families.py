"""The pairs: drawn alike from alike seeds, right, within their ISA level, and never a benchmark kernel."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gccllm.assembly import Body, canonical
from gccllm.toolchain import Toolchain
from gccllm.train import families
from gccllm.train.checking import build_checker, check
from gccllm.train.corpus import draw_batch, prompts_of, reserved_texts, split_of
from gccllm.train.shapes import Pair
from gccllm.verify.screen import Context, read_baseline, screen
from gccllm.verify.trace import instrument

TOOLS = Toolchain.find()


def has_avx512() -> bool:
    flags = Path("/proc/cpuinfo").read_text()
    return all(name in flags for name in ("avx512bw", "avx512_vbmi2", "avx512_vpopcntdq", "bmi2"))


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return draw_batch(20, 0, 90)


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checker(TOOLS, tmp_path_factory.mktemp("check"))


def test_draws_are_a_function_of_seed_and_batch() -> None:
    assert draw_batch(3, 5, 30) == draw_batch(3, 5, 30)
    assert draw_batch(3, 5, 30) != draw_batch(3, 6, 30)


def test_every_family_is_drawn(pairs: list[Pair]) -> None:
    assert {p.family for p in pairs} == set(families.FAMILIES)


@pytest.mark.skipif(not has_avx512(), reason="the experts use AVX-512 up to VBMI2 and VPOPCNTDQ")
def test_experts_agree_with_the_naive_side(pairs: list[Pair], checker: Path) -> None:
    results = check(TOOLS, checker, pairs, [p.asm for p in pairs], tests=30, timing=False, seed=7)
    assert [(p.key, r.status) for p, r in zip(pairs, results, strict=True) if not r.is_pass] == []
    assert all(r.tests > 0 for r in results)


@pytest.mark.skipif(not has_avx512(), reason="the experts use AVX-512 up to VBMI2 and VPOPCNTDQ")
def test_the_check_finds_planted_errors(pairs: list[Pair], checker: Path) -> None:
    broken = []
    for pair in pairs:
        text = pair.asm.replace("popcntq", "tzcntq", 1).replace("jne\t.L2", "je\t.L2", 1).replace("jg\t.L1", "jle\t.L1")
        if text != pair.asm:
            broken.append((pair, text))
    broken += [(p, "\tret\n") for p in pairs[:20]] + [(pairs[0], "\tmovq\t0, %rax\n\tret\n"), (pairs[0], "\tbad\n")]
    results = check(TOOLS, checker, [p for p, _ in broken], [t for _, t in broken], tests=60, timing=False)
    assert results[-1].status == "asm"
    assert results[-2].status == "fault"
    assert sum(not r.is_pass for r in results) >= 0.9 * len(results)


def test_experts_pass_the_static_screen(pairs: list[Pair], tmp_path: Path) -> None:
    prompts = prompts_of(TOOLS, pairs, ())
    context = Context("f")
    seen = set()
    for i, pair in enumerate(pairs):
        kind = "/".join(pair.key.split("/")[:2])
        if i not in prompts or kind in seen or len(seen) >= 8:
            continue
        seen.add(kind)
        body = Body.parse(pair.asm)
        baseline = read_baseline(Body.parse(prompts[i]), context, TOOLS, tmp_path)
        screened = screen(body, baseline, context, TOOLS, tmp_path)
        assert screened.verdict.is_accepted, (pair.key, screened.verdict)
        assert screened.level <= pair.level, pair.key
        instrument(body, "f", tools=TOOLS)


def test_expert_texts_are_canonical_but_for_label_numbers(pairs: list[Pair]) -> None:
    for pair in pairs:
        body = Body.parse(pair.asm)
        assert not body.constants
        assert canonical(body).count("\n") == pair.asm.count("\n")


def test_a_kernel_is_reserved_in_each_spelling_that_gcc_makes_equal() -> None:
    reserved = reserved_texts(TOOLS)
    form = "int KERN(const int32_t *p, int m) { int i = 0; while (i < m) { if (p[i] < %d) return 0; i++; } return 1; }"
    spelled, other = form % 0, form % 5
    made = [Pair("scan", "k", c, "", "4", (), 4) for c in (spelled, other)]
    prompts = prompts_of(TOOLS, made, ())
    assert prompts[0] in reserved
    assert prompts[1] not in reserved


def test_splits_follow_the_composition() -> None:
    rng = random.Random(0)
    keys = [families.draw(rng).key for _ in range(400)]
    splits = {key: {split_of(key, str(i)) for i in range(50)} for key in keys}
    assert any(names == {"unseen"} for names in splits.values())
    assert all(names == {"unseen"} or "unseen" not in names for names in splits.values())
