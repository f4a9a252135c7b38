"""Is a candidate faster? The decision rule for a machine that is never quiet.

Per class of inputs and process: rounds of one sample of the baseline, one of the candidate and one of the baseline
again (the A/A control), in random order, each at a place drawn from several 64-byte-aligned copies. A sample is the sum
over different inputs, one call each, long enough for the clock; the next sample takes other inputs, and each comes up
again only when all have, in another order: what is repeated the branch predictor knows by heart. A round's gain is the
mean over the classes of log(baseline / candidate). Accepted when in each of three fresh processes, linked differently,

    a one-sided sign test shows gains above log(1 + delta) with p < `significance` / (candidates tried), where delta is
    2% on recorded inputs and 10% on generated inputs,
    no class is slower by more than `class_loss`, and the control shows no gain (beside a noisy control the gain must
    exceed three of its interquartile ranges),

and again in one more process on inputs that chose nothing. Medians and signs only: one preempted round moves a mean by
a quarter. One timing at a time on a machine, by a file lock.

The baseline is copied with the loop alignment that gcc printed; the candidate as it would be spliced, with the guard
of its ISA level. Calls are timed one by one between fences, on memory that is in cache: gains from overlap with the
caller's code, and from cache misses, are not seen; functions of a few nanoseconds mostly end as NOISY.
"""

from __future__ import annotations

import contextlib
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import platformdirs
from filelock import FileLock, Timeout

from gccllm.assembly import Body, Module, layout_text
from gccllm.assembly.isa import LEVEL_SYMBOL, guard
from gccllm.assembly.slice import function_rows
from gccllm.base.core import Quit, Returned, StandIn, Test, Timing, Verdict, accepted, refuted, undecided
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.sandbox.image import AssembleError, build_image
from gccllm.sandbox.replay import Raw, Replayer

PASSES = 1
"""Calls of every input of a sample, never back to back."""
COPIES = 4
SAMPLE_NS = 40_000

Floats = npt.NDArray[np.float64]
Samples = Mapping[str, Raw]
"""Class label -> (rounds,) of `layout.SAMPLE`."""


