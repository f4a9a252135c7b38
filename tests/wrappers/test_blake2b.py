"""Our BLAKE2b against Python's."""

from __future__ import annotations

import struct
import subprocess
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

WRAPPERS = Path(__file__).resolve().parent.parent.parent / "wrappers"

# Reads records (4-byte step, 4-byte length, bytes), hashes each in pieces of `step` bytes, prints the digests.
DRIVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include "blake2b.h"
int main(void) {
    unsigned head[2];
    while (fread(head, sizeof(head), 1, stdin) == 1) {
        char * data = malloc(head[1] + 1), hex[BLAKE2B_HEX + 1];
        struct blake2b hash;
        if (fread(data, 1, head[1], stdin) != head[1]) return 1;
        blake2b_start(&hash);
        for (unsigned at = 0; at < head[1]; at += head[0])
            blake2b_add(&hash, data + at, head[1] - at < head[0] ? head[1] - at : head[0]);
        blake2b_end(&hash, hex);
        puts(hex);
        free(data);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("blake2b")
    (place / "driver.c").write_text(DRIVER)
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{WRAPPERS}"]
    subprocess.run(["gcc", *flags, "driver.c", str(WRAPPERS / "blake2b.c"), "-o", "driver"], cwd=place, check=True)
    return place / "driver"


def digests(driver: Path, records: list[tuple[int, bytes]]) -> list[str]:
    data = b"".join(struct.pack("=II", step, len(text)) + text for step, text in records)
    return subprocess.run([driver], input=data, capture_output=True, check=True).stdout.decode().split()


def test_every_length_around_the_block_size(driver: Path) -> None:
    texts = [bytes(i % 251 for i in range(n)) for n in range(400)]
    assert digests(driver, [(1000, t) for t in texts]) == [blake2b(t, digest_size=32).hexdigest() for t in texts]


@settings(max_examples=30, deadline=None)
@given(records=st.lists(st.tuples(st.integers(1, 300), st.binary(max_size=2000)), min_size=1, max_size=20))
def test_any_bytes_in_any_pieces(driver: Path, records: list[tuple[int, bytes]]) -> None:
    assert digests(driver, records) == [blake2b(t, digest_size=32).hexdigest() for _, t in records]
