"""Campaign 1, edit and rebuild: is a verdict ever used outside of the situation it was made in?

usage: python -m tests.campaign.edits SERIES [DIRECTORY]      one series again; what is wrong is kept in DIRECTORY

A series is a few random projects that share one store; each is built, edited in one place, built again, and so on.
After every build the program must print what gcc's prints. One project in three goes through the launcher and the shim.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from gccllm.propose.recipes import RECIPES
from gccllm.propose.recompile import RecompileProposer
from tests.campaign.builder import HERE, Broken, Builder, Built, Door, command, output, place
from tests.campaign.engine import Engine
from tests.campaign.projects import Project, edit, make, render, sources

PROJECTS, BUILDS = 2, 15
AFRESH = 0.1
"""Builds that compile every unit, also where nothing changed: such a unit can only take another one's answer."""
WHOLE = 50
"""One case in so many is built with the product's own proposers and gates."""
FEW = tuple(r for r in RECIPES if r.name in ("clang-wide", "gcc-narrow", "gcc-branchy"))
CASES = 682
"""Series of the whole campaign: at least 20,000 builds."""
LEAST = {"builds": 25, "hits": 40, "admitted": 40}
"""A series, on average: a campaign in which nothing is rewritten shows nothing."""


def worker(state: Path, options: tuple[str, ...]) -> Callable[[int], dict[str, Any]]:
    campaign = Campaign(find_prefix(), options)

    def one(number: int) -> dict[str, Any]:
        return (
            campaign.whole(number, state) if number % WHOLE == WHOLE - 1 else campaign.series(number, state / "failed")
        )

    return one


def says(counts: Counter[str]) -> str:
    shim = counts["shim units"]
    return (
        f"{counts['builds']} builds ({counts['rewritten builds']} with rewrites linked) of {counts['units'] + shim} "
        f"units, {shim} of them through the shim ({counts['unit cache hits']} answered by its cache); functions: "
        f"{counts['worked']} worked on, {counts['hits']} answered by the store, {counts['admitted']} linked; of these "
        f"by the product's own proposers and gates: {counts['whole builds']} builds, {counts['whole worked']} "
        f"functions worked on, {counts['whole admitted']} linked; {counts['sanitized']} projects clean under the "
        "sanitizers"
    )


class Campaign:
    """One process of it: the engine is installed once."""

    def __init__(self, prefix: Path | None, options: tuple[str, ...] = ()) -> None:
        self.prefix = prefix
        self.engine = Engine({"isa": "guarded"})
        self.engine.install("construction")
        self.stack = contextlib.ExitStack()
        self.here = self.stack.enter_context(place())
        self.door = Door(self.engine, self.here) if prefix else None
        self.options = options

    def series(self, number: int, failed: Path, projects: int = PROJECTS, builds: int = BUILDS,
               admitted: Path | None = None) -> dict[str, Any]:  # fmt: skip
        rng = Random(f"edits {number}")
        counts: Counter[str] = Counter()
        wrong: list[str] = []
        place_ = self.here / f"series-{number}"
        store = place_ / "store"
        for index in range(projects):
            shim = self.prefix is not None and (number + index) % 3 == 0 and admitted is None
            builder = Builder(self.engine, place_ / f"p{index}", store, self.prefix, options=self.options)
            project = make(rng)
            before: Project | None = None
            for step in range(builds):
                afresh = rng.random() < AFRESH
                try:
                    built = builder.build(render(project), sources(project), project.flags, shim=shim, afresh=afresh)
                except Broken as error:
                    counts["broken builds"] += 1
                    keep(failed / f"broken-{number}-{index}-{step}", project, before, None, number, str(error))
                    break
                counts += built.counts
                if built.is_wrong:
                    why = self.why(project, shim)
                    counts[f"wrong: {why}"] += 1
                    name = f"edits-{number}-{index}-{step}"
                    wrong.append(
                        f"{name} {why}{' shim' if shim else ''}: {project.log[-1] if project.log else 'first'}"
                    )
                    keep(failed / name, project, before, built, number, why)
                    break  # the next builds of it would be wrong for the same reason
                if step == 0 and number % 8 == 0:
                    counts["sanitized"] += sanitized(builder, project, built)
                before, project = project, edit(project, rng)
        if admitted is not None:
            for path in store.glob("rewrites/*.entry"):
                if b'"outcome": "accepted"' in path.read_bytes():
                    admitted.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, admitted)
        shutil.rmtree(place_, ignore_errors=True)
        if self.door is not None and self.door.failures:
            counts["engine failures"] += len(self.door.failures)
            wrong += [f"engine: {failure}" for failure in self.door.failures[:3]]
            self.door.failures.clear()
        return {"case": number, "wrong": wrong, **counts}

    def whole(self, number: int, state: Path) -> dict[str, Any]:
        """One project by the product's own proposers and gates, but no timing; what is admitted is for `callers`."""
        self.engine.install("gates")
        engine_proposers, self.engine.proposers = self.engine.proposers, lambda settings: [RecompileProposer(FEW)]
        self.engine.budget_s = 600.0
        try:
            done = self.series(number, state / "failed", projects=1, builds=5, admitted=state / "admitted")
        finally:
            self.engine.proposers, self.engine.budget_s = engine_proposers, 60.0
            self.engine.install("construction")
        whole = {f"whole {name}": value for name, value in done.items() if name in ("builds", "admitted", "worked")}
        return {**done, **whole}

    def why(self, project: Project, shim: bool) -> str:
        """`stale`: right from an empty store. `unit`: right when every unit has its own. `own`: wrong even so."""
        for word, apart in (("stale", False), ("unit", True)):
            with place() as fresh:
                builder = Builder(
                    self.engine, fresh, fresh / "store", self.prefix, is_apart=apart, options=self.options
                )
                if not builder.build(render(project), sources(project), project.flags, shim=shim, afresh=True).is_wrong:
                    return word
        return "own"


