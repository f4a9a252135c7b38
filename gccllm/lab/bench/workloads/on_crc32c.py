"""SEED SIZE [TIMES]: checksums with crc32c's portable code, whole and in pieces; print them."""

import crc32c
from data import given

for data in given():
    value = 0
    for start in range(0, len(data), 997):
        value = crc32c.crc32c(data[start : start + 997], value)
    for repeated in range(12):
        whole = crc32c.crc32c(data, repeated)
    print(value, whole, *(crc32c.crc32c(data[n:]) for n in range(min(len(data), 16))))
