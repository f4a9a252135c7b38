"""Campaign, part 5: kills, failing writes, damaged files, clocks that jump, many builds at once.

usage: python -m tests.campaign.faults --state DIR [--count N] [--seed S]

Each case starts from a copy of one project with a full store, injects one fault into one build (`faults.c`), looks at
what that build gave, and builds again without a fault. Wrong is: an exit status that gcc would not give, an object that
is neither gcc's nor prints what gcc's does, a half-written file that a reader would take, a word on standard output,
a temporary file left by a build that was not killed.

Every case is a line in DIR/faults/cases.jsonl; a rerun goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaign.faults_site import Broken, Site, install

YEAR = 365 * 86400
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.EDQUOT)

# What a build finds: {name: (environment, what is taken out of the full store)}.
SCENES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "served": ({}, ()),
    "hit": ({}, ("units",)),
    "cached": ({"GCCLLM_MODE": "cached"}, ("units",)),
    "queued": ({"GCCLLM_MODE": "queue"}, ("units", "queue")),
    "worked": ({}, ("units", "rewrites", "locks")),
    "nothing": ({}, ("",)),
}
KILLED = ("hit", "worked", "hit", "cached", "queued", "nothing", "served", "worked")
FAILING = ("hit", "queued", "worked", "nothing")
DAMAGED = ("served", "hit", "cached", "worked")


@dataclass
class Campaign:
    """`base`: the project with the full store. `want`: what the program prints. `good`: objects known to be right."""

    base: Site
    place: Path
    want: str
    good: set[bytes]
    gccs: bytes

    def scene(self, name: str) -> tuple[Site, dict[str, str]]:
        site = self.base.copy(self.place)
        env, missing = SCENES[name]
        for part in missing:
            shutil.rmtree(site.store / part, ignore_errors=True)
        return site, dict(env)

    def is_right(self, site: Site, out: str = "total.o") -> bool:
        made = site.object(out)
        if made is None:
            return False
        if made not in self.good:
            if site.prints(out) != self.want:
                return False
            self.good.add(made)
        return True

    def after(self, site: Site, wrong: list[str], *, killed: bool, damaged: bool = False) -> None:
        """What holds after every fault: nothing half-written, nothing left, and the next build is right."""
        wrong += [] if damaged else site.halves()
        if not killed and site.left():
            wrong.append(f"left: {site.left()}")
        status, said = site.build()
        if (status, said) != (0, b"") or not self.is_right(site):
            wrong.append(f"the next build: {status} {said[:200]!r}")
        if not damaged and site.halves():  # what we damaged, and nobody has read, may still be there
            wrong.append(f"after the next build: {site.halves()}")


def kill(campaign: Campaign, rng: random.Random, number: int) -> list[str]:
    """SIGKILL at a random moment: to all, to the compiler's driver, to the assembler shim or to the engine."""
    name = KILLED[number % len(KILLED)]
    site, env = campaign.scene(name)
    child = site.start(env)
    until = time.monotonic() + rng.random() ** 2 * {"worked": 6.0, "nothing": 6.0, "served": 0.15}.get(name, 1.2)
    whom = rng.choice(("all", "all", "engine", "shim", "driver"))
    while time.monotonic() < until and child.poll() is None:
        time.sleep(0.002)
    pids = {"all": [-child.pid], "driver": [child.pid]}.get(whom) or descendants(child.pid, whom)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pids = []
    said, _ = child.communicate(timeout=300)
    wrong: list[str] = []
    if child.returncode == 0 and not campaign.is_right(site):
        wrong.append("exit status 0 with a wrong object")
    if child.returncode != 0 and (whom == "engine" or not pids):
        wrong.append(f"{whom}: status {child.returncode}, {said[:200]!r}")
    if child.returncode == 0 and said:
        wrong.append(f"{whom}: said {said[:200]!r}")
    wait_for_orphans(site)
    campaign.after(site, wrong, killed=True)
    return wrong


