"""SEED SIZE [TIMES]: pack and unpack with zlib's minigzip at four levels and strategies; print checksums."""

from data import given
from programs import packs

for data in given():
    for options in (("-1",), ("-6",), ("-9",), ("-6", "-f"), ("-6", "-r")):
        packs(data, "minigzip", options, ("-d",))
