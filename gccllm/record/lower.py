"""A recorded call as a `Test`: pages where they were, the unit's own data moved to where the image has it.

    arguments       registers and stack words by the signature's places, junk beyond their defined bytes as recorded
    the unit's data cut out of the pages into `Test.globals`; the place in the page is left zero
    pointers        aligned 8-byte words in arguments, pages and globals that point into a data symbol of the unit, or
                    one past its end, are moved to the image's; also into constants, whose bytes the image has
    pages           all others as recorded, but for those below

A page that was touched for a reason of its own is left out, unless some word of the test points into it:

    own frame       the page of the recorded rsp, and recorded pages right below it: the test's frame lies elsewhere.
                    What lies below the arguments on the stack is zero where the page is kept.
    recorded whole  the thread control block: not known to be touched. A page of it beside one that the call touched
                    stays: a large buffer may lie right below
    own data        pages of moved symbols. A word that points up to NEAR bytes before counts as well: arrays are
                    often named by their first element only. A page of nothing but moved symbols is always left out.

So a pointer may be missed that is made by arithmetic only. Whether that matters the baseline shows: without a page that
it needs it faults, and the test is dropped. The state need not be the program's to the last bit.

Thread-local data of the unit is its own data like any other: the capture says where the thread had it.

Not covered: pointers to functions, or to the thread control block; pointers that are not aligned, or kept in pieces;
MXCSR other than the default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gccllm.base.core import PAGE_BYTES, GlobalBytes, Page, Reasoned, Test
from gccllm.base.reasons import Reason
from gccllm.harvest.types import Signature
from gccllm.record.capture import RecordedCall, RecordedPage
from gccllm.record.reservoir import INTEGER
from gccllm.sandbox import layout
from gccllm.sandbox.image import Image

RECORDED = "recorded"
"""Label of the tests made here."""
NEAR = 1 << 16
FRAME_BYTES = 1 << 20
"""How far below the recorded rsp a page can be of the own frame."""
MAX_STACK = 128
"""Stack words of a test."""

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Doubts = dict[int, list[tuple[int, int]]]


class Unfit(Reasoned, ValueError):
    """The call cannot be a test, for a named reason."""


@dataclass(frozen=True)
class Moved:
    """A data symbol of the unit: `size` bytes at `start` in the program, at `to` in the image."""

    name: str
    start: int
    size: int
    to: int

    @property
    def end(self) -> int:
        return self.start + self.size

    @property
    def is_writable(self) -> bool:
        return layout.is_image_data(self.to)


def lower(call: RecordedCall, signature: Signature, image: Image | Mapping[str, int], names: Sequence[str]) -> Test:
    """The test of a recorded call. Its weight is 1.

    image  of the function's slice, or the addresses of its symbols
    names  of `call.symbols`, in their order
    Raises Unfit.
    """
    moved = _moved(call, image.symbols if isinstance(image, Image) else image, names)
    pages = sorted(call.pages, key=lambda page: page.address)
    words = move(_words(b"".join(page.content for page in pages)), moved).reshape(-1, PAGE_BYTES // 8)
    contents = words.astype("<u8").view(np.uint8)
    ints, int_bytes, vectors, vector_bytes, stack = _arguments(call, signature, moved)

    # Own data into globals. What was moved leaves zeros, so that pages differ less from call to call.
    pieces, cut = _cut(pages, contents, moved)
    held = words[cut.reshape(*words.shape, 8).any(axis=2)]
    contents[cut] = 0

    # The own frame, and the arguments on the stack, are the replayer's to lay out.
    frame_end = call.before.rsp + 8 + 8 * len(stack)
    for content, page in zip(contents, pages, strict=True):
        if page.address <= call.before.rsp < page.address + PAGE_BYTES:
            content[: frame_end - page.address] = 0

    doubts = _doubts(call, pages, cut, frame_end)
    sources = np.concatenate([np.array([*ints, *stack], np.uint64), held])
    kept = _reached(contents.view("<u8"), doubts, sources)
    unmappable = [pages[i].address for i in kept if not layout.is_page_address(pages[i].address)]
    if unmappable:
        raise Unfit(Reason.PAGES_UNMAPPABLE, f"page {unmappable[0]:#x} is the replayer's own")
    return Test(
        ints=ints,
        int_bytes=int_bytes,
        vectors=vectors,
        vector_bytes=vector_bytes,
        stack=stack,
        globals=tuple(pieces),
        label=RECORDED,
        pages=tuple(_page(pages[i], contents[i]) for i in kept),
    )


# --- pieces of it ---------------------------------------------------------------------------------


def _moved(call: RecordedCall, addresses: Mapping[str, int], names: Sequence[str]) -> list[Moved]:
    if len(names) != len(call.symbols):
        raise Unfit(Reason.CAPTURE_CORRUPT, f"{len(call.symbols)} symbols for {len(names)} names")
    pairs = zip(names, call.symbols, strict=True)
    return [Moved(name, start, size, addresses[name]) for name, (start, size) in pairs if name in addresses]


def move(words: Words, moved: Sequence[Moved]) -> Words:
    """`words` with those replaced that are addresses in moved symbols; one past an end only where nothing begins."""
    out = words.copy()
    for one in moved:
        at = words == np.uint64(one.end)
        out[at] = one.to + one.size
    for one in moved:
        at = (words >= np.uint64(one.start)) & (words < np.uint64(one.end))
        out[at] = words[at] - np.uint64(one.start) + np.uint64(one.to)
    return out


def _words(data: bytes) -> Words:
    return np.frombuffer(data, "<u8").astype(np.uint64)


def _arguments(
    call: RecordedCall, signature: Signature, moved: Sequence[Moved]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Integer and vector registers with the defined bytes of each, and stack words."""
    before = call.before
    registers = [getattr(before, name) for name in INTEGER]
    ints: dict[int, tuple[int, int]] = {}
    vectors: dict[int, tuple[int, int]] = {}
    stack: dict[int, int] = {}
    for place in (place for param in signature.params for place in param.places):
        if place.file == "vector":
            vectors[place.index] = (before.xmm[place.index] if place.index < len(before.xmm) else 0, place.size)
        elif place.file == "int":
            ints[place.index] = (_argument(registers[place.index], place.size, moved), place.size)
        else:
            # A word of a page that was not recorded was not read.
            word = call.at(before.rsp + 8 + 8 * place.index, 8) or bytes(8)
            stack[place.index] = _argument(int.from_bytes(word, "little"), place.size, moved)
    if max(stack, default=0) >= MAX_STACK:
        raise Unfit(Reason.NO_INPUTS, f"{max(stack) + 1} words of arguments on the stack")
    none = (0, 0)
    in_int = [ints.get(i, none) for i in range(max(ints, default=-1) + 1)]
    in_vector = [vectors.get(i, none) for i in range(max(vectors, default=-1) + 1)]
    return (
        tuple(value for value, _ in in_int),
        tuple(size for _, size in in_int),
        tuple(value for value, _ in in_vector),
        tuple(size for _, size in in_vector),
        tuple(stack.get(i, 0) for i in range(max(stack, default=-1) + 1)),
    )


