"""Suite `model`: its estimators against hand computations, and the whole on a tiny corpus and a random model."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
from pathlib import Path

import pytest

from gccllm.base.toolchain import Toolchain
from gccllm.lab.bench import model, model_programs, model_tables, show
from gccllm.lab.bench.model_check import NOTHING, O3, Checker, Proposal
from gccllm.lab.bench.model_gates import gate_rows, passes_screen
from gccllm.lab.bench.model_methods import Drawn, RandomEdits, Row
from gccllm.lab.bench.model_results import (
    Findings,
    Outcome,
    Sample,
    curve,
    evaluate,
    gains_and_losses,
    pass_share,
    speed,
)
from gccllm.lab.bench.numbers import best_weights, bootstrap_interval, pass_at
from gccllm.lab.train import corpus, kernels
from gccllm.lab.train.families import scans
from gccllm.lab.train.shapes import Pair
from gccllm.propose.c_words import KEEP
from gccllm.propose.tokens import Tokens


def outcome(*samples: Sample, kind: str = "samples") -> Outcome:
    return Outcome("k", "scan", "random", True, kind, list(samples))


def passing(speedup: float, rank: float = 0.0) -> Sample:
    return Sample("pass", rank or speedup, (speedup,) * 4)


# --- numbers --------------------------------------------------------------------------------------


def test_pass_at_k_is_the_share_of_all_draws_with_a_pass() -> None:
    for n, passed, k in ((5, 2, 1), (5, 2, 3), (8, 1, 8), (8, 0, 4), (6, 5, 2)):
        answers = [True] * passed + [False] * (n - passed)
        draws = [any(drawn) for drawn in itertools.combinations(answers, k)]
        assert pass_at(n, passed, k) == pytest.approx(statistics.fmean(draws))
    with pytest.raises(ValueError, match="best of 3"):
        pass_at(2, 1, 3)


def test_the_best_of_k_is_the_mean_over_all_draws() -> None:
    values = [0.5, 1.0, 3.0, 8.0]
    for k in range(1, 5):
        want = statistics.fmean(max(drawn) for drawn in itertools.combinations(values, k))
        assert sum(w * v for w, v in zip(best_weights(4, k), values, strict=True)) == pytest.approx(want)


def test_the_interval_holds_the_mean_and_is_the_same_every_time() -> None:
    rng = random.Random(1)
    values = [rng.gauss(0, 1) for _ in range(50)]
    low, high = bootstrap_interval(values)
    assert low < statistics.fmean(values) < high
    assert (low, high) == bootstrap_interval(values)
    assert math.isnan(bootstrap_interval([])[0])


def test_a_failure_counts_one_and_a_slow_pass_counts_as_it_is() -> None:
    rows = [outcome(Sample("value")), outcome(passing(4.0)), outcome(passing(0.5))]
    found = speed(rows, 1, 2)
    assert found is not None
    assert found.geomean == pytest.approx((1.0 * 4.0 * 0.5) ** (1 / 3))
    assert found.median == pytest.approx(1.0)
    assert gains_and_losses(rows, 1) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    share = pass_share(rows, 1)
    assert share is not None
    assert share[0] == pytest.approx(2 / 3)


def test_what_is_chosen_by_one_timing_is_reported_by_the_other() -> None:
    lucky, steady = Sample("pass", 9.0), passing(2.0)
    found = speed([outcome(lucky, steady)], 2, 0)
    assert found is not None
    assert found.geomean == pytest.approx(1.0)


def test_a_wrong_answer_is_never_preferred_to_a_right_one() -> None:
    assert outcome(Sample("value", 99.0), passing(0.7)).best_of(2)[-1][1].ratios[0] == 0.7


def test_keep_is_no_pass_and_changes_nothing() -> None:
    rows = [outcome(Sample("keep"), Sample("keep"))]
    assert (pass_share(rows, 2) or (1,))[0] == 0.0
    assert speed(rows, 2, 2).geomean == 1.0  # type: ignore[union-attr]


def test_searches_stand_with_the_largest_number_only() -> None:
    found = Findings("recipes", "set", outcomes=[outcome(passing(2.0), passing(3.0), kind="set")])
    assert model_tables.fast_sheet([found], "random", False, 1, 8, "").rows == []
    assert model_tables.fast_sheet([found], "random", False, 8, 8, "").rows[0][1].startswith("3.000")
    assert curve(found.outcomes, 8) == [(8, pytest.approx(3.0))]
    assert len(curve([outcome(*[passing(2.0)] * 8)], 8)) == 4


# --- the whole ------------------------------------------------------------------------------------

TOOLS = Toolchain.find()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training folder with a handful of scans, and a random model of the right vocabulary."""
    from tests.kit import tiny_gguf

    out = tmp_path_factory.mktemp("out")
    rng = random.Random(3)
    pairs = [scans.draw(rng) for _ in range(10)]
    prompts = corpus.prompts_of(TOOLS, pairs)
    rows = []
    for i, prompt in prompts.items():
        pair = pairs[i]
        rows.append({
            "prompt": prompt, "split": ("random", "unseen")[i % 2], "answer": pair.answer if i % 4 else KEEP,
            "expert": pair.answer, "c": pair.c, "types": [pair.types.returns, list(pair.types.params)],
            "kinds": list(pair.kinds), "values": list(pair.values), "family": pair.family, "key": pair.key,
            "status": "pass", "tests": 24, "ticks": [10, 10, 5], "recipe": O3,
        })  # fmt: skip
    (out / corpus.NAME).write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokens = Tokens.build((row["prompt"], row["expert"]) for row in rows)
    (out / "tiny").mkdir()
    tokens.save(out / "tiny" / "tokens.json")
    tiny_gguf.write(out / "tiny" / "model.gguf", vocabulary=tokens.size, context=768)
    return out


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    return list(corpus.read(folder / corpus.NAME))


