"""Suite `model`: what the model gives beside copies, recipes and random edits, on what it was never trained on.

Rows are the corpus's held-out splits, compositions whose experts beat the recipes, and all of the benchmark's kernels
that have a prompt. Every method answers every row (`model_methods`),
every answer is tested on states of its own and timed (`model_check`), the best of N is what a build would get
(`model_results`); tables and curves by `model_tables`. Some bodies are shown to the screen, `--gates` sends rows
through the whole gate (`model_gates`), `--programs` adds the paper's whole-program protocol (`model_programs`).

The JSON file is written after every method, and methods that are in it already (same rows, settings and model file) are
not run again, so that a stopped run goes on.

Covered: integer functions of the corpus's kinds, on one size of input. Not covered: speed to the percent and other
sizes (suite `kernels`), real programs (suite `programs`).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import platform
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from gccllm.base.toolchain import Toolchain
from gccllm.lab.bench import model_gates, model_programs, model_tables, show
from gccllm.lab.bench.model_check import Checker
from gccllm.lab.bench.model_methods import Copy, Method, Model, RandomEdits, Recipes, Repaired, Row, Taught
from gccllm.lab.bench.model_results import Findings, Outcome, Sample, evaluate
from gccllm.lab.train import corpus
from gccllm.lab.train.examples import taught
from gccllm.lab.train.kernels import kernel_rows
from gccllm.propose.c_words import KEEP
from gccllm.propose.llama import ModelError
from gccllm.unit.isa_allowance import cpu_name

AA = "A/A: gcc -O3 again"
TESTS = 200
SEED = 1_000_003
"""Of the suite's own states: the corpus and repair use small seeds, rewards far larger ones."""


@dataclass(frozen=True)
class Options:
    out: Path
    """Training folder: corpus.jsonl, and where the check program is built."""
    ggufs: tuple[tuple[str, Path], ...] = ()
    rows: int = 150
    """Per split; 0: all."""
    splits: tuple[str, ...] = tuple(model_tables.SPLITS)
    ns: tuple[int, ...] = (1, 8, 32)
    repair_s: float = 0.0
    """Seconds of repair a row; 0: no such method."""
    repair_of: tuple[str, ...] = ()
    """Names of the models that are repaired; empty: all."""
    edits_s: float = 0.0
    """Seconds of random edits a row; 0: no such method."""
    tests: int = TESTS
    screen: int = 40
    """Bodies of a method and split shown to the screen."""
    seed: int = SEED


def rows_of(options: Options, tools: Toolchain) -> list[Row]:
    """Held-out rows, drawn the same way each time, then the kernels. None has the text of another."""
    pools: dict[str, list[Row]] = {split: [] for split in options.splits}
    path = options.out / corpus.NAME
    if path.exists():
        reserved = corpus.reserved_texts(tools)
        for row in taught([row for row in corpus.read(path) if row["prompt"] not in reserved]):
            # where the compilers are as good there is nothing for a model to win
            if row["split"] in pools and row["answer"] != KEEP:
                pools[row["split"]].append(row)
    if "kernels" in pools:
        pools["kernels"] = kernel_rows(tools)
    rng = random.Random(5)
    rows: list[Row] = []
    for split, pool in pools.items():
        wanted = len(pool) if split == "kernels" or not options.rows else min(options.rows, len(pool))
        rows += rng.sample(pool, wanted)
    return list({row["prompt"]: row for row in rows}.values())


@contextlib.contextmanager
def methods_of(options: Options, checker: Checker, out: Console) -> Iterator[list[Method]]:
    """The methods, cheapest first. A GGUF that cannot be used is reported and left out."""
    made: list[Method] = [Copy(AA, min(8, options.ns[-1])), Copy(), Recipes(checker), Taught()]
    models: list[Model] = []
    for name, path in options.ggufs:
        try:
            models.append(Model(name, path))
        except (ModelError, OSError, ValueError) as error:
            out.print(f"{name} is left out: {error}", style="red", markup=False)
    made += models
    if options.repair_s:
        repaired = [model for model in models if not options.repair_of or model.name in options.repair_of]
        made += [Repaired(model, checker, options.repair_s) for model in repaired]
    if options.edits_s:
        made.append(RandomEdits(checker, options.edits_s))
    try:
        yield made
    finally:
        for method in made:
            method.close()


