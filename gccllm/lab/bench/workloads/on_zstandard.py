"""SEED SIZE [TIMES]: pack and unpack with zstandard at three levels, by one call and in a stream; print checksums."""

import zlib

import zstandard
from data import given

for data in given():
    for level in (1, 3, 9):
        packed = zstandard.ZstdCompressor(level=level, write_checksum=True).compress(data)
        assert zstandard.ZstdDecompressor().decompress(packed) == data
        print(len(packed), zlib.crc32(packed))
    stream = zstandard.ZstdCompressor(level=3).compressobj()
    streamed = b"".join(stream.compress(data[at : at + 10_000]) for at in range(0, len(data), 10_000)) + stream.flush()
    assert zstandard.ZstdDecompressor().decompressobj().decompress(streamed) == data
    print(len(streamed), zlib.crc32(streamed))
