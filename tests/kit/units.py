"""Units compiled by the real gcc."""

from __future__ import annotations

from collections.abc import Callable

from gccllm.assembly import Module
from gccllm.base.toolchain import Toolchain
from gccllm.propose import CompileUnit

TOOLS = Toolchain.find()
Make = Callable[..., CompileUnit]
"""Fixture `unit_of`: C text and flags to a unit."""


def compiled(source: str, *flags: str, language: str = "c") -> str:
    ran = TOOLS.compile([*flags, "-w", "-S", "-x", language, "-", "-o", "-"], stdin=source.encode())
    assert ran.ok, ran.err
    return ran.out.decode("latin-1")


def module(source: str, *flags: str, language: str = "c") -> Module:
    return Module.parse(compiled(source, *flags, language=language))