def _argument(value: int, size: int, moved: Sequence[Moved]) -> int:
    return int(move(np.array([value], np.uint64), moved)[0]) if size == 8 and moved else value


def _cut(pages: Sequence[RecordedPage], contents: Bytes, moved: Sequence[Moved]) -> tuple[list[GlobalBytes], Mask]:
    """What the pages hold of writable symbols, and which bytes that is, (pages, PAGE_BYTES)."""
    pieces: list[GlobalBytes] = []
    cut = np.zeros(contents.shape, np.bool_)
    for number, page in enumerate(pages):
        for one in moved:
            low, high = max(one.start, page.address), min(one.end, page.address + PAGE_BYTES)
            if one.is_writable and low < high:
                inside = slice(low - page.address, high - page.address)
                pieces.append(GlobalBytes(one.name, low - one.start, contents[number, inside].tobytes()))
                cut[number, inside] = True
    return pieces, cut


def _doubts(call: RecordedCall, pages: Sequence[RecordedPage], cut: Mask, frame_end: int) -> Doubts:
    """For each page that may be left out: the ranges of addresses, ends included, of which a word keeps it."""
    out: Doubts = {}
    home = call.before.rsp // PAGE_BYTES * PAGE_BYTES
    below = home
    touched = {page.address for page in pages if not page.is_whole}
    for number in reversed(range(len(pages))):
        start, end = pages[number].address, pages[number].address + PAGE_BYTES
        ranges: list[tuple[int, int]] = []
        if start == home:
            ranges.append((frame_end, end))
        elif end == below and home - start <= FRAME_BYTES:
            ranges.append((start, end - 1))
            below = start
        if pages[number].is_whole and not touched & {start - PAGE_BYTES, end}:
            ranges.append((start, end - 1))
        if cut[number].all():
            out[number] = []
        elif cut[number].any():
            ranges.append((start - NEAR, end))
        if ranges and number not in out:
            out[number] = ranges
    return out


def _reached(words: Words, doubts: Doubts, sources: Words) -> list[int]:
    """Numbers of the pages to keep: those without doubts, and those that words of what is kept point to.

    words    (pages, words of a page)
    sources  words outside of the pages
    """
    kept = {number for number in range(len(words)) if number not in doubts}
    fresh = [sources, *(words[number] for number in kept)]
    while fresh:
        known = np.concatenate(fresh)
        fresh = []
        for number in doubts.keys() - kept:
            if any(((known >= max(low, 0)) & (known <= high)).any() for low, high in doubts[number]):
                kept.add(number)
                fresh.append(words[number])
    return sorted(kept)


def _page(page: RecordedPage, content: Bytes) -> Page:
    """Unchanged bytes stay one object with those of other calls."""
    data = content.tobytes()
    return Page(page.address, page.content if data == page.content else data, page.is_writable)
