"""Campaign 4, hostile model: every answer is a lie about a right body, forced on every function with hotness off.

A case is one function: a kernel of the benchmark, or a target of a random project. Its baseline and what other
compilers make of it are lied about (`lies`); all gates are real, timing is skipped. What is accepted is put into a
whole program and compared with gcc's, on inputs that no gate has seen: kernels in the benchmark's own harness, on sizes
beyond the tests', targets under `callers`. `prove` says of some that they are no lies at all.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from gccllm import prove
from gccllm.assembly import BodyError
from gccllm.base import config
from gccllm.base.core import Candidate, Decline, Slot, Timing
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log
from gccllm.commands.oneshot import request_for
from gccllm.harvest.types import Pointer
from gccllm.lab.bench import objects
from gccllm.lab.bench.mutants import Options, _behaviour
from gccllm.propose.recompile import RecompileProposer
from gccllm.unit.plan import plan
from gccllm.unit.session import UnitSession
from gccllm.verdict import outcome
from gccllm.verdict.outcome import Judgement, Judgements
from gccllm.verdict.suite import Suite, set_up
from gccllm.verify.judge import Judged, judge_many
from tests.campaign.builder import place
from tests.campaign.callers import compared
from tests.campaign.edits import FEW
from tests.campaign.engine import replace_all
from tests.campaign.lies import Argument, Lie, lies
from tests.campaign.projects import make, render

HERE = Path(__file__).resolve().parent
PLAIN, HOSTILE = 60, 30
BATCH = 24
SET_UP_S = 600.0
TARGETS = 200
MEANINGS = ("-fwrapv", "-fno-strict-aliasing", "-fPIC", "-fno-tree-vectorize")
"""Options of random projects that a target keeps; under others the product declines."""
CASES = len(objects.kernel_names()) + TARGETS
LEAST = {"candidates": 50}


def worker(state: Path, options: tuple[str, ...]) -> Callable[[int], dict[str, Any]]:
    replace_all({})
    return lambda number: case(number, state, options)


def says(counts: Counter[str]) -> str:
    refused = sum(value for name, value in counts.items() if name.startswith("refused: "))
    stages = ", ".join(f"{counts[f'refused: {s}']} {s}" for s in STAGES if counts[f"refused: {s}"])
    ideas = ", ".join(f"{counts[f'accepted: {o}']} {o}" for o in IDEAS if counts[f"accepted: {o}"])
    return (
        f"{counts['functions']} functions ({counts['declined']} more declined), {counts['candidates']} lies: {refused} "
        f"refused ({stages}), {counts['accepted']} accepted; of these {counts['proved']} proved the same, "
        f"{counts['compared']} equal in programs on fresh inputs, {counts['no place']} without a place in the unit, "
        f"{counts['not compared']} not comparable there; accepted ideas, of all kinds of lies: {ideas or 'none'}"
    )


IDEAS = ("length cut", "length clamped", "tail left out", "hangs on an address", "alignment assumed",
         "accumulator narrowed", "read beyond", "stray store", "text")  # fmt: skip
"""Lies that are no small changes (`lies`). One that is accepted is equal only where nobody can tell: look at it."""
STAGES = ("parse", "assemble", "screen", "replay", "contract", "edges", "arguments", "confirm", "large")


def case(number: int, state: Path, options: tuple[str, ...]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    names = objects.kernel_names()
    with place() as here:
        settings = config.load(Path("/"), env={}).with_values(cache_dir=str(here / "store"))
        if number < len(names):
            name = names[number]
            source, flags = objects.KERNELS / f"{name}.c", ("-O3", f"-Dkern={name}", *options)
        else:
            source, name, flags = target(number, here, options)
        try:
            unit = plan(request_for(source, flags, cwd=here), settings)
            session = UnitSession(unit, settings, Log(here / "log"))
            function = unit.module.functions.get(name)
            if function is None:
                return {"case": number, "wrong": [], "inlined away": 1}
            suite = set_up(session.target(function), here, Deadline(SET_UP_S))
            for lie, found in accepted(session, suite, number, counts):
                word = look(lie, found, session, suite, name, here, is_kernel=number < len(names), counts=counts)
                if word:
                    kept = state / "failed" / f"hostile-{number}-{name}-{counts['wrong accepted']}"
                    counts["wrong accepted"] += 1
                    keep(kept, source, number, name, flags, lie, suite, word)
                    wrong.append(f"{kept.name}: {lie.operator}: {lie.what}: {word}")
            counts["functions"] += 1
        except (Decline, BodyError) as reason:
            counts["declined"] += 1
            counts[f"declined: {reason.reason.label}"] += 1
    return {"case": number, "wrong": wrong, **counts}


def target(number: int, here: Path, options: tuple[str, ...]) -> tuple[Path, str, tuple[str, ...]]:
    """A target of a random project: its unit's file, its name, the flags."""
    rng = Random(f"hostile {number}")
    project = make(rng)
    for name, text in render(project).items():
        (here / name).write_text(text)
    shutil.copy(HERE / "support.h", here)
    part = rng.choice(project.parts)
    extras = tuple(flag for flag in project.extras if flag in MEANINGS)
    return here / f"unit_{part.home}.c", f"target_{part.number}", ("-O3", "-w", *extras, *options)


