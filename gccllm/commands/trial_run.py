"""`gccllm trial -- CMD`: let a program that was built in mode `trial` decide which bodies its functions get.

The command runs once under the profiler, which says where its time goes, then again and again with other bodies in its
hot functions (`gccllm.trial`). What wins is remembered in the store; the next build compiles it by the same recipe.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gccllm import __version__
from gccllm.base.config import Settings
from gccllm.base.limits import LIMITS
from gccllm.base.names import spoken_name
from gccllm.base.words import counted as many
from gccllm.store import Entry, Store
from gccllm.store.entry import EvidenceRecord, TimingRecord
from gccllm.trial.contests import PLACEBO, REWRITE, Contests, KnownContest
from gccllm.trial.design import Effect
from gccllm.trial.journal import Journal
from gccllm.trial.running import Command, TrialError
from gccllm.trial.trial import Trial, Verdicts, Winner
from gccllm.unit import profile
from gccllm.unit.isa_allowance import cpu_name
from gccllm.unit.policy import COMPILED, IN_PROGRAM

NOTHING_ON_TRIAL = (
    "no function on trial takes {share:.0%} of the time. Build the program with GCCLLM_MODE=trial first, and give here"
    " a command that runs it (names must not be stripped)"
)


@dataclass(frozen=True, slots=True)
class How:
    """How a trial is held."""

    budget_s: float = 300.0
    metric: str = ""
    higher_is_better: bool = False
    again: bool = False
    """Forget what an interrupted trial has measured."""


def run(command: Sequence[str], settings: Settings, console: Console, how: How) -> int:
    """Hold a trial and remember its winners; the exit status. Raises TrialError with a line for the user."""
    try:
        import statsmodels.api  # noqa: F401
    except ImportError:
        raise TrialError("a trial needs statsmodels: pip install 'gcc-llm[trial]'") from None
    if shutil.which(command[0]) is None:
        raise TrialError(f"{command[0]}: not found")
    pattern = metric_of(how.metric)
    store = Store(settings.store_dir, settings.project_cache)
    shares = shares_of(command)
    hot, absent = on_trial(Contests(store.user).of_project(settings.root(Path.cwd())), shares)
    if not hot:
        raise TrialError(NOTHING_ON_TRIAL.format(share=LIMITS.trial_share))
    for line in opening(hot, absent, shares):
        _say(line)

    journal = Journal(store.user / "trials", list(command), hot)
    if how.again:
        journal.forget()
    elif known := journal.resume():
        _say(f"going on with {many(known, 'run')} of an interrupted trial (--again forgets them)")
    with _progress() as say:
        trial = Trial(
            Command(command, pattern, how.higher_is_better), hot, journal, how.budget_s, random.randrange(1 << 30), say
        )
        try:
            verdicts = trial.hold()
        except KeyboardInterrupt:
            raise TrialError("interrupted; the same command goes on from here") from None
    remember(verdicts, hot.values(), store)
    journal.forget()
    print_verdicts(console, verdicts, hot, shares)
    return 0


def metric_of(words: str) -> re.Pattern[bytes] | None:
    """What `--metric` asks for. Raises TrialError."""
    try:
        pattern = re.compile(words.encode())
    except re.error as error:
        raise TrialError(f"--metric: {error}") from None
    if words and not pattern.groups:
        raise TrialError(f"--metric needs a group around the number, as in '([0-9.]+) ms': {words}")
    return pattern if words else None


def shares_of(command: Sequence[str]) -> dict[str, float]:
    """Share of the command's time by function. Its output is shown: it is the one run that does not belong to us."""
    with tempfile.TemporaryDirectory(prefix="gccllm-trial-") as work:
        path = Path(work) / "profile.json"
        status = profile.run(command, path, is_quiet=True)
        if status:
            raise TrialError(f"the command ends with status {status} by itself")
        return profile.load_profile(path) or {}


def on_trial(
    contests: Sequence[KnownContest], shares: dict[str, float]
) -> tuple[dict[str, KnownContest], dict[str, float]]:
    """(hot functions on trial by identity, share of the other hot ones by name)."""
    hot = {one.identity: one for one in contests if one.share(shares) >= LIMITS.trial_share}
    names = names_of(hot.values())
    absent = {name: share for name, share in shares.items() if share >= LIMITS.trial_share and name not in names}
    return hot, absent


def names_of(contests: Iterable[KnownContest]) -> set[str]:
    """The functions whose time is theirs."""
    return {name for one in contests for name in (one.function, *one.clones)}


def opening(hot: dict[str, KnownContest], absent: dict[str, float], shares: dict[str, float]) -> Iterator[str]:
    bodies = sum(len(one.contenders) for one in hot.values())
    covered = sum(shares.get(name, 0.0) for name in names_of(hot.values()))
    yield f"{many(len(hot), 'function')} on trial, {bodies} bodies; they take {covered:.0%} of the time"
    if absent:
        named = ", ".join(f"{spoken_name(n)} {s:.0%}" for n, s in sorted(absent.items(), key=lambda row: -row[1])[:4])
        yield f"not on trial: {named}"


