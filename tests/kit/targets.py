"""A function of a C file as the harvest's target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gccllm.assembly import Module
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.side import SideCompile
from gccllm.harvest.target import Builds, HarvestTarget


def target_of(source: Path, function: str, flags: Sequence[str], workdir: Path) -> HarvestTarget:
    """Compile `source` thrice and take `function` out of it."""
    tools = Toolchain.find()
    ran = tools.compile([*flags, "-S", str(source), "-o", "-"])
    assert ran.ok, ran.err
    text = ran.out.decode("latin-1")
    side = SideCompile(tools, flags, source)
    signature = side.typed(text, workdir).types.signature(function)
    builds = Builds(Module.parse(text), tools, side.trapping(), flags)
    return HarvestTarget.of(builds, function, signature, workdir)
