"""Debug program: what the harvest finds for one function of a C file.

usage: python -m gccllm.harvest FILE.c FUNCTION [--seed N] [--tests] [gcc flags, default -O3]

Prints the signature, the counts of tests by label, edges taken, timing classes, discards and the time it took.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from gccllm.assembly import BodyError, Module
from gccllm.base.core import Decline
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.harvest import harvest
from gccllm.harvest.side import SideCompile
from gccllm.harvest.target import Builds, HarvestTarget
from gccllm.sandbox.image import AssembleError


def target_of(source: Path, function: str, flags: Sequence[str], workdir: Path) -> HarvestTarget:
    """Compile `source` thrice and take `function` out of it."""
    tools = Toolchain.find()
    ran = tools.compile([*flags, "-S", str(source), "-o", "-"])
    if not ran.ok:
        raise SystemExit(ran.err)
    text = ran.out.decode("latin-1")
    side = SideCompile(tools, flags, source)
    signature = side.typed(text, workdir).types.signature(function)
    builds = Builds(Module.parse(text), tools, side.trapping(), flags)
    return HarvestTarget.of(builds, function, signature, workdir)


def main(argv: Sequence[str]) -> int:
    words = list(argv)
    seed, show = 1, "--tests" in words
    if "--seed" in words:
        at = words.index("--seed")
        seed = int(words[at + 1])
        del words[at : at + 2]
    words = [word for word in words if word != "--tests"]
    if len(words) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    start = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="gccllm-harvest-") as scratch:
            target = target_of(Path(words[0]), words[1], words[2:] or ["-O3"], Path(scratch))
            found = harvest(target, seed)
    except (Decline, BodyError, AssembleError) as error:
        print(f"{words[1]}: {error}")
        return 1
    print(*found.why, f"{time.perf_counter() - start:.2f} s", sep="\n")
    if show:
        for test in found.tests:
            sizes = [len(region.data) for region in test.regions]
            print(test.label, [hex(v) for v in test.ints], [hex(v) for v in test.vectors], sizes)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
