"""SEED SIZE [TIMES]: every hash of xxhash, in one piece and in pieces; print the hashes."""

import xxhash
from data import given

for data in given():
    for kind in (xxhash.xxh32, xxhash.xxh64, xxhash.xxh3_64, xxhash.xxh3_128):
        for repeated in range(12):
            whole = kind(data, seed=repeated)
        parts = kind()
        for start in range(0, len(data), 999):
            parts.update(data[start : start + 999])
        print(whole.hexdigest(), parts.hexdigest(), *(kind(data[:n]).hexdigest() for n in range(0, 240, 13)))