class Bench(Protocol):
    """What timing needs to know of a function under work (`workbench.Workbench` is one)."""

    @property
    def name(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def returns(self) -> tuple[Returned, ...]: ...
    @property
    def tools(self) -> Toolchain: ...
    @property
    def workdir(self) -> Path: ...
    @property
    def callees(self) -> Mapping[str, StandIn]: ...


# --- the decision ---------------------------------------------------------------------------------


def measure(
    bench: Bench,
    candidate: Body,
    classes: Mapping[str, Sequence[Test]],
    fresh: Mapping[str, Sequence[Test]],
    *,
    tried: int = 1,
    level: int = 0,
    seed: int = 1,
    delta: float = LIMITS.recorded_gain,
    lock_path: Path | None = None,
) -> tuple[Verdict, Timing | None]:
    """Apply the rule. `candidate` must have been shown equal on all these tests.

    `level` is the ISA level that the candidate's guard tests, 0 for none. `fresh` are the held-back tests of the same
    classes. `delta`: the gain that must be exceeded. The Timing is that of the deciding processes; None when
    nothing could be measured. Never raises for what the candidate does; Quit(DEADLINE) when the machine's lock stays
    with others.
    """
    classes = {label: tests for label, tests in classes.items() if tests}
    if not classes:
        return undecided("timing", Reason.NO_TIMING_INPUT, "no class has an input"), None
    try:
        with _alone(lock_path):
            for attempt in range(LIMITS.timing_attempts):
                # A second look at a busy machine takes longer samples.
                runs: list[Samples] = []
                for process in range(LIMITS.timing_processes):
                    one = seed * 1000 + attempt * LIMITS.timing_processes + process
                    longer = SAMPLE_NS * (attempt + 1)
                    runs.append(sample(bench, candidate, classes, seed=one, sample_ns=longer, level=level))
                    if not is_quiet(runs[-1], delta):
                        break
                verdict, timing = decide(runs, tried, delta)
                if verdict.reason is not Reason.NOISY:
                    break
            if not verdict.is_accepted:
                return verdict, timing
            held = {label: tests for label, tests in fresh.items() if tests}
            if not held:
                return undecided("timing", Reason.NO_TIMING_INPUT, "no inputs were held back"), timing
            return _confirmed(bench, candidate, held, seed, level, delta, verdict), timing
    except (AssembleError, Quit) as error:
        if isinstance(error, Quit) and error.reason is Reason.DEADLINE:
            raise
        reason = error.reason if isinstance(error, Quit) else Reason.DOES_NOT_ASSEMBLE
        return undecided("timing", reason, str(error)), None


def _confirmed(
    bench: Bench, candidate: Body, held: Mapping[str, Sequence[Test]], seed: int, level: int, delta: float,
    verdict: Verdict,
) -> Verdict:  # fmt: skip
    again = verdict
    for attempt in range(LIMITS.timing_attempts):
        run = sample(
            bench, candidate, held, seed=seed * 1000 + 500 + attempt, sample_ns=SAMPLE_NS * (attempt + 1), level=level
        )
        again, timing = decide([run], 1, delta)
        if again.is_accepted:
            return accepted("timing", f"{verdict.detail}; on fresh inputs {timing.speedup:.3f}x")
        if again.reason is not Reason.NOISY:
            return refuted("timing", Reason.NOT_CONFIRMED, again.detail)
    return again


def screen_speed(
    bench: Bench,
    candidate: Body,
    classes: Mapping[str, Sequence[Test]],
    *,
    level: int = 0,
    seed: int = 1,
    lock_path: Path | None = None,
) -> float:
    """A quick estimate of the speed-up, in one process and a few rounds (good to about 5%); 0.0 when it fails.

    Raises Quit(DEADLINE) as `measure`.
    """
    classes = {label: tests for label, tests in classes.items() if tests}
    if not classes:
        return 0.0
    with _alone(lock_path):
        try:
            run = sample(
                bench,
                candidate,
                classes,
                seed=seed,
                rounds=9,
                sample_ns=20_000,
                copies=2,
                level=level,
                limit_s=LIMITS.quick_s,
            )
        except (AssembleError, Quit):
            return 0.0
    return math.exp(float(np.median(_combined(run, "second"))))


def decide(runs: Sequence[Samples], tried: int, delta: float = LIMITS.recorded_gain) -> tuple[Verdict, Timing]:
    """The rule on samples of one or more processes. Pure: tested on synthetic samples."""
    timing = summary(runs)
    gains = [_combined(run, "second") for run in runs]
    controls = [_combined(run, "control") for run in runs]
    said = f"{timing.speedup:.3f}x (95% {timing.low:.3f} to {timing.high:.3f}), A/A {timing.aa:.3f}"
    least = math.log1p(LIMITS.recorded_gain)
    for control in controls:
        if min(sign_test(control, least), sign_test(-control, least)) < LIMITS.significance:
            return undecided("timing", Reason.NOISY, f"A/A shows a difference; {said}"), timing
    worst = max(sign_test(gain, margin(control, delta)) for gain, control in zip(gains, controls, strict=True))
    if worst >= LIMITS.significance / max(tried, 1):
        if (spread := max(_spread(control) for control in controls)) > LIMITS.noise:
            return undecided("timing", Reason.NOISY, f"A/A spread {spread:.1%}; {said}"), timing
        return refuted("timing", Reason.NOT_FASTER, f"{said}; sign test p {worst:.2g}"), timing
    for label in runs[0]:
        pooled = np.concatenate([_log_ratio(run[label], "second") for run in runs])
        middle, (_, high) = float(np.median(pooled)), median_interval(pooled)
        if high < math.log1p(-LIMITS.class_loss):
            return refuted("timing", Reason.CLASS_SLOWER, f"{label}: {math.exp(middle):.3f}x; {said}"), timing
        if middle < math.log1p(-LIMITS.class_loss):
            return undecided("timing", Reason.NOISY, f"{label}: {math.exp(middle):.3f}x, not clear; {said}"), timing
    return accepted("timing", said), timing


def margin(control: Floats, delta: float = LIMITS.recorded_gain) -> float:
    """The gain (natural logarithm) that must be exceeded beside this control; infinite when it is too noisy."""
    spread = _spread(control)
    if spread <= LIMITS.noise:
        return math.log1p(delta)
    return max(math.log1p(delta), LIMITS.noise_factor * spread) if spread <= LIMITS.too_noisy else math.inf


def is_quiet(run: Samples, delta: float = LIMITS.recorded_gain) -> bool:
    """Whether one process can be decided: a quiet control, or a gain far outside its noise."""
    control, gain = _combined(run, "control"), _combined(run, "second")
    return _spread(control) <= LIMITS.noise or float(np.median(gain)) > margin(control, delta)


def _spread(values: Floats) -> float:
    return float(np.subtract(*np.percentile(values, [75, 25])))


def summary(runs: Sequence[Samples]) -> Timing:
    """Medians of paired ratios over all processes."""
    gains = np.concatenate([_combined(run, "second") for run in runs])
    controls = np.concatenate([_combined(run, "control") for run in runs])
    low, high = median_interval(gains)
    labels = list(runs[0])
    per_class = {
        label: math.exp(float(np.median(np.concatenate([_log_ratio(run[label], "second") for run in runs]))))
        for label in labels
    }
    per_call = [
        float(np.median(np.concatenate([_net(run[label], "first") / run[label]["calls"] for run in runs])))
        for label in labels
    ]
    return Timing(
        speedup=math.exp(float(np.median(gains))),
        low=math.exp(low),
        high=math.exp(high),
        classes=per_class,
        baseline_ns=float(np.median(per_call)) / ticks_per_ns(),
        aa=math.exp(float(np.median(controls))),
        rounds=len(gains),
        processes=len(runs),
    )


def _net(rows: Raw, side: str) -> Floats:
    """Ticks without what a call of an empty function takes; never less than a twentieth of the whole."""
    whole = rows[side].astype(np.float64)
    net = whole - rows["calls"] * rows["empty"].astype(np.float64)
    return np.asarray(np.maximum(net, whole / 20), np.float64)


def _log_ratio(rows: Raw, side: str) -> Floats:
    return np.asarray(np.log(_net(rows, "first") / _net(rows, side)), np.float64)


def _combined(run: Samples, side: str) -> Floats:
    """Gain of each round: the mean over the classes of the log ratio."""
    return np.asarray(np.mean([_log_ratio(rows, side) for rows in run.values()], axis=0), np.float64)


# --- statistics -----------------------------------------------------------------------------------


def sign_test(values: Floats, threshold: float) -> float:
    """One-sided p of at least so many values above `threshold`, if each were above it with probability 1/2.

    Values equal to the threshold count against. Exact.
    """
    n, above = len(values), int((values > threshold).sum())
    return float(sum(math.comb(n, k) for k in range(above, n + 1)) / 2**n)


def median_interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Interval that covers the median with probability of at least `level` whatever the distribution, if n allows.

    Order statistics k and n+1-k with k the largest for which P(Binomial(n, 1/2) < k) <= (1 - level) / 2.
    """
    ordered = np.sort(values)
    n, below, k = len(ordered), 0.0, 0
    while k < n // 2 and below + math.comb(n, k) / 2**n <= (1 - level) / 2:
        below += math.comb(n, k) / 2**n
        k += 1
    k = max(k, 1)
    return float(ordered[k - 1]), float(ordered[n - k])


# --- sampling -------------------------------------------------------------------------------------


def sample(
    bench: Bench,
    candidate: Body,
    classes: Mapping[str, Sequence[Test]],
    *,
    seed: int,
    rounds: int = LIMITS.timing_rounds,
    passes: int = PASSES,
    sample_ns: int = SAMPLE_NS,
    copies: int = COPIES,
    level: int = 0,
    limit_s: float = LIMITS.class_s,
) -> dict[str, Raw]:
    """Samples of one fresh process with one link; `limit_s` for each class.

    Raises Quit(NO_TIMING_INPUT) when a call does not end well, or the time is over.
    """
    rng = random.Random(seed)
    # Half of the baseline's copies are the control's: all three sides are equally many and equally often run.
    ours = [f"gccllm_baseline.{i}" for i in range(2 * copies)]
    theirs = [f"gccllm_candidate.{i}" for i in range(copies)]
    pieces = [baseline_copy(bench.text, bench.name, label) for label in ours]
    pieces += [candidate_copy(bench, candidate, label, level) for label in theirs]
    rng.shuffle(pieces)
    spaced = [f"\t.text\n\t.p2align 6\n\t.skip {64 * rng.randrange(64)}, 0xcc\n{piece}" for piece in pieces]
    if level:
        spaced.append(f"\t.section .rodata\n{LEVEL_SYMBOL}:\t.byte 127\n")
    text = bench.text + "".join(spaced) + f"\t.text\n\t.p2align 6\n\t.globl {_EMPTY}\n{_EMPTY}:\n\tret\n"
    image = build_image(bench.workdir, text, bench.tools, bench.callees, plain=True, name=f"timing{seed}")
    out: dict[str, Raw] = {}
    try:
        with Replayer(image, bench.returns) as replayer:
            for label, tests in classes.items():
                rows = replayer.time(
                    ours, theirs, _EMPTY, tests, rounds=rounds, passes=passes, seed=rng.getrandbits(63),
                    target_ticks=int(sample_ns * ticks_per_ns()), limit_s=limit_s,
                )  # fmt: skip
                if len(rows) != rounds:
                    raise Quit(Reason.NO_TIMING_INPUT, f"class {label}: a timed call did not end as it should")
                out[label] = rows
    finally:
        for left in bench.workdir.glob(f"timing{seed}.*"):
            left.unlink(missing_ok=True)
    return out


_EMPTY = "gccllm_empty"


@lru_cache(maxsize=8)
def _parsed(text: str) -> Module:
    return Module.parse(text)


def baseline_copy(text: str, name: str, label: str) -> str:
    """A copy of function `name` of a slice under another name, with gcc's own loop alignment; 64-byte aligned."""
    function = _parsed(text).functions[name]
    rows = function_rows(function)
    own = {row[:-1] for row in rows if row.endswith(":") and not row.startswith("\t")}
    own |= {row.split("\t")[-1] for row in rows if row.startswith("\t.globl\t")}
    end = "".join(c if c.isalnum() else "_" for c in label)
    rename = {one: f".L{end}_{one.removeprefix('.L')}" if one.startswith(".L") else f"{one}.{end}" for one in own}
    rename[name] = label
    names = "|".join(re.escape(one) for one in sorted(own, key=len, reverse=True))
    token = re.compile(rf"(?<![\w.$@%])({names})(?![\w.$])")
    rows = [token.sub(lambda match: rename[match[1]], row) for row in rows]
    rows[0] = "\t.text"
    rows[1] = "\t.p2align 6"
    return "\n".join(rows) + "\n"


def candidate_copy(bench: Bench, body: Body, label: str, level: int = 0) -> str:
    """A body as a 64-byte-aligned global function, endbr64 first where the baseline has it, then the guard if any."""
    own = body.renamed("".join(c if c.isalnum() else "_" for c in label)).replace_symbol(bench.name, label)
    first = next((line for line in own.lines if not line.is_label), None)
    endbr = _parsed(bench.text).functions[bench.name].has_endbr64 and (first is None or first.mnemonic != "endbr64")
    head = f"\t.text\n\t.p2align 6\n\t.globl {label}\n\t.type {label}, @function\n{label}:\n"
    guarded = "\n".join([*guard(level, bench.name), ""]) if level else ""
    return head + ("\tendbr64\n" if endbr else "") + guarded + layout_text(own)


@lru_cache(maxsize=1)
def ticks_per_ns() -> float:
    """Rate of the time-stamp counter; from the kernel's BogoMIPS, which is twice it in MHz. For limits and display."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("bogomips"):
                return float(line.split(":")[1]) / 2000
    return 2.5


@contextlib.contextmanager
def _alone(lock_path: Path | None) -> Iterator[None]:
    # One place for all stores of the user, so that two builds with stores of their own do not time at once.
    path = lock_path or Path(platformdirs.user_cache_dir("gccllm")) / "timing.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=LIMITS.timing_lock_s)
        lock.acquire()
    except Timeout as error:
        raise Quit(Reason.DEADLINE, "other timings hold the machine") from error
    except OSError:
        yield  # no place for a lock: the control still guards against noise
        return
    try:
        yield
    finally:
        lock.release()
