"""The types of one function as the built-in model sees them: a word for the result, a word for each parameter.

An answer in the `c` dialect is only the inside of a function; its head is written here, with parameters a, b, c ... by
position, so that the model spends nothing on names. Words are the element types of `prelude/core.h` (`i32`, `u8`,
`f64`), `p` and a word for a pointer (`pu8`), `pv` for pointers to anything else, `v` for no result.

Not covered (`None`): more than six parameters, structures by value, long double, function pointers, variadics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_PARAMETERS = 6
_NAMES = {
    "char": "i8", "signed char": "i8", "unsigned char": "u8", "_Bool": "u8", "bool": "u8",
    "short": "i16", "unsigned short": "u16", "int": "i32", "unsigned": "u32", "unsigned int": "u32", "signed": "i32",
    "long": "i64", "unsigned long": "u64", "long long": "i64", "unsigned long long": "u64", "long int": "i64",
    "unsigned long int": "u64", "long long int": "i64", "unsigned long long int": "u64", "short int": "i16",
    "unsigned short int": "u16", "size_t": "u64", "ssize_t": "i64", "ptrdiff_t": "i64", "intptr_t": "i64",
    "uintptr_t": "u64", "float": "f32", "double": "f64", "void": "v",
    **{f"{u}int{n}_t": f"{u or 'i'}{n}" for u in ("", "u") for n in (8, 16, 32, 64)},
    **{f"{k}{n}": f"{k}{n}" for k in "iu" for n in (8, 16, 32, 64)},
}  # fmt: skip
SCALARS = ("i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64")
WORDS = ("v", *SCALARS, *(f"p{s}" for s in SCALARS), "pv")
_QUALIFIERS = re.compile(
    r"\b(?:const|restrict|__restrict|__restrict__|static|inline|extern|register|volatile|__inline|__inline__)\b"
)


@dataclass(frozen=True, slots=True)
class CSignature:
    """Result and parameters as words."""

    returns: str
    params: tuple[str, ...]

    @classmethod
    def parse(cls, declaration: str) -> CSignature | None:
        """Of a C declaration with parameter names, e.g. `int f(const char *s, size_t n)`; None when not covered."""
        text = re.sub(r"__attribute__\s*\(\(.*?\)\)", " ", declaration)
        match = re.fullmatch(r"\s*(?P<head>[^()]*?)(?P<stars>[\s*]+)\w+\s*\((?P<inside>[^()]*)\)\s*;?\s*", text)
        if match is None:
            return None
        inside = match["inside"].strip()
        pieces = [] if inside in ("", "void") else inside.split(",")
        returns = _word(match["head"] + match["stars"])
        params = [_word(_without_name(piece)) for piece in pieces]
        if returns is None or len(params) > MAX_PARAMETERS or any(p is None or p == "v" for p in params):
            return None
        return cls(returns, tuple(p for p in params if p is not None))

    @property
    def words(self) -> tuple[str, ...]:
        """As they are written in a prompt."""
        return ("=" + self.returns, *(":" + p for p in self.params))

    def head(self, name: str) -> str:
        """The C head of a function `name` with parameters a, b, c ..."""
        inside = ", ".join(_declare(word, letter) for word, letter in zip(self.params, "abcdef", strict=False))
        result = _declare(self.returns, "").strip()
        return f"{result} {name}({inside or 'void'})"


def _declare(word: str, name: str) -> str:
    if word == "v":
        return "void"
    if word.startswith("p"):
        return f"{'u8' if word == 'pv' else word[1:]} *{name}"
    return f"{word} {name}"


def _without_name(piece: str) -> str:
    """A parameter without its name; `T a[]`, `T a[n]` and `T a[n][m]` are pointers to T here."""
    piece = re.sub(r"(\w+)\s*(?:\[[^\]]*\]\s*)+$", r"*\1", piece.strip())
    bare = re.sub(r"\b\w+\s*$", "", piece)
    # `unsigned` alone is a type, not a name
    return bare if _word(bare) is not None else piece


def _word(text: str) -> str | None:
    text = _QUALIFIERS.sub(" ", text)
    stars = text.count("*")
    base = " ".join(text.replace("*", " ").split())
    word = _NAMES.get(base)
    if stars == 0:
        return word
    if not base:
        return None
    return f"p{word}" if stars == 1 and word is not None and word != "v" else "pv"