def accepted(session: UnitSession, suite: Suite, number: int, counts: Counter[str]) -> Iterator[tuple[Lie, Judged]]:
    bodies = [suite.bench.baseline]
    prompt = session.prompt(_function(session, suite), suite.signature)
    for candidate in RecompileProposer(FEW).propose(prompt, 3, 60.0):
        found = judge_many([candidate], suite.bench)[0]
        if found.verdict.is_accepted:
            bodies.append(found.body)
    share = len(bodies)
    arguments = [
        Argument(
            min(8, param.type.size),
            param.type.to.align if isinstance(param.type, Pointer) else 1,
            isinstance(param.type, Pointer),
        )
        for param in suite.signature.params
        for place in param.places
        if place.file == "int"
    ]
    has_result = any(returned.slot is Slot.RAX for returned in suite.bench.returns)
    told = [
        lie
        for index, body in enumerate(bodies)
        for lie in lies(
            body,
            plain=PLAIN // share,
            hostile=HOSTILE // share,
            seed=number,
            is_baseline=index == 0,
            arguments=arguments,
            has_result=has_result,
        )
    ]
    for start in range(0, len(told), BATCH):
        batch = told[start : start + BATCH]
        judged = judge_many([Candidate(lie.text, "model", lie.operator) for lie in batch], suite.bench)
        for lie, found in zip(batch, judged, strict=True):
            counts["candidates"] += 1
            if found.verdict.is_accepted:
                counts["accepted"] += 1
                counts[f"accepted: {lie.operator}"] += 1
                yield lie, found
            else:
                counts[f"refused: {found.verdict.stage}"] += 1


def _function(session: UnitSession, suite: Suite) -> Any:
    return session.unit.module.functions[suite.subject.target.name]


def look(lie: Lie, found: Judged, session: UnitSession, suite: Suite, name: str, here: Path, *, is_kernel: bool,
         counts: Counter[str]) -> str:  # fmt: skip
    """What the program with the lie does otherwise, in words; empty when nothing is seen."""
    if lie.operator == "length clamped":  # of a whole number that the gates took: wrong above the clamp, unseen or not
        return f"accepted, and wrong beyond: {lie.what}"
    base = suite.bench.baseline
    is_near = lie.body is not None and lie.line >= 0 and lie.body.lines[: lie.line] == base.lines[: lie.line]
    if is_near and lie.body is not None and prove.same(base, [(lie.line, lie.body)], session.unit.tools)[0]:
        counts["proved"] += 1
        return ""
    if is_kernel:
        said = _behaviour(found, session.unit, name, here, Options())
        if said == "yes":
            counts["compared"] += 1
            return ""
        if said.startswith("splice"):
            counts["no place"] += 1
            return ""
        return said
    winner = Judgement(found, 2.0)
    timing = Timing(2.0, 1.9, 2.1, {}, 100.0, 1.0, 1, 1)
    entry = outcome.accepted(session.target(_function(session, suite)), Judgements(suite), winner, timing)
    callers: Counter[str] = Counter()
    with place() as apart:
        said = compared(entry, apart, callers, levels=(("-O2",),))
    counts["compared" if callers["entries"] else "not compared"] += not said
    return said


def keep(
    directory: Path, source: Path, number: int, name: str, flags: tuple[str, ...], lie: Lie, suite: Suite, word: str
) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    shutil.copy(source, directory)
    (directory / "lie.s").write_text(lie.text)
    (directory / "gcc.s").write_text(suite.bench.baseline.text())
    facts = {"function": name, "flags": flags, "operator": lie.operator, "what": lie.what, "seen": word}
    (directory / "why").write_text(json.dumps(facts, indent=1) + "\n")
    script = directory / "run.sh"
    script.write_text(
        "#!/bin/sh\n# The case again, from the root, its python in PYTHON: every lie about the function.\n"
        'exec "${PYTHON:-.venv/bin/python}" -m tests.campaign --state "$(mktemp -d)" '
        f"--part hostile --case {number}\n"
    )
    script.chmod(0o755)
