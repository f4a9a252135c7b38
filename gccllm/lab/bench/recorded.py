"""Suite `recorded`: real projects through the whole workflow of recorded calls.

    fetch ── build with gcc ── build in mode record ── gccllm record -- workload ── build with gcc-llm ──┐
                │  │              ▲                                                     ▲                │
                │  └── gccllm profile: which functions are worth it ────────────────────┘                │
                └── the project's own tests, whole-program time ── A/A ── A/B ◄──────────────────────────┘

Each project is built by its own set-up (`recorded_ways`), once with gcc and once with gcc-llm, and its own tests are
run with both: every test must end the same way. Whole-program time is CPU time of the workload on other
data than was recorded, interpreter and start-up included. A finished project is kept as WORK/NAME/result.json, so that
tables can be made again (`--tables`).

Not covered: projects in other languages than C (their units pass through gcc-llm's assembler shim unlooked at).
Nothing fetched is kept in the package or distributed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from gccllm.base import events
from gccllm.lab.bench import recorded_tables as tables
from gccllm.lab.bench import show
from gccllm.lab.bench.objects import BuildFailed, run_tool
from gccllm.lab.bench.recorded_projects import PROJECTS, Project
from gccllm.lab.bench.recorded_tables import Outcome
from gccllm.lab.bench.recorded_ways import BUILD_S, Way, built_at, prepare_python, way_of
from gccllm.unit.profile import FORMAT

GCCLLM = (sys.executable, "-m", "gccllm.commands.cli")
RECORD_CPU = "1000"
"""Percent of the workload's time that recording may take: the runs are short, and nobody waits for them."""
RECORD_SEED, MEASURE_SEED = 1, 2
ROUNDS = 9
TUNE_BUDGETS = 6
"""Budgets of one file that the queue of all files gets."""


