"""A cheap engine for campaigns: the product's own pipeline, in which work on a function takes no tests and no time.

What it shares with the product: plan, key, lookup, the screen of hits, binding, splice, entry, both caches, the shim.
What it replaces (`ORIGINAL`, each by name): harvest, adequacy, proposers, judge (its screen stays), timing.
In the place of tests it has *construction*: a candidate is the user's source compiled otherwise (`-DFOLDED`: what a
good rewrite makes of it while the facts of the source hold), with junk in all that the psABI leaves undefined at a
return. So each rewrite is right where it was made; what is wrong later is a verdict used outside of its situation.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gccllm import attempt
from gccllm.assembly import Body, BodyError, canonical, cfg
from gccllm.base import config, options
from gccllm.base.config import Settings
from gccllm.base.core import Candidate, Request, Returned, Slot, Timing, accepted, refuted
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.harvest.harvest import Harvest
from gccllm.pipeline import Result, rewrite_unit
from gccllm.propose import Prompt
from gccllm.propose.recipes import CLANG_FIXED, SAME_SYMBOLS
from gccllm.propose.recompile import _cut, _like_gcc
from gccllm.propose.unit import find_clang
from gccllm.store import Store
from gccllm.unit import session as unit_session
from gccllm.unit.session import Build, Target, UnitSession
from gccllm.verdict import suite
from gccllm.verdict.suite import Suite
from gccllm.verify import adequacy, judge
from gccllm.verify.workbench import Workbench

INLINED = "-DKEEP=inline __attribute__((always_inline))"
WAYS: tuple[tuple[str, str], ...] = (
    ("clang", "-O2 -DFOLDED"),
    ("gcc", "-O2 -DFOLDED -fno-tree-vectorize"),
    ("gcc", "-O3 -DFOLDED -funroll-loops"),
    ("clang", "-O3"),
    ("gcc", "-O2"),
)
OWN_CALLS = ("-ffixed-", "-fcall-", "-mstackrealign", "-mincoming-stack", "-mpreferred-stack")
"""Options under which the plain psABI is not what holds: no clang and no junk there."""


class Proposals:
    """The user's source in other words: `count` ways of `ways`, chosen by the unit's text. For each function `looked`
    ways at most are compiled: one that the first does not have is mostly folded into its callers in all of them."""

    name = "recompile"

    def __init__(self, ways: Sequence[tuple[str, str]] = WAYS, count: int = 1, inline: bool = True,
                 looked: int = 1) -> None:  # fmt: skip
        self.ways, self.count, self.inline, self.looked = ways, count, inline, max(count, looked)
        self.failures: list[Any] = []
        self.clang = find_clang()

    def propose(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        unit = prompt.unit
        assert unit is not None
        # One choice a unit: its functions share the compiles.
        first = zlib.crc32((unit.baseline.text() if unit.baseline is not None else prompt.baseline).encode("latin-1"))
        plain = not any(flag.startswith(OWN_CALLS) for flag in unit.flags)
        ways = [way for way in self.ways if way[0] != "clang" or (plain and self.clang and unit.language == "c")]
        given = 0
        for i in range(min(self.looked, len(ways))):
            compiler, words = ways[(first + i) % len(ways)]
            flags = ["-DCANDIDATE", *words.split(), *((INLINED,) if self.inline and first & 64 else ())]
            if compiler == "clang":
                assert self.clang is not None
                module = unit.module(
                    [*flags, *CLANG_FIXED, *_like_gcc(unit)], compiler=self.clang, flags=options.for_clang(unit.flags)
                )
            else:
                module = unit.module([*flags, "-ffp-contract=off", *SAME_SYMBOLS])
            body = _cut(module, prompt.function, unit) if module is not None else None
            if body is not None and compiler == "clang" and not self.inline and _is_local(prompt, body):
                continue  # clang gives local functions other parameters, unless the source says `used`
            if body is not None:
                given += 1
                yield Candidate(body.text(), self.name, f"{compiler} {words}")
            if given == self.count:
                return

    def refine(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        return iter(())

    def close(self) -> None:
        pass


def _is_local(prompt: Prompt, body: Body) -> bool:
    """Whether the function, or one that it calls, is local to the unit."""
    assert prompt.unit is not None
    baseline = prompt.unit.baseline
    names = {prompt.function, *body.calls}
    return baseline is not None and any(
        name in baseline.functions and baseline.binding(name) == "local" for name in names
    )


def junk(body: Body, returns: Sequence[Returned]) -> Body | None:
    """The body with junk in all registers, and parts of registers, that hold nothing when it returns, and an aligned
    store to its own stack at the entry: the psABI allows both. None where it calls: the stack there is not ours to
    reason about. Raises BodyError."""
    if body.calls:
        return None
    sizes = {returned.slot: returned.size for returned in returns}
    rows = [f"\tmovabsq\t$-0x{0x5A5A5A5A5A5A0000 + i:x}, %{name}\n"
            for i, name in enumerate(("rcx", "rsi", "rdi", "r8", "r9", "r10", "r11"))]  # fmt: skip
    if Slot.RDX not in sizes:
        rows.append("\tmovq\t%r11, %rdx\n")
    if Slot.RAX not in sizes:
        rows.append("\tmovq\t%r11, %rax\n")
    elif (size := sizes[Slot.RAX]) < 8:
        bits = 0x7EDC_BA98_0000_0000 | (0x1234_0000 if size <= 2 else 0) | (0x5600 if size == 1 else 0)
        rows.append(f"\tmovabsq\t$0x{bits:x}, %r11\n\torq\t%r11, %rax\n")
    for number in range(16):
        slot = {0: Slot.XMM0, 1: Slot.XMM1}.get(number)
        if slot is None or slot not in sizes:
            rows.append(f"\tpcmpeqd\t%xmm{number}, %xmm{number}\n")
    if 0 < sizes.get(Slot.XMM0, 0) <= 8:
        rows.append("\tunpcklpd\t%xmm0, %xmm0\n")
    text = body.text()
    text = text.replace("\tret\n", "".join(rows) + "\tret\n")
    return Body.parse("\tsubq\t$24, %rsp\n\tmovaps\t%xmm15, (%rsp)\n\taddq\t$24, %rsp\n" + text)


ORIGINAL: dict[str, Any] = {
    "attempt.set_up": attempt.set_up,
    "attempt.judge_many": attempt.judge_many,
    "attempt.timing.measure": attempt.timing.measure,
    "attempt.is_equal_on": attempt.is_equal_on,
    "attempt.slower_guard_class": attempt.slower_guard_class,
    "attempt.quick_speed": attempt.quick_speed,
    "suite.find_tests": suite.find_tests,
    "suite.adequacy.score": suite.adequacy.score,
    "unit_session.proposers": unit_session.proposers,
    "unit_session.UnitSession.prompt": unit_session.UnitSession.prompt,
    "unit_session.UnitSession.scalar_body": unit_session.UnitSession.scalar_body,
}
"""All that a campaign replaces in the product, by name, as it is without a campaign."""


def replace_all(by: Mapping[str, Any]) -> None:
    """Put these in place, and the product's own wherever `by` has nothing. In this process only."""
    for name, own in ORIGINAL.items():
        module, *path, last = name.split(".")
        holder: Any = {"attempt": attempt, "suite": suite, "unit_session": unit_session}[module]
        for step in path:
            holder = getattr(holder, step)
        setattr(holder, last, by.get(name, own))


