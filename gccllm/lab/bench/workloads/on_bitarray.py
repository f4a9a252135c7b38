"""SEED SIZE [TIMES]: counting, searching, shifting, reversing and coding with bitarray; print what comes out."""

import zlib

from bitarray import bitarray
from bitarray.util import ba2hex, canonical_huffman, count_and, count_xor, sc_decode, sc_encode, vl_encode
from data import given

for data in given():
    bits, other = bitarray(), bitarray(endian="little")
    bits.frombytes(data)
    other.frombytes(data[::-1])
    turned = bits.copy()
    turned.reverse()
    shifted = bits << 13
    sparse = bits & (bits >> 3) & (bits << 5)
    coded = sc_encode(sparse)
    assert sc_decode(iter(coded)) == sparse
    print(
        bits.count(), bits.count(1, 3, len(bits) - 5), count_and(bits, turned), count_xor(bits, shifted),
        len(list(bits.search(bitarray("110010")))), bits.find(bitarray("1111111100")), zlib.crc32(turned.tobytes()),
        zlib.crc32((bits ^ shifted).tobytes()), len(coded), len(vl_encode(bits[:999])),
        len(ba2hex(bits[: len(bits) // 4 * 4])),
    )  # fmt: skip
    if data:
        frequency = {byte: data.count(byte) for byte in set(data)}
        code, _, _ = canonical_huffman(frequency)
        packed = bitarray()
        packed.encode(code, data)
        assert bytes(packed.decode(code)) == data
        print(len(packed))
