"""Stage `plot`: a run's curves as one picture: a small panel for each quantity, marks where an alarm rang."""

from __future__ import annotations

import argparse
import csv
import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

X = ("iteration", "step", "seconds")
"""Columns that may be the x-axis, the first that is there."""
SKIPPED = frozenset((*X, "alarms", "statuses", "tokens", "draw_seconds", "score_seconds", "update_seconds"))
UNITS = {
    "kl": "nats a token, to the SFT model", "log_ratio": "nats a token, to the SFT model",
    "update_kl": "nats a token, to the drawing policy",
    "entropy": "nats a token", "clip_fraction": "share of tokens", "pass_rate": "share of answers",
    "faster": "share of answers", "copies": "share of answers", "built": "share of answers",
    "speedup": "x over the best recipe", "length": "tokens an answer", "explained": "share of the returns' variance",
    "sampler_gap": "nats",
}  # fmt: skip


def read_columns(path: Path) -> tuple[dict[str, list[float]], list[tuple[int, str]]]:
    """Numeric columns (NaN where empty), and (row, names) of each row with alarms."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns: dict[str, list[float]] = {}
    for name in rows[0] if rows else ():
        try:
            columns[name] = [float(row[name] or math.nan) for row in rows]
        except ValueError:
            continue
    return columns, [(i, row["alarms"]) for i, row in enumerate(rows) if row.get("alarms")]


def _smooth(values: list[float], width: int) -> list[float]:
    """Mean of the last `width` values that are numbers."""
    out = []
    for i in range(len(values)):
        part = [v for v in values[max(0, i - width + 1) : i + 1] if not math.isnan(v)]
        out.append(sum(part) / len(part) if part else math.nan)
    return out


def plot_csv(path: Path, png: Path, title: str) -> None:
    """Draw every numeric column of `path`. Raises ModuleNotFoundError without matplotlib, ValueError without rows."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    columns, marks = read_columns(path)
    x_name = next((name for name in X if name in columns), None)
    shown = [name for name in columns if name not in SKIPPED]
    if not shown or x_name is None:
        raise ValueError(f"{path}: no rows, or none of the columns {', '.join(X)}")
    x = columns[x_name]
    across = min(4, len(shown))
    down = math.ceil(len(shown) / across)
    figure, axes = pyplot.subplots(down, across, figsize=(3.4 * across, 2.3 * down + 0.5), squeeze=False, sharex=True)
    for axis, name in zip(axes.flat, shown, strict=False):
        axis.plot(x, columns[name], color="tab:blue", alpha=0.35, linewidth=0.8)
        axis.plot(x, _smooth(columns[name], max(1, len(x) // 20)), color="tab:blue", linewidth=1.6)
        for row, _ in marks:
            axis.axvline(x[row], color="tab:red", alpha=0.15, linewidth=0.8)
        axis.set_title(name.replace("_", " "), fontsize=9, loc="left")
        axis.set_ylabel(UNITS.get(name, ""), fontsize=7)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25, linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in list(axes.flat)[len(shown) :]:
        axis.set_visible(False)
    for axis in list(axes.flat)[max(0, len(shown) - across) : len(shown)]:
        axis.set_xlabel(x_name, fontsize=8)
        axis.tick_params(labelbottom=True)
    names = sorted({name for _, text in marks for name in text.split(";")})
    note = f"red: alarms ({', '.join(names)})" if names else "no alarm"
    figure.suptitle(f"{title} ({note})", fontsize=11, x=0.01, ha="left")
    figure.tight_layout()
    temporary = png.with_suffix(".tmp.png")
    figure.savefig(temporary, dpi=130)
    pyplot.close(figure)
    temporary.replace(png)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m gccllm.lab.train plot", description=__doc__)
    parser.add_argument("curves", type=Path, help="curve.csv or ppo.csv")
    parser.add_argument("png", type=Path)
    given = parser.parse_args(arguments)
    plot_csv(given.curves, given.png, given.curves.stem)
