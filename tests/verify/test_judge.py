"""One candidate through all gates: each gate ends a candidate made for it, and its neighbour passes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from gccllm.assembly import Body
from gccllm.base.core import ARENA_BYTES, Decline, Outcome, Region, Test, Verdict, arena_address
from gccllm.base.deadline import Deadline
from gccllm.base.reasons import Reason
from gccllm.sandbox.layout import Status
from gccllm.verify.judge import Judged, judge, judge_many
from gccllm.verify.mutate import assembling, mutants
from gccllm.verify.workbench import Workbench
from tests.kit.bench import CLEAR, SUM, array_tests, bench, offered, other_body
from tests.kit.bodies import SUM_ABOVE_3
from tests.kit.replay import TOOLS


@pytest.fixture(scope="module")
def summing(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return bench(tmp_path_factory.mktemp("sum"))


def ended(case: Judged) -> tuple[str, Reason | None]:
    assert isinstance(case.verdict, Verdict)
    return case.verdict.stage, case.verdict.reason


def test_right_body_is_accepted_with_its_evidence(summing: Workbench) -> None:
    case = judge(offered(SUM_ABOVE_3), summing)
    assert case.verdict.is_accepted, case.verdict.detail
    assert (case.tests, case.edges, case.level) == (120, (5, 5), 0)


@pytest.mark.parametrize(
    ("old", "new", "stage", "reason"),
    [
        ("ret", "ret\n.macro", "parse", Reason.DIRECTIVE),
        ("ret", "ret\n.incbin \"/etc/passwd\"", "parse", Reason.DIRECTIVE),
        ("$3", "$4", "replay", Reason.WRONG_VALUE),
        ("cmovg", "cmova", "replay", Reason.WRONG_VALUE),
        ("addq	$4", "addq	$4099", "replay", Reason.FAULTED),
        ("addq	$4", "addq	$0", "replay", Reason.TIMED_OUT),
        ("movl	(%rdi), %ecx", "movl	-64(%rdi), %ecx", "replay", Reason.WRONG_VALUE),
        ("movl	(%rdi), %ecx", "movl	(%rdi), %ecx\n	movl	%ecx, (%rdi)", "contract", Reason.STRAY_STORE),
        ("leal	(", "movl	-260(%rdx), %r9d\n	leal	(", "contract", Reason.STRAY_READ),
        ("jle	.L1", "jle	.L1\n	cmpl	$177, %esi\n	je	.L1", "edges", Reason.EDGES_UNSEEN),
        ("xorl	%eax, %eax", "", "screen", Reason.DEAD_READ),
        ("movl	(", "vpaddd	%xmm0, %xmm1, %xmm2\n	movl	(", "screen", Reason.DEAD_READ),
        ("$4", "$4,", "parse", Reason.UNPARSABLE),
        ("testl", "tastl", "assemble", Reason.DOES_NOT_ASSEMBLE),
    ],
)  # fmt: skip
def test_wrong_body_ends_at_its_gate(old: str, new: str, stage: str, reason: Reason, summing: Workbench) -> None:
    assert ended(judge(offered(SUM_ABOVE_3.replace(old, new, 1)), summing)) == (stage, reason)


def test_refuted_replay_names_an_input(summing: Workbench) -> None:
    verdict = judge(offered(SUM_ABOVE_3.replace("$3", "$4")), summing).verdict
    assert verdict.test in summing.tests


def test_baseline_again_is_a_copy_whatever_its_labels(summing: Workbench) -> None:
    text = summing.baseline.renamed("other").text().replace("\t", "  ")
    assert ended(judge(offered(text), summing)) == ("parse", Reason.COPY)


def test_many_are_judged_in_one_image_and_twins_share_a_verdict(summing: Workbench) -> None:
    wrong = SUM_ABOVE_3.replace("$3", "$4")
    texts = (SUM_ABOVE_3, wrong, SUM_ABOVE_3.replace(".L3", ".L9"), "nonsense here", wrong)
    cases = judge_many([offered(text) for text in texts], summing)
    became = Counter((case.verdict.stage, case.verdict.reason) for case in cases)
    assert became == {
        ("confirm", None): 2, ("replay", Reason.WRONG_VALUE): 2, ("assemble", Reason.DOES_NOT_ASSEMBLE): 1
    }  # fmt: skip
    assert cases[2].edges == cases[0].edges


@pytest.mark.parametrize("flags", [("-O1",), ("-O3", "-march=x86-64-v3"), ("-O3", "-funroll-loops")], ids=" ".join)
def test_other_bodies_by_gcc_are_accepted(flags: tuple[str, ...], summing: Workbench) -> None:
    case = judge(other_body(SUM, *flags), summing)
    assert case.verdict.is_accepted, (case.verdict.reason, case.verdict.detail)
    assert case.level == (3 if "-march=x86-64-v3" in flags else 0)


def test_conditional_store_made_unconditional_is_refused(tmp_path: Path) -> None:
    """The classic invented store: right on every input, and a data race."""
    stores = """
	testl	%esi, %esi
	jle	.L1
	movslq	%esi, %rsi
	addq	%rdi, %rsi
	movl	$1, %ecx
