"""An input in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gccllm.base.core import Page, Region, Test, arena_address
from gccllm.harvest.describe_input import input_words
from gccllm.harvest.types import Floating, Integer, Param, Place, Pointer, Signature

INT = Integer(4, signed=True)
SIGNATURE = Signature(
    "f",
    (
        Param("a", Pointer(INT), (Place("int", 0, 8),)),
        Param("n", INT, (Place("int", 1, 4),)),
        Param("x", Floating(8), (Place("vector", 0, 8),)),
        Param("p", Pointer(INT), (Place("int", 2, 8),)),
    ),
    None,
    (),
    {},
    {},
)
DATA = b"".join(n.to_bytes(4, "little", signed=True) for n in (3, -1, 4))
TEST = Test(
    ints=(arena_address(0) + 16, 0xDEAD00000000 | 0xFFFFFFFD, 0),
    int_bytes=(8, 4, 8),
    vectors=(0x3FF8_0000_0000_0000,),
    vector_bytes=(8,),
    regions=(Region(0, 16, DATA),),
    arenas=1,
    label="fuzz",
)


def test_arguments_and_what_they_point_to() -> None:
    assert input_words(TEST, SIGNATURE) == "a = [3, -1, 4], n = -3, x = 1.5, p = NULL"
    long = replace(TEST, regions=(Region(0, 16, DATA * 9),))
    assert input_words(long, SIGNATURE).startswith("a = [3, -1, 4, 3, -1, 4, 3, -1, 4, 3, -1, 4, ...], n")


@pytest.mark.parametrize("label", ["recorded", "mutated"])
def test_nothing_is_said_of_what_was_recorded(label: str) -> None:
    assert input_words(replace(TEST, label=label), SIGNATURE) == ""
    assert input_words(replace(TEST, pages=(Page(0x7000, bytes(4096), True),)), SIGNATURE) == ""
