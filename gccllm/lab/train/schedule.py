"""The learning rate over a supervised run."""

from __future__ import annotations


def scale_at(done: float, step: int) -> float:
    """Learning-rate scale when `done` (0..1) of the time is used: short warm-up, flat, linear to zero."""
    warm = min(1.0, (step + 1) / 40)
    return warm * (1.0 if done < 0.35 else max(0.0, 1 - (done - 0.35) / 0.65) * 0.98 + 0.02)
