"""A small fixed sample of every part of the campaign, and that each part sees what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gccllm.assembly import Body
from gccllm.base import config
from gccllm.base.core import Candidate, Timing, accepted
from gccllm.base.events import Log
from gccllm.commands.oneshot import request_for
from gccllm.store.entry import Entry
from gccllm.unit.plan import plan
from gccllm.unit.session import UnitSession
from gccllm.verdict import outcome
from gccllm.verdict.outcome import Judgement, Judgements
from gccllm.verdict.suite import Suite, set_up
from gccllm.verify.judge import Judged
from tests.campaign import edits, runner, suites, table, unwind
from tests.campaign.builder import Builder
from tests.campaign.callers import compared
from tests.campaign.engine import Engine, junk, replace_all
from tests.campaign.lies import lies
from tests.campaign.projects import edit, make, render, sources

SUM = """unsigned total(const unsigned *p, long n) {
    unsigned sum = 0;
    for (long i = 0; i < n; i++) sum += p[i] / 3;
    return sum;
}
"""
FLAGS = ("-O3", "-fno-tree-vectorize")


@pytest.fixture(autouse=True)
def product_as_it_is() -> Iterator[None]:
    yield
    replace_all({})


class Fixed:
    """A proposer of one answer: the baseline's own text, changed by a function."""

    name = "recompile"

    def __init__(self, change: Any) -> None:
        self.change, self.failures = change, []

    def propose(self, prompt: Any, n: int, deadline_s: float) -> Iterator[Candidate]:
        yield Candidate(self.change(prompt.baseline), self.name, "fixed")

    def refine(self, prompt: Any, n: int, deadline_s: float) -> Iterator[Candidate]:
        return iter(())


@pytest.fixture(scope="module")
def total(tmp_path_factory: pytest.TempPathFactory) -> tuple[UnitSession, Suite]:
    """`total` on the bench, tests in place."""
    here = tmp_path_factory.mktemp("total")
    source = here / "total.c"
    source.write_text(SUM)
    settings = config.load(Path("/"), env={}).with_values(cache_dir=str(here / "store"))
    session = UnitSession(plan(request_for(source, FLAGS, cwd=here), settings), settings, Log(here))
    bench = here / "bench"
    bench.mkdir()
    return session, set_up(session.target(session.unit.module.functions["total"]), bench)


def entry_of(total: tuple[UnitSession, Suite], change: Any) -> Entry:
    """An entry of `total` with a body that nobody judged."""
    session, suite = total
    candidate = Candidate(change(suite.bench.baseline.text()), "model", "fixed")
    winner = Judgement(Judged(candidate, accepted("confirm"), Body.parse(candidate.body)), 2.0)
    target = session.target(session.unit.module.functions["total"])
    return outcome.accepted(target, Judgements(suite), winner, Timing(2.0, 1.9, 2.1))


# --- edit and rebuild -------------------------------------------------------------------------------


def test_edited_projects_print_what_gccs_print(prefix: Path, tmp_path: Path) -> None:
    campaign = edits.Campaign(prefix)
    done = [campaign.series(number, tmp_path, projects=1, builds=3) for number in (1, 3)]  # 3: through the shim
    assert [line["wrong"] for line in done] == [[], []]
    counts = table.total(done)
    assert counts["builds"] == 6
    assert counts["shim units"] > 0
    assert counts["hits"] > 0
    assert counts["admitted"] > 6


def test_a_wrong_rewrite_is_seen(tmp_path: Path) -> None:
    engine = Engine({})
    engine.proposers = lambda settings: [Fixed(lambda text: text.replace("\tret\n", "\taddl\t$1, %eax\n\tret\n"))]
    engine.install("construction")
    main = "int printf(const char *, ...);\nunsigned total(const unsigned *, long);\nunsigned p[3] = {3, 6, 9};\n"
    main += 'int main(void) { printf("%u\\n", total(p, 3)); return 0; }\n'
    built = Builder(engine, tmp_path, tmp_path / "store").build(
        {"total.c": SUM, "main.c": main}, ["main.c", "total.c"], FLAGS, shim=False, afresh=True
    )
    assert (built.want[1], built.got[1]) == (b"6\n", b"7\n")
    assert built.is_wrong


