"""What a clone (`f.constprop.0`, `f.isra.0`, `f.part.0`) is called with: gcc's own declaration of it (`base.dump`).

A clone keeps the calling convention and changes the signature: constants that all its callers pass are gone, a pointer
may have become the values behind it, a result that nobody uses is not returned. Debugging information describes the
original, with the places of what is left of its parameters but neither their order nor new ones.

Parameters that kept their name have the original's type; a new one has the type that is printed, looked up by name.
Not covered: new parameters of a type without a name, or of a name that two types share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from gccllm.base.core import Decline
from gccllm.base.dump import NUMBERS, Prototype
from gccllm.base.reasons import Reason
from gccllm.harvest.types import CType, Opaque, Pointer, Void

_QUALIFIED = re.compile(r"(.*?)\s*\b(const|restrict|volatile|__restrict|__restrict__)$")
_LEADING = re.compile(r"^((?:const|volatile)\b\s*)+")
_POINTS_TO_FUNCTION = re.compile(r"\(\*")

Named = Callable[[str], CType | None]
"""`int`, `size_t`, `struct s` ... to the type; None where there is none of that name, or more than one."""


def is_clone_of(declared: Prototype, clone: str, original: str) -> bool:
    """Whether the function declared so under the assembler name `clone` is a clone of what the source calls `original`.

    No name of a program holds a dot.
    """
    name, dot, suffix = declared.spoken.rpartition("::")[2].partition(".")
    return bool(dot) and name == original.partition("<")[0] and NUMBERS.sub("", clone).endswith(f".{suffix}")


def clone_parameters(declared: Prototype, original: Mapping[str, CType], named: Named) -> list[tuple[str, CType]]:
    """The parameters of a clone in order. `original`: the types of its original's. Raises Decline."""
    params: list[tuple[str, CType]] = []
    for printed, label in declared.params:
        ctype = original.get(label) or type_of(printed, named)
        if ctype is None:
            raise Decline(Reason.UNSUPPORTED_TYPE, f"{label}: {printed}")
        check(printed, ctype, named)
        params.append((label if label in original else f"value{len(params)}", ctype))
    return params


def check(printed: str, ctype: CType, named: Named) -> None:
    """Raises Decline where a value of type `ctype` is not passed as one of the printed type is."""
    read = type_of(printed, named)
    if read is not None and (type(read), read.size) != (type(ctype), ctype.size):
        raise Decline(Reason.NO_TYPES, f"gcc changed a type to {printed}")


def type_of(text: str, named: Named) -> CType | None:
    """The type that gcc prints as `text`; None for a value whose type `named` does not know.

    What a pointer points to may be unknown: any bytes then.
    """
    text = text.strip()
    if _POINTS_TO_FUNCTION.search(text):
        return Pointer(Opaque("subroutine"))
    if match := _QUALIFIED.fullmatch(text):
        inner = type_of(match[1], named) if match[1] else None
        if match[2] == "volatile":
            return Opaque("volatile")
        if match[2] != "const" and isinstance(inner, Pointer):
            return Pointer(inner.to, inner.const, restrict=True, nonnull=inner.nonnull)
        return inner
    if text.endswith(("*", "&")):
        to = type_of(text[:-1], named) or Void()
        return Pointer(to, _is_const(text[:-1]), nonnull=text.endswith("&"))
    if (words := _LEADING.match(text)) and "volatile" in words[0]:
        return Opaque("volatile")
    return named(_LEADING.sub("", text))


def _is_const(text: str) -> bool:
    """Whether a type is const itself: the word stands behind a pointer's star, and before anything else."""
    text = text.strip()
    return text.endswith(" const") or ("*" not in text and text.startswith("const "))