def remember(verdicts: Verdicts, hot: Iterable[KnownContest], store: Store) -> None:
    """An entry for each winner, and none of an earlier trial for the others; builds then ask again."""
    won = {winner.contest.key: winner for winner in verdicts.winners}
    for contest in hot:
        winner = won.get(contest.key)
        if winner is None or winner.recipe == REWRITE:  # a rewrite is found by its own entry
            store.forget(contest.key)
        else:
            store.put(entry_of(winner, verdicts))
    store.bump_epoch()


def entry_of(winner: Winner, verdicts: Verdicts) -> Entry:
    contest, effect = winner.contest, winner.effect
    timing = TimingRecord(
        speedup=effect.speed, low=effect.low, high=effect.high, classes={IN_PROGRAM: effect.speed}, baseline_ns=0.0,
        aa=verdicts.placebo.speed if verdicts.placebo else 1.0, rounds=verdicts.runs, processes=verdicts.runs,
    )  # fmt: skip
    return Entry(
        key=contest.key, situation=contest.situation, function=contest.function, source=contest.source,
        outcome="accepted", isa_level=winner.isa_level, proposer="recompile", recipe=winner.recipe,
        evidence=EvidenceRecord(
            level=COMPILED, tests=0, seed=0, edges_baseline=(0, 0), edges_candidate=(0, 0), mutants=(0, 0),
            timing=timing, cpu=cpu_name(), limits=LIMITS.verdict(),
        ),
        created=time.time(), compiler=contest.compiler, version=__version__,
    )  # fmt: skip


# --- what a user sees -------------------------------------------------------------------------------


def print_verdicts(
    console: Console, verdicts: Verdicts, hot: dict[str, KnownContest], shares: dict[str, float]
) -> None:
    won = {winner.contest.identity: winner for winner in verdicts.winners}
    table = Table(box=None, pad_edge=False)
    table.add_column("function", overflow="fold")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("body")
    table.add_column("program", justify="right", no_wrap=True)
    table.add_column("95%", justify="right", no_wrap=True)
    for identity, contest in sorted(hot.items(), key=lambda row: -row[1].share(shares)):
        name, share = spoken_name(contest.function), f"{contest.share(shares):.0%}"
        if identity in won:
            table.add_row(name, share, won[identity].recipe, *_figures(won[identity].effect))
        else:
            recipe, effect = _nearest(identity, contest, verdicts)
            table.add_row(name, share, f"gcc's own; nearest {recipe}" if recipe else "gcc's own", *_figures(effect))
    console.print(table)
    if verdicts.whole:
        console.print(f"all winners together: {_words(verdicts.whole)}", highlight=False)
    if verdicts.placebo:
        console.print(f"A/A (a copy of gcc's own body in each): {_words(verdicts.placebo)}", highlight=False)
    for identity, body in verdicts.guilty:
        contest = hot[identity]
        recipe = contest.contenders[body - 1].recipe
        # What a trial alone has shown cannot revoke an entry: its own tests say that the rewrite is right.
        link = "; builds link it: name the function in the setting `exclude`" if recipe == REWRITE else ": it is out"
        console.print(f"[red]{spoken_name(contest.function)} by {recipe}[/] changes what the program does{link}")
    if not verdicts.compares_output:
        console.print("the output differs from run to run: only the exit status was compared", highlight=False)
    done = f"{many(len(verdicts.winners), 'function')} won in {many(verdicts.runs, 'run')}"
    console.print(f"{done}; {'build again to have them' if verdicts.winners else 'nothing changes'}", highlight=False)


def _nearest(identity: str, contest: KnownContest, verdicts: Verdicts) -> tuple[str, Effect | None]:
    """The body that looked best and did not win, with its effect on the runs that judged it."""
    found = {**verdicts.screened, **verdicts.confirmed}
    mine = {body: effect for (one, body), effect in found.items() if one == identity}
    mine = {body: effect for body, effect in mine.items() if contest.contenders[body - 1].recipe != PLACEBO}
    if not mine:
        return "", None
    body = max(mine, key=lambda number: mine[number].speed)
    return contest.contenders[body - 1].recipe, mine[body]


def _figures(effect: Effect | None) -> tuple[str, str]:
    return (f"{effect.speed:.3f}x", f"{effect.low:.3f} to {effect.high:.3f}") if effect else ("", "")


def _words(effect: Effect) -> str:
    return f"{effect.speed:.3f}x ({effect.low:.3f} to {effect.high:.3f})"


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """One line that is written over on a terminal; in a pipe a line every half minute."""
    is_terminal, last = sys.stderr.isatty(), 0.0

    def say(line: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < (0.2 if is_terminal else 30.0):
            return
        last = now
        if is_terminal:
            print(f"\r\x1b[K{line[:78]}", end="", file=sys.stderr, flush=True)
        else:
            _say(line)

    yield say
    if is_terminal:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _say(line: str) -> None:
    print(f"gccllm trial: {line}", file=sys.stderr)