def run_model(options: Options, out: Console, stored: Path | None = None) -> list[Findings]:
    """Every method over every row. `stored`: the JSON file to go on from and to write."""
    tools = Toolchain.find()
    checker = Checker(tools, options.out)
    rows = rows_of(options, tools)
    known = _known(stored, _setting(options, rows)) if stored else {}
    findings: list[Findings] = []
    with methods_of(options, checker, out) as methods:
        for method in methods:
            found = known.get(method.name)
            if found is None or found.identity != method.identity:
                with _ticking(out, len(rows), method.name) as tick:
                    found = evaluate(method, rows, checker, options.ns[-1], tests=options.tests, seed=options.seed,
                                     tick=tick)  # fmt: skip
                _screen(found, options, checker)
                if not out.is_terminal:
                    out.print(f"{method.name}: {len(rows)} rows", markup=False)
            findings.append(found)
            if stored:
                _store(stored, _setting(options, rows), [*known.values(), *findings])
    return findings


@contextlib.contextmanager
def _ticking(out: Console, total: int, what: str) -> Iterator[Callable[[object], None]]:
    """A function to call once a step, with a bar on a terminal."""
    steps = iter(show.progress(out, range(total), what))
    next(steps, None)

    def tick(done: object) -> None:
        next(steps, None)

    try:
        yield tick
    finally:
        for _ in steps:
            pass


def _screen(found: Findings, options: Options, checker: Checker) -> None:
    rng = random.Random(options.seed)
    for split in options.splits:
        pool = [(row, proposal) for row, proposal in found.proposals if row["split"] == split]
        chosen = rng.sample(pool, min(options.screen, len(pool)))
        if chosen:
            passed = sum(model_gates.passes_screen(row, proposal, checker) for row, proposal in chosen)
            found.screened[split] = (passed, len(chosen))


# --- the file -----------------------------------------------------------------------------------------------------


def _setting(options: Options, rows: Sequence[Row]) -> dict[str, Any]:
    """What figures have to share to be compared."""
    texts = hashlib.sha256("\0".join(row["prompt"] for row in rows).encode()).hexdigest()[:16]
    return {"rows": len(rows), "prompts": texts, "ns": list(options.ns), "tests": options.tests, "seed": options.seed,
            "repair": options.repair_s, "edits": options.edits_s, "cpu": cpu_name()}  # fmt: skip


def _store(path: Path, setting: dict[str, Any], findings: Sequence[Findings]) -> None:
    methods = {f.method: {"kind": f.kind, "identity": f.identity, "screened": f.screened,
                          "outcomes": [asdict(o) for o in f.outcomes]}
               for f in findings}  # fmt: skip
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"setting": setting, "methods": methods}))
    temporary.replace(path)


def _known(path: Path, setting: dict[str, Any]) -> dict[str, Findings]:
    """Methods of an earlier run with the same setting."""
    if not path.exists():
        return {}
    stored = json.loads(path.read_text())
    if stored["setting"] != setting:
        return {}
    return {
        name: Findings(
            name, one["kind"], one["identity"], [_outcome(o) for o in one["outcomes"]],
            screened={split: (shown[0], shown[1]) for split, shown in one["screened"].items()},
        )
        for name, one in stored["methods"].items()
    }  # fmt: skip


def _outcome(stored: dict[str, Any]) -> Outcome:
    def sample(one: dict[str, Any]) -> Sample:
        over_o3, over_native, over_best, picked = one["ratios"]
        return Sample(one["status"], one["rank"], (over_o3, over_native, over_best, picked))

    first = sample(stored["first"]) if stored["first"] else None
    return Outcome(**{**stored, "samples": [sample(one) for one in stored["samples"]], "first": first})


