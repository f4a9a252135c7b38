"""Suite `recorded`: real projects through the whole workflow of recorded calls.

    fetch ── build with gcc ── build in mode record ── gccllm record -- workload ── build with gcc-llm ──┐
                │  └── gccllm profile: share of run time of each function                                │
                └── the project's own tests, whole-program time ── A/A ── A/B ◄──────────────────────────┘

Each project is built by its own set-up (pip, from the source archive), once with gcc and once with gcc-llm, and its
own tests are run with both: every test must end the same way. Whole-program time is CPU time of the workload on other
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
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from gccllm import events
from gccllm.bench import recorded_tables as tables
from gccllm.bench import show
from gccllm.bench.objects import BuildFailed, run_tool
from gccllm.bench.programs import Program, fetch
from gccllm.bench.recorded_projects import PROJECTS, Project
from gccllm.bench.recorded_tables import Outcome
from gccllm.profile import FORMAT

GCCLLM = (sys.executable, "-m", "gccllm.cli")
RECORD_CPU = "100"
"""Percent of the workload's time that recording may take: the runs are short, and nobody waits for them."""
BUILD_S = 14400.0
RECORD_SEED, MEASURE_SEED = 1, 2
ROUNDS = 9


def environment(project: Project, place: Path, **more: str) -> dict[str, str]:
    """What builds and runs of a project see: its own store, and of the caller's settings the proposers'."""
    kept = ("GCCLLM_PROPOSERS", "GCCLLM_MODEL", "GCCLLM_ENDPOINT", "GCCLLM_SAMPLES", "GCCLLM_CC")
    env = {name: value for name, value in os.environ.items() if not name.startswith("GCCLLM_") or name in kept}
    name, _, value = project.setting.partition("=")
    env |= {name: value} if name else {}
    if project.exclude:
        env["GCCLLM_EXCLUDE"] = ",".join(project.exclude)
    return env | {"GCCLLM_CACHE_DIR": str(place / "store"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | more


def prepare_python(projects: Sequence[Project], work: Path) -> Path:
    """An environment that has what the builds and the tests of the projects need; its interpreter."""
    place = work / "python"
    python = place / "bin" / "python"
    if not python.exists():
        run_tool([sys.executable, "-m", "venv", str(place)])
    needs = sorted({"setuptools", "wheel", "pytest", *(name for project in projects for name in project.needs)})
    run_tool([str(python), "-m", "pip", "install", "-q", "-U", *needs], deadline_s=BUILD_S)
    return python


def build(project: Project, root: Path, python: Path, site: Path, env: Mapping[str, str]) -> float:
    """Build the project by its own set-up into the folder `site`; seconds taken."""
    started = time.monotonic()
    tree = site.with_suffix(".tree")
    for old in (site, tree):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(root, tree)
    for glob in project.without:
        for path in tree.glob(glob):
            shutil.rmtree(path)
    run_tool(
        [str(python), "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-cache-dir",
         "--no-index", "--target", str(site), str(tree)], env=env, deadline_s=BUILD_S,
    )  # fmt: skip
    return time.monotonic() - started


def own_tests(project: Project, root: Path, python: Path, site: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Test to `passed`, `failed` or `skipped`. Raises BuildFailed when pytest cannot tell, or collect all of them.

    Tests that are installed with the package are run where they were installed: pytest takes no module that is
    found in two places.
    """
    report = site.with_suffix(".xml")
    report.unlink(missing_ok=True)
    chosen = ["-k", " and ".join(f"not {word}" for word in project.deselect)] if project.deselect else []
    if all((site / path).exists() for path in project.tests):
        root = site
    with tempfile.TemporaryDirectory(prefix="gccllm-tests-") as empty:
        # The built package, not the tree that the tests lie in: hence elsewhere, and `append`.
        argv = [str(python), "-m", "pytest", "-q", "--import-mode=append", "-p", "no:cacheprovider",
                f"--rootdir={root}", f"--junitxml={report}", *chosen,
                *(str(root / path) for path in project.tests)]  # fmt: skip
        ran = subprocess.run(
            argv, cwd=empty, env={**env, "PYTHONPATH": str(site)}, capture_output=True, text=True, timeout=BUILD_S,
            check=False,
        )  # fmt: skip
    if ran.returncode not in (0, 1) or not report.exists():  # 1: a test failed; more: pytest did not come so far
        raise BuildFailed(f"pytest: exit {ran.returncode}: {(ran.stdout + ran.stderr)[-2000:]}")
    return read_junit(report)


def read_junit(report: Path) -> dict[str, str]:
    """Test to outcome. Parameters are numbered, because their names may hold random data."""
    found: dict[str, str] = {}
    number: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        name = f"{case.get('classname')}::{str(case.get('name')).partition('[')[0]}"
        number[name] += 1
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[f"{name} {number[name]}"] = outcome
    return found


def workload(project: Project, python: Path, seed: int, amount: tuple[int, int]) -> list[str]:
    return [str(python), str(project.workload), str(seed), *map(str, amount)]


def run_once(argv: Sequence[str], site: Path, env: Mapping[str, str]) -> tuple[int, bytes, float]:
    """(exit status, output, CPU seconds) of one run of the workload with the package in `site`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(argv, env={**env, "PYTHONPATH": str(site)}, capture_output=True, timeout=BUILD_S, check=False)
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
    run_tool(
        [*GCCLLM, "profile", "-o", str(file), "--", *argv], env={**env, "PYTHONPATH": str(site)}, deadline_s=BUILD_S
    )
    document = json.loads(file.read_text("utf-8"))
    if document.get("format") != FORMAT:
        raise BuildFailed(f"{file}: not a profile")
    own = {path.name for path in site.rglob("*.so")}
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
    root = fetch(Program(project.package, (), "", setting=project.setting), work / "archives")
    outcome = Outcome(project.package, root.name.rpartition("-")[2])

    gcc, again, ours, recording = (place / name for name in ("gcc", "again", "ours", "record"))
    outcome.seconds["gcc"] = build(project, root, python, gcc, plain)
    shutil.rmtree(again, ignore_errors=True)
    shutil.copytree(gcc, again)  # the A/A control: the same bytes at another place
    before = own_tests(project, root, python, gcc, plain)
    measured = workload(project, python, MEASURE_SEED, project.measured)
    shares = profiled(measured, gcc, plain, place / "gccllm.profile")

    env = environment(project, place, CC=compiler)
    outcome.seconds["record build"] = build(project, root, python, recording, {**env, "GCCLLM_MODE": "record",
                                                                             "GCCLLM_BUDGET": str(budget)})  # fmt: skip
    at_recording = taken_log(store)
    run_tool(
        [*GCCLLM, "record", "--", *workload(project, python, RECORD_SEED, project.recorded)],
        env={**env, "PYTHONPATH": str(recording), "GCCLLM_RECORD_CPU": RECORD_CPU}, deadline_s=BUILD_S,
    )  # fmt: skip
    kept = json.loads(run_tool([*GCCLLM, "tests", "ls", "--all", "--json"], env=env))

    outcome.seconds["build"] = build(project, root, python, ours, {**env, "GCCLLM_BUDGET": str(budget)})
    at_build = taken_log(store)
    if any(line.get("word") == "queued" for line in at_build):  # a noisy moment, or the budget was short
        tune = [*GCCLLM, "tune", "--budget", str(budget)]
        subprocess.run(tune, env=env, capture_output=True, timeout=BUILD_S, check=False)  # some may stay undecided
        outcome.seconds["second build"] = build(project, root, python, ours, {**env, "GCCLLM_MODE": "cached"})
        at_build += taken_log(store)
    outcome.functions = tables.functions(at_recording, at_build, kept, shares)
    outcome.own_share = sum(shares.values())
    after = own_tests(project, root, python, ours, plain)
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