def descendants(pid: int, whom: str) -> list[int]:
    """Processes below `pid` that are the engine, or the shim."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        try:
            words = Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")
            todo += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except (OSError, ValueError):
            continue
        is_engine = b"tests.campaign.faults_engine" in words
        if is_engine if whom == "engine" else words[0].endswith(b"/libexec/gccllm/as"):
            found.append(one)
    return found


def wait_for_orphans(site: Site) -> None:
    """What a killed build leaves running ends by itself; until then it may still write to the store."""
    mark = str(site.here).encode()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        alive = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if mark in path.read_bytes() and int(path.parent.name) != os.getpid():
                    alive.append(path)
            except (OSError, ValueError):
                continue
        if not alive:
            return
        time.sleep(0.02)


def failing(campaign: Campaign, name: str, at: int, error: int) -> list[str]:
    """The `at`-th operation that changes the store fails, or (0) the process ends in front of it."""
    site, env = campaign.scene(name)
    status, said = site.build(env | injection(site, at, error))
    wrong: list[str] = []
    if (status, said) != (0, b"") and error:
        wrong.append(f"status {status}, {said[:300]!r}")
    if status == 0 and not campaign.is_right(site):
        wrong.append("exit status 0 with a wrong object")
    if not error:
        wait_for_orphans(site)
    campaign.after(site, wrong, killed=not error)
    return wrong


def injection(site: Site, at: int, error: int) -> dict[str, str]:
    counter = site.here / "counter"
    counter.write_bytes(bytes(8))
    return {
        "LD_PRELOAD": str(site.prefix / "faults.so"), "FAULT_ROOT": f"{site.store}", "FAULT_FILE": str(counter),
        "FAULT_AT": str(at), "FAULT_ERRNO": str(error),
    }  # fmt: skip


def operations(campaign: Campaign, name: str) -> int:
    """How many operations on the store a build of that scene has."""
    site, env = campaign.scene(name)
    status, said = site.build(env | injection(site, 0, errno.EIO))
    count = int.from_bytes((site.here / "counter").read_bytes(), "little")
    if status or said or not count:
        raise Broken(f"{name}: {count} operations counted, status {status}, {said[:500]!r}")
    return count


def damage(campaign: Campaign, rng: random.Random, number: int) -> list[str]:
    """A stored file with a bit turned, cut short, longer, empty, of zeros, or in the place of another."""
    name = DAMAGED[number % len(DAMAGED)]
    site, env = campaign.scene(name)
    files = sorted(path for path in site.store.rglob("*") if path.is_file() and path.suffix != ".lock")
    kinds = sorted({path.relative_to(site.store).parts[0] for path in files})
    kind = kinds[number // len(DAMAGED) % len(kinds)]
    path = rng.choice([path for path in files if path.relative_to(site.store).parts[0] == kind])
    raw = path.read_bytes()
    at = rng.randrange(len(raw)) if raw else 0
    way = rng.choice(("bit", "bit", "bit", "cut", "longer", "empty", "zeros", "swapped"))
    path.write_bytes({
        "bit": raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :] if raw else b"\1",
        "cut": raw[:at], "longer": raw + b"\n", "empty": b"", "zeros": bytes(len(raw)),
        "swapped": rng.choice(files).read_bytes(),
    }[way])  # fmt: skip
    wrong: list[str] = []
    status, said = site.build(env)
    if (status, said) != (0, b"") or not campaign.is_right(site):
        wrong.append(f"{way} at {at} of {path.relative_to(site.store)}: {status} {said[:200]!r}")
    campaign.after(site, wrong, killed=False, damaged=True)
    return [f"{way} at {at} of {path.relative_to(site.store)}: {one}" for one in wrong]


def clock(campaign: Campaign, rng: random.Random, number: int) -> list[str]:
    """The time of day jumps by years, ahead or back."""
    site, env = campaign.scene(("hit", "nothing", "cached", "served")[number % 4])
    ahead = rng.choice((-56 * YEAR, -YEAR, -3600, 3600, YEAR, 30 * YEAR, 200 * YEAR))
    jump = {"LD_PRELOAD": str(site.prefix / "faults.so"), "FAULT_CLOCK": str(ahead)}
    wrong: list[str] = []
    status, said = site.build(env | jump)
    if (status, said) != (0, b"") or not campaign.is_right(site):
        wrong.append(f"{ahead} s: {status} {said[:200]!r}")
    campaign.after(site, wrong, killed=False)
    return wrong


def crowd(campaign: Campaign, rng: random.Random, number: int, many: int) -> list[str]:
    """Many builds at once on one store; some are killed."""
    site, env = campaign.scene(("nothing", "hit", "queued")[number % 3])
    running = [site.start(env, f"{i}.o") for i in range(many)]
    killed = rng.sample(running, many // 10)
    time.sleep(rng.random() * 2)
    for child in killed:
        child.kill()
    wrong = []
    for i, child in enumerate(running):
        said, _ = child.communicate(timeout=900)
        if child not in killed and ((child.returncode, said) != (0, b"") or not campaign.is_right(site, f"{i}.o")):
            wrong.append(f"build {i}: {child.returncode} {said[:200]!r}")
    wait_for_orphans(site)
    campaign.after(site, wrong, killed=True)
    return wrong


def set_up(state: Path) -> Campaign:
    """The project with a full store: a function rewritten, the unit's answer, a queued unit."""
    place = state / "faults"
    place.mkdir(parents=True, exist_ok=True)
    prefix = place / "prefix"
    install(prefix)
    base = Site(prefix, place / "base")
    if not (base.here / "whole").exists():
        shutil.rmtree(base.here, ignore_errors=True)
        base = Site.make(prefix, base.here)
        for mode in ("inline", "queue"):
            shutil.rmtree(base.store / "units", ignore_errors=True)
            if base.build({"GCCLLM_MODE": mode}) != (0, b""):
                raise Broken("the project does not build")
        base.build({"GCCLLM_MODE": "cached"})  # and what only looks has its own answer for the unit
        base.build()
        (base.here / "whole").touch()
    gccs = base.here / "gcc.o"
    os.system(f"cd {base.here} && gcc -O3 -c total.c -o gcc.o")
    made = base.object()
    if made is None or made == gccs.read_bytes():
        raise Broken(f"nothing was rewritten: {[e.get('reason') for e in base.events()]}")
    want = base.prints("gcc.o")
    if base.prints() != want:
        raise Broken("the project prints something else before any fault")
    return Campaign(base, place / "case", want, {gccs.read_bytes(), made}, gccs.read_bytes())