# --- the command --------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """0; tables on standard output."""
    given = _arguments(argv)
    options = Options(
        given.out, tuple(given.gguf), given.rows, tuple(given.splits), tuple(sorted(set(given.n))), given.repair,
        tuple(given.repair_of), given.repair if given.edits is None else given.edits, given.tests,
        given.screen, given.seed,
    )  # fmt: skip
    out = show.console()
    findings = run_model(options, out, given.json)
    parts = model_tables.sheets(findings, options.ns)
    parts += _gates(options, given.gates, out)
    if given.programs:
        parts.append(_programs(given.compiler.split(), given.work, out))
    for sheet in parts:
        out.print(f"\n{sheet.title}", markup=False)
        show.table(out, sheet.columns, sheet.rows, sheet.columns[1:])
    if given.docs:
        given.docs.mkdir(parents=True, exist_ok=True)
        pictures = model_tables.plots(findings, options.ns[-1], given.docs)
        where = f"{cpu_name()}, {platform.machine()}; {options.rows} rows a split, seed {options.seed}."
        (given.docs / "model.md").write_text(model_tables.document(parts, where, options.tests, pictures))
    return 0


def _gates(options: Options, wanted: int, out: Console) -> list[model_tables.Sheet]:
    """`wanted` rows of each split through the whole gate under each model."""
    if not wanted:
        return []
    rows = rows_of(options, Toolchain.find())
    gated = []
    for name, path in options.ggufs:
        for split in options.splits:
            chosen = [row for row in rows if row["split"] == split][:wanted]
            if chosen:
                with _ticking(out, len(chosen), f"gates, {name}, {split}") as tick:
                    gated.append(model_gates.gate(name, path.resolve(), split, chosen, tick))
    title = "Through the whole gate (harvest, screen, replay, contract, timing), the model alone"
    return [model_tables.Sheet(title, list(model_gates.GATE_COLUMNS), model_gates.gate_rows(gated))]


def _programs(compiler: Sequence[str], work: Path | None, out: Console) -> model_tables.Sheet:
    with contextlib.ExitStack() as stack:
        place = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gccllm-whole-")))
        with _ticking(out, len(model_programs.program_names()), "programs") as tick:
            found = model_programs.run_programs(compiler, place.resolve(), tick=tick)
    title = f"Whole programs over gcc -O3, {model_programs.RUNS} runs each; paper's: means, clamped at 1"
    return model_tables.Sheet(title, list(model_programs.COLUMNS), model_programs.rows(found))


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, Path(path)


def _words(text: str) -> list[str]:
    if unknown := set(text.split(",")) - set(model_tables.SPLITS):
        raise argparse.ArgumentTypeError(f"no such split: {', '.join(sorted(unknown))}")
    return text.split(",")


def _counts(text: str) -> list[int]:
    counts = [int(word) for word in text.split(",")]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError("numbers of answers are positive")
    return counts


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    default = Options(Path(".train"))
    parser = argparse.ArgumentParser(prog="gccllm bench --suite model", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=default.out, help="training folder with corpus.jsonl")
    parser.add_argument("--gguf", type=_named, action="append", default=[], metavar="NAME=PATH",
                        help="a model with its tokens.json beside it; as often as there are models")  # fmt: skip
    parser.add_argument("--rows", type=int, default=default.rows, help="per split; 0: all")
    parser.add_argument("--splits", type=_words, default=list(default.splits), metavar="A,B")
    parser.add_argument("--n", type=_counts, default=list(default.ns), metavar="1,8,32", help="answers a row")
    parser.add_argument("--repair", type=float, default=0.0, metavar="SECONDS", help="also each model with repair")
    parser.add_argument("--repair-of", action="append", default=[], metavar="NAME", help="only this model")
    parser.add_argument("--edits", type=float, metavar="SECONDS",
                        help="random edits for so long a row (default: as long as repair)")  # fmt: skip
    parser.add_argument("--tests", type=int, default=default.tests)
    parser.add_argument("--screen", type=int, default=default.screen, help="bodies a method and split for the screen")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--gates", type=int, default=0, metavar="K", help="rows a split through the whole gate")
    parser.add_argument("--programs", action="store_true", help="also the whole-program protocol")
    parser.add_argument("--compiler", default="gcc-llm", help="of the whole programs")
    parser.add_argument("--work", type=Path, help="keep the whole programs and their store here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures; a second run goes on from it")
    parser.add_argument("--docs", type=Path, metavar="DIR", help="write DIR/model.md and its plots")
    return parser.parse_args(argv)
