"""A trial: the program is run until it has said which body serves each of its functions best.

    reference ── screen: every body of every function ── confirm: the best against gcc's own, on fresh runs
                                                              └── whole: all winners, none, and all placebos

The runs that choose a body are not those that judge it: the best of many looks better than it is. Only what `confirm`
shows to be faster wins, and the last stage says what all winners do together. A run that ends or prints otherwise than
gcc's own convicts a body, found by halving, and that body is out.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gccllm.base.limits import LIMITS
from gccllm.trial.contests import PLACEBO, KnownContest
from gccllm.trial.design import Choices, Decks, Effect, Run, effects
from gccllm.trial.journal import Journal
from gccllm.trial.running import Command, Seen, TrialError

CONFIDENCE = 0.95
LEAST_RUNS = 8
"""Of each body in a stage, whatever the budget."""
LEAST_RUNS_AN_UNKNOWN = 3
"""Fewer, and the fit explains the noise."""
SHARES = {"screen": 0.5, "confirm": 0.3, "whole": 0.2}
"""Of the budget."""


@dataclass(frozen=True, slots=True)
class Winner:
    contest: KnownContest
    body: int
    effect: Effect
    """On the program's measure, from the runs of `confirm`."""

    @property
    def recipe(self) -> str:
        return self.contest.contenders[self.body - 1].recipe

    @property
    def isa_level(self) -> int:
        return self.contest.contenders[self.body - 1].isa_level


@dataclass
class Verdicts:
    """What a trial found."""

    winners: list[Winner] = field(default_factory=list)
    screened: dict[tuple[str, int], Effect] = field(default_factory=dict)
    confirmed: dict[tuple[str, int], Effect] = field(default_factory=dict)
    whole: Effect | None = None
    """All winners together against gcc's own bodies."""
    placebo: Effect | None = None
    """The same with a copy of gcc's own body in every function: the A/A row."""
    runs: int = 0
    guilty: list[tuple[str, int]] = field(default_factory=list)
    compares_output: bool = True


