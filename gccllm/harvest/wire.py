"""What an entry keeps of a function, so that its tests can be harvested again without the source: types and context."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gccllm.assembly import Body
from gccllm.base import core
from gccllm.base.toolchain import Toolchain
from gccllm.harvest import types
from gccllm.harvest.entry_limits import check_facts, check_text
from gccllm.harvest.generate import GlobalSymbol
from gccllm.harvest.target import HarvestTarget
from gccllm.sandbox.environment import Environment
from gccllm.store.entry import Bench
from gccllm.store.graph import decode, encode
from gccllm.verify.screen import Context

_CLASSES: tuple[type, ...] = (
    types.Void, types.Integer, types.Floating, types.Pointer, types.Array, types.Field, types.Record, types.Opaque,
    types.Place, types.Param, types.Variable, types.Signature, GlobalSymbol, Context,
    core.CalleeSpec, core.FarCode, core.FarData, core.Returned, core.Slot, Environment,
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """A function under test: what the harvest, the screen and the adequacy score need of it, in the unit or alone."""

    target: HarvestTarget
    context: Context
    scalar: Body | None = None
    """The body of the side compile without vectors, where there is one."""

    def as_bench(self) -> Bench:
        """As an entry keeps it."""
        return Bench(
            slice=self.target.text,
            baseline=self.target.body.text(),
            facts=facts_of(self.target, self.context),
            ubsan=self.target.ubsan_text or "",
            scalar=self.scalar.text() if self.scalar else "",
        )


def facts_of(target: HarvestTarget, context: Context) -> dict[str, Any]:
    """JSON of everything about the function that is not text."""
    facts = {
        "signature": target.signature, "symbols": target.symbols, "context": context, "as_gcc": target.as_gcc,
        "environment": target.environment,
    }  # fmt: skip
    return encode(facts)


def signature_of(bench: Bench) -> types.Signature:
    """The function's types alone. Raises ValueError."""
    try:
        signature: types.Signature = _decoded(bench)["signature"]
    except core.Decline as decline:
        raise ValueError(str(decline)) from decline
    return signature


def target_and_context(bench: Bench, tools: Toolchain, workdir: Path) -> tuple[HarvestTarget, Context]:
    """Back from an entry. Raises ValueError or BodyError when the entry does not hold what it should, and
    Decline(ENTRY_LIMITS) when it asks for more than any entry of ours."""
    for text in filter(None, (bench.slice, bench.ubsan)):
        check_text(text)
    facts = _decoded(bench)
    if not isinstance(facts.get("context"), Context):
        raise ValueError("the entry holds no context")
    if "as_gcc" not in facts or not isinstance(facts.get("environment"), Environment):
        raise ValueError("the entry does not say what its callers may look at")
    body = Body.parse(bench.baseline)
    target = HarvestTarget(
        name=facts["signature"].name,
        text=bench.slice,
        body=body,
        signature=facts["signature"],
        tools=tools,
        workdir=workdir,
        ubsan_text=bench.ubsan or None,
        symbols=facts["symbols"],
        environment=facts["environment"],
        as_gcc=bool(facts["as_gcc"]),
    )
    return target, facts["context"]


def _decoded(bench: Bench) -> dict[str, Any]:
    facts = decode(bench.facts, _CLASSES)
    if not isinstance(facts, dict) or not isinstance(facts.get("signature"), types.Signature):
        raise ValueError("the entry holds no signature")
    symbols = facts.get("symbols")
    if not isinstance(symbols, list | tuple) or not all(isinstance(one, GlobalSymbol) for one in symbols):
        raise ValueError("the entry holds no list of symbols")
    check_facts(facts)
    return facts
