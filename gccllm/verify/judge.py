"""The gates of a candidate, all but timing: read `judge_many` first.

    parse      the text is a body we can represent, and not the baseline again
    screen     assembles, and its object may take the baseline's place whatever it computes (`screen`)
    replay     same results, memory and calls as the baseline on every test, under two poisons
    contract   on every test, no store or read outside what decision 7 allows (`contract`)
    edges      every edge of the candidate is covered, by further inputs of the harvest or the solver if need be
    arguments  an 8-byte argument that the baseline reads whole is read whole
    confirm    all of replay again, baseline and candidate side by side, with image, stack and memory at
               newly drawn addresses, the first time with every test in its own process and in shuffled order

    large      same results, memory and calls on inputs of up to millions of elements, where the baseline is in time

Several candidates share an image, so that dozens cost little more than one. Every verdict is refuted (with the
counterexample, where there is one), inconclusive (with the limit that was hit) or accepted.

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
from gccllm.base.core import Candidate, Decline, Verdict, accepted, refuted, undecided
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.prove import infeasible
from gccllm.sandbox import layout
from gccllm.sandbox.compare import decode_observation, difference, differs
from gccllm.sandbox.image import AssembleError
from gccllm.sandbox.placement import drawn
from gccllm.sandbox.replay import Replayer
from gccllm.sandbox.trace import trace_many, traced_name
from gccllm.verify import contract
from gccllm.verify.dead import argument_bytes
from gccllm.verify.screen import Screened, screen, screen_compiled
from gccllm.verify.workbench import Workbench, near_of
from gccllm.x86.convention import INTEGER_ARGUMENTS

CONTRACT_BATCH = 64
"""Traced tests between two checks of the result: most violations of the contract come early."""
MORE_ROUNDS = 3
PLACEMENTS = 2
"""Placements, other than the canonical one, under which a candidate must agree with the baseline."""
NEAR = 8
"""Tests kept per block, for the harvest to start from when an edge is uncovered."""

NO_BODY = Body((), ())


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate and the gates' verdict."""

    candidate: Candidate
    verdict: Verdict
    body: Body = NO_BODY
    """Empty where the candidate's text is no body."""
    level: int = 0
    """ISA level that a guard must test."""
    edges: tuple[int, int] = (0, 0)
    """(taken, all), as `EvidenceRecord` has it."""
    tests: int = 0
    """Tests that the candidate passed."""


@dataclass
class Case:
    """A candidate under judgement."""

    candidate: Candidate
    entry: str
    body: Body = NO_BODY
    verdict: Verdict | None = None
    """None while no gate has decided."""
    twin: Case | None = None
    """Another candidate with the same body, whose verdict holds for this one too."""
    screened: Screened | None = None
    edges_all: frozenset[Edge] = frozenset()
    edges_taken: set[Edge] = field(default_factory=set)
    enters: dict[int, list[int]] = field(default_factory=dict)
    """Block to a few tests (indices) that enter it."""
    tests: int = 0
    """Tests that the candidate passed."""

    @property
    def is_open(self) -> bool:
        return self.verdict is None and self.twin is None

    def decided(self) -> Judged:
        """Its verdict: accepted when no gate has refused it."""
        own = self.twin or self
        level = own.screened.level if own.screened is not None else 0
        verdict = own.verdict
        if verdict is None:
            guarded = f"{level_name(level)}, " if level else ""
            verdict = accepted("confirm", f"{guarded}{own.tests} tests, {len(own.edges_all)} edges")
        edges = len(own.edges_taken & own.edges_all), len(own.edges_all)
        return Judged(self.candidate, verdict, self.body, level, edges, own.tests)


def judge(candidate: Candidate, bench: Workbench) -> Judged:
    """`judge_many` of one."""
    return judge_many([candidate], bench)[0]


def judge_many(candidates: Sequence[Candidate], bench: Workbench) -> list[Judged]:
    """The gates' verdict on every candidate, in order. May add tests to `bench`.

    Raises Decline when the bench itself cannot be used: no sandbox, a callee without a stub, a baseline that fails, its
    deadline.
    """
    cases = [Case(candidate, f"c{i}") for i, candidate in enumerate(candidates)]

    def is_open() -> list[Case]:
        return [case for case in cases if case.is_open]

    # Text to bodies; nothing of the text itself goes further. Equal answers share a verdict.
    for case in cases:
        _parse(case, bench)
    _find_twins(cases)

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

            # What no test can show: a length above 2^32 elements that is cut to its lower half.
            for case in is_open():
                _arguments(case, bench)

    # Tests are only added and candidates only refused: what is still open has passed every test.
    _confirm(is_open, bench)

    # What only millions of elements show, for the few that are left.
    _large(is_open, bench)
    return [case.decided() for case in cases]


def judge_compiled(candidates: Sequence[Candidate], bench: Workbench) -> list[Judged]:
    """As `judge_many`, of bodies whose provenance speaks for them (`propose.compiled`): equal to the baseline on every
    test there is, whatever edges those leave uncovered. Raises Decline as `judge_many`."""
    cases = [Case(candidate, f"c{i}") for i, candidate in enumerate(candidates)]

    def is_open() -> list[Case]:
        return [case for case in cases if case.is_open]

    for case in cases:
        _parse(case, bench)
    _find_twins(cases)
    for case in is_open():
        case.screened = screen_compiled(case.body, bench.screened_baseline, bench.context, bench.tools)
        if not case.screened.verdict.is_accepted:
            case.verdict = case.screened.verdict
    if is_open():
        image = bench.image([bench.entry_text(case.body, case.entry) for case in is_open()])
        with bench.replayer(image) as replayer:
            for case in is_open():
                _replay(case, bench, replayer)
    _confirm(is_open, bench)
    _large(is_open, bench)
    return [case.decided() for case in cases]


