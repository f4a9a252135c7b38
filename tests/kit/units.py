"""Units compiled by the real gcc."""

from __future__ import annotations

from collections.abc import Callable

from gccllm.propose import CompileUnit

Make = Callable[..., CompileUnit]
"""Fixture `unit_of`: C text and flags to a unit."""
