"""Accepted rewrites and remembered failures: content-addressed text entries in layers (project, then user)."""

from gccllm.store.entry import SCHEMA, Entry, EntryError
from gccllm.store.keys import function_key
from gccllm.store.layers import Found, Store

__all__ = ["SCHEMA", "Entry", "EntryError", "Found", "Store", "function_key"]
