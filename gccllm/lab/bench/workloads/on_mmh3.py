"""SEED SIZE [TIMES]: every hash of mmh3, in one piece and in pieces; print the hashes."""

import mmh3
from data import given

for data in given():
    for repeated in range(12):
        found = (
            mmh3.hash(data, repeated),
            *mmh3.hash64(data, repeated, x64arch=True),
            *mmh3.hash64(data, repeated, x64arch=False),
            mmh3.hash128(data, repeated, x64arch=True),
            mmh3.hash128(data, repeated, x64arch=False),
        )
    print(*found)
    for kind in (mmh3.mmh3_32, mmh3.mmh3_x64_128, mmh3.mmh3_x86_128):
        parts = kind()
        for start in range(0, len(data), 999):
            parts.update(data[start : start + 999])
        print(parts.digest().hex(), *(kind(data[:n]).digest().hex() for n in range(0, 60, 7)))