@dataclass
class Trial:
    """One command, and the functions on trial that its time goes to. `say` gets a line of progress."""

    command: Command
    contests: Mapping[str, KnownContest]
    journal: Journal
    budget_s: float
    seed: int
    say: Callable[[str], None]
    verdicts: Verdicts = field(default_factory=Verdicts)

    def hold(self) -> Verdicts:
        """Raises TrialError when the command fails or prints otherwise by itself."""
        self.verdicts.guilty = list(self.journal.guilty)
        reference = self.reference()

        every = {one.identity: self._bodies(one) for one in self.contests.values()}
        self.verdicts.screened = self.stage("screen", every, reference)
        best = self._best()
        if best:
            duel = {identity: [0, body] for identity, body in best.items()}
            self.verdicts.confirmed = self.stage("confirm", duel, reference)
            self._crown()
        self.whole(reference)
        self.verdicts.runs = sum(len(self.journal.runs(stage)) for stage in SHARES)
        return self.verdicts

    # --- stages -----------------------------------------------------------------------------------

    def reference(self) -> Seen:
        """What the program does with gcc's own bodies; its output counts where it is the same twice."""
        first, second = self.command.run({}), self.command.run({})
        if first.status != 0 or second.status != 0:
            raise TrialError(f"the command ends with status {first.status or second.status} by itself")
        self.verdicts.compares_output = first.output == second.output
        if first.cpu_s < LIMITS.trial_run_s and first.metric is None:
            raise TrialError(
                f"a run takes {first.cpu_s:.3f} s of CPU time, too little to be compared: let it do more"
                f" ({LIMITS.trial_run_s:g} s at least)"
            )
        return second

    def stage(self, name: str, bodies: Mapping[str, list[int]], reference: Seen) -> dict[tuple[str, int], Effect]:
        """Run until the budget's share is used up, or all is known well enough."""
        known = self.journal.runs(name)
        decks = Decks(self._innocent(bodies), self.seed + len(known))
        unknowns = sum(len(numbers) - 1 for numbers in bodies.values())
        least = max(LEAST_RUNS * max(map(len, bodies.values()), default=0), LEAST_RUNS_AN_UNKNOWN * unknowns)
        ends = time.monotonic() + self.budget_s * SHARES[name]
        while not self.journal.is_done(name) and (len(known) < least or time.monotonic() < ends):
            choices = decks.draw()
            seen = self.command.run(choices)
            if not seen.says_the_same_as(reference, with_output=self.verdicts.compares_output):
                self.convict(choices, reference)
                decks = Decks(self._innocent(bodies), self.seed + len(known))
                continue
            run = Run(choices, self.command.cost(seen))
            known.append(run)
            self.journal.add(name, run)
            left = max(ends - time.monotonic(), (least - len(known)) * seen.wall_s)
            self.say(f"{name}: run {len(known)}, {seen.cpu_s:.2f} s of CPU each, {max(left, 0):.0f} s left")
            if len(known) >= least and len(known) % 8 == 0 and self._is_settled(effects(known, CONFIDENCE)):
                break
        if not self.journal.is_done(name):
            self.journal.add_done(name)
        guilty = set(self.verdicts.guilty)
        return effects([run for run in known if not guilty & set(run.choices.items())], CONFIDENCE)

    def whole(self, reference: Seen) -> None:
        """All winners, and all placebos, against gcc's own bodies; in random order, as often each."""
        placebos = [(one.identity, 1) for one in self.contests.values() if one.contenders[0].recipe == PLACEBO]
        teams: dict[int, Choices] = {
            0: {},
            1: {winner.contest.identity: winner.body for winner in self.verdicts.winners},
            2: dict(one for one in placebos if one not in self.verdicts.guilty),
        }
        teams = {number: team for number, team in teams.items() if team or number == 0}
        known = self.journal.runs("whole")
        chance = random.Random(self.seed + len(known))
        ends = time.monotonic() + self.budget_s * SHARES["whole"]
        while len(known) < LEAST_RUNS * len(teams) or time.monotonic() < ends:
            for team in chance.sample(list(teams), len(teams)):
                seen = self.command.run(teams[team])
                if not seen.says_the_same_as(reference, with_output=self.verdicts.compares_output):
                    self.convict(teams[team], reference)
                    self._drop_guilty()
                    self.journal.void("whole")
                    return self.whole(reference)
                run = Run({"program": team}, self.command.cost(seen))
                known.append(run)
                self.journal.add("whole", run)
            left = max(ends - time.monotonic(), 0)
            self.say(f"whole: run {len(known)}, {left:.0f} s left")
        found = effects(known, CONFIDENCE)
        self.verdicts.whole, self.verdicts.placebo = found.get(("program", 1)), found.get(("program", 2))
        return None

    # --- what follows from the runs -------------------------------------------------------------------

    def _bodies(self, contest: KnownContest) -> list[int]:
        return list(range(len(contest.contenders) + 1))

    def _innocent(self, bodies: Mapping[str, list[int]]) -> dict[str, list[int]]:
        guilty = set(self.verdicts.guilty)
        return {
            identity: [body for body in numbers if (identity, body) not in guilty]
            for identity, numbers in bodies.items()
        }

    def _is_settled(self, found: Mapping[tuple[str, int], Effect]) -> bool:
        return bool(found) and all(effect.half_width < LIMITS.trial_width for effect in found.values())

    def _best(self) -> dict[str, int]:
        """For each function the body that looked fastest, if it looked faster than gcc's at all."""
        best: dict[str, int] = {}
        for (identity, body), effect in sorted(self.verdicts.screened.items(), key=lambda row: row[1].speed):
            if self._recipe(identity, body) != PLACEBO and effect.speed > 1 + LIMITS.trial_gain:
                best[identity] = body
        return best

    def _crown(self) -> None:
        for (identity, body), effect in self.verdicts.confirmed.items():
            if effect.low > 1.0 and effect.speed > 1 + LIMITS.trial_gain:
                self.verdicts.winners.append(Winner(self.contests[identity], body, effect))
        self.verdicts.winners.sort(key=lambda winner: -winner.effect.speed)

    def _drop_guilty(self) -> None:
        guilty = set(self.verdicts.guilty)
        self.verdicts.winners = [w for w in self.verdicts.winners if (w.contest.identity, w.body) not in guilty]

    def _recipe(self, identity: str, body: int) -> str:
        return self.contests[identity].contenders[body - 1].recipe

    def convict(self, choices: Choices, reference: Seen) -> None:
        """Find the body whose presence changes what the program does. Raises TrialError when it is none of them."""
        suspects = [(identity, body) for identity, body in choices.items() if body]
        while len(suspects) > 1:
            half = suspects[: len(suspects) // 2]
            suspects = half if self._differs(half, reference) else suspects[len(half) :]
        if not suspects or not self._differs(suspects, reference):
            raise TrialError(
                "a run ended or printed otherwise, and no single body does it: is the program's result always the same?"
            )
        self.verdicts.guilty.append(suspects[0])
        self.journal.add_guilty(*suspects[0])

    def _differs(self, some: list[tuple[str, int]], reference: Seen) -> bool:
        seen = self.command.run(dict(some))
        return not seen.says_the_same_as(reference, with_output=self.verdicts.compares_output)
