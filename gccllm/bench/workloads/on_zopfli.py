"""SEED SIZE: pack with zopfli, three iterations; print lengths and checksums."""

import sys
import zlib

import zopfli.zlib
from data import inputs

for data in inputs(int(sys.argv[1]), int(sys.argv[2])):
    packed = zopfli.zlib.compress(data, numiterations=3)
    assert zlib.decompress(packed) == data
    print(len(packed), zlib.crc32(packed))
