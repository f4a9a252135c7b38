"""Tables and curves of suite `model`: the same for a terminal, a log and docs/internals/model.md."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gccllm.lab.bench import show
from gccllm.lab.bench.model_results import (
    OVER,
    PICKED,
    Findings,
    Outcome,
    curve,
    gains_and_losses,
    greedy_share,
    pass_share,
    shares,
    speed,
)

SPLITS = {
    "random": "compositions seen in training, other rows",
    "unseen": "compositions never trained on",
    "family": "families never trained on under any name",
    "kernels": "functions of the kernels suite",
}


class Sheet(NamedTuple):
    """One table."""

    title: str
    columns: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        return f"### {self.title}\n\n{show.markdown(self.columns, self.rows)}\n"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}%"


def _shares(found: tuple[float, float, float] | None) -> str:
    return "" if found is None else f"{100 * found[0]:.1f}% ({100 * found[1]:.0f}-{100 * found[2]:.0f})"


def groups(findings: Sequence[Findings]) -> list[tuple[str, str, bool]]:
    """(heading, split, only rows worth a rewrite) of every table's set of rows; the second only where it differs."""
    made = []
    for split, says in SPLITS.items():
        every = next((f.of(split) for f in findings if f.of(split)), [])
        if not every:
            continue
        made.append((f"{split}: {says}", split, False))
        worth = [o for o in every if o.is_worth]
        if worth and len(worth) < len(every):
            made.append((f"{split}, rows that the corpus has a faster answer for", split, True))
    return made


def right_sheet(findings: Sequence[Findings], split: str, worth: bool, ns: Sequence[int], heading: str) -> Sheet:
    """Builds, screen, passes."""
    columns = ["method", "rows", "KEEP", "builds", "screen", "greedy", *(f"pass@{n}" for n in ns), "s a row"]
    rows = []
    for found in findings:
        outcomes = found.of(split, worth=worth)
        if not outcomes:
            continue
        # Some of all rows were shown to the screen: that says nothing of a part of them.
        share, (passed, shown) = shares(outcomes), (0, 0) if worth else found.screened.get(split, (0, 0))
        ends = [pass_share(outcomes, n) if found.kind != "set" or n == ns[-1] else None for n in ns]
        rows.append([
            found.method, str(len(outcomes)), _percent(share["keep"]), _percent(share["builds"]),
            f"{passed} of {shown}" if shown else "", _percent(greedy_share(outcomes)), *map(_shares, ends),
            f"{share['seconds']:.1f}",
        ])  # fmt: skip
    return Sheet(f"Right, {heading}", columns, rows)


def fast_sheet(findings: Sequence[Findings], split: str, worth: bool, n: int, last: int, heading: str) -> Sheet:
    """Speed-ups of the best of `n`; what is only there as a whole stands with `last`, the largest N."""
    columns = ["method", *(f"{what} {over}" for over in OVER for what in ("geomean over", "median over")),
               "> 1.05 over best", "slower than best", "losses"]  # fmt: skip
    rows = []
    for found in findings:
        outcomes = found.of(split, worth=worth)
        if found.kind == "set" and n != last:
            continue
        cells, ends = [], gains_and_losses(outcomes, n)
        for over in range(len(OVER)):
            one = speed(outcomes, n, over)
            if one is not None:
                cells += [f"{one.geomean:.3f} ({one.low:.3f}-{one.high:.3f})", f"{one.median:.3f}"]
        if cells and ends is not None:
            rows.append([found.method, *cells, *map(_percent, ends)])
    return Sheet(f"Fast, best of {n}, {heading}", columns, rows)


def class_sheet(findings: Sequence[Findings], split: str, n: int, heading: str) -> Sheet:
    """By family: rows, then pass@n and the geometric mean over the best recipe under each method."""
    families = sorted({o.family for f in findings for o in f.of(split)})
    rows = []
    for family in families:
        cells: list[str] = []
        size = 0
        for found in findings:
            outcomes = [o for o in found.of(split) if o.family == family]
            size = max(size, len(outcomes))
            cells.append(_class_cell(outcomes, n))
        rows.append([family, str(size), *cells])
    title = f"By class, pass@{n} and geometric mean over the best recipe, {heading}"
    return Sheet(title, ["class", "rows", *(f.method for f in findings)], rows)


