"""The score: good tests kill mutants, poor tests do not, and asking for more helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench_kit import SUM, array_tests, bench

from gccllm.verify.adequacy import Score, score


def test_varied_tests_are_adequate(tmp_path: Path) -> None:
    found = score(bench(tmp_path, SUM, "-fno-tree-vectorize"), limit=60)
    assert found.is_adequate, found.best.survivors
    assert found.best.total >= 30


def test_tests_of_one_size_are_not(tmp_path: Path) -> None:
    work = bench(tmp_path, SUM, "-fno-tree-vectorize", tests=array_tests(40, sizes=(0, 1)))
    found = score(work, limit=60)
    assert not found.is_adequate
    assert found.best.survivors


def test_asking_the_harvest_helps(tmp_path: Path) -> None:
    work = bench(tmp_path, SUM, "-fno-tree-vectorize", tests=array_tests(40, sizes=(0, 1)))
    work = replace(work, more=lambda near: array_tests(60, seed=2))
    found = score(work, limit=60)
    assert found.is_adequate, found.best.survivors
    assert found.added_tests >= 60


def test_scalar_body_is_scored_where_the_vectorised_one_falls_short(tmp_path: Path) -> None:
    found = score(bench(tmp_path, scalar=True, tests=array_tests(40, sizes=(0, 1))), limit=60)
    assert [s.of for s in found.scores] == ["baseline", "scalar"]
    assert found.best is max(found.scores, key=lambda s: (s.is_adequate, s.share))


def test_a_scalar_body_that_computes_something_else_is_not_used(tmp_path: Path) -> None:
    work = bench(tmp_path, tests=array_tests(40, sizes=(0, 1)))
    wrong = bench(tmp_path, SUM.replace("+= p[i]", "+= p[i] + 1")).baseline
    found = score(replace(work, scalar=wrong), limit=40)
    assert [s.of for s in found.scores] == ["baseline"]


def test_95_percent_of_at_least_five_mutants_is_adequate() -> None:
    assert Score(114, 120, 0, ()).is_adequate
    assert not Score(113, 120, 0, ()).is_adequate
    assert not Score(11, 12, 0, ("x",)).is_adequate
    assert not Score(4, 4, 0, ()).is_adequate
    assert not Score(0, 0, 0, ()).is_adequate
