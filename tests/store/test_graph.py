"""Graphs of dataclasses survive the way through JSON, shared and cyclic nodes included; nothing else gets in."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.store.graph import decode, encode


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(eq=False)
class Node:
    name: str
    next: Node | None = None
    tags: tuple[int, ...] = ()
    extra: dict[str, bytes] = field(default_factory=dict)
    colour: Colour = Colour.RED


CLASSES = (Node, Colour)


def test_a_cycle_stays_a_cycle() -> None:
    node = Node("a", tags=(1, 2), extra={"k": b"\x00\xff"})
    node.next = Node("b", node)
    back = decode(json.loads(json.dumps(encode(node))), CLASSES)
    assert (back.name, back.tags, back.extra, back.colour) == ("a", (1, 2), {"k": b"\x00\xff"}, Colour.RED)
    assert back.next.next is back


@pytest.mark.parametrize(
    "data",
    [
        {"root": {"n": 0}, "nodes": [["Popen", {"args": "sh"}]]},
        {"root": {"n": 0}, "nodes": [["Colour", {}]]},
        {"root": {"n": 3}, "nodes": []},
        {"root": {"e": ["Node", "x"]}, "nodes": []},
        {"root": {"n": 0}, "nodes": [["Node", {"name": "a", "__class__": "b"}]]},
        {"root": [1], "nodes": []},
        {"nodes": []},
        [],
        "x",
    ],
)
def test_what_encode_would_not_write_is_refused(data: object) -> None:
    with pytest.raises(ValueError):
        decode(data, CLASSES)


@pytest.mark.parametrize("field", ["name", "next", "tags", "extra", "colour"])
@pytest.mark.parametrize("value", [{"l": [1]}, {"t": ["x"]}, {"d": [["k", "v"]]}, {"b": "00"}, 1.5])
def test_a_value_of_another_type_is_refused(field: str, value: object) -> None:
    data = encode(Node("a"))
    data["nodes"][0][1][field] = value
    with pytest.raises(ValueError, match=f"Node.{field} is of another type"):
        decode(data, CLASSES)


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
VALUES = st.recursive(LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3))


@given(VALUES)
def test_plain_values_come_back(value: object) -> None:
    assert decode(json.loads(json.dumps(encode(value))), ()) == value
