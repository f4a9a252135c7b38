"""Campaign, part 6: every reader of ours on damaged input.

usage: python -m tests.campaign.fuzz --state DIR [--count N] [--seed S] [--target NAME]

A reader may return, or raise what its documentation names. Wrong is anything else: another exception, over 10 seconds,
over 4 GiB, a text that is not printed back as it was, a sanitizer's word from the C side. What is sealed by a checksum
is sealed again after it was changed, so that the reader behind it is what is tried.

Inputs are drawn from the seed, the target and a chunk's number; a chunk is a line in DIR/fuzz/chunks.jsonl, and a rerun
goes on where the last one stopped. What was wrong is kept in DIR/fuzz/failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from tests.campaign import fuzz_c, fuzz_readers

CHUNK = 500
LONGEST_S = 10
MOST_MEMORY = 4 << 30


class TooLong(BaseException):
    """Not an Exception: no reader may catch it."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise TooLong(f"over {LONGEST_S} s")


def in_python(target: fuzz_readers.Target, inputs: list[bytes]) -> list[tuple[bytes, str]]:
    """Inputs on which the reader did what it may not, and what."""
    wrong = []
    signal.signal(signal.SIGALRM, _alarm)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, before[1]))
    try:
        for data in inputs:
            signal.alarm(LONGEST_S)
            try:
                target.read(data)
            except target.allowed:
                pass
            except (Exception, TooLong) as error:
                wrong.append((data, f"{type(error).__name__}: {error}"[:300]))
            finally:
                signal.alarm(0)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    return wrong


def chunk(name: str, number: int, seed: int, size: int, place: Path) -> dict[str, Any]:
    rng = random.Random(f"{seed} {name} {number}")
    began = time.monotonic()
    if name in fuzz_c.TARGETS:
        wrong = fuzz_c.run(place, name, fuzz_c.inputs(name, rng, size))
    else:
        target = fuzz_readers.TARGETS[name]
        wrong = in_python(target, [target.make(rng) for _ in range(size)])
    for data, _ in wrong:
        kept = place / "failed" / f"{name.replace(' ', '-')}-{hashlib.blake2b(data, digest_size=6).hexdigest()}"
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(data)
    said = sorted({text for _, text in wrong})[:20]
    return {"target": name, "chunk": number, "seed": seed, "size": size, "wrong": said,
            "seconds": round(time.monotonic() - began, 1)}  # fmt: skip


def run(state: Path, count: int, seed: int, only: str | None = None) -> dict[str, Any]:
    """About `count` executions over all targets; returns how many each had, and `wrong`."""
    place = state / "fuzz"
    place.mkdir(parents=True, exist_ok=True)
    fuzz_c.build(place)
    log = place / "chunks.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")] if log.exists() else []
    shares = {**dict.fromkeys(fuzz_c.TARGETS, 1.0), **{n: t.share for n, t in fuzz_readers.TARGETS.items()}}
    shares = {name: share for name, share in shares.items() if only in (None, name)}
    counts: Counter[str] = Counter()
    wrong, seconds = 0, 0.0
    with log.open("a") as out:
        for name, share in shares.items():
            wanted = max(1, round(count * share / sum(shares.values())))
            for number in range(-(-wanted // CHUNK)):
                size = min(CHUNK, wanted - number * CHUNK)
                asked = {"target": name, "chunk": number, "seed": seed, "size": size}
                line = next((one for one in known if asked.items() <= one.items()), None)
                if line is None:
                    line = chunk(name, number, seed, size, place)
                    out.write(json.dumps(line) + "\n")
                    out.flush()
                    for text in line["wrong"]:
                        print(f"{name}: {text}", file=sys.stderr)
                counts[name] += size
                wrong += len(line["wrong"])
                seconds += line["seconds"]
    return {"cases": counts.total(), "wrong": wrong, "seconds": round(seconds, 1), **counts}


def says(counts: Counter[str]) -> str:
    readers = [name for name in (*fuzz_c.TARGETS, *fuzz_readers.TARGETS) if counts[name]]
    return f"{counts['cases']:g} executions of {len(readers)} readers"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target")
    args = parser.parse_args()
    found = run(args.state.resolve(), args.count, args.seed, args.target)
    print(json.dumps(found))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
