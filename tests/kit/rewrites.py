"""A store with rewrites of the committed cache under names of our choice."""

from __future__ import annotations

from pathlib import Path

from gccllm.store import Entry, Store

CACHE = Path(__file__).resolve().parents[2] / "cache"
MANGLED = "_ZN5image5totalEPKhS1_i"
SPOKEN = "image::total(unsigned char const*, unsigned char const*, int)"
KEY = "a" * 64


def rewrite(**changes: object) -> Entry:
    """An accepted entry of the project's own cache, changed."""
    found = next(f for f in Store(Path("none"), CACHE).entries("project") if f.entry.outcome == "accepted")
    return found.entry.model_copy(update={"key": KEY, **changes})
