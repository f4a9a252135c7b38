"""Tests as the replayer reads them: records that are made once a test, batches of them that are made once a LOAD.

A batch holds the content of each page once, however many tests share it. `layout` is the specification.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from gccllm.base.core import ARENA_BYTES, ARENAS, Page, Test
from gccllm.sandbox import layout
from gccllm.sandbox.image import Image
from gccllm.sandbox.placement import CANONICAL, Moves, Placement, moved, moved_test

BATCH_BYTES = 1 << 26
"""Limit of a batch, contents of pages included."""
RECORDS = 4096
"""Records that a replayer keeps."""
_ZEROS = b"\0" * 8
_WORD = (1 << 64) - 1


def encode(test: Test, image: Image, placement: Placement = CANONICAL) -> bytes:
    """One TEST record up to its pages, whose numbers depend on the batch.

    Raises ValueError for what lies outside the arenas in use or the image's writable data, and for pages that overlap
    one another or the replayer's own addresses.
    """
    moves = Moves(placement, image.base, image.symbols)
    if test.symbols or not moves.is_canonical:
        try:
            test = moved_test(test, moves.of(test.symbols))
        except KeyError as error:
            raise ValueError(f"no symbol {error.args[0]} in the image") from error
    ints = [v & _WORD for v in test.ints]
    if len(ints) > 6 or len(test.vectors) > 8 or len(test.stack) > 128 or not 0 <= test.arenas <= ARENAS:
        raise ValueError("too many arguments or arenas")
    int_bytes = [*test.int_bytes[: len(ints)], *([8] * (len(ints) - len(test.int_bytes)))]
    vector_bytes = [*test.vector_bytes[: len(test.vectors)], *([16] * (len(test.vectors) - len(test.vector_bytes)))]
    vectors = [half for v in test.vectors for half in (v & _WORD, v >> 64 & _WORD)]
    patches: list[bytes] = []
    for region in test.regions:
        if not (0 <= region.arena < test.arenas and 0 <= region.offset <= ARENA_BYTES - len(region.data)):
            raise ValueError(f"region of {len(region.data)} bytes at {region.offset} of arena {region.arena}")
        patches.append(_patch(placement.arenas[region.arena] + region.offset, region.data))
    for piece in test.globals:
        if piece.symbol not in image.symbols:
            raise ValueError(f"no symbol {piece.symbol} in the image")
        at = image.symbols[piece.symbol] + piece.offset
        if not image.writable[0] <= at <= image.writable[1] - len(piece.data):
            raise ValueError(f"{piece.symbol} is not writable data")
        patches.append(_patch(at, piece.data))
    if test.pages:
        _check_pages(test.pages)
    stack = b"".join((v & _WORD).to_bytes(8, "little") for v in test.stack)
    tail = b"".join(patches)
    head = layout.TEST.pack(
        layout.TEST.size + len(stack) + len(tail) + len(test.pages) * layout.PAGE_REF.size,
        test.arenas, len(test.stack), len(patches), len(test.pages), 0, test.fill & _WORD,
        *ints, *([0] * (6 - len(ints))), *int_bytes, *([0] * (8 - len(int_bytes))),
        *vector_bytes, *([0] * (8 - len(vector_bytes))), *vectors, *([0] * (16 - len(vectors))),
        test.mxcsr, test.kept, test.changes, test.spare,
    )  # fmt: skip
    return head + stack + tail


def with_pages(test: Test, moves: Moves, known: dict[bytes, bytes]) -> Test:
    """The test with its pages as they are under another placement; `known` holds what contents became."""
    if moves.is_canonical or not test.pages:
        return test
    move = moves.of(())
    for page in test.pages:
        if page.data not in known:
            known[page.data] = moved(page.data, move)
    return replace(test, pages=tuple(replace(page, data=known[page.data]) for page in test.pages))


def _patch(address: int, data: bytes) -> bytes:
    return layout.PATCH.pack(address, len(data)) + data + _ZEROS[: -len(data) % 8]


def _check_pages(pages: Sequence[Page]) -> None:
    if len(pages) > layout.MAX_PAGES:
        raise ValueError(f"{len(pages)} pages")
    if any(size != layout.PAGE for size in {len(page.data) for page in pages}):
        raise ValueError("a page is of another size")
    if len(known := {page.address for page in pages}) < len(pages):
        raise ValueError("a page is twice there")
    bad = layout.no_page_addresses(known)
    if len(bad):
        raise ValueError(f"page {bad[0]:#x} is unaligned or on the replayer's own")


@dataclass
class Batch:
    """The payload of a LOAD under construction."""

    tests: list[Test] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    contents: dict[bytes, int] = field(default_factory=dict)
    addresses: set[int] = field(default_factory=set)
    bytes_used: int = 0

    def takes(self, test: Test, record: bytes) -> bool:
        """Adds the test if it fits; an empty batch takes any one test."""
        size = len(record)
        fresh: set[bytes] = set()
        addresses = self.addresses
        if test.pages:
            fresh = {p.data for p in test.pages if p.data not in self.contents}
            addresses = addresses.union(p.address for p in test.pages)
            size += len(test.pages) * layout.PAGE_REF.size + len(fresh) * layout.PAGE
            if self.tests and len(addresses) > layout.MAX_PAGES:
                return False
        if self.tests and (self.bytes_used + size > BATCH_BYTES or len(self.tests) == layout.MAX_TESTS):
            return False
        self.addresses = addresses
        for data in fresh:
            self.contents[data] = len(self.contents)
        self.tests.append(test)
        self.records.append(record)
        self.bytes_used += size
        return True

    def payload(self) -> Iterator[bytes]:
        """In pieces, in order."""
        if not self.contents:
            yield b"".join(self.records)
            return
        yield b"".join(self.contents)
        ascending = np.array(sorted(self.addresses), "<u8")
        yield ascending.tobytes()
        pieces: list[bytes] = []
        for test, record in zip(self.tests, self.records, strict=True):
            pieces += [record, self._page_rows(test, ascending)]
        yield b"".join(pieces)

    def _page_rows(self, test: Test, ascending: npt.NDArray[np.uint64]) -> bytes:
        """One PAGE_REF a page, by address."""
        rows = np.zeros((len(test.pages), 4), "<u4")
        rows[:, 0] = np.searchsorted(ascending, np.array([page.address for page in test.pages], "<u8"))
        rows[:, 1] = [self.contents[page.data] for page in test.pages]
        rows[:, 2] = [page.is_writable for page in test.pages]
        return rows[np.argsort(rows[:, 0])].tobytes()