class Engine:
    """The pipeline with replacements, and counts of what it did. Modes (`install`):

    construction  no tests, no timing, candidates that are right by construction; the screen is real
    gates         every gate is real, timing alone is skipped: what is equal is linked, however slow
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings: Settings = config.load(Path("/"), env={}).with_values(
            include="*", max_functions=64, mode="inline", build_budget=900_000, **settings
        )
        self.budget_s = 60.0
        self.worked = 0
        self.names: set[str] = set()
        """Functions worked on in the last unit; the others are answered by the store, or declined."""
        self.junked = 0
        self.plain_calls = True
        self.proposers: Callable[[Settings], list[Any]] = lambda settings: [Proposals()]

    def install(self, mode: str) -> None:
        engine = self

        def find_tests(target: Any, seed: int, *args: Any, **more: Any) -> Harvest:
            return Harvest(seed=seed, timing={"typical": []}, edges_taken=1, edges_all=1)

        def score(bench: Workbench, **more: Any) -> adequacy.Adequacy:
            all_killed = adequacy.Score(20, 20, 0, ())
            return adequacy.Adequacy(all_killed, (all_killed,))

        def judge_many(candidates: Sequence[Candidate], bench: Workbench) -> list[judge.Judged]:
            return engine.judge(candidates, bench)

        def measure(*args: Any, **more: Any) -> tuple[Any, Timing]:
            return accepted("timing"), Timing(2.0, 1.9, 2.1, {"typical": 2.0}, 100.0, 1.0, 1, 1)

        def set_up(target: Target, *args: Any, **more: Any) -> Suite:
            engine.worked += 1
            engine.names.add(target.name)
            engine.plain_calls = not any(flag.startswith(OWN_CALLS) for flag in target.session.unit.flags)
            made: Suite = ORIGINAL["attempt.set_up"](target, *args, **more)
            return made

        def prompt(session: UnitSession, function: Any, signature: Any = None) -> Prompt:
            return Prompt(function.name, canonical(function.body), unit=session.side)

        both = {
            "attempt.timing.measure": measure,
            "attempt.slower_guard_class": lambda *_: "",
            "unit_session.proposers": lambda settings: engine.proposers(settings),
            "attempt.set_up": set_up,
            "attempt.quick_speed": lambda *_: 2.0,
        }
        construction = {
            "suite.find_tests": find_tests,
            "suite.adequacy.score": score,
            "attempt.judge_many": judge_many,
            "attempt.is_equal_on": lambda *_: True,
            "unit_session.UnitSession.prompt": prompt,
            "unit_session.UnitSession.scalar_body": lambda *_: None,
        }
        replace_all(both if mode == "gates" else both | construction)

    def judge(self, candidates: Sequence[Candidate], bench: Workbench) -> list[judge.Judged]:
        """The real parse and screen, with junk first; once one has passed, the others are not looked at."""
        made: list[judge.Judged] = []
        for candidate in candidates:
            if any(one.verdict.is_accepted for one in made):
                made.append(judge.Judged(candidate, refuted("timing", Reason.NOT_FASTER, "another one has passed")))
                continue
            one = self._screened(candidate, bench, junked=True)
            if one is None or not one.verdict.is_accepted:
                one = self._screened(candidate, bench, junked=False)
            assert one is not None
            made.append(one)
        return made

    def _screened(self, candidate: Candidate, bench: Workbench, junked: bool) -> judge.Judged | None:
        """None where junk cannot be put in."""
        case = judge.Case(candidate, "c0")
        judge._parse(case, bench)
        if case.is_open and junked:
            try:
                body = junk(case.body, bench.returns) if self.plain_calls else None
            except BodyError:
                body = None
            if body is None:
                return None
            case.body = body
        if case.is_open:
            judge._screen(case, bench)
        if case.is_open:
            case.edges_all = frozenset(cfg(case.body).edges)
            case.edges_taken = set(case.edges_all)
            case.verdict = accepted("confirm", "by construction")
            self.junked += junked
        return case.decided()

    def rewrite(self, request: Request, store: Path) -> Result:
        settings = self.settings.with_values(cache_dir=str(store))
        self.names.clear()
        return rewrite_unit(request, Build(settings, Store(store), Log(store, pid=0), Deadline(self.budget_s)))
