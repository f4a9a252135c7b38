"""How many replays a second one core does, with and without recorded pages.

usage: python -m gccllm.lab.bench.replays [--tests N] [--rounds N]

A round runs a short function once on each of N tests through `Replayer.run_raw`. Its cost is
the CPU time of this process, of the replayer and of the replayer's children, so other load on the machine matters
little. `A/A` is the first row again.

    no memory         two integers
    an arena          a buffer of 64 KiB, in which 200 bytes are set: what a made input costs
    shared            a list over P pages, the same ones in every test: calls of one process on data that stays
    own content       the same addresses, other bytes in every test: nothing is shared
    12 processes      other addresses for every twelfth part of the tests
    all apart         other addresses in every test: each page is mapped for one replay only

Not covered: linking the image and loading the tests, which are done once for many runs.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gccllm.base.core import PAGE_BYTES, Page, Region, Returned, Slot, Test, arena_address
from gccllm.base.toolchain import Toolchain, run
from gccllm.lab.bench.show import console, table
from gccllm.sandbox import layout
from gccllm.sandbox.image import Image, build_image
from gccllm.sandbox.replay import Replayer

SOURCE = """
struct node { struct node *next; long value; };
long add(long a, long b) { return a + b; }
long sum(const signed char *p, long n) { long s = 0; for (long i = 0; i < n; i++) s += p[i]; return s; }
long walk(const struct node *n, long k) { for (; n; n = n->next) k += n->value; return k; }
long raise(struct node *n, long k) { for (; n; n = n->next) k += ++n->value; return k; }
"""
NODES = 20
HEAP = 0x5555_0000_0000


def chain(seed: int, pages: int, base: int, *, is_shared: bool, is_writable: bool = True) -> Test:
    """A list of NODES nodes over so many pages, every third of them."""
    rng = random.Random(0 if is_shared else seed)
    memory = [bytearray(rng.randbytes(PAGE_BYTES)) for _ in range(pages)]
    places = [(i % pages, 16 + 64 * (i // pages)) for i in range(NODES)]
    at = [base + 3 * PAGE_BYTES * page + offset for page, offset in places]
    for (page, offset), following in zip(places, [*at[1:], 0], strict=True):
        memory[page][offset : offset + 8] = following.to_bytes(8, "little")
    made = (Page(base + 3 * PAGE_BYTES * i, bytes(data), is_writable) for i, data in enumerate(memory))
    return Test(ints=(at[0], seed), int_bytes=(8, 8), pages=tuple(made))


def kinds(count: int) -> dict[str, tuple[str, list[Test]]]:
    """Row name -> (function, its tests)."""
    numbers = range(count)
    plain = [Test(ints=(i, 3), int_bytes=(8, 8)) for i in numbers]
    region = (Region(0, 0, bytes(range(200))),)
    arena = [Test(ints=(arena_address(0), i % 200), int_bytes=(8, 8), regions=region, arenas=1) for i in numbers]
    out = {"no memory": ("add", plain), "A/A: no memory": ("add", list(plain)), "an arena": ("sum", arena)}
    for pages in (3, 10):
        shared = [chain(i, pages, HEAP, is_shared=True) for i in numbers]
        fixed = [chain(i, pages, HEAP, is_shared=True, is_writable=False) for i in numbers]
        own = [chain(i, pages, HEAP, is_shared=False) for i in numbers]
        processes = [chain(i, pages, HEAP + (i % 12 << 32), is_shared=False) for i in numbers]
        apart = [chain(i, pages, HEAP + (i << 24), is_shared=False) for i in numbers]
        out |= {
            f"{pages} pages, shared, read-only": ("walk", fixed),
            f"{pages} pages, shared": ("walk", shared),
            f"{pages} pages, own content": ("walk", own),
            f"{pages} pages, own content, all written": ("raise", own),
            f"{pages} pages, 12 processes": ("walk", processes),
            f"{pages} pages, all apart": ("walk", apart),
        }
    return out


def cpu_s(replayer: Replayer) -> float:
    """CPU seconds so far of this process, the replayer and its children; the latter two in ticks of 10 ms."""
    assert replayer._child is not None
    after_name = Path(f"/proc/{replayer._child.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return time.process_time() + sum(map(int, after_name[11:15])) / os.sysconf("SC_CLK_TCK")


def measure(image: Image, work: Mapping[str, tuple[str, Sequence[Test]]], rounds: int) -> dict[str, float]:
    """CPU microseconds a replay. Raises RuntimeError when a call does not terminate normally."""
    spent: dict[str, float] = {}
    for name, (entry, tests) in work.items():
        with Replayer(image, (Returned(Slot.RAX, 8),)) as replayer:
            if (replayer.run_raw(entry, tests)["status"] != layout.Status.OK).any():
                raise RuntimeError(f"{name}: a call did not terminate normally")
            before = cpu_s(replayer)
            for _ in range(rounds):
                replayer.run_raw(entry, tests)
            spent[name] = 1e6 * (cpu_s(replayer) - before) / (rounds * len(tests))
    return spent


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gccllm.lab.bench.replays", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tests", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args(argv)
    tools = Toolchain.find()
    with tempfile.TemporaryDirectory(prefix="gccllm-replays-") as name:
        source = Path(name) / "unit.c"
        source.write_text(SOURCE)
        ran = run([tools.gcc, "-O2", "-S", "-o", "-", str(source)])
        if not ran.ok:
            print(ran.err, file=sys.stderr)
            return 1
        image = build_image(Path(name), ran.out.decode("latin-1"), tools)
        spent = measure(image, kinds(args.tests), args.rounds)
    rows = [[name, f"{us:.2f}", f"{1e6 / us:,.0f}"] for name, us in spent.items()]
    table(console(), ("tests", "us a replay", "replays/s"), rows, ("us a replay", "replays/s"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
