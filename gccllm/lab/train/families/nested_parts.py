"""What the families of nested loops share: element types with floats among them, and letters for names."""

from __future__ import annotations

from dataclasses import dataclass

from gccllm.lab.train.shapes import Signature


@dataclass(frozen=True)
class Scalar:
    """An element type, floats among them."""

    c: str
    word: str
    bits: int
    sign: int
    """As native/check.c has it: 0 unsigned, 1 signed, 2 float."""

    @property
    def shape(self) -> str:
        return f":{self.bits}:{self.sign}"

    @property
    def is_float(self) -> bool:
        return self.sign == 2

    @property
    def argument(self) -> str:
        """Kind of a scalar argument."""
        return f"g:{self.bits}" if self.is_float else f"c{self.shape}"


F32, F64 = Scalar("float", "f32", 32, 2), Scalar("double", "f64", 64, 2)
I32, U32 = Scalar("int", "i32", 32, 1), Scalar("unsigned", "u32", 32, 0)
I64, U64 = Scalar("long", "i64", 64, 1), Scalar("unsigned long", "u64", 64, 0)
SIDES = {"int": "i32", "long": "i64", "size_t": "u64"}


def named(sig: Signature, text: str) -> str:
    """An answer's text with the parameters, written in braces, as letters."""
    for param in sig.params:
        text = text.replace("{" + param.name + "}", sig.at(param.name))
    return text