.L3:
	movzbl	(%rdi), %eax
	cmpb	$7, %al
	cmove	%ecx, %eax
	movb	%al, (%rdi)
	addq	$1, %rdi
	cmpq	%rsi, %rdi
	jne	.L3
.L1:
	ret
"""
    work = bench(tmp_path, CLEAR, returns=())
    assert ended(judge(offered(stores), work)) == ("contract", Reason.STRAY_STORE)


def test_recursion_stays_in_the_candidate(tmp_path: Path) -> None:
    """A candidate that is wrong at depth only must not be saved by calling the baseline."""
    source = "int target(int *p, int n) { return n <= 0 ? 0 : p[0] ^ (target(p + 1, n - 1) * 3 + 1); }"
    work = bench(tmp_path, source, "-O1", "-fno-optimize-sibling-calls")
    text = work.baseline.text()
    assert "call\ttarget" in text
    wrong = text.replace("call\ttarget", "call\ttarget\n\taddl\t$0, %eax")
    assert judge(offered(wrong), work).verdict.is_accepted
    assert ended(judge(offered(wrong.replace("$0, %eax", "$1, %eax")), work))[1] is Reason.WRONG_VALUE


def test_missing_edge_is_taken_once_the_harvest_finds_an_input(tmp_path: Path) -> None:
    asked = []

    def more(near: object, _: object) -> list:
        asked.append(near)
        return array_tests(4, seed=7, sizes=(177,))

    work = replace(bench(tmp_path), more=more)
    detour = "jle	.L1\n	cmpl	$177, %esi\n	jne	.L2\n	xorl	%eax, %eax\n.L2:"
    special = SUM_ABOVE_3.replace("jle	.L1", detour, 1)
    case = judge(offered(special), work)
    assert (case.verdict.outcome, len(asked), case.tests) == (Outcome.ACCEPTED, 1, 124)


def test_wrong_only_on_a_found_input_is_refuted(tmp_path: Path) -> None:
    work = replace(bench(tmp_path), more=lambda near, _: array_tests(4, seed=7, sizes=(177,)))
    special = SUM_ABOVE_3.replace("jle	.L1", "jle	.L1\n	cmpl	$177, %esi\n	je	.L1", 1)
    assert ended(judge(offered(special), work)) == ("replay", Reason.WRONG_VALUE)


def test_body_the_checked_build_cannot_watch_is_refused(summing: Workbench) -> None:
    compares = SUM_ABOVE_3.replace(
        "movl	(%rdi), %ecx", "xorl	%ecx, %ecx\n	repz cmpsb\n	movl	(%rdi), %ecx"
    )
    assert ended(judge(offered(compares), summing)) == ("contract", Reason.UNSUPPORTED_INSTRUCTION)


def test_hostile_mutants_are_refused_whatever_they_return(summing: Workbench) -> None:
    """Only cuts to 32 bits may pass: on lengths and offsets they show beyond 2^32, which the level does not claim."""
    body = Body.parse(SUM_ABOVE_3)
    hostile = [m for m in mutants(body, limit=400, hostile=True) if m.operator != "narrowed"]
    hostile = assembling(hostile, TOOLS, summing.workdir)
    cases = judge_many([offered(m.body.text()) for m in hostile], summing)
    passed = [m.what for m, case in zip(hostile, cases, strict=True) if case.verdict and case.verdict.is_accepted]
    assert len(hostile) > 40
    assert not passed


def test_stores_of_callees_in_the_unit_count(tmp_path: Path) -> None:
    """The baseline stores through a callee; a candidate that stores the same bytes itself keeps the contract."""
    source = """
    __attribute__((noinline)) static void put(int *p, int n) { if (n > 0) p[0] = n; }
    void target(int *p, int n) { put(p, n); put(p, n + 1); }
    """
    inlined = "\taddl\t$1, %esi\n\tjle\t.L1\n\tmovl\t%esi, (%rdi)\n.L1:\n\tret\n"
    work = bench(tmp_path, source, "-fno-ipa-cp", "-fno-partial-inlining", "-fno-ipa-sra", returns=())
    work.tests = [replace(t, regions=(Region(0, ARENA_BYTES - 8, b"abcdefgh"),),
                          ints=(arena_address(0) + ARENA_BYTES - 8, n)) for n, t in enumerate(work.tests)]  # fmt: skip
    work.tests += [replace(work.tests[0], ints=(work.tests[0].ints[0], 0xFFFF_FFFF - n)) for n in range(4)]
    assert work.traced_callees[1] == {"put"}
    case = judge(offered(inlined), work)
    assert case.verdict.is_accepted, case.verdict


LONG_SUM = SUM.replace("int n", "unsigned long n").replace("int i", "unsigned long i")
LONG_HEAD = "testq	%rsi, %rsi\n	je	.L1"
CUT_HEAD = "movl	%esi, %esi\n	testl	%esi, %esi\n	je	.L1"
SUM_ABOVE_3_LONG = SUM_ABOVE_3.replace("testl	%esi, %esi\n	jle	.L1\n	movslq	%esi, %rsi", LONG_HEAD)


def long_tests() -> list[Test]:
    """target(p, n) with an n of 8 bytes, none beyond 2^32: the sum does not end before."""
    return [replace(t, ints=(t.ints[0], t.ints[1] & 0xFFFFFFFF), int_bytes=(8, 8)) for t in array_tests()]


@pytest.mark.parametrize(
    ("head", "ended_at"),
    [(LONG_HEAD, ("confirm", None)), (CUT_HEAD, ("arguments", Reason.ARGUMENT_NARROWED))],
    ids=("whole", "cut to 4 bytes"),
)
def test_length_that_no_test_can_reach_is_read_whole(
    head: str, ended_at: tuple[str, Reason | None], tmp_path: Path
) -> None:
    target = bench(tmp_path, LONG_SUM, tests=long_tests())
    assert ended(judge(offered(SUM_ABOVE_3_LONG.replace(LONG_HEAD, head)), target)) == ended_at


def test_four_byte_argument_may_be_read_by_any_form(summing: Workbench) -> None:
    """gcc's own code computes with whole registers whose upper halves it never uses."""
    assert ended(judge(other_body(SUM, "-Os"), summing)) == ("confirm", None)


