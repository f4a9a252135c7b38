"""Data of the mutation operators: which mnemonic is mistaken for which."""

from __future__ import annotations

from collections.abc import Iterator

# The negation first, then the neighbour that differs at equality, then the other signedness.
CONDITION_SIBLINGS: dict[str, tuple[str, ...]] = {
    "a": ("be", "ae", "g"),
    "ae": ("b", "a", "ge"),
    "b": ("ae", "be", "l"),
    "be": ("a", "b", "le"),
    "c": ("nc",),
    "e": ("ne",),
    "g": ("le", "ge", "a"),
    "ge": ("l", "g", "ae"),
    "l": ("ge", "le", "b"),
    "le": ("g", "l", "be"),
    "na": ("a",),
    "nb": ("b",),
    "nc": ("c",),
    "ne": ("e",),
    "no": ("o",),
    "np": ("p",),
    "ns": ("s",),
    "nz": ("z",),
    "o": ("no",),
    "p": ("np",),
    "s": ("ns",),
    "z": ("nz",),
}

INVISIBLE = frozenset(
    ("cld", "cltq", "endbr64", "leave", "nop", "nopl", "nopw", "pause", "ret", "ud2", "vzeroall", "vzeroupper")
)
"""Instructions whose deletion is a matter for other gates, or none (`cltq` is often implied)."""

ACCUMULATING = (
    "add", "dec", "imul", "inc", "neg", "not", "padd", "psub", "rol", "ror", "sal", "shl", "shr", "sub", "xor",
)  # fmt: skip
"""Stems of instructions that do something else when executed twice."""

_ANY_SUFFIX = (
    ("add", "sub"),
    ("sub", "add"),
    ("and", "or"),
    ("or", "and"),
    ("xor", "or"),
    ("inc", "dec"),
    ("dec", "inc"),
    ("sal", "shr"),
    ("shl", "shr"),
    ("shr", "sar"),
    ("sar", "shr"),
    ("rol", "ror"),
    ("ror", "rol"),
    ("neg", "not"),
    ("not", "neg"),
    ("adc", "add"),
    ("sbb", "sub"),
    ("mul", "imul"),
    ("div", "idiv"),
    ("idiv", "div"),
    ("bsf", "bsr"),
    ("bsr", "bsf"),
    ("tzcnt", "lzcnt"),
    ("lzcnt", "tzcnt"),
    ("cmp", "test"),
    ("test", "cmp"),
    ("bt", "btc"),
)

_EXACT = (
    ("movzbl", "movsbl"),
    ("movsbl", "movzbl"),
    ("movzwl", "movswl"),
    ("movswl", "movzwl"),
    ("movzbw", "movsbw"),
    ("movsbw", "movzbw"),
    ("movsbq", "movzbq"),
    ("movswq", "movzwq"),
)

# Without the leading v; both spellings are made.
_VECTOR = (
    *((f"padd{s}", f"psub{s}") for s in "bwdq"),
    *((f"psub{s}", f"padd{s}") for s in "bwdq"),
    ("paddd", "paddw"),
    ("paddq", "paddd"),
    *((f"pmin{a}{s}", f"pmax{a}{s}") for a in "su" for s in "bwd"),
    *((f"pmax{a}{s}", f"pmin{a}{s}") for a in "su" for s in "bwd"),
    *((f"pmins{s}", f"pminu{s}") for s in "bwd"),
    *((f"pcmpgt{s}", f"pcmpeq{s}") for s in "bwdq"),
    *((f"pcmpeq{s}", f"pcmpgt{s}") for s in "bwdq"),
    ("pand", "por"),
    ("por", "pand"),
    ("pxor", "por"),
    ("pandn", "pand"),
    *((f"psll{s}", f"psrl{s}") for s in "wdq"),
    *((f"psrl{s}", f"psll{s}") for s in "wdq"),
    *((f"psra{s}", f"psrl{s}") for s in "wd"),
    ("psrldq", "pslldq"),
    ("pslldq", "psrldq"),
    *((f"punpckl{s}", f"punpckh{s}") for s in ("bw", "wd", "dq", "qdq")),
    *((f"punpckh{s}", f"punpckl{s}") for s in ("bw", "wd", "dq", "qdq")),
    ("pmulld", "paddd"),
    ("pmullw", "pmulhw"),
    ("pmulhw", "pmullw"),
    ("pmuludq", "paddq"),
    ("pmaddwd", "pmullw"),
    *((f"add{s}", f"sub{s}") for s in ("ss", "sd", "ps", "pd")),
    *((f"sub{s}", f"add{s}") for s in ("ss", "sd", "ps", "pd")),
    *((f"mul{s}", f"add{s}") for s in ("ss", "sd", "ps", "pd")),
    *((f"div{s}", f"mul{s}") for s in ("ss", "sd", "ps", "pd")),
    *((f"min{s}", f"max{s}") for s in ("ss", "sd", "ps", "pd")),
    *((f"max{s}", f"min{s}") for s in ("ss", "sd", "ps", "pd")),
    *((f"unpckl{s}", f"unpckh{s}") for s in ("ps", "pd")),
    ("andps", "orps"),
    ("andpd", "orpd"),
    ("xorps", "orps"),
    ("xorpd", "orpd"),
    ("cvttsd2si", "cvtsd2si"),
    ("cvttss2si", "cvtss2si"),
    ("cvtdq2ps", "movaps"),
)


def _rows() -> Iterator[tuple[str, str]]:
    for old, new in _ANY_SUFFIX:
        for suffix in ("", "b", "w", "l", "q"):
            yield old + suffix, new + suffix
    yield from _EXACT
    for old, new in _VECTOR:
        yield old, new
        yield f"v{old}", f"v{new}"
    for a, b in (("132", "213"), ("213", "231"), ("231", "132")):
        for s in ("ss", "sd", "ps", "pd"):
            yield f"vfmadd{a}{s}", f"vfmadd{b}{s}"
            yield f"vfmadd{a}{s}", f"vfmsub{a}{s}"
            yield f"vfmadd{a}{s}", f"vfnmadd{a}{s}"


def _siblings() -> dict[str, tuple[str, ...]]:
    out: dict[str, list[str]] = {}
    for old, new in _rows():
        out.setdefault(old, []).append(new)
    return {old: tuple(new) for old, new in out.items()}


SIBLINGS = _siblings()
"""Mnemonic to what it is mistaken for. Not every form of a sibling assembles."""
