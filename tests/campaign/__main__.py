"""The campaign that tries to refute "no wrong rewrite is ever linked"; `make campaign` runs all of it.

usage: python -m tests.campaign [--state DIR] [--part NAME] [--count N] [--jobs N] [--suite DIR] [--options "..."]

Every case is a line in DIR/PART.jsonl, so that a rerun goes on where the last one stopped; what is wrong is kept in
DIR/failed/NAME with a run.sh. Ends by writing the table in docs/internals/assurance.md (a single case writes none).
exit: 1 when anything is wrong, 2 when too little was rewritten to show anything.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

from tests.campaign import table
from tests.campaign.runner import cases, lines

PARTS = ("edits", "callers", "suites", "hostile", "faults", "fuzz", "unwind")
RUNS = {"faults": 500, "fuzz": 200_000}
"""Parts that run as a whole (`run(state, count, seed)`), and the count of the whole campaign."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__.split("\n")[0])
    parser.add_argument("--state", type=Path, default=Path(".campaign"))
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--count", type=int, help="cases of each part; default: the whole campaign's")
    parser.add_argument("--case", type=int, help="this case alone")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="of the parts that run as a whole")
    parser.add_argument("--options", default="", help="options added to every build")
    parser.add_argument("--suite", action="append", default=[], metavar="DIR", help="directories with public suites")
    parser.add_argument("--table", type=Path, default=Path("docs/internals/assurance.md"))
    args = parser.parse_args()
    args.state.mkdir(parents=True, exist_ok=True)
    state = args.state.resolve()
    if args.suite:
        os.environ["CAMPAIGN_SUITES"] = os.pathsep.join(str(Path(one).resolve()) for one in args.suite)
    for part in args.part or PARTS:
        if part in RUNS:
            try:
                module = importlib.import_module(f"tests.campaign.{part}")
            except ModuleNotFoundError:
                print(f"{part}: not there", file=sys.stderr)
                continue
            done = module.run(state, args.count or RUNS[part], args.seed)
            (state / f"{part}.jsonl").write_text(json.dumps({"case": 0, "wrong": [], **done}) + "\n")
        else:
            numbers = range(args.case, args.case + 1) if args.case is not None else None
            cases(part, state, args.count, args.jobs, tuple(args.options.split()), numbers)
    rows = [table.row(part, lines(state / f"{part}.jsonl")) for part in PARTS]
    if args.case is None:  # one case alone is a look at it, not a result
        table.write(args.table, [row for row in rows if row is not None])
    bad = [row for row in rows if row is not None and row.wrong]
    thin = [word for row in rows if row is not None for word in row.thin]
    for row in bad:
        print(f"{row.part}: {row.wrong} wrong, kept in {state / 'failed'}", file=sys.stderr)
    for word in thin:
        print(word, file=sys.stderr)
    return 1 if bad else 2 if thin else 0


if __name__ == "__main__":
    sys.exit(main())