def test_generated_projects_are_clean_under_the_sanitizers(tmp_path: Path) -> None:
    engine = Engine({})
    engine.install("construction")
    for seed in (0,):
        project = edit(make(Random(f"clean {seed}")), Random(seed))
        builder = Builder(engine, tmp_path / str(seed), tmp_path / str(seed) / "store")
        built = builder.build(render(project), sources(project), project.flags, shim=False, afresh=True)
        edits.sanitized(builder, project, built)  # raises when they object


def test_junk_leaves_results_alone() -> None:
    body = Body.parse("\tmovl\t%edi, %eax\n\tret\n")
    assert junk(Body.parse("\tcall\tf\n\tret\n"), ()) is None
    changed = junk(body, ())
    assert changed is not None
    assert changed.lines[-1].mnemonic == "ret"
    assert any("%rcx" in line.operands for line in changed.lines)


# --- the other parts --------------------------------------------------------------------------------


def test_callers_find_a_rewrite_equal(total: tuple[UnitSession, Suite], tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    entry = entry_of(total, lambda text: "\tnop\n" + text)
    assert compared(entry, tmp_path, counts, levels=(("-O0",),)) == ""
    assert counts["calls compared"] > 1000


def test_callers_see_a_lost_register_and_an_address_in_the_result(
    total: tuple[UnitSession, Suite], tmp_path: Path
) -> None:
    def spoiled(text: str) -> str:
        return text.replace("\tret\n", "\tmovl\t$1, %ebx\n\tmovl\t$1, %r12d\n\tmovl\t$1, %r13d\n\tret\n")

    def keyed(text: str) -> str:
        key = "\tmovq\t%rdi, %r11\n\tshrq\t$44, %r11\n\tandl\t$1, %r11d\n"
        return key + text.replace("\tret\n", "\taddl\t%r11d, %eax\n\tret\n")

    for number, change in enumerate((spoiled, keyed)):
        here = tmp_path / str(number)
        here.mkdir()
        assert compared(entry_of(total, change), here, Counter(), levels=(("-O3",),))


def test_programs_of_a_suite_are_built_with_rewrites(tmp_path: Path) -> None:
    program = SUM.replace("unsigned total", "__attribute__((noinline)) unsigned total")
    program += (
        "unsigned p[50];\nint main(void) { for (int i = 0; i < 50; i++) p[i] = i; return total(p, 50) != 392; }\n"
    )
    counts: Counter[str] = Counter()
    one = suites.Program("one", {"main.c": program}, "/")
    assert suites.built(Engine({}), "construction", one, tmp_path, counts, ()) == ""
    assert counts["linked"] >= 1


def test_lies_cover_the_usual_ones() -> None:
    body = Body.parse(
        "\txorl\t%eax, %eax\n.L2:\n\taddq\t(%rdi), %rax\n\taddq\t$8, %rdi\n\tsubq\t$1, %rsi\n\tjne\t.L2\n\tret\n"
    )
    told = list(lies(body, plain=200, hostile=100, seed=1, is_baseline=True))
    operators = {lie.operator for lie in told}
    wanted = {"length cut", "length clamped", "tail left out", "hangs on an address", "accumulator narrowed", "text",
              "stray store", "read beyond"}  # fmt: skip
    assert wanted <= operators
    assert len({lie.text for lie in told}) > 100


def test_rewritten_functions_unwind_at_every_instruction(tmp_path: Path) -> None:
    engine = Engine({})
    engine.install("construction")
    done = [unwind.case(number, tmp_path, engine, ()) for number in (1, 3)]  # 3: exceptions
    assert [line["wrong"] for line in done] == [[], []]
    counts = table.total(done)
    assert counts["instructions"] > 500
    assert counts["throws"] == 59


# --- the runner ---------------------------------------------------------------------------------------


def test_a_torn_line_of_the_log_is_done_again(tmp_path: Path) -> None:
    log = tmp_path / "edits.jsonl"
    log.write_text(json.dumps({"case": 0, "wrong": [], "builds": 30}) + "\n" + '{"case": 1, "wro')
    assert [line["case"] for line in runner.lines(log)] == [0]


def test_the_table_says_what_is_wrong_and_what_is_thin(tmp_path: Path) -> None:
    page = tmp_path / "assurance.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    row = table.row("edits", [{"case": 0, "wrong": ["edits-0-0-0 stale"], "builds": 30, "seconds": 60}])
    assert row is not None
    assert row.wrong == 1
    assert any("admitted" in word for word in row.thin)
    table.write(page, [row])
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| edit and rebuild | 1 | 30 builds" in text
