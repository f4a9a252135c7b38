"""SEED SIZE [TIMES]: pack and unpack with bzip2, large blocks and small, the small unpacker too; print checksums."""

from data import given
from programs import packs

for data in given():
    packs(data, "bzip2", ("-9",), ("-d",))
    packs(data, "bzip2", ("-1",), ("-ds",))
