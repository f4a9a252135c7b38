"""Answers of suite `model` before the project's own gates: some bodies at the screen, some rows all the way.

All the way means what `gccllm explain --work` does: the row's C is a source file, the model the only proposer, and
harvest, adequacy, screen, replay, contract and timing decide. Not covered: whole programs (`model_programs`).
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.assembly import Body, BodyError, Module, NotLossless, march_features
from gccllm.base import config
from gccllm.base.core import Decline
from gccllm.base.toolchain import Toolchain
from gccllm.commands.oneshot import explain
from gccllm.lab.bench.model_check import Checker, Proposal
from gccllm.lab.bench.model_methods import Row
from gccllm.lab.bench.numbers import geometric_mean
from gccllm.lab.train.checking import cpu_level
from gccllm.lab.train.corpus import types_of
from gccllm.lab.train.text import HEADER
from gccllm.propose.c_bodies import Setting, compile_answers
from gccllm.verify.screen import Context, read_baseline, screen

NAME = "row"
GATES_S = 300.0
"""GCCLLM_BUDGET of one row."""


def source_of(row: Row) -> str:
    return HEADER + str(row["c"]).replace("KERN", NAME) + "\n"


def passes_screen(row: Row, proposal: Proposal, checker: Checker) -> bool:
    """Whether the static gate lets the answer's body stand in the place of gcc -O3's."""
    tools = checker.tools
    try:
        module = Module.parse(_compiled(tools, source_of(row), ("gcc", "-O3")))
        body = _body_of(row, proposal, checker)
        if body is None:
            return False
        context = Context(NAME, march_features((), tools), cpu_level(tools), unit_functions=frozenset(module.functions))
        baseline = read_baseline(module.functions[NAME].body, context, tools)
        return screen(body, baseline, context, tools).verdict.is_accepted
    except (BodyError, NotLossless, RuntimeError, KeyError):
        return False


def _body_of(row: Row, proposal: Proposal, checker: Checker) -> Body | None:
    if proposal.dialect == "asm":
        return Body.parse(proposal.text)
    if proposal.dialect == "recipe":
        module = Module.parse(_compiled(checker.tools, source_of(row), checker.recipes[proposal.text]))
        return module.functions[NAME].body.without_endbr()
    level = cpu_level(checker.tools)
    (made,) = compile_answers([proposal.text], NAME, Setting(types_of(row), checker.tools, level=level))
    return made if isinstance(made, Body) else None


def _compiled(tools: Toolchain, source: str, command: Sequence[str]) -> str:
    compiler, *flags = command
    chosen = Toolchain(gcc=compiler) if compiler not in ("gcc", tools.gcc) else tools
    ran = chosen.compile(["-xc", "-S", "-o-", "-w", *flags, "-"], stdin=source.encode())
    if not ran.ok:
        raise RuntimeError(ran.err[:500])
    return ran.out.decode("latin-1")


@dataclass
class Gated:
    """What became of some rows of a split before the gates."""

    method: str
    split: str
    rows: int = 0
    admitted: int = 0
    over_o3: list[float] = field(default_factory=list)
    over_best: list[float] = field(default_factory=list)
    """The gates' speed-up over gcc -O3 by the best recipe's in the corpus (its inputs, its clock); admitted rows."""
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def gate(
    method: str, model: Path, split: str, rows: Sequence[Row], tick: Callable[[Row], object] = lambda row: None
) -> Gated:
    """Every row through the whole gate with `model` as the only proposer, each with an empty store."""
    found = Gated(method, split)
    started = time.monotonic()
    for row in rows:
        with tempfile.TemporaryDirectory(prefix="gccllm-gates-") as place:
            word, speedup = _explained(row, Path(place), model)
        found.rows += 1
        if speedup is not None:
            o3, best, _ = row["ticks"]
            found.admitted += 1
            found.over_o3.append(speedup)
            found.over_best.append(speedup * best / o3 if o3 else speedup)
        else:
            found.reasons[word] += 1
        tick(row)
    found.seconds = time.monotonic() - started
    return found


def _explained(row: Row, place: Path, model: Path) -> tuple[str, float | None]:
    """The gate's word on the row's function, and its speed-up when it is admitted."""
    source = place / "row.c"
    source.write_text(source_of(row))
    env = {"GCCLLM_CACHE_DIR": str(place / "store"), "GCCLLM_MODEL": str(model), "GCCLLM_PROPOSERS": "model"}
    settings = config.load(place, env).with_values(mode="inline", budget=GATES_S)
    try:
        result = explain(source, ("-O3",), settings)
    except Decline as decline:
        return decline.reason.label, None
    for decision in result.decisions:
        if decision.function != NAME:
            continue
        entry = decision.entry
        if decision.word == "admitted" and entry is not None and entry.evidence is not None:
            return "admitted", entry.evidence.timing.speedup
        return decision.reason.label if decision.reason else decision.word, None
    return result.unit_reason.label if result.unit_reason else "not in the unit", None


GATE_COLUMNS = ("method", "split", "rows", "admitted", "geomean over gcc -O3", "geomean over best", "1.0 elsewhere",
                "why not", "s a row")  # fmt: skip


def gate_rows(gated: Sequence[Gated]) -> list[list[str]]:
    return [
        [
            g.method, g.split, str(g.rows), f"{g.admitted} ({100 * g.admitted / max(1, g.rows):.0f}%)",
            f"{geometric_mean(g.over_o3):.3f}", f"{geometric_mean(g.over_best):.3f}",
            f"{geometric_mean([*g.over_best, *[1.0] * (g.rows - g.admitted)]):.3f}",
            " ".join(f"{reason} {count}" for reason, count in g.reasons.most_common(4)),
            f"{g.seconds / max(1, g.rows):.0f}",
        ]
        for g in gated
    ]  # fmt: skip
