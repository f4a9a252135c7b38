"""The score: good tests kill mutants, poor tests do not, and asking for more helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from gccllm.assembly import Body, cfg
from gccllm.base.deadline import Deadline
from gccllm.base.toolchain import Toolchain
from gccllm.verify import adequacy
from gccllm.verify.adequacy import Score, score
from gccllm.verify.mutate import Mutant
from tests.kit.bench import SUM, array_tests, bench

TOOLS = Toolchain.find()


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
    work = replace(work, more=lambda near, _: array_tests(60, seed=2))
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


NEVER = """
\tcmpq\t$31, %rsi
\tjbe\t.Lout
\tcmpq\t$15, %rsi
\tjbe\t.Lout
\tmovl\t$1, %eax
\tret
.Lout:
\tmovl\t$2, %eax
.Lend:
\tret
"""


@pytest.mark.parametrize(
    ("changed", "is_none"),
    [
        ("jbe\t.Lend", True),  # never taken, so its target is all one
        ("jb\t.Lout", True),
        ("jg\t.Lout", False),
        ("jne\t.Lout", False),
    ],
)
def test_a_mutant_of_a_jump_that_no_input_takes(changed: str, is_none: bool) -> None:
    body = Body.parse(NEVER)
    at = [n for n, line in enumerate(body.lines) if line.mnemonic == "jbe"][1]
    graph = cfg(body)
    untaken = (graph.block_of_line[at], graph.block_of_line[body.labels[".Lout"]])
    lines = list(body.lines)
    lines[at] = Body.parse(f"\t{changed}\n.Lout:\n.Lend:\n").lines[0]
    mutant = Mutant(replace(body, lines=tuple(lines)), changed, "by hand", at)
    taken = graph.edges - {untaken}
    bench = SimpleNamespace(
        baseline=body, all_edges=graph.edges, edges_taken=taken, tools=TOOLS, deadline=Deadline(600.0)
    )
    idle = adequacy._idle_edges(bench, body, [mutant])
    assert idle == {untaken}
    assert adequacy._is_idle_jump(bench, body, mutant, idle) == is_none
