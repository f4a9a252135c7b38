"""SEED SIZE [TIMES]: pack and unpack blocks and frames with lz4, fast and thorough; print checksums."""

import zlib

import lz4.block
import lz4.frame
from data import given

for data in given():
    for packed in (
        lz4.block.compress(data),
        lz4.block.compress(data, mode="fast", acceleration=4),
        lz4.block.compress(data, mode="high_compression", compression=9),
        lz4.block.compress(data, mode="high_compression", compression=4),
    ):
        assert lz4.block.decompress(packed) == data
        print(len(packed), zlib.crc32(packed))
    for level in (0, 6):
        framed = lz4.frame.compress(data, compression_level=level, content_checksum=True, block_checksum=True)
        assert lz4.frame.decompress(framed) == data
        print(len(framed), zlib.crc32(framed))
