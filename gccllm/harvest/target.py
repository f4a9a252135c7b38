"""The function under test as the harvest takes it: its slice, its signature, and the slice of a trapping build."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from gccllm.assembly import Body, BodyError, Module, is_pointed_to, reachable, replaceable, slice_text
from gccllm.base.core import Decline
from gccllm.base.names import original_name
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.generate import GlobalSymbol
from gccllm.harvest.types import Signature
from gccllm.sandbox.environment import STRICT, Environment, environment_of


@dataclass(frozen=True, slots=True)
class Builds:
    """A unit as gcc compiled it, and as the side compile did that traps on undefined behaviour."""

    module: Module
    tools: Toolchain
    trapping: Module | None = None
    options: Sequence[str] = ()
    """Of the compile: they say what of the unit another may replace. Without them the text does."""
    as_gcc: bool = True
    """`HarvestTarget.as_gcc`."""


@dataclass(frozen=True)
class HarvestTarget:
    """One function to find inputs for."""

    name: str
    text: str
    """`assembly.slice_text` of it."""
    body: Body
    signature: Signature
    tools: Toolchain
    workdir: Path
    ubsan_text: str | None = None
    """The same slice out of the trapping side compile; None when there is none."""
    symbols: tuple[GlobalSymbol, ...] = ()
    """Writable data that the function may touch, and what another unit may have other contents of."""
    environment: Environment = STRICT
    """What its callers may look at beside results and memory."""
    as_gcc: bool = True
    """Whether a rewrite agrees with gcc's machine code where C leaves behaviour undefined."""

    @classmethod
    def of(cls, unit: Builds, name: str, signature: Signature, workdir: Path) -> HarvestTarget:
        """Function `name` of a unit. Raises Decline or BodyError."""
        module = unit.module
        others = replaceable(module, unit.options)
        objects = reachable(module, name, others)[1]
        symbols = []
        for symbol in objects:
            known = module.objects[symbol]
            size = int(known.size) if known.size.isdigit() else _common_size(known.common)
            if (known.is_writable or symbol in others) and size and not symbol.startswith(".L"):
                variable = signature.variables.get(symbol.split(".")[0])
                symbols.append(GlobalSymbol(symbol, size, variable, is_pointed_to(module, symbol)))
        return cls(
            name, slice_text(module, name, replaceable=others), module.functions[name].body, signature, unit.tools,
            workdir, trapping_slice(unit.trapping, module, name, others), tuple(symbols), environment_of(unit.options),
            unit.as_gcc,
        )  # fmt: skip


def trapping_slice(
    trapping: Module | None, module: Module, name: str, others: AbstractSet[str] = frozenset()
) -> str | None:
    """The function and all it reaches out of the trapping side compile; None where it is not there, as no clone is.

    `others`: names of `module` that another unit may replace. What gcc inlined into the baseline is the unit's own
    there too. Raises BodyError as `reachable` does.
    """
    if trapping is None or original_name(name):
        return None
    functions = reachable(module, name, others)[0]
    called = frozenset(ref for one in functions for ref in module.functions[one].refs) & others
    try:
        return slice_text(trapping, name, replaceable=called)
    except (BodyError, ValueError, Decline):
        return None


def _common_size(common: str) -> int:
    words = common.split(",")
    return int(words[1]) if len(words) > 1 and words[1].strip().isdigit() else 0