@pytest.fixture(scope="module")
def checker(folder: Path) -> Checker:
    return Checker(TOOLS, folder)


class Given:
    """A method that says what it is told to."""

    name, kind, identity = "given", "list", ""

    def __init__(self, *answers: str) -> None:
        self.answers = answers

    def propose(self, row: Row, n: int, seed: int) -> Drawn:
        return Drawn([Proposal.of_c(row["expert"] if a == "expert" else a) if a else NOTHING for a in self.answers])

    def close(self) -> None:
        pass


def test_experts_pass_wrong_answers_do_not_and_nothing_builds_of_prose(rows: list[Row], checker: Checker) -> None:
    answers = ("expert", KEEP, "return 77;", "return nonsense(a);", "} asm(", "")
    found = evaluate(Given(*answers), rows[:3], checker, 8, tests=60, seed=9)
    for one in found.outcomes:
        assert [s.status for s in one.samples[1:]] == ["keep", one.samples[2].status, "build", "build", "none"]
        assert one.samples[0].is_pass
        assert one.samples[2].status == "value"
        assert one.samples[0].ratios[0] != 1.0
    row, expert = next((row, p) for row, p in found.proposals if p.text == row["expert"])
    assert passes_screen(row, expert, checker)
    assert not passes_screen(row, Proposal("\tsyscall\n\tret\n", "asm"), checker)


def test_random_edits_give_right_code_or_nothing(rows: list[Row], checker: Checker) -> None:
    found = evaluate(RandomEdits(checker, 1.5), rows[:1], checker, 1, tests=60, seed=9)
    assert found.outcomes[0].samples[0].status in ("pass", "none")


@pytest.mark.serial
def test_the_command_writes_tables_with_a_control_and_copies_are_worth_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--out", str(folder), "--rows", "1", "--splits", "random", "--n", "1,2", "--tests", "20",
            "--screen", "1", "--gguf", f"tiny={folder / 'tiny' / 'model.gguf'}", "--repair", "0.2", "--edits", "0",
            "--json", str(tmp_path / "m.json"), "--docs", str(tmp_path)]  # fmt: skip
    assert model.main(argv) == 0
    said = capsys.readouterr().out
    text = (tmp_path / "model.md").read_text()
    for name in (model.AA, "copy", "recipes", "taught", "tiny", "tiny+repair"):
        assert f"| {name} |" in text
        assert name in said
    stored = json.loads((tmp_path / "m.json").read_text())["methods"]
    copies = [one["samples"][0]["ratios"][0] for one in stored["copy"]["outcomes"]]
    assert statistics.median(copies) == pytest.approx(1.0, abs=0.25)
    assert all(one["samples"][0]["status"] == "pass" for one in stored["copy"]["outcomes"])

    # A second run has all it needs in the file.
    known = model._known(tmp_path / "m.json", json.loads((tmp_path / "m.json").read_text())["setting"])
    assert set(known) == set(stored)
    assert known["copy"].outcomes[0].best_of(1)[0][1].is_pass


def test_a_model_that_is_none_is_left_out(folder: Path, checker: Checker, capsys: pytest.CaptureFixture[str]) -> None:
    options = model.Options(folder, (("gone", folder / "gone.gguf"),))
    with model.methods_of(options, checker, show.console()) as methods:
        assert [m.name for m in methods] == [model.AA, "copy", "recipes", "taught"]
    assert "gone is left out" in capsys.readouterr().out


def test_every_kernel_with_a_shape_is_a_row_and_its_plain_side_passes(checker: Checker) -> None:
    rows = kernels.kernel_rows(TOOLS)
    assert {row["family"] for row in rows} == set(kernels.SHAPES)
    jobs: list[tuple[Pair, Proposal]] = [(corpus.pair_of(row), Proposal(O3, "recipe")) for row in rows]
    assert {v.status for v in checker(jobs, tests=6, seed=4)} == {"pass"}


def test_whole_programs_print_the_same_and_the_sums_are_there(tmp_path: Path) -> None:
    found = model_programs.run_programs(["gcc"], tmp_path, names=("words", "queries"), scale=0.002, runs=2)
    assert [one.same for one in found] == ["yes", "yes"]
    *_, total = model_programs.rows(found)
    assert total[0] == "all"
    assert all(one.papers("again") >= 1.0 for one in found)


def test_a_program_that_prints_something_else_counts_one(tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("#!/bin/sh\nwhile [ $# -gt 1 ]; do [ $1 = -o ] && out=$2; shift; done\n"
                                    "printf '#!/bin/sh\\necho 7\\n' > $out; chmod +x $out\n")  # fmt: skip
    (one,) = model_programs.run_programs(["sh", str(tmp_path / "wrong")], tmp_path / "w", names=("words",), scale=0.001)
    assert one.same.startswith("NO")
    assert (one.speedup(), one.papers()) == (1.0, 1.0)


def test_gates_without_an_admitted_row_are_a_line_of_ones() -> None:
    from gccllm.lab.bench.model_gates import Gated

    (line,) = gate_rows([Gated("sft", "unseen", rows=4)])
    assert line[3:7] == ["0 (0%)", "1.000", "1.000", "1.000"]
