"""The verdicts on a function's candidates, and the entry that remembers the outcome."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from gccllm import __version__
from gccllm.base.core import Candidate, Decline, Outcome, Timing, Verdict
from gccllm.base.limits import DAY_S, LIMITS
from gccllm.base.reasons import TRANSIENT, Reason
from gccllm.base.words import counted
from gccllm.propose import answerer
from gccllm.store.entry import Entry, EvidenceRecord, RecordingRecord, TimingRecord, printable, recipe_name
from gccllm.unit.isa_allowance import cpu_name
from gccllm.unit.policy import COMPILED
from gccllm.unit.session import Target
from gccllm.verdict.suite import Suite
from gccllm.verify.judge import Judged


@dataclass
class Judgement:
    """One candidate and its verdicts."""

    gates: Judged
    """The verdict of the gates before timing, or of a quick timing before all of them."""
    quick: float = 0.0
    """Speed-up of the quick timing; 0 when it was not timed."""
    timed: Verdict | None = None
    """The verdict of the full timing, for those that got there."""

    @property
    def candidate(self) -> Candidate:
        return self.gates.candidate

    @property
    def verdict(self) -> Verdict:
        """The latest."""
        return self.timed or self.gates.verdict

    def as_record(self) -> dict[str, Any]:
        reason = self.verdict.reason
        return {
            "proposer": self.candidate.proposer,
            "recipe": self.candidate.recipe,
            "outcome": self.verdict.outcome.value,
            "stage": self.verdict.stage,
            "reason": reason.label if reason else None,
            "detail": self.verdict.detail[:200],
            "speedup": round(self.quick, 3) if self.quick else None,
        }


@dataclass
class Judgements:
    """Every candidate for one function so far."""

    suite: Suite
    rows: list[Judgement] = field(default_factory=list)
    failed: set[Reason] = field(default_factory=set)
    """Why proposers failed to run; that nothing was found then means little."""
    silent: dict[str, Reason] = field(default_factory=dict)
    """Proposers without a candidate, with the last reason that they gave."""

    def of(self, proposer: str) -> list[Judgement]:
        return [row for row in self.rows if row.candidate.proposer == proposer]

    @property
    def equal(self) -> list[Judgement]:
        """Those that passed every gate and have a quick timing, fastest first."""
        passed = (row for row in self.rows if row.quick and row.gates.verdict.is_accepted)
        return sorted(passed, key=lambda row: -row.quick)

    @property
    def refusals(self) -> dict[str, int]:
        return dict(Counter(row.verdict.reason.label for row in self.rows if row.verdict.reason))

    def why_none_is_equal(self) -> Decline:
        """A transient reason of some candidate, else that there was none, or none faster."""
        for row in self.rows:
            if row.verdict.outcome is Outcome.UNDECIDED and row.verdict.reason in TRANSIENT:
                return Decline(row.verdict.reason, row.verdict.detail)
        counts = sorted(self.refusals.items(), key=lambda row: -row[1])
        became = ", ".join(f"{count} {label}" for label, count in counts)
        reason = Reason.NOTHING_FASTER if self.rows else Reason.NO_CANDIDATE
        return Decline(reason, f"{counted(len(self.rows), 'candidate')}{': ' if became else ''}{became}{self._silent}")

    def why_none_is_faster(self) -> str:
        best = self.equal[0]
        met = f" ({best.verdict.reason.label})" if best.verdict.reason else ""
        return (
            f"{len(self.equal)} of {len(self.rows)} candidates equal; the best, {best.candidate.proposer}: "
            f"{recipe_name(best.candidate.recipe)}, {best.quick:.2f}x{met}{self._silent}"
        )

    @property
    def _silent(self) -> str:
        return "".join(f"; no answer of {name}: {reason.label}" for name, reason in self.silent.items())


def accepted(target: Target, judged: Judgements, winner: Judgement, measured: Timing) -> Entry:
    """The entry of a rewrite with its evidence."""
    suite, session = judged.suite, target.session
    best = suite.adequacy.best if suite.adequacy else None
    return Entry(
        **_common(target),
        outcome="accepted",
        body=winner.gates.body.text(),
        isa_level=winner.gates.level,
        proposer=winner.candidate.proposer,
        recipe=winner.candidate.recipe,
        dialect=winner.candidate.dialect,
        answer=printable(winner.candidate.answer)[: LIMITS.answer_bytes] if winner.candidate.dialect == "c" else "",
        evidence=EvidenceRecord(
            level="tested+covered" if best else COMPILED,
            tests=len(suite.bench.tests),
            seed=session.settings["seed"],
            edges_baseline=(suite.harvest.edges_taken, suite.harvest.edges_all),
            edges_candidate=winner.gates.edges,
            mutants=(best.killed, best.total) if best else (0, 0),
            timing=TimingRecord(**asdict(measured)),
            cpu=cpu_name(),
            limits=LIMITS.verdict(),
        ),
        bench=suite.subject.as_bench(),
        recording=suite.recorded.record(suite.bench.tests) if suite.recorded else None,
        refusals=judged.refusals,
        attempts=[row.as_record() for row in judged.rows],
    )


def nothing(target: Target, judged: Judgements | None, reason: Reason, detail: str) -> Entry:
    """The entry of a function without a rewrite: it is not tried again for `negative_days`."""
    session = target.session
    recording: RecordingRecord | None
    if judged is not None and judged.suite.recorded is not None:
        recording = judged.suite.recorded.record(judged.suite.bench.tests)
    else:
        recording = session.recordings.unused(session.recordings.key(session.unit.module, target.function))
    days = 1 if judged is not None and judged.failed else session.settings["negative_days"]
    return Entry(
        **_common(target),
        outcome="nothing",
        reason=reason.label,
        detail=detail[:400],
        recording=recording,
        refusals=judged.refusals if judged is not None else {},
        attempts=[row.as_record() for row in judged.rows] if judged is not None else [],
        answerer=answerer(session.settings),
        expires=time.time() + DAY_S * days,
    )


def _common(target: Target) -> dict[str, Any]:
    unit = target.session.unit
    return {
        "key": target.situation.key,
        "situation": target.situation.parts,
        "function": target.name,
        "source": unit.source.name if unit.source else "",
        "created": time.time(),
        "compiler": unit.tools.version,
        "version": __version__,
    }
