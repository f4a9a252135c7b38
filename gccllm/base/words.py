"""Words of a sentence that depend on what it counts."""

from __future__ import annotations


def counted(count: int, what: str, several: str = "") -> str:
    """`1 unit`, `2 units`; `several` where that is not what adds an s."""
    return f"{count} {what if count == 1 else several or f'{what}s'}"
