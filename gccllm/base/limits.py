"""Every number that decides something: when a rewrite counts as faster, when tests are good enough, how long work may
take, how large what is read may be. One record, one instance: `LIMITS`.

`gccllm config` prints them, docs/settings.md lists them, and an entry's evidence repeats those of its verdict. A name
ends in its unit: `_s` seconds of wall time, `_ms` milliseconds of CPU time, `_bytes`. Gains, losses and shares are
fractions; speeds are speed-ups (1.0: as fast as the baseline).

Not here: the counts that steer a search (`harvest.search.Budget` and the constants beside their use), which change
what is tried and never what is accepted; formats (`sandbox.layout`, `record.capture`); what a user sets (`config`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

DAY_S = 24 * 3600


def _limit(value: float, says: str, *, is_verdict: bool = False) -> Any:
    return field(default=value, metadata={"says": says, "is_verdict": is_verdict})


def _verdict(value: float, says: str) -> Any:
    """One that decides whether a rewrite is accepted; evidence names it."""
    return _limit(value, says, is_verdict=True)


@dataclass(frozen=True, slots=True)
class Limits:
    # --- faster -------------------------------------------------------------------------------------
    recorded_gain: float = _verdict(0.02, "gain that must be exceeded on recorded calls")
    # Less than a tenth depends on how long the loops run and how well the branches are guessed, which generated inputs
    # cannot know: of the kernel suite's rewrites with a measured gain below a tenth, four in four were no gain in the
    # suite's harness (1.03, 0.99, 0.92, 0.65).
    generated_gain: float = _verdict(0.10, "gain that must be exceeded on generated inputs")
    class_loss: float = _verdict(0.01, "loss allowed on one class of inputs")
    guard_class_speed: float = _verdict(
        0.9, "least speed on each class of generated inputs where recorded calls decide"
    )
    significance: float = _verdict(0.01, "p of the sign test below which a gain counts, shared by all candidates timed")
    noise: float = _verdict(0.02, "interquartile range of the A/A ratios up to which the gain asked is the margin")
    too_noisy: float = _verdict(0.15, "interquartile range above which nothing is accepted")
    # Between the two, noise makes the rule stricter; it does not end it.
    noise_factor: float = _verdict(3.0, "interquartile ranges that a gain must exceed in between")
    timing_processes: int = _verdict(3, "processes that must all show the gain")
    timing_rounds: int = _verdict(41, "paired samples in each of them")
    timing_attempts: int = _limit(3, "measurements, each more patient, before a noisy machine is given up on")
    quick_speed: float = _limit(1.02, "speed at a quick look below which a candidate is not tested")
    full_timings: int = _limit(6, "candidates timed in full, best first")

    # --- in the program itself ------------------------------------------------------------------------
    trial_gain: float = _verdict(0.002, "share of the program's time that a body must save in a trial")
    trial_width: float = _limit(0.002, "half an interval at which a trial's stage knows enough")
    trial_share: float = _limit(0.01, "share of the program's time from which a function takes part in a trial")
    trial_run_s: float = _limit(0.05, "CPU time of a run below which a trial compares nothing")

    # --- tests --------------------------------------------------------------------------------------
    mutation_score: float = _verdict(0.95, "least share of mutants killed, of those not shown equivalent")
    least_mutants: int = _verdict(5, "fewest mutants that a score may rest on")
    most_mutants: int = _verdict(120, "mutants made of a body")
    most_work: int = _limit(60_000, "log entries of one functional test")

    # --- time of one run ----------------------------------------------------------------------------
    harvest_ms: int = _limit(4, "a run of the baseline while inputs are sought; the trapping build has four times that")
    replay_ms: int = _limit(8, "a run of a candidate on a test; harvested tests take a fraction of a millisecond")
    timed_ms: int = _limit(200, "a run on an input that is timed")
    long_ms: int = _limit(400, "a run of the baseline on a long recorded call or a large input")
    large_ms: int = _limit(2000, "a run of a candidate on a large input")
    plain_ms: int = _limit(40, "a run on which no verdict depends")

    # --- time of a stage ----------------------------------------------------------------------------
    side_s: float = _limit(60.0, "a side compile; a parallel build leaves it little of the machine")
    harvest_s: float = _limit(20.0, "a harvest; it normally ends by its own counts")
    harvest_cpu: float = _limit(0.5, "share of a CPU that a harvest must have had for its failure to be remembered")
    more_s: float = _limit(10.0, "a harvest of further inputs")
    large_s: float = _limit(60.0, "making large inputs")
    # Most take milliseconds; what takes longer rarely ends at all.
    proof_s: float = _limit(5.0, "one question to the prover")
    timing_s: float = _limit(4.0, "kept of a function's time for the full timing, or a quarter of what there is")
    timing_lock_s: float = _limit(600.0, "waiting for other timings on the machine")
    # What nothing is known of yet may be a thousand times slower than the baseline, and still end.
    class_s: float = _limit(60.0, "timing the inputs of one class")
    quick_s: float = _limit(2.0, "a quick look at the inputs of one class")
    function_s: float = _limit(2.0, "least time with which work on a function begins")
    build_s: float = _limit(1.0, "least rest of the build budget with which work on a unit begins")
    put_off_s: int = _limit(DAY_S, "builds leave an undecided unit alone")
    account_s: int = _limit(DAY_S, "a build's account is kept")

    # --- size ---------------------------------------------------------------------------------------
    unit_bytes: int = _limit(24 << 20, "assembly of a unit")
    side_bytes: int = _limit(32 << 20, "assembly that a side compile may print")
    body_bytes: int = _limit(64 << 10, "text of a candidate")
    body_instructions: int = _limit(4000, "instructions of a candidate")
    body_data_bytes: int = _limit(256 << 10, "constants of a candidate")
    body_alignment_bytes: int = _limit(4096, "alignment that a candidate may ask for")
    entry_bytes: int = _limit(8 << 20, "an entry of the store")
    answer_bytes: int = _limit(64 << 10, "a model's answer in an entry")
    settings_bytes: int = _limit(1 << 20, "a gccllm.toml or config.toml")
    profile_bytes: int = _limit(64 << 20, "a profile")
    recording_bytes: int = _limit(256 << 20, "a file of recorded calls")
    tool_memory_bytes: int = _limit(4 << 30, "address space of a tool that works on text from elsewhere")
    tool_file_bytes: int = _limit(256 << 20, "a file that such a tool makes")

    def verdict(self) -> dict[str, float]:
        """Those under which a rewrite is accepted, for its evidence."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.metadata["is_verdict"]}

    def rows(self) -> list[tuple[str, float, str]]:
        """(name, value, meaning) of each."""
        return [(one.name, getattr(self, one.name), one.metadata["says"]) for one in fields(self)]


LIMITS = Limits()
