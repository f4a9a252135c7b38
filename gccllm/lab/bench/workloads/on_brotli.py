"""SEED SIZE [TIMES]: pack and unpack with brotli at four qualities; print lengths and checksums."""

import zlib

import brotli
from data import given

for data in given():
    for quality in (1, 4, 5, 9):
        packed = brotli.compress(data, quality=quality)
        for _ in range(3):
            assert brotli.decompress(packed) == data
        print(len(packed), zlib.crc32(packed))
