"""Programs of a build: run on data, output checked and printed as checksums."""

from __future__ import annotations

import os
import subprocess
import zlib


def ran(data: bytes, program: str, *options: str) -> bytes:
    """What a program of the build says to `data`."""
    argv = [os.path.join(os.environ["BUILT"], program), *options]
    return subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout


def packs(data: bytes, program: str, pack: tuple[str, ...], unpack: tuple[str, ...]) -> None:
    packed = ran(data, program, *pack)
    assert ran(packed, program, *unpack) == data
    print(len(packed), zlib.crc32(packed))
