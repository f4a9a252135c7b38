"""Is a candidate faster? The decision rule for a machine that is never quiet.

Per class of inputs and process: rounds of one sample of the baseline, one of the candidate and one of the baseline
again (the A/A control), in random order, each at a place drawn from several 64-byte-aligned copies. A sample is the sum
over different inputs, one call each, long enough for the clock. Inputs are sampled without replacement, reshuffled each
pass: a branch predictor memorises what is repeated. A round's gain is the mean over the classes of log(baseline /
candidate). Accepted when in each of three fresh processes, linked differently,

    a one-sided sign test shows gains above log(1 + delta) with p < `significance` / (candidates tried), where delta is
    2% on recorded inputs and 10% on generated inputs,
    no class is slower by more than `class_loss`, and the control shows no gain (beside a noisy control the gain must
    exceed three of its interquartile ranges),

and again in one more process on held-out inputs. Medians and signs only: one preempted round moves a mean by
a quarter. A file lock lets one timing run at a time on a machine.

The baseline is copied with the loop alignment that gcc printed; the candidate as it would be spliced, with the guard
of its ISA level. Calls are timed one by one between fences, on memory that is in cache: gains from overlap with the
caller's code, and from cache misses, are not seen; functions of a few nanoseconds mostly end as NOISY.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs
from filelock import FileLock, Timeout

from gccllm.base.core import Decline, Test, Timing, Verdict, accepted, refuted, undecided
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.sandbox.compare import Raw
from gccllm.sandbox.image import AssembleError
from gccllm.verify.sampling import FULL, QUICK, Effort, Pair, sample, ticks_per_ns

SEED, HELD_OUT_SEED = 1000, 1500
"""Of the first process."""
Floats = npt.NDArray[np.float64]
Samples = Mapping[str, Raw]
"""Class label -> (rounds,) of `layout.SAMPLE`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a body must show."""

    delta: float = LIMITS.recorded_gain
    """The gain that must be exceeded."""
    tried: int = 1
    """Candidates of which this is the fastest: the level of the test is divided by them."""


ANY_GAIN = Rule()


# --- the decision ---------------------------------------------------------------------------------


def measure(
    pair: Pair,
    classes: Mapping[str, Sequence[Test]],
    held_out: Mapping[str, Sequence[Test]],
    rule: Rule = ANY_GAIN,
    *,
    lock_path: Path | None = None,
) -> tuple[Verdict, Timing | None]:
    """Apply the rule to a body that was shown equal on all these tests.

    `held_out`: tests of the same classes that selected nothing. The Timing is that of the deciding processes; None when
    nothing could be measured. Never raises for what the candidate does; Decline(DEADLINE) when the machine's lock stays
    with others.
    """
    classes = {label: tests for label, tests in classes.items() if tests}
    if not classes:
        return undecided("timing", Reason.NO_TIMING_INPUT, "no class has an input"), None
    try:
        with _alone(lock_path):
            for attempt in range(LIMITS.timing_attempts):
                runs: list[Samples] = []
                for process in range(LIMITS.timing_processes):
                    seed = SEED + attempt * LIMITS.timing_processes + process
                    runs.append(sample(pair, classes, seed, _longer(attempt)))
                    if not is_quiet(runs[-1], rule.delta):
                        break
                verdict, timing = decide(runs, rule.tried, rule.delta)
                if verdict.reason is not Reason.NOISY:
                    break
            if not verdict.is_accepted:
                return verdict, timing
            held = {label: tests for label, tests in held_out.items() if tests}
            if not held:
                return undecided("timing", Reason.NO_TIMING_INPUT, "no inputs were held back"), timing
            return _confirmed(pair, held, rule, verdict), timing
    except (AssembleError, Decline) as error:
        if isinstance(error, Decline) and error.reason is Reason.DEADLINE:
            raise
        reason = error.reason if isinstance(error, Decline) else Reason.DOES_NOT_ASSEMBLE
        return undecided("timing", reason, str(error)), None


def _longer(attempt: int) -> Effort:
    """A second look at a busy machine takes longer samples."""
    return replace(FULL, sample_ns=FULL.sample_ns * (attempt + 1))


def _confirmed(pair: Pair, held_out: Mapping[str, Sequence[Test]], rule: Rule, verdict: Verdict) -> Verdict:
    """An accepting verdict, put to one more process and the held-out inputs."""
    again = verdict
    for attempt in range(LIMITS.timing_attempts):
        run = sample(pair, held_out, HELD_OUT_SEED + attempt, _longer(attempt))
        again, timing = decide([run], 1, rule.delta)
        if again.is_accepted:
            return accepted("timing", f"{verdict.detail}; on fresh inputs {timing.speedup:.3f}x")
        if again.reason is not Reason.NOISY:
            return refuted("timing", Reason.NOT_CONFIRMED, again.detail)
    return again


def screen_speed(
    pair: Pair, classes: Mapping[str, Sequence[Test]], *, seed: int = 1, lock_path: Path | None = None
) -> float:
    """A quick estimate of the speed-up, in one process and a few rounds (good to about 5%); 0.0 when it fails.

    Raises Decline(DEADLINE) as `measure`.
    """
    classes = {label: tests for label, tests in classes.items() if tests}
    if not classes:
        return 0.0
    with _alone(lock_path):
        try:
            run = sample(pair, classes, seed, QUICK)
        except (AssembleError, Decline):
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


@contextlib.contextmanager
def _alone(lock_path: Path | None) -> Iterator[None]:
    # One place for all stores of the user, so that two builds with stores of their own do not time at once.
    path = lock_path or Path(platformdirs.user_cache_dir("gccllm")) / "timing.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=LIMITS.timing_lock_s)
        lock.acquire()
    except Timeout as error:
        raise Decline(Reason.DEADLINE, "other timings hold the machine") from error
    except OSError:
        yield  # no place for a lock: the control still guards against noise
        return
    try:
        yield
    finally:
        lock.release()
