"""Accepted rewrites and remembered failures: content-addressed text entries in layers (project, then user)."""

from gccllm.store.entry import SCHEMA, Entry, EntryError
from gccllm.store.layers import Found, Store

__all__ = ["SCHEMA", "Entry", "EntryError", "Found", "Store"]
