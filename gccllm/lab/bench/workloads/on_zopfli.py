"""SEED SIZE [TIMES]: pack with zopfli, three iterations; print lengths and checksums."""

import zlib

import zopfli.zlib
from data import given

for data in given():
    packed = zopfli.zlib.compress(data, numiterations=3)
    assert zlib.decompress(packed) == data
    print(len(packed), zlib.crc32(packed))