def _class_cell(outcomes: Sequence[Outcome], n: int) -> str:
    passed, fast = pass_share(outcomes, n), speed(outcomes, n, PICKED)
    return f"{100 * passed[0]:.0f}% {fast.geomean:.2f}" if passed and fast else ""


def curve_sheet(findings: Sequence[Findings], split: str, n: int, heading: str) -> Sheet:
    """Geometric mean over the best recipe of what a build picks from k answers."""
    points = {f.method: dict(curve(f.of(split), n)) for f in findings if f.of(split)}
    ks = sorted({k for found in points.values() for k in found})
    rows = [[method, *(f"{found[k]:.3f}" if k in found else "" for k in ks)] for method, found in points.items()]
    return Sheet(f"Best of k over the best recipe, {heading}", ["method", *(f"k={k}" for k in ks)], rows)


def sheets(findings: Sequence[Findings], ns: Sequence[int]) -> list[Sheet]:
    """Every table, in the order they are read in."""
    made = []
    for heading, split, worth in groups(findings):
        made.append(right_sheet(findings, split, worth, ns, heading))
        made += [fast_sheet(findings, split, worth, n, ns[-1], heading) for n in ns]
        if not worth:
            made += [curve_sheet(findings, split, ns[-1], heading), class_sheet(findings, split, ns[-1], heading)]
    return [sheet for sheet in made if sheet.rows]


DOCUMENT = """# What the model adds

Generated by `gccllm bench --suite model`. {setting}

Each answer is run on {tests} random states that no corpus, reward or repair has seen. Answers that pass are timed
beside gcc -O3 and every recipe, once to choose the best of N and once more for the figure. An answer that does not pass
counts as 1.0; one that passes and is slower counts as measured.

- `as a build picks`: the answer where the first timing shows it 2% faster than every recipe, the recipe elsewhere.
  `losses` are picks that the second timing shows slower.
- Intervals are 95%, by resampling rows.
- pass@N looks at the first N of a model's answers, its likeliest by a beam search, best first. `recipes`, repair and
  random edits are searches, listed under the largest N. `taught` is the corpus's own answer: the headroom.
- A KEEP (leave it to the compilers) is neither a pass nor a failure: it has its own column, and a ratio of 1.0.
- `screen`: of a sample of bodies that build, those that pass the static gate.
- `A/A` is gcc -O3 against itself, up to eight copies selected and timed like answers: what it shows is noise.

The resolution of the clock is about 25 ticks, so figures for functions of a few hundred ticks are coarse; the kernels
suite ([results.md](../results.md)) is accurate to about a percent.

"""


def document(parts: Sequence[Sheet], setting: str, tests: int, pictures: Sequence[Path]) -> str:
    text = DOCUMENT.format(setting=setting, tests=tests)
    text += "".join(f"![best of k, {picture.stem.removeprefix('model-')}]({picture.name})\n\n" for picture in pictures)
    return text + "".join(sheet.markdown() for sheet in parts)


def plots(findings: Sequence[Findings], n: int, folder: Path) -> list[Path]:
    """model-SPLIT.png in `folder`: the best of k over the best recipe. Nothing without matplotlib."""
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        pyplot: Any = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        return []
    made = []
    for heading, split, worth in groups(findings):
        if worth:
            continue
        figure, axis = pyplot.subplots(figsize=(6, 4))
        for i, found in enumerate(findings):
            points = curve(found.of(split), n)
            if len(points) > 1:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=found.method, color=f"C{i}")
            elif points:
                axis.axhline(points[0][1], linestyle="--", linewidth=1, label=found.method, color=f"C{i}")
        axis.set_xscale("log", base=2)
        axis.set_xticks([2**i for i in range(int(math.log2(n)) + 1)])
        axis.get_xaxis().set_major_formatter(matplotlib.ticker.ScalarFormatter())
        axis.set_xlabel("k answers")
        axis.set_ylabel("geometric mean over the best recipe, as a build picks")
        axis.set_title(heading, fontsize=9, loc="left")
        axis.grid(alpha=0.25)
        axis.legend(fontsize=7)
        figure.tight_layout()
        target = folder / f"model-{split}.png"
        figure.savefig(target, dpi=130)
        pyplot.close(figure)
        made.append(target)
    return made