def plan(campaign: Campaign, count: int) -> dict[str, Callable[[random.Random], list[str]]]:
    """Every case by name: `count` kills and damaged files, every operation on the store failing in turn."""
    cases: dict[str, Callable[[random.Random], list[str]]] = {}
    for i in range(count):
        cases[f"kill {i}"] = lambda rng, i=i: kill(campaign, rng, i)  # type: ignore[misc]
        cases[f"damage {i}"] = lambda rng, i=i: damage(campaign, rng, i)  # type: ignore[misc]
    for name in FAILING:
        total = operations(campaign, name)
        for at in range(1, total + 1, max(1, total * len(FAILING) // (2 * count))):
            error = ERRORS[at % len(ERRORS)]
            cases[f"fail {name} {at}"] = lambda _, n=name, a=at, e=error: failing(campaign, n, a, e)  # type: ignore[misc]
            cases[f"end {name} {at}"] = lambda _, n=name, a=at: failing(campaign, n, a, 0)  # type: ignore[misc]
    for i in range(max(2, count // 20)):
        cases[f"clock {i}"] = lambda rng, i=i: clock(campaign, rng, i)  # type: ignore[misc]
    for i in range(max(1, count // 100)):
        many = max(4, min(50, count // 10))
        cases[f"crowd {i} of {many}"] = lambda rng, i=i, m=many: crowd(campaign, rng, i, m)  # type: ignore[misc]
    return cases


def run(state: Path, count: int, seed: int) -> dict[str, Any]:
    """Returns how many cases of each kind ran, and `wrong`."""
    campaign = set_up(state)
    log = state / "faults" / "cases.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")] if log.exists() else []
    done = {line["name"]: line for line in known if line["seed"] == seed}
    cases = plan(campaign, count)
    order = sorted(cases, key=lambda name: random.Random(f"{seed} {name}").random())
    with log.open("a") as out:
        for name in order:
            if name in done:
                continue
            began = time.monotonic()
            wrong = cases[name](random.Random(f"{seed} {name} case"))
            done[name] = {"name": name, "seed": seed, "wrong": wrong, "seconds": round(time.monotonic() - began, 1)}
            out.write(json.dumps(done[name]) + "\n")
            out.flush()
            for one in wrong:
                print(f"{name}: {one}", file=sys.stderr)
    shutil.rmtree(campaign.place, ignore_errors=True)
    counts = Counter(name.split()[0] for name in order)
    lines = [done[name] for name in order]
    seconds = round(sum(line["seconds"] for line in lines), 1)
    return {"cases": len(lines), "wrong": sum(bool(line["wrong"]) for line in lines), "seconds": seconds, **counts}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found = run(args.state.resolve(), args.count, args.seed)
    print(json.dumps(found))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
