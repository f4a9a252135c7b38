"""One candidate's way through the gates up to timing: read `judge_many` first.

    parse      the text is a body we can represent, and not the baseline again
    screen     assembles; may stand in the baseline's place whatever it computes (`screen`)
    replay     same results, memory and calls as the baseline on every test, under two poisons
    contract   on every test, no store or read outside what decision 7 allows (`contract`)
    edges      every edge of the candidate was taken by some test, or the harvest is asked for one that takes it
    arguments  an 8-byte argument that the baseline reads whole is read whole
    confirm    all of replay again, baseline and candidate side by side, with image, stack and memory elsewhere: at
               addresses drawn anew, the first time with every test in its own process and in shuffled order

    large      same results, memory and calls on inputs of up to millions of elements, where the baseline ends in time

Several candidates share an image, so that dozens cost little more than one. Every verdict is refuted (with the test
that shows it, where there is one), undecided (with the limit met) or accepted.

Covers what the tests reach: the level is `tested+covered`, no proof. Not covered: timing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from gccllm.assembly import Body, BodyError, canonical, cfg, level_name
from gccllm.assembly.cfg import Edge
from gccllm.assembly.code import code_of
from gccllm.base.core import Candidate, Outcome, Quit, Verdict, accepted, refuted, undecided
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.prove import infeasible
from gccllm.sandbox import layout
from gccllm.sandbox.image import AssembleError
from gccllm.sandbox.placement import drawn
from gccllm.sandbox.replay import Replayer, decode_observation, difference, differs
from gccllm.sandbox.trace import trace_many, traced_name
from gccllm.verify import contract
from gccllm.verify.adequacy import result_registers
from gccllm.verify.dead import argument_bytes
from gccllm.verify.screen import Screened, screen
from gccllm.verify.workbench import Workbench, near_of
from gccllm.x86.registers import INTEGER_ARGUMENTS

CONTRACT_BATCH = 64
"""Traced tests between two looks at the result: most that break the contract break it soon."""
MORE_ROUNDS = 3
PLACEMENTS = 2
"""Placements, other than the canonical one, under which a candidate must agree with the baseline."""
NEAR = 8
"""Tests kept per block, for the harvest to start from when an edge is missing."""


@dataclass
class Case:
    """A candidate under judgement. `verdict` is None while no gate has ended it."""

    candidate: Candidate
    body: Body | None = None
    entry: str = ""
    verdict: Verdict | None = None
    screened: Screened | None = None
    edges_all: frozenset[Edge] = frozenset()
    edges_taken: set[Edge] = field(default_factory=set)
    enters: dict[int, list[int]] = field(default_factory=dict)
    """Block to a few tests (indices) that enter it."""
    tests: int = 0
    """Tests that the candidate passed."""

    @property
    def is_open(self) -> bool:
        return self.verdict is None

    @property
    def level(self) -> int:
        """ISA level that a guard must test."""
        return self.screened.level if self.screened is not None else 0

    @property
    def edges(self) -> tuple[int, int]:
        """(taken, all), as `Evidence` wants it."""
        return len(self.edges_taken & self.edges_all), len(self.edges_all)


def judge(candidate: Candidate, bench: Workbench) -> Case:
    """`judge_many` of one."""
    return judge_many([candidate], bench)[0]


def judge_many(candidates: Sequence[Candidate], bench: Workbench) -> list[Case]:
    """A decided case for every candidate, in order. May add tests to `bench`.

    Raises Quit when the bench itself cannot be used: no sandbox, a callee without stand-in, a baseline that fails, its
    deadline.
    """
    cases = [Case(candidate, entry=f"c{i}") for i, candidate in enumerate(candidates)]

    def is_open() -> list[Case]:
        return [case for case in cases if case.is_open]

    # Text to bodies; nothing of the text itself goes further. Equal answers share a verdict.
    for case in cases:
        _parse(case, bench)
    twins = _set_twins_aside(cases)

    # The static gate, on each candidate's own object.
    for case in is_open():
        _screen(case, bench)

    # From here on every open candidate may be run: in the sandbox, all in one image.
    linked = _link(is_open(), bench)
    if linked is not None:
        with linked as replayer:
            for case in is_open():
                _replay(case, bench, replayer)
            for case in is_open():
                _contract(case, bench, replayer)
            _edges(is_open, bench, replayer)

            # What no test can show: a length beyond 2^32 elements, cut to its lower half.
            for case in is_open():
                _arguments(case, bench)

    # Tests only grow and candidates only fall: what is open now has passed all tests there are.
    _confirm(is_open, bench)

    # What only millions of elements show, for the few that came so far.
    _large(is_open, bench)
    for case in is_open():
        level = f"{level_name(case.level)}, " if case.level else ""
        case.verdict = accepted("confirm", f"{level}{case.tests} tests, {len(case.edges_all)} edges")
    for case, twin in twins:
        case.verdict, case.screened = twin.verdict, twin.screened
        case.edges_all, case.edges_taken, case.tests = twin.edges_all, twin.edges_taken, twin.tests
    return cases


# --- the gates ------------------------------------------------------------------------------------


def _parse(case: Case, bench: Workbench) -> None:
    try:
        case.body = Body.parse(case.candidate.body).without_endbr()
    except BodyError as error:
        case.verdict = refuted("parse", error.reason, error.detail)
        return
    if canonical(case.body) == canonical(bench.baseline.without_endbr()):
        case.verdict = refuted("parse", Reason.COPY)


def _set_twins_aside(cases: Sequence[Case]) -> list[tuple[Case, Case]]:
    first: dict[str, Case] = {}
    twins = []
    for case in cases:
        if case.is_open and case.body is not None:
            other = first.setdefault(canonical(case.body), case)
            if other is not case:
                case.verdict = undecided("parse", Reason.COPY)  # replaced by its twin's
                twins.append((case, other))
    return twins


def _screen(case: Case, bench: Workbench) -> None:
    assert case.body is not None
    case.screened = screen(case.body, bench.screened_baseline, bench.context, bench.tools)
    if not case.screened.verdict.is_accepted:
        case.verdict = case.screened.verdict


def _link(cases: Sequence[Case], bench: Workbench) -> Replayer | None:
    """A replayer of an image that holds every open case and its checked build; None when nothing is open."""
    texts = []
    for case in cases:
        assert case.body is not None
        try:
            texts.append(bench.entry_text(case.body, case.entry) + bench.traced_text(case.body, case.entry))
            case.edges_all = frozenset(cfg(case.body).edges)
        except BodyError as error:
            case.verdict = refuted("contract", error.reason, error.detail)
    if not texts:
        return None
    try:
        return bench.replayer(bench.image(texts, traced=True))
    except AssembleError as error:
        if len(cases) == 1:
            cases[0].verdict = refuted("assemble", Reason.DOES_NOT_ASSEMBLE, error.detail)
            return None
    # One of them does not link beside the others (it assembled alone): find out which, one by one.
    for case in cases:
        if case.is_open:
            lone = _link([case], bench)
            if lone is not None:
                lone.close()
    return _link([case for case in cases if case.is_open], bench)


def _replay(case: Case, bench: Workbench, replayer: Replayer, first: int = 0) -> None:
    """Tests from `first` on: the quick part, then all, then all with the other poison."""
    everything = list(range(first, len(bench.tests)))
    quick = [i for i in bench.quick() if i >= first]
    for chosen, poison in ((quick, 0), (everything, 0), (everything, 1)):
        wrong, got = bench.wrong(replayer, case.entry, chosen, poison, is_patient=True)
        if wrong:
            at = wrong[0]
            want = decode_observation(bench.observed(poison)[at])
            found = difference(want, decode_observation(got[chosen.index(at)]), bench.returns, bench.environment)
            reason, detail = found or (Reason.WRONG_VALUE, "")
            where = f"{detail} (test {at} of {len(bench.tests)}, poison {poison}, {len(wrong)} of {len(chosen)} differ)"
            case.verdict = refuted("replay", reason, where, bench.tests[at])
            return
    case.tests = len(bench.tests)


def _contract(case: Case, bench: Workbench, replayer: Replayer, first: int = 0) -> None:
    """Stores, reads and edges of the checked build on tests from `first` on."""
    baseline = bench.traces()
    shown = 0
    for start in range(first, len(bench.tests), CONTRACT_BATCH):
        tests = bench.tests[start : start + CONTRACT_BATCH]
        for i, got in enumerate(trace_many(replayer, traced_name(case.entry), tests), start):
            test, want = bench.tests[i], baseline[i]
            case.edges_taken |= got.edges
            for block in got.blocks:
                if len(known := case.enters.setdefault(block, [])) < NEAR:
                    known.append(i)
            broken = contract.check(want, got)
            if broken is None:
                shown += 1
            elif broken[0] is not Reason.TRACE_LIMIT:
                case.verdict = refuted("contract", *broken, test)
                return
    if not shown and first == 0:
        case.verdict = undecided("contract", Reason.TRACE_LIMIT)


def _edges(is_open: Callable[[], list[Case]], bench: Workbench, replayer: Replayer) -> None:
    """Ask the harvest for more while an open candidate has an edge that nobody took, then the solver; run new tests on
    all."""
    for _ in range(MORE_ROUNDS):
        first = len(bench.tests)
        # From inputs that came to where a missing edge begins, or, if none did, from some of all.
        wanted = [(case, edge[0]) for case in is_open() for edge in case.edges_all - case.edges_taken]
        near = {i for case, block in wanted for i in case.enters.get(block, range(0, first, 16))}
        if not wanted or not bench.ask_for_more([bench.tests[i] for i in sorted(near)]):
            break
        for case in is_open():
            _replay(case, bench, replayer, first)
        for case in is_open():
            _contract(case, bench, replayer, first)
    for case in is_open():
        if case.is_open:
            _solve(case, is_open, bench, replayer)
    for case in is_open():
        missing = sorted(case.edges_all - case.edges_taken)
        if missing and case.body is not None:
            case.edges_all -= infeasible(case.body, missing, bench.tools, bench.deadline)
            missing = sorted(case.edges_all - case.edges_taken)
        if missing:
            case.verdict = undecided("edges", Reason.EDGES_UNSEEN, _words(case, missing))


def _solve(case: Case, is_open: Callable[[], list[Case]], bench: Workbench, replayer: Replayer) -> None:
    """Ask the solver for inputs that take the missing edges of one candidate; run what comes on all."""
    missing = sorted(case.edges_all - case.edges_taken)
    if not missing or case.body is None:
        return
    first = len(bench.tests)
    close = sorted({i for block, _ in missing for i in case.enters.get(block, ())})
    near = near_of(replayer, traced_name(case.entry), [bench.tests[i] for i in close])
    if bench.ask_for_edges(case.body, missing, near):
        for other in is_open():
            _replay(other, bench, replayer, first)
        for other in is_open():
            _contract(other, bench, replayer, first)


def _words(case: Case, missing: Sequence[Edge]) -> str:
    assert case.body is not None
    blocks = cfg(case.body).blocks

    def line(block: int, last: bool) -> str:
        inside = case.body.lines[blocks[block].first : blocks[block].last] if case.body else ()
        code = [one for one in inside if not one.is_label]
        return (code[-1] if last else code[0]).text().strip().replace("\t", " ") if code else ""

    shown = "; ".join(f"{line(a, True)} -> {line(b, False)}" for a, b in missing[:4])
    return f"{len(missing)} of {len(case.edges_all)}: {shown}"


def _arguments(case: Case, bench: Workbench) -> None:
    assert case.body is not None
    code = code_of(case.body, bench.tools, bench.name)
    results = result_registers(bench)
    want = argument_bytes(bench.screened_baseline.code, results)
    got = argument_bytes(code, results)
    for number, register in enumerate(INTEGER_ARGUMENTS):
        declared = min((t.int_bytes[number] for t in bench.tests if number < len(t.int_bytes)), default=0)
        if declared == want[register] == 8 > got[register]:
            case.verdict = refuted("arguments", Reason.ARGUMENT_NARROWED, f"{register}: {got[register]} of 8 bytes")
            return


def _confirm(is_open: Callable[[], list[Case]], bench: Workbench) -> None:
    """A verdict formed inside one process could be forged by what ran before in it, or by who knows its addresses.

    Tests on which the baseline does not run well elsewhere say nothing there.
    """
    pages = {page.address for test in bench.tests for page in test.pages}
    for number in range(PLACEMENTS):
        if not is_open():
            return
        placement = drawn(Random(), pages)
        texts = [bench.entry_text(case.body, case.entry) for case in is_open() if case.body is not None]
        with bench.replayer(bench.image(texts, placement=placement), placement) as replayer:
            want = bench.wanted(replayer, bench.tests)
            is_defined = want["status"] == layout.Status.OK
            for case in is_open():
                if not is_defined.any():
                    case.verdict = undecided("confirm", Reason.NO_INPUTS, "the baseline runs well nowhere else")
                    continue
                seen = bench.patiently(replayer, case.entry, bench.tests, fork_each=number == 0)
                for i in np.flatnonzero(differs(want, seen, bench.returns, bench.environment) & is_defined)[:1]:
                    pair = decode_observation(want[i]), decode_observation(seen[i])
                    found = difference(*pair, bench.returns, bench.environment)
                    reason, detail = found or (Reason.WRONG_VALUE, "")
                    case.verdict = refuted("confirm", reason, f"{detail} (other addresses)", bench.tests[int(i)])


def _large(is_open: Callable[[], list[Case]], bench: Workbench) -> None:
    """Each test is loaded once, for the baseline and every candidate."""
    try:
        if not is_open() or not bench.large_tests:
            return
    except Quit as quit_:
        for case in is_open():
            case.verdict = undecided("large", quit_.reason, quit_.detail)
        return
    texts = [bench.entry_text(case.body, case.entry) for case in is_open() if case.body is not None]
    with bench.replayer(bench.image(texts)) as replayer:
        for test in bench.large_tests:
            want = bench.wanted(replayer, [test], deadline_ms=LIMITS.large_ms)
            for case in is_open() if want[0]["status"] == layout.Status.OK else ():
                bench.deadline.check("large inputs")
                seen = replayer.run_raw(case.entry, [test], deadline_ms=LIMITS.large_ms)
                pair = decode_observation(want[0]), decode_observation(seen[0])
                found = difference(*pair, bench.returns, bench.environment)
                if found is not None:
                    case.verdict = refuted("large", found[0], f"{found[1]} ({len(test.pages)} pages)", test)


def outcome_counts(cases: Sequence[Case]) -> dict[str, int]:
    """`stage:reason` to how many ended there; `accepted` for those that passed."""
    out: dict[str, int] = {}
    for case in cases:
        verdict = case.verdict
        if verdict is None:
            continue
        word = "accepted" if verdict.outcome is Outcome.ACCEPTED else f"{verdict.stage}:{verdict.reason}"
        out[word] = out.get(word, 0) + 1
    return out
