"""Units compiled by the real gcc."""

from __future__ import annotations

from pathlib import Path

import pytest

from gccllm.assembly import Module
from gccllm.base.toolchain import Toolchain
from gccllm.propose import CompileUnit
from tests.kit.units import Make


@pytest.fixture
def unit_of(tmp_path: Path) -> Make:
    """A unit of the given C text, with its baseline."""

    def make(source: str, *flags: str, name: str = "unit.c") -> CompileUnit:
        path = tmp_path / name
        path.write_text(source)
        tools = Toolchain.find()
        flags = flags or ("-O3",)
        ran = tools.compile([*flags, "-S", "-o", "-", str(path)], cwd=tmp_path)
        assert ran.ok, ran.err
        baseline = Module.parse(ran.out.decode("latin-1"))
        return CompileUnit(path, tuple(flags), tmp_path, tools, baseline=baseline)

    return make
