"""Candidates: the proposers, and the prompt that they get.

    prompt = make_prompt(function, unit, isa)            what is asked: one function
    for proposer in proposers(settings):                 who is asked, in the user's order
        for candidate in proposer.propose(prompt, n, seconds): ...

Heavy libraries (llama.cpp, numpy, httpx) load when the first prompt needs them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from gccllm import __version__
from gccllm.assembly import BodyError, Function, canonical
from gccllm.base.names import original_name
from gccllm.propose import csource
from gccllm.propose.protocol import Attempt, Failure, Isa, Prompt, Proposer
from gccllm.propose.signature import CSignature
from gccllm.propose.unit import CompileUnit

SCALAR = ("-O3", "-fno-tree-vectorize", "-fno-tree-slp-vectorize", "-fno-tree-loop-distribute-patterns")
"""Flags of the text that the built-in model was trained on: short, and the same shape on every CPU."""


class SettingsLike(Protocol):
    def __getitem__(self, name: str) -> Any: ...


def answerer(settings: SettingsLike, env: Mapping[str, str] | None = None) -> str:
    """Who would be asked, as a digest: what one answerer has not found says nothing of another."""
    env = os.environ if env is None else env
    model = Path(str(settings["model"])) if settings["model"] else None
    words = {name: settings[name] for name in ("proposers", "endpoint", "samples", "refinements", "seed")}
    words |= {"version": __version__, "endpoint_model": env.get("GCCLLM_ENDPOINT_MODEL", ""), "model": str(model or "")}
    with contextlib.suppress(OSError):
        if model is not None:
            status = model.stat()
            words["file"] = (status.st_size, status.st_mtime_ns)
    return hashlib.blake2b(json.dumps(words, sort_keys=True).encode(), digest_size=16).hexdigest()


def proposers(settings: SettingsLike, env: Mapping[str, str] | None = None) -> list[Proposer]:
    """The proposers that `settings["proposers"]` names, in that order.

    `model` is the server of `settings["endpoint"]` when there is one, else the GGUF of `settings["model"]`, else the
    built-in model. The endpoint's model name and key come from GCCLLM_ENDPOINT_MODEL and GCCLLM_ENDPOINT_KEY, which are
    no settings because a key must not end up in a file that is committed.
    """
    env = os.environ if env is None else env
    made: list[Proposer] = []
    for word in settings["proposers"]:
        if word == "recompile":
            from gccllm.propose.recompile import RecompileProposer

            made.append(RecompileProposer())
        elif settings["endpoint"]:
            from gccllm.propose.endpoint import EndpointProposer

            made.append(
                EndpointProposer(
                    settings["endpoint"],
                    env.get("GCCLLM_ENDPOINT_MODEL", "default"),
                    env.get("GCCLLM_ENDPOINT_KEY", ""),
                    seed=settings["seed"],
                )
            )
        else:
            from gccllm.propose.model import model_proposer

            made.append(model_proposer(settings["model"], seed=settings["seed"]))
    return made


def make_prompt(function: Function, unit: CompileUnit | None, isa: Isa, *, types: CSignature | None = None) -> Prompt:
    """The prompt for one function. Raises BodyError when its baseline is no body.

    Side compiles the unit once for the scalar text (shared by all functions of the unit). `types` are the function's
    own, where debugging information has them; else they are read off the declaration.
    """
    scalar, found, original = "", None, original_name(function.name)
    if unit is not None:
        module = unit.module(SCALAR)
        twin = module.functions.get(function.name) if module is not None else None
        if twin is not None:
            try:
                scalar = canonical(twin.body.without_endbr())
            except BodyError:
                scalar = ""
        found = csource.find(unit.original or "", original or function.name)
    declaration = found.signature if found else ""
    if original:  # it is not called as its source says
        declaration = unit.declaration(function.name) if unit is not None else ""
    return Prompt(
        function=function.name,
        baseline=canonical(function.body.without_endbr()),
        scalar=scalar,
        isa=isa,
        signature=declaration,
        types=types or CSignature.parse(declaration),
        c_source=found.text if found else None,
        unit=unit,
    )


__all__ = [
    "Attempt",
    "CompileUnit",
    "Failure",
    "Isa",
    "Prompt",
    "Proposer",
    "make_prompt",
    "proposers",
]