def test_nothing_is_judged_after_the_deadline(tmp_path: Path) -> None:
    work = replace(bench(tmp_path), deadline=Deadline(0.0))
    with pytest.raises(Decline) as decline:
        judge(offered(SUM_ABOVE_3), work)
    assert decline.value.reason is Reason.DEADLINE


def test_large_inputs_are_made_in_the_time_that_is_left(tmp_path: Path) -> None:
    given: list[float] = []
    work = replace(bench(tmp_path), deadline=Deadline(600.0), large=lambda deadline: given.append(deadline.left) or [])
    judge(offered(SUM_ABOVE_3), work)
    assert len(given) == 1
    assert 0 < given[0] < 600


SLOW = """unsigned target(unsigned *p, int n) {
    unsigned x = n;
    for (long i = 0; i < 20000000; i++) x = x * 1664525 + 1013904223;
    return x + (n > 0 ? p[0] : 0);
}"""


def test_a_time_out_counts_only_if_it_comes_again(tmp_path: Path) -> None:
    """A machine that is shared charges a process for time that others had."""
    tests = array_tests(3, sizes=(2, 0, 3))
    work = bench(tmp_path, SLOW, tests=tests)
    with work.replayer(work.image([])) as replayer:
        hasty = replayer.run_raw("target", tests, give_up_after=1)["status"]
        patient = work.patiently(replayer, "target", tests)["status"]
    assert list(hasty).count(Status.TIMEOUT) == 1
    assert set(patient) == {Status.OK}
    assert set(work.observed(0)["status"]) == {Status.OK}


def test_a_loop_without_end_stays_a_time_out(tmp_path: Path) -> None:
    work = bench(tmp_path)
    case = judge(offered("\n.L1:\n\tjmp\t.L1\n"), work)
    assert ended(case) == ("replay", Reason.TIMED_OUT)


def test_an_input_that_met_something_by_chance_is_no_input(tmp_path: Path) -> None:
    """It was made in another process, where something lay at that address."""
    wild = replace(array_tests(1, sizes=(3,))[0], ints=(0x7F12_3456_7000, 3))
    work = bench(tmp_path)
    assert work.take([*array_tests(60, seed=3), wild]) == 60
    assert wild not in work.tests
    assert len(work.observed(1)) == len(work.tests) == 180
    case = judge(offered(SUM_ABOVE_3), work)
    assert case.verdict.is_accepted


def test_many_of_them_are_a_broken_promise(tmp_path: Path) -> None:
    wild = replace(array_tests(1, sizes=(3,))[0], ints=(0x7F12_3456_7000, 3))
    with pytest.raises(Decline) as decline:
        bench(tmp_path).take([*array_tests(60, seed=3), wild, wild, wild])
    assert decline.value.reason is Reason.NO_INPUTS
    assert "fault on 3 of 63" in decline.value.detail
