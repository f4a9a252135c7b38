"""Predicates over one element: the C test, and the mask instructions that decide it for a whole vector.

`Predicate.setup` fills vector constants, `Predicate.mask` leaves the answer in %k2 under the live lanes %k1. Constants
are spelled as gcc spells them in the naive text (x < c as x <= c-1, ranges as a subtraction and an unsigned test), so
that an answer finds its numbers in its prompt.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from gccllm.train.shapes import Elem, Signature

EQ, LT, LE, NE, GE, GT = 0, 1, 2, 4, 5, 6
_OPS = {"eq": ("==", EQ), "ne": ("!=", NE), "lt": ("<", LT), "le": ("<=", LE), "gt": (">", GT), "ge": (">=", GE)}


@dataclass(frozen=True)
class Predicate:
    name: str
    c: str
    setup: tuple[str, ...]
    mask: tuple[str, ...]
    values: tuple[int, ...] = ()
    misses_if: tuple[str, ...] = ()
    """Instructions after which `ja MISS` sends arguments that no element can match away (equality with a wider one)."""


def broadcast(elem: Elem, value: int, vector: int, width: str = "zmm") -> tuple[str, ...]:
    value = elem.bits_of(value)
    if elem.bits == 64:
        return (f"movq ${value},%rax", f"vpbroadcastq %rax,%{width}{vector}")
    return (f"movl ${value},%eax", f"vpbroadcast{elem.suffix} %eax,%{width}{vector}")


def broadcast_argument(elem: Elem, sig: Signature, name: str, vector: int, width: str = "zmm") -> tuple[str, ...]:
    return (f"vpbroadcast{elem.suffix} {sig.where(name, 64 if elem.bits == 64 else 32)},%{width}{vector}",)


def compare(elem: Elem, op: int, other: int, out: int = 2, data: int = 0, width: str = "zmm", live: int = 1) -> str:
    """data OP other, into mask `out`, under mask `live`."""
    unsigned = "" if elem.signed or op in (EQ, NE) else "u"
    return f"vpcmp{unsigned}{elem.suffix} ${op},%{width}{other},%{width}{data},%k{out}{{%k{live}}}"


def constant(rng: random.Random, elem: Elem) -> int:
    """A constant as they occur: small, characters, powers of two, sometimes anything."""
    draw = rng.random()
    if draw < 0.35:
        value = rng.randint(1, 127)
    elif draw < 0.5:
        value = rng.choice([10, 32, 48, 57, 58, 65, 90, 97, 122, 100, 50, 127, 9, 13, 44])
    elif draw < 0.62:
        value = 0
    elif draw < 0.72 and elem.signed:
        value = -rng.randint(1, 127)
    elif elem.bits == 8:
        value = rng.randint(max(elem.low, -127), min(elem.high, 254))
    else:
        value = rng.choice(
            [rng.randint(128, 1000), rng.randint(1000, 30000), rng.choice([128, 256, 512, 1000, 4096, 10000])]
        )
    return max(elem.low + 2, min(elem.high - 2, value))


def draw_predicate(
    rng: random.Random,
    elem: Elem,
    sig: Signature,
    *,
    width: str = "zmm",
    string: bool = False,
    wide_equal: bool = False,
) -> Predicate:
    """One predicate over `x`. Arguments it needs are added to `sig`; call its `finish` parts after the shuffle.

    `string`: the predicate is false for 0 whatever the arguments (the terminator must not match).
    The constant lives in vector 2 (and 3, 4); a register name depends on the final order of the parameters, so
    predicates with an argument carry the marker `{c}` that `bind` replaces.
    """
    names = [
        "eq",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "range",
        "range",
        "outside",
        "test",
        "clear",
        "either",
        "arg",
        "arg",
        "args",
    ]
    names += ["three"] * (elem.bits == 8)
    if elem.signed:
        names += ["negative", "negative", "notnegative"]
    if string:
        names = ["eq", "eq", "range", "range", "either", "either", "three", "arg", "four"]
    if wide_equal and elem.bits == 8:
        names += ["wide"] * 3
    name = rng.choice(names)
    bits = elem.suffix
    kor = f"kor{elem.mask_suffix}"
    if name in _OPS:
        number = constant(rng, elem)
        if string and number == 0:
            number = 46
        operator, op = _OPS[name]
        shown, value = op, number
        if name in ("lt", "ge"):
            shown, value = LE if name == "lt" else GT, number - 1
        if not elem.signed and value == 0 and shown in (LE, GT):
            shown = EQ if shown == LE else NE
        return Predicate(
            name, f"x {operator} {elem.literal(number)}", broadcast(elem, value, 2, width),
            (compare(elem, shown, 2, width=width),), (number,),
        )  # fmt: skip
    if name in ("range", "outside"):
        low = rng.choice([48, 65, 97, 32, rng.randint(1, 90), rng.randint(1, 90)])
        high = min(elem.high - 1, low + rng.choice([9, 25, 25, rng.randint(2, 36)]))
        inside = name == "range"
        spell = rng.random() < 0.7
        if inside:
            text = (
                f"(x >= {elem.literal(low)} && x <= {elem.literal(high)})"
                if spell
                else f"(x > {elem.literal(low - 1)} && x < {elem.literal(high + 1)})"
            )
        else:
            text = f"(x < {elem.literal(low)} || x > {elem.literal(high)})"
        mask: tuple[str, ...] = (
            f"vpadd{bits} %{width}2,%{width}0,%{width}5",
            f"vpcmpu{bits} ${LE if inside else GT},%{width}3,%{width}5,%k2{{%k1}}",
        )
        return Predicate(
            name, text, broadcast(elem, -low, 2, width) + broadcast(elem, high - low, 3, width), mask, (low, high)
        )
    if name in ("test", "clear"):
        bit = rng.choice([1, 1, 1, 2, 4, 8, 16, 32, 64, 3, 7, 15, 6, 12, rng.randint(1, 127)])
        instruction = "vptestm" if name == "test" else "vptestnm"
        text = f"(x & {bit}) {'!=' if name == 'test' else '=='} 0"
        if bit == 1:
            text = rng.choice([text, "x % 2 != 0" if name == "test" else "x % 2 == 0"])
        return Predicate(
            name, text, broadcast(elem, bit, 2, width), (f"{instruction}{bits} %{width}2,%{width}0,%k2{{%k1}}",), (bit,)
        )  # fmt: skip
    if name in ("either", "three", "four"):
        count = {"either": 2, "three": 3, "four": 4}[name]
        pool = [32, 10, 9, 13, 44, 46, 59, 58, 45, 43] if rng.random() < 0.6 else list(range(1, 120))
        values = rng.sample(pool, count)
        setup: tuple[str, ...] = ()
        mask = ()
        for i, value in enumerate(values):
            vector = (2, 3, 4, 6)[i]
            setup += broadcast(elem, value, vector, width)
            mask += (compare(elem, EQ, vector, out=2 if i == 0 else 3, width=width),)
            if i:
                mask += (f"{kor} %k3,%k2,%k2",)
        return Predicate(
            name, " || ".join(f"x == {elem.literal(v)}" for v in values).join("()"), setup, mask, tuple(values)
        )
    if name in ("negative", "notnegative"):
        op = LT if name == "negative" else GE
        return Predicate(
            name, f"x {'<' if name == 'negative' else '>='} 0", ("vpxor %xmm2,%xmm2,%xmm2",),
            (compare(elem, op, 2, width=width),), (),
        )  # fmt: skip
    if name == "args":
        sig.add("lo", f"{elem.c} lo", f"c:{elem.bits}:{int(elem.signed)}")
        sig.add("hi", f"{elem.c} hi", f"c:{elem.bits}:{int(elem.signed)}")
        mask = (
            compare(elem, GE, 2, width=width),
            compare(elem, LE, 3, width=width, live=2),
        )
        return Predicate(
            "args", "(x >= lo && x <= hi)", ("{lo:2}", "{hi:3}"), mask
        )  # fmt: skip
    if name == "wide":
        op_name = "eq"
        sig.add("c", "int c", "w")
        return Predicate("wide", "x == c", ("{c:2}",), (compare(elem, EQ, 2, width=width),), (), ("{wide}",))
    op_name = "eq" if string else rng.choice(list(_OPS))
    operator, op = _OPS[op_name]
    sig.add("c", f"{elem.c} c", f"c:{elem.bits}:{int(elem.signed)}")
    return Predicate(f"arg{op_name}", f"x {operator} c", ("{c:2}",), (compare(elem, op, 2, width=width),))


def bind(lines: tuple[str, ...], sig: Signature, elem: Elem, width: str = "zmm") -> list[str]:
    """Replace the argument markers once the order of the parameters is known."""
    bound: list[str] = []
    for line in lines:
        if line == "{wide}":
            c = sig.where("c", 32)
            shifted = f"leal 128({sig.where('c')}),%eax" if elem.signed else f"movl {c},%eax"
            bound += [shifted, "cmpl $255,%eax"]
        elif line.startswith("{"):
            name, vector = line.strip("{}").split(":")
            bound += broadcast_argument(elem, sig, name, int(vector), width)
        else:
            bound.append(line)
    return bound
