"""gcc-llm on the compilers and systems that people have: `make check-compilers`. Needs root and debootstrap.

usage: python -m tests.compilers [--work DIR] [--release NAME] [--gcc VERSION] [--check NAME] [--again]

Every result is a line in WORK/results.jsonl, so that a rerun goes on where the last one stopped; what failed runs
again, and what passed with --again. Logs are in WORK/logs. Ends by writing the tables in docs/compilers.md.
exit: 1 where anything failed, 2 where nothing can be run here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tests.campaign.runner import lines
from tests.compilers import page
from tests.compilers.checks import CHECKS, Check, seen
from tests.compilers.roots import HERE, NEEDED, RELEASES, Declined, Failed, Release, Root, output

TREE = Path(__file__).resolve().parents[2]
PAGE = TREE / "docs" / "compilers.md"


class Run:
    """The results, kept as they come."""

    def __init__(self, work: Path, is_again: bool) -> None:
        self.work, self.is_again = work, is_again
        self.path = work / "results.jsonl"
        self.commit = output("git", "rev-parse", "HEAD", cwd=TREE).strip()

    def results(self) -> page.Results:
        return page.in_words(lines(self.path))

    def is_done(self, release: str, gcc: str, check: str) -> bool:
        known = self.results().get((release, gcc, check), {})
        return known.get("state") in ("passed", "declined") and not self.is_again

    def keep(self, release: Release, gcc: str, check: str, state: str, detail: str, **more: Any) -> None:
        line = {"release": release.name, "gcc": gcc, "check": check, "state": state, "detail": detail, **more}
        with self.path.open("a") as out:
            out.write(json.dumps({**line, "commit": self.commit[:12]}) + "\n")
        print(f"{release.name} gcc-{gcc} {check}: {state}: {detail}", flush=True)

    def release(self, release: Release, gccs: list[str], checks: list[Check]) -> None:
        todo = [
            gcc
            for gcc in gccs
            if any(check.is_for(gcc) and not self.is_done(release.name, gcc, check.name) for check in checks)
            and not self.is_done(release.name, gcc, "root")
        ]
        if not todo:
            return
        root, python = Root(release, self.work, TREE), ""
        try:
            root.make()
            python = root.python()
            root.install(self.commit)
        except (Declined, Failed) as error:
            for gcc in todo:
                self.keep(release, gcc, "root", type(error).__name__.lower(), str(error), python=python)
            return
        for gcc in todo:
            try:
                tools, version = root.gcc(gcc)
            except (Declined, Failed) as error:
                self.keep(release, gcc, "root", type(error).__name__.lower(), str(error), python=python)
                continue
            self.keep(release, gcc, "root", "ok", f"gcc {version}", python=python, version=version)
            for check in checks:
                if check.is_for(gcc) and not self.is_done(release.name, gcc, check.name):
                    self.check(root, check, gcc, tools)

    def check(self, root: Root, check: Check, gcc: str, tools: str) -> None:
        place = f"{HERE}/build/compilers/{gcc}-{check.name}"
        env = {
            "PATH": f"{tools}:{HERE}/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GCC": f"gcc-{gcc}", "CHECK": place,
            "GCCLLM_CACHE_DIR": f"{place}/store", "GCCLLM_BUDGET": "600", "GCCLLM_BUILD_BUDGET": "100000",
        }  # fmt: skip
        script = f"rm -rf $CHECK; mkdir -p $CHECK; cd {HERE}; {check.script}"
        began = time.monotonic()
        code, said = root.run(script, f"{gcc}-{check.name}", env)
        state = {0: "passed", 77: "skipped"}.get(code, "failed")
        detail = seen(said) if code != 124 else "no end in time"
        self.keep(root.release, gcc, check.name, state, detail, seconds=round(time.monotonic() - began))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compilers", description=__doc__.split("\n")[0])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    default = Path(os.environ.get("COMPILERS_WORK") or cache / "gcc-llm-compilers")
    parser.add_argument("--work", type=Path, default=default, help="roots and results; default: %(default)s")
    parser.add_argument("--release", action="append", choices=[one.name for one in RELEASES])
    parser.add_argument("--gcc", action="append", metavar="VERSION")
    parser.add_argument("--check", action="append", choices=[one.name for one in CHECKS])
    parser.add_argument("--again", action="store_true", help="what passed, too")
    parser.add_argument("--page", type=Path, default=PAGE)
    args = parser.parse_args()
    if missing := [tool for tool in NEEDED if shutil.which(tool) is None]:
        print(f"check-compilers needs {', '.join(missing)}: apt-get install debootstrap", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("check-compilers needs root: it makes Debian systems and changes root into them", file=sys.stderr)
        return 2
    args.work.mkdir(parents=True, exist_ok=True)
    run = Run(args.work.resolve(), args.again)
    for release in RELEASES:
        if not args.release or release.name in args.release:
            gccs = [gcc for gcc in release.gccs if not args.gcc or gcc in args.gcc]
            run.release(release, gccs, [one for one in CHECKS if not args.check or one.name in args.check])
    page.write(args.page, run.results())
    return 1 if " failed |" in args.page.read_text() else 0


if __name__ == "__main__":
    sys.exit(main())