def sanitized(builder: Builder, project: Project, built: Built) -> int:
    """1 when the sanitizers had nothing to say and the program prints the same. Raises Broken."""
    if any(flag.startswith(("-ffixed", "-fcall")) for flag in project.flags):
        return 0
    source = builder.here / "src"
    argv = ["gcc", "-O1", "-g", "-fsanitize=undefined,address", "-fno-sanitize-recover=all", "-w", *project.extras]
    command([*argv, *sources(project), "-o", "checked"], source)
    if any(part.kind == "volatile" for part in project.parts):
        return 0  # the handler of SIGSEGV is the sanitizer's
    done = output(source / "checked")
    if done != built.want:
        raise Broken(f"the sanitizers print another thing: {done[1][:500]!r}")
    return 1


def keep(directory: Path, project: Project, before: Project | None, built: Built | None, number: int, why: str) -> None:
    """The project as it was, as it is, what was printed, and how to see it again."""
    shutil.rmtree(directory, ignore_errors=True)
    for name, state in (("before", before), ("after", project)):
        if state is not None:
            (directory / name).mkdir(parents=True)
            for file, text in render(state).items():
                (directory / name / file).write_text(text)
            shutil.copy(HERE / "support.h", directory / name)
            (directory / name / "flags").write_text(" ".join(state.flags) + "\n")
    (directory / "why").write_text(f"{why}\n{chr(10).join(project.log)}\n{dataclasses.asdict(project)}\n")
    if built is not None:
        (directory / "want").write_bytes(f"{built.want[0]}\n".encode() + built.want[1])
        (directory / "got").write_bytes(f"{built.got[0]}\n".encode() + built.got[1])
    script = directory / "run.sh"
    script.write_text(
        f"#!/bin/sh\n# The series again, from an empty store. From the repository's root, its python in PYTHON.\n"
        f'exec "${{PYTHON:-.venv/bin/python}}" -m tests.campaign.edits {number} "$(mktemp -d)"\n'
    )
    script.chmod(0o755)


def find_prefix() -> Path | None:
    """The installation whose launcher stands on PATH or beside this interpreter."""
    beside = Path(sys.executable).parent / "gcc-llm"
    found = shutil.which("gcc-llm") or (str(beside) if beside.exists() else None)
    return Path(found).parent.parent if found else None


def main() -> int:
    number = int(sys.argv[1])
    failed = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(".campaign/failed")
    done = Campaign(find_prefix(), tuple(os.environ.get("CAMPAIGN_OPTIONS", "").split())).series(number, failed)
    print(json.dumps(done, indent=1))
    print(f"kept in {failed}", file=sys.stderr) if done["wrong"] else None
    return 1 if done["wrong"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.SubprocessError as error:
        sys.exit(str(error))
