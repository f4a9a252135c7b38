"""A fair sample of recorded calls that never grows beyond its budget.

A process keeps k of its n calls at random, so each that it kept stands for n/k calls of the program. Processes and runs
are merged by their draws: a call of weight w has a draw u in (0, 1], a hash of what the call is, so that the same calls
give the same sample. Three quarters of the budget go to the highest ranks w/u (priority sampling: Duffield, Lund and
Thorup, 2007), which is the program's own distribution; the rest goes to the lowest draws whatever the weight, so that a
short run of something rare is not lost beside a long one. With t the highest rank outside of the first part and d the
lowest draw dropped, a call was kept with probability p = max(w/t, d), at most 1, and stands for w/p calls: sums over
any part of the calls are unbiased. Calls that are the same share one place and add up.

*Pinned* calls (`gccllm tests minimise`: kept for an edge or a mutant) are outside of the draw and keep their weight.

Not covered: a call that was dropped and comes again starts from its new weight.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gccllm.base.core import PAGE_BYTES
from gccllm.harvest.types import Place, Signature
from gccllm.record.capture import RecordedCall, RecordedPage
from gccllm.x86.convention import INTEGER_ARGUMENTS

MAX_CALLS = 256
MAX_BYTES = 128 << 20
"""Distinct pages of one function, before compression."""
RARE = 4
"""One call in so many is kept by its draw alone."""
NO_BOUND = 2.0
"""Above every draw: none was dropped."""
LARGE = 3 / 4
"""A call may have this part of the bytes, as all that are chosen by rank: one of 64 MiB fits in."""

INTEGER = tuple(register.lower() for register in INTEGER_ARGUMENTS)
"""Of `Registers`, the integer arguments in order."""


@dataclass(slots=True)
class Kept:
    """A call of the sample. Its pages have no content after the call."""

    call: RecordedCall
    digest: str
    weight: float
    """Calls of the program it stood for when it came, or since it was pinned."""
    pinned: bool = False

    @property
    def draw(self) -> float:
        return draw_of(self.digest)

    @property
    def rank(self) -> float:
        return self.weight / self.draw

    @property
    def pages(self) -> set[bytes]:
        return {page.content for page in self.call.pages}


class Reservoir:
    """The calls of one function, with the two thresholds of the sample."""

    def __init__(self, max_calls: int = MAX_CALLS, max_bytes: int = MAX_BYTES) -> None:
        self.max_calls = max_calls
        self.max_pages = max_bytes // PAGE_BYTES
        self.threshold = 0.0
        """t above; 0 while everything is kept."""
        self.bound = NO_BOUND
        """d above."""
        self.total = 0
        """Calls of the program, recorded or not."""
        self.dropped: Counter[str] = Counter()
        """Calls that came to nothing, by word: the recorder's, and `large` and `sampled` here."""
        self.items: dict[str, Kept] = {}
        self._contents: dict[bytes, bytes] = {}

    def add(self, calls: Iterable[RecordedCall], total: int, signature: Signature | None = None) -> None:
        """The calls that one process kept out of `total`."""
        given = [plain(call, self._contents) for call in calls]
        self.total += max(total, len(given))
        for call in given:
            weight = max(total, len(given)) / len(given)
            digest = identity(call, signature)
            if len({page.content for page in call.pages}) > self.max_pages * LARGE:
                self.dropped["large"] += 1
            elif digest in self.items:
                self.items[digest].weight += weight
            else:
                self.items[digest] = Kept(call, digest, weight)
        if len(self.items) > 2 * self.max_calls or len(self._contents) > 2 * self.max_pages:
            self.prune()

    def prune(self) -> None:
        """Down to the budget: pinned calls, the highest ranks, the lowest draws; each up to the first that is too much.

        The order in which samples are merged makes no difference, but for the limit on bytes.
        """
        kept = {digest: item for digest, item in self.items.items() if item.pinned}
        contents = set[bytes]().union(*(item.pages for item in kept.values()))
        rest = [item for item in self.items.values() if not item.pinned]

        def take(order: list[Kept], calls: int, pages: int) -> list[Kept]:
            """Keep the first ones; return the others."""
            nonlocal contents
            for number, item in enumerate(order):
                wanted = contents | item.pages
                if calls == number or len(wanted) > pages:
                    return order[number:]
                kept[item.digest] = item
                contents = wanted
            return []

        # What an earlier sample would have dropped is dropped, whatever room there is: the weights rest on that.
        ranked = sorted((i for i in rest if i.rank > self.threshold), key=lambda i: (-i.rank, i.digest))
        rare = max(0, self.max_calls - len(kept)) // RARE
        left = take(ranked, max(0, self.max_calls - len(kept)) - rare, self.max_pages - self.max_pages // RARE)
        self.threshold = max([self.threshold, *(item.rank for item in left[:1])])
        drawn = sorted((i for i in rest if i.digest not in kept and i.draw < self.bound), key=lambda i: i.draw)
        left = take(drawn, rare, self.max_pages)
        self.bound = min([self.bound, *(item.draw for item in left[:1])])
        if lost := len(self.items) - len(kept):
            self.dropped["sampled"] += lost
        self.items = kept
        self._contents = {content: content for content in contents}

    def choose(self, pinned: Iterable[str], most: int) -> None:
        """Keep the calls of these digests for good, and a sample of the others until there are `most`."""
        weights = self.weights()
        for item in self.items.values():
            item.pinned = False
        for digest in pinned:
            item = self.items[digest]
            item.weight, item.pinned = weights[digest], True
        limit, self.max_calls = self.max_calls, most
        self.prune()
        self.max_calls = limit

    def merge(self, other: Reservoir) -> None:
        """Take in another sample of the same function."""
        self.total += other.total
        self.threshold = max(self.threshold, other.threshold)
        self.bound = min(self.bound, other.bound)
        self.dropped.update(other.dropped)
        for digest, item in other.items.items():
            if digest in self.items:
                self.items[digest].weight += item.weight
            else:
                self.items[digest] = item
        self.prune()

    @property
    def ticks(self) -> float:
        """Mean ticks of a call, weighted."""
        weights = self.weights()
        return sum(w * self.items[d].call.ticks for d, w in weights.items()) / (sum(weights.values()) or 1.0)

    def weights(self) -> dict[str, float]:
        """How many calls of the program each stands for, by digest: they add up to `total`."""
        raw = {digest: self._stands_for(item) for digest, item in self.items.items()}
        scale = self.total / sum(raw.values()) if raw and self.total else 1.0
        return {digest: weight * scale for digest, weight in raw.items()}

    def _stands_for(self, item: Kept) -> float:
        if item.pinned or not self.threshold:
            return item.weight
        return item.weight / min(1.0, max(item.weight / self.threshold, self.bound))


def draw_of(digest: str) -> float:
    """The draw in (0, 1] of a call, out of its digest."""
    return (int(digest[:16], 16) + 1) / 2.0**64


def plain(call: RecordedCall, contents: dict[bytes, bytes]) -> RecordedCall:
    """The call without what no test needs: contents afterwards, return address, what lay below it on its page.

    Pages equal to one in `contents` become that object; others are added.
    """
    rsp = call.before.rsp
    base = rsp & -PAGE_BYTES
    pages = []
    for page in call.pages:
        content = page.content
        if page.address == base:
            end = min(rsp + 8 - base, PAGE_BYTES)
            content = bytes(end) + content[end:]
        pages.append(RecordedPage(
            page.address, contents.setdefault(content, content), None, page.is_writable, page.is_whole
        ))  # fmt: skip
    return replace(call, pages=tuple(pages))


def identity(call: RecordedCall, signature: Signature | None = None) -> str:
    """Hex digest of what makes a call the input that it is: arguments and pages. Without a signature, all registers."""
    digest = hashlib.blake2b(digest_size=16)
    for place in places_of(signature):
        digest.update(argument(call, place).to_bytes(16, "little"))
    for page in call.pages:
        if not page.is_whole:
            digest.update(page.address.to_bytes(8, "little") + page.content)
    return digest.hexdigest()


def places_of(signature: Signature | None) -> list[Place]:
    if signature is None:
        return [*(Place("int", i, 8) for i in range(6)), *(Place("vector", i, 16) for i in range(8))]
    return [place for param in signature.params for place in param.places]


def argument(call: RecordedCall, place: Place) -> int:
    """The defined bytes of one place of an argument; 0 when its stack slot was not recorded."""
    if place.file == "int":
        value: int = getattr(call.before, INTEGER[place.index])
    elif place.file == "vector":
        value = call.before.xmm[place.index] if place.index < len(call.before.xmm) else 0
    else:
        value = int.from_bytes(call.at(call.before.rsp + 8 + 8 * place.index, 8) or b"", "little")
    return value & (1 << 8 * place.size) - 1