# --- the gates ------------------------------------------------------------------------------------


def _parse(case: Case, bench: Workbench) -> None:
    try:
        case.body = Body.parse(case.candidate.body).without_endbr()
    except BodyError as error:
        case.verdict = refuted("parse", error.reason, error.detail)
        return
    if canonical(case.body) == canonical(bench.baseline.without_endbr()):
        case.verdict = refuted("parse", Reason.COPY)


def _find_twins(cases: Sequence[Case]) -> None:
    first: dict[str, Case] = {}
    for case in cases:
        if case.is_open and (other := first.setdefault(canonical(case.body), case)) is not case:
            case.twin = other


def _screen(case: Case, bench: Workbench) -> None:
    case.screened = screen(case.body, bench.screened_baseline, bench.context, bench.tools)
    if not case.screened.verdict.is_accepted:
        case.verdict = case.screened.verdict


def _link(cases: Sequence[Case], bench: Workbench) -> Replayer | None:
    """A replayer of an image that holds every open case and its checked build; None when nothing is open."""
    texts = []
    for case in cases:
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
    # One of them assembles alone but does not link beside the others: find it.
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
        wrong, got = bench.patiently_wrong(replayer, case.entry, chosen, poison)
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
    """Ask the harvest for more inputs while an open candidate has an uncovered edge, then the solver; run new tests on
    all."""
    for _ in range(MORE_ROUNDS):
        first = len(bench.tests)
        # Start from inputs that reach the source of an uncovered edge or, if none does, from a sample of all.
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
        if missing:
            case.edges_all -= infeasible(case.body, missing, bench.tools, bench.deadline)
            missing = sorted(case.edges_all - case.edges_taken)
        if missing:
            case.verdict = undecided("edges", Reason.EDGES_UNSEEN, _words(case, missing))


def _solve(case: Case, is_open: Callable[[], list[Case]], bench: Workbench, replayer: Replayer) -> None:
    """Ask the solver for inputs that cover the uncovered edges of one candidate; run them on all."""
    missing = sorted(case.edges_all - case.edges_taken)
    if not missing:
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
    blocks = cfg(case.body).blocks

    def line(block: int, last: bool) -> str:
        inside = case.body.lines[blocks[block].first : blocks[block].last]
        code = [one for one in inside if not one.is_label]
        return (code[-1] if last else code[0]).text().strip().replace("\t", " ") if code else ""

    shown = "; ".join(f"{line(a, True)} -> {line(b, False)}" for a, b in missing[:4])
    return f"{len(missing)} of {len(case.edges_all)}: {shown}"


def _arguments(case: Case, bench: Workbench) -> None:
    code = code_of(case.body, bench.tools, bench.name)
    want = argument_bytes(bench.screened_baseline.code, bench.convention)
    got = argument_bytes(code, bench.convention)
    for number, register in enumerate(INTEGER_ARGUMENTS):
        declared = min((t.int_bytes[number] for t in bench.tests if number < len(t.int_bytes)), default=0)
        if declared == want[register] == 8 > got[register]:
            case.verdict = refuted("arguments", Reason.ARGUMENT_NARROWED, f"{register}: {got[register]} of 8 bytes")
            return


def _confirm(is_open: Callable[[], list[Case]], bench: Workbench) -> None:
    """All of replay again at other addresses: a verdict formed inside one process could be forged by code that ran in
    it before, or that knows its addresses.

    Tests on which the baseline does not terminate normally at those addresses are left out there.
    """
    pages = {page.address for test in bench.tests for page in test.pages}
    for number in range(PLACEMENTS):
        if not is_open():
            return
        placement = drawn(Random(), pages)
        texts = [bench.entry_text(case.body, case.entry) for case in is_open()]
        with bench.replayer(bench.image(texts, placement=placement), placement) as replayer:
            want = bench.wanted(replayer, bench.tests)
            is_defined = want["status"] == layout.Status.OK
            for case in is_open():
                if not is_defined.any():
                    case.verdict = undecided("confirm", Reason.NO_INPUTS, "the baseline fails at other addresses")
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
    except Decline as decline:
        for case in is_open():
            case.verdict = undecided("large", decline.reason, decline.detail)
        return
    texts = [bench.entry_text(case.body, case.entry) for case in is_open()]
    with bench.replayer(bench.image(texts)) as replayer, replayer.within(LIMITS.large_ms):
        for test in bench.large_tests:
            want = bench.wanted(replayer, [test])
            for case in is_open() if want[0]["status"] == layout.Status.OK else ():
                bench.deadline.check("large inputs")
                seen = replayer.run_raw(case.entry, [test])
                pair = decode_observation(want[0]), decode_observation(seen[0])
                found = difference(*pair, bench.returns, bench.environment)
                if found is not None:
                    case.verdict = refuted("large", found[0], f"{found[1]} ({len(test.pages)} pages)", test)
