"""What is run in a root with one gcc: a table. A check ends with 0 where all is well, and says what it saw."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gccllm.base.toolchain import VERIFIED

KERNELS = ("sum_u8", "max_i32", "count_byte_n", "dot_i32", "popcnt_swar", "to_upper")
SERIES = 2
_PYTEST = "python -m pytest -q -rf -p no:cacheprovider"


@dataclass(frozen=True, slots=True)
class Check:
    """`script` runs in the tree with `gcc` on PATH and $CHECK as an empty directory; lines `saw: ...` are kept."""

    name: str
    says: str
    script: str
    old: bool | None = False
    """Whether it is for gccs older than the verified ones; None: for all."""

    def is_for(self, gcc: str) -> bool:
        return self.old is None or self.old == (int(gcc) < VERIFIED[0])


CHECKS = (
    Check("doctor", "`gccllm doctor` with `GCCLLM_CC`",
          "PATH=${PATH#*:} GCCLLM_CC=$GCC gccllm doctor && echo saw: ready", old=None),
    Check("left", "gcc before 11: what is left to gcc says so",
          "cd $CHECK; cp /gcc-llm/examples/make/*.[ch] .; for unit in *.c; do gcc-llm -O2 -c $unit || exit 1; done; "
          "gccllm stats; gccllm stats --json | grep gcc_unverified && echo saw: gcc_unverified", old=True),
    Check("forms", "gcc's command line, each form beside gcc", f"{_PYTEST} tests/forms"),
    Check("assembly", "gcc's text read and printed back", f"{_PYTEST} tests/assembly"),
    Check("situation", "what a verdict is bound to", f"{_PYTEST} tests/situation tests/policy"),
    Check("cases", "cases of the screen", f"{_PYTEST} tests/verify/test_screen.py"),
    Check("lto", "builds with -flto", f"{_PYTEST} tests/builds/test_lto.py"),
    Check("demo", "`make demo`",
          "rm -rf build/demo; python examples/demo.py && "
          "GCCLLM_CACHE_DIR=build/demo/store python -m tests.compilers.seen store"),
    Check("kernels", f"{len(KERNELS)} kernels, checked against gcc's",
          "gccllm bench --suite kernels -- --no-timing --work $CHECK/work --json $CHECK/kernels.json "
          + " ".join(f"--only {name}" for name in KERNELS)
          + "; python -m tests.compilers.seen kernels $CHECK/kernels.json"),
    Check("campaign", f"{SERIES} series of edit and rebuild",
          f"python -m tests.campaign --part edits --jobs 1 --count {SERIES} --state $CHECK --table $CHECK/table.md; "
          "python -m tests.compilers.seen campaign $CHECK/edits.jsonl"),
)  # fmt: skip


def seen(said: str) -> str:
    """What a check says in a few words: its `saw:` line, else pytest's counts and the tests that failed."""
    if saw := re.findall(r"^saw: (.*)$", said, re.MULTILINE):
        return str(saw[-1])
    failed = re.findall(r"^FAILED (\S+)", said, re.MULTILINE)
    counts = re.findall(r"^=* ?((?:\d+ \w+,? ?)+) in [\d.]+s", said, re.MULTILINE)
    words = [counts[-1].strip() if counts else "", " ".join(failed[:12])]
    return ": ".join(word for word in words if word) or next(reversed(said.strip().splitlines()), "")[:200]