def environment(project: Project, place: Path, **more: str) -> dict[str, str]:
    """What builds and runs of a project see: its own store, and of the caller's settings the proposers'."""
    kept = ("GCCLLM_PROPOSERS", "GCCLLM_MODEL", "GCCLLM_ENDPOINT", "GCCLLM_SAMPLES", "GCCLLM_CC")
    env = {name: value for name, value in os.environ.items() if not name.startswith("GCCLLM_") or name in kept}
    name, _, value = project.setting.partition("=")
    env |= {name: value} if name else {}
    if project.exclude:
        env["GCCLLM_EXCLUDE"] = ",".join(project.exclude)
    return env | {"GCCLLM_CACHE_DIR": str(place / "store"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | more


def built(way: Way, root: Path, site: Path, env: Mapping[str, str]) -> float:
    """Seconds of one build."""
    started = time.monotonic()
    way.build(root, site, env)
    return time.monotonic() - started


def workload(project: Project, python: Path, seed: int, amount: tuple[int, int]) -> list[str]:
    return [str(python), str(project.workload), str(seed), *map(str, amount)]


def run_once(argv: Sequence[str], site: Path, env: Mapping[str, str]) -> tuple[int, bytes, float]:
    """(exit status, output, CPU seconds) of one run of the workload with the package in `site`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(argv, env=built_at(site, env), capture_output=True, timeout=BUILD_S, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return ran.returncode, ran.stdout if not ran.returncode else ran.stdout + ran.stderr, used


def whole_program(
    argv: Sequence[str], gcc: Path, again: Path, ours: Path, env: Mapping[str, str], rounds: int
) -> tuple[float, float, str]:
    """(gcc / ours, gcc / gcc's second copy, `yes` or what differs): medians of paired ratios, in random order."""
    rng = random.Random(1)
    ratios, controls = [], []
    for _ in range(rounds):
        order = [("gcc", gcc), ("ours", ours), ("again", again)]
        rng.shuffle(order)
        ran = {who: run_once(argv, site, env) for who, site in order}
        if ran["gcc"][0]:
            return 1.0, 1.0, f"NO: gcc's own build fails: {ran['gcc'][1][-300:].decode(errors='replace')}"
        if ran["ours"][:2] != ran["gcc"][:2]:
            return 1.0, 1.0, f"NO: exit {ran['ours'][0]}, {len(ran['ours'][1])} bytes of other output"
        took = {who: max(one[2], 1e-4) for who, one in ran.items()}
        ratios.append(took["gcc"] / took["ours"])
        controls.append(took["gcc"] / took["again"])
    return statistics.median(ratios), statistics.median(controls), "yes"


def profiled(argv: Sequence[str], site: Path, env: Mapping[str, str], file: Path) -> dict[str, float]:
    """Share of the workload's samples by function of the package's own objects."""
    run_tool([*GCCLLM, "profile", "-o", str(file), "--", *argv], env=built_at(site, env), deadline_s=BUILD_S)
    document = json.loads(file.read_text("utf-8"))
    if document.get("format") != FORMAT:
        raise BuildFailed(f"{file}: not a profile")
    own = {path.name for path in site.rglob("*") if path.suffix == ".so" or os.access(path, os.X_OK)}
    shares: dict[str, float] = {}
    for row in document["functions"]:
        if row["object"] in own and row["function"]:
            shares[row["function"]] = shares.get(row["function"], 0.0) + float(row["share"])
    return shares


def taken_log(store: Path) -> list[dict[str, object]]:
    """The log so far; the next build begins a new one."""
    lines = list(events.read(store))
    (store / "log" / "events.jsonl").unlink(missing_ok=True)
    return lines


def run_project(project: Project, work: Path, python: Path, compiler: str, budget: float, rounds: int) -> Outcome:
    """All steps for one project. Raises BuildFailed when a step cannot be done."""
    place = work / project.package
    place.mkdir(parents=True, exist_ok=True)
    store = place / "store"
    shutil.rmtree(store, ignore_errors=True)
    plain = environment(project, place, CC="gcc")
    way = way_of(project, python)
    root = way.fetch(work / "archives")
    outcome = Outcome(project.package, root.name.rpartition("-")[2])

    gcc, again, ours, recording = (place / name for name in ("gcc", "again", "ours", "record"))
    outcome.seconds["gcc"] = built(way, root, gcc, plain)
    shutil.rmtree(again, ignore_errors=True)
    shutil.copytree(gcc, again)  # the A/A control: the same bytes at another place
    before = way.own_tests(root, gcc, plain)
    measured = workload(project, python, MEASURE_SEED, project.measured)
    shares = profiled(measured, gcc, plain, place / "gccllm.profile")

    env = environment(project, place, CC=compiler)
    if shares:  # too short a run has no sample
        env["GCCLLM_PROFILE"] = str(place / "gccllm.profile")
    budgets = {"GCCLLM_BUDGET": str(budget), "GCCLLM_BUILD_BUDGET": "900000"}
    outcome.seconds["record build"] = built(way, root, recording, {**env, **budgets, "GCCLLM_MODE": "record"})
    at_recording = taken_log(store)
    run_tool(
        [*GCCLLM, "record", "--", *workload(project, python, RECORD_SEED, project.recorded)],
        env=built_at(recording, env) | {"GCCLLM_RECORD_CPU": RECORD_CPU}, deadline_s=BUILD_S,
    )  # fmt: skip
    kept = json.loads(run_tool([*GCCLLM, "tests", "ls", "--all", "--json"], env=env))["functions"]

    outcome.seconds["build"] = built(way, root, ours, {**env, **budgets})
    at_build = taken_log(store)
    if any(line.get("word") == "queued" for line in at_build):  # a noisy moment, or the budget was short
        tune = [*GCCLLM, "tune", "--budget", str(TUNE_BUDGETS * budget)]
        subprocess.run(tune, env=env, capture_output=True, timeout=BUILD_S, check=False)  # some may stay undecided
        outcome.seconds["second build"] = built(way, root, ours, {**env, "GCCLLM_MODE": "cached"})
        at_build += taken_log(store)
    outcome.functions = tables.functions(at_recording, at_build, kept, shares)
    outcome.own_share = sum(shares.values())
    after = way.own_tests(root, ours, plain)
    outcome.tests_before, outcome.tests_after = tables.counted(before), tables.counted(after)
    outcome.tests_same = before == after and "passed" in before.values()
    outcome.differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))[:9]
    outcome.speedup, outcome.aa, outcome.same = whole_program(measured, gcc, again, ours, plain, rounds)
    proposers = env.get("GCCLLM_PROPOSERS", "the default proposers")
    outcome.how = (
        f"{budget:.0f} s of work a file, {rounds} rounds, {proposers}, load {os.getloadavg()[2]:.1f} on "
        f"{os.cpu_count()} CPUs"
    )
    (place / "result.json").write_text(json.dumps(asdict(outcome), indent=1) + "\n")
    return outcome


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every project builds, its tests end as before and its output is the same; 1 otherwise."""
    parser = argparse.ArgumentParser(prog="gccllm bench --suite recorded", description=__doc__.split("\n", 1)[0])
    parser.add_argument("projects", nargs="*", metavar="PROJECT", help=f"of {', '.join(map(str, PROJECTS))}")
    parser.add_argument("--compiler", default="gcc-llm")
    parser.add_argument("--budget", type=float, default=600.0, help="seconds of work per file (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="whole-program runs of each build")
    parser.add_argument("--work", type=Path, help="keep archives, builds, stores and results here")
    parser.add_argument("--python", type=Path, help="an environment that has what the projects' builds and tests need")
    parser.add_argument("--tables", action="store_true", help="run nothing: tables of what WORK holds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="write the tables as Markdown")
    given = parser.parse_args(argv)
    chosen = [p for p in PROJECTS if not given.projects or p.package in given.projects]
    if unknown := set(given.projects) - {p.package for p in PROJECTS}:
        parser.error(f"no such project: {', '.join(sorted(unknown))}")
    out = show.console()
    results = []
    with contextlib.ExitStack() as stack:
        work = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gccllm-recorded-")))
        work = work.resolve()
        python = None if given.tables else given.python or prepare_python(chosen, work)
        for project in chosen:
            if outcome := one(project, work, python, out, given.compiler, given.budget, given.rounds):
                results.append(outcome)
    out.print()
    tables.print_all(out, results)
    if given.json:
        given.json.write_text(json.dumps([asdict(o) for o in results], indent=1) + "\n")
    if given.docs:
        given.docs.write_text(tables.as_markdown(results))
    return 0 if results and all(o.same == "yes" and o.tests_same for o in results) else 1


def one(
    project: Project, work: Path, python: Path | None, out: Console, compiler: str, budget: float, rounds: int
) -> Outcome | None:
    """Run a project (without `python`: what an earlier run found) and print its line; None when there is nothing."""
    if python is None:
        try:
            return tables.outcome_of(json.loads((work / project.package / "result.json").read_text()))
        except FileNotFoundError:
            return None
    try:
        outcome = run_project(project, work, python, compiler, budget, rounds)
    except BuildFailed as failure:
        outcome = Outcome(project.package, same=f"failed: {str(failure)[-600:]}")
    out.print("  ".join(tables.row(outcome)), markup=False, soft_wrap=True)
    return outcome
