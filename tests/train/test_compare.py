"""Checkpoints beside each other: the sign test by hand, and real answers of the model that ships and of one that
knows nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("gguf", reason="the shipped model is read with gguf")

from gccllm.base.toolchain import Toolchain  # noqa: E402
from gccllm.lab.train.checking import How  # noqa: E402
from gccllm.lab.train.compare import Result, against, look, sign_test  # noqa: E402
from gccllm.lab.train.config import BUILTIN  # noqa: E402
from gccllm.lab.train.corpus import draw_batch, prompts_of, rows_of  # noqa: E402
from gccllm.lab.train.evaluate import answerable  # noqa: E402
from gccllm.lab.train.export import restore  # noqa: E402
from gccllm.lab.train.model import Model  # noqa: E402
from gccllm.propose.tokens import Tokens  # noqa: E402


@pytest.mark.parametrize(
    ("better", "worse", "p"), [(0, 0, 1.0), (5, 5, 1.0), (8, 2, 112 / 1024), (10, 0, 2 / 1024), (0, 10, 2 / 1024)]
)
def test_sign_test_by_hand(better: int, worse: int, p: float) -> None:
    """8 of 10: 2 * (1 + 10 + 45) / 1024."""
    assert sign_test(better, worse) == pytest.approx(p)


def test_rows_are_compared_one_by_one() -> None:
    one = Result([True, True, False], [8, 3, 0], 8, 0.5, 1.5)
    other = Result([False, True, False], [8, 5, 1], 8, 0.4, 1.4)
    assert against(one, other) == (
        "greedy: better on 1 rows, worse on 0, p = 1; drawn: better on 0 rows, worse on 2, p = 0.5"
    )
    assert one.row("a") == "| a | 3 | 66.7% | 50.0% | 45.8% | 66.7% | 1.50 |"


def test_a_model_that_learnt_is_ahead_of_one_that_did_not(tmp_path: Path) -> None:
    tools, tokens = Toolchain.find(), Tokens.load(BUILTIN / "tokens.json")
    pairs = draw_batch(31, 1, 30)
    prompts = prompts_of(tools, pairs, ())
    rows = rows_of(tools, tmp_path, {text: pairs[i] for i, text in prompts.items()}, How(seed=1, timing=False))
    asked = answerable([row for row in rows if row["status"] == "pass"], tokens, 16, seed=7)
    learnt = restore(BUILTIN / "model.gguf")
    torch.manual_seed(1)
    one, other = look(learnt, tokens, asked, 1), look(Model(learnt.shape).eval(), tokens, asked, 1)
    assert sum(one.greedy) > len(asked) / 4 > sum(other.greedy)
    assert sum(one.drawn) > sum(other.drawn)
    assert one.best > 1.0 == other.best
