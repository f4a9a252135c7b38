"""A function's situation: everything that a verdict on a rewrite depends on, beyond the rewrite itself.

    told    what the unit's text and its command line say: the function, all of the unit that it can reach (callees,
            data, data behind data), linkage, the options that mean something, instruction sets, the compiler
    asked   what side compiles say: types, the build that traps on undefined behaviour, effects and attributes

Each part is a named digest. The key of an entry is made of all of them, so a rewrite is found only in the situation in
which it was judged; its first half is made of what is told, so that a build knows without a side compile when there is
nothing to be found. An entry carries the parts: whatever file it was read from, they must be this unit's (`mismatch`).

A verdict holds for its situation and for no other. What is new here needs no other change: a part that is added makes
other keys. Not covered: tests that were recorded from a program (an entry names them by a key of their own).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from gccllm.assembly import Body, Function, Module, attribute_rows, canonical, is_pointed_to, reachable, slice_text
from gccllm.base import core, options
from gccllm.harvest import types
from gccllm.harvest.wire import signature_of
from gccllm.store.entry import Bench
from gccllm.store.graph import encode

SCHEMA = "2"
"""Raise when the meaning of a part changes; entries made before are then never found again."""

HALF = 32
"""Hexadecimal digits of a key that say what is told; the rest says all."""


@dataclass(frozen=True, slots=True)
class Situation:
    """`told` and `asked`: name of a part -> its digest."""

    told: Mapping[str, str]
    asked: Mapping[str, str]

    @property
    def prefix(self) -> str:
        """The first half of the key: all that is known without a side compile."""
        return _digest(self.told)[:HALF]

    @property
    def key(self) -> str:
        return self.prefix + _digest(self.parts)[:HALF]

    @property
    def parts(self) -> dict[str, str]:
        return {**self.told, **self.asked}

    def mismatch(self, parts: Mapping[str, str]) -> str:
        """The first part in which an entry was made in another situation; empty when it was made in this one."""
        mine = self.parts
        return next((name for name in sorted(mine.keys() | parts.keys()) if mine.get(name) != parts.get(name)), "")

    def foreign(self, bench: Bench) -> str:
        """The first part of a bench, from which an entry's tests would be made, that is another function's; else empty.
        Raises ValueError, BodyError as reading a bench does."""
        mine = self.parts
        return next((name for name, digest in bench_parts(bench).items() if mine[name] != digest), "")


def told(
    module: Module,
    function: Function,
    replaceable: AbstractSet[str],
    gcc_options: Iterable[str],
    march: Iterable[str],
    settings: Mapping[str, str],
) -> dict[str, str]:
    """The parts that text and command line give.

    replaceable  names of the unit that may be another's (`assembly.replaceable`)
    settings     those in force that decide what may be admitted
    Raises BodyError and Decline as `Function.body` and `slice_text` do.
    """
    functions, objects = reachable(module, function.name, replaceable)
    named = {ref for one in functions for ref in module.functions[one].refs} | {*functions, *objects}
    linkage = [
        f"{name} {module.binding(name)} {module.visibility.get(name, 'default')} {name in replaceable} "
        f"{name in module.objects and is_pointed_to(module, name)}"
        for name in named
    ]
    return {
        "schema": SCHEMA,
        "body": hexdigest(canonical(function.body)),
        "function": hexdigest("\n".join(attribute_rows(module, function))),
        "slice": hexdigest(steady(slice_text(module, function.name, replaceable=replaceable))),
        "linkage": hexdigest("\n".join(sorted(steady(row) for row in linkage))),
        "options": hexdigest("\n".join(options.meanings(tuple(gcc_options)))),
        "march": hexdigest(" ".join(sorted(march))),
        "compiler": hexdigest("\n".join(module.idents)),
        "settings": hexdigest("\n".join(f"{name}={value}" for name, value in sorted(settings.items()))),
    }


def asked(signature: types.Signature, trapping: str | None, facts: str, declared: str = "") -> dict[str, str]:
    """The parts that side compiles give. `trapping`: the slice of the build that traps; `facts`: effects and attributes
    of the function and of all it reaches; `declared`: a clone's declaration, which no source has."""
    parts = {
        "types": hexdigest(types_text(signature)),
        "trapping": hexdigest(steady(trapping or "")),
        "facts": hexdigest(facts),
    }
    return parts | {"declared": hexdigest(declared)} if declared else parts


def bench_parts(bench: Bench) -> dict[str, str]:
    """The parts that a bench holds itself, computed anew. Raises ValueError or BodyError when it cannot be read."""
    return {
        "body": hexdigest(canonical(Body.parse(bench.baseline))),
        "slice": hexdigest(steady(bench.slice)),
        "types": hexdigest(types_text(signature_of(bench))),
        "trapping": hexdigest(steady(bench.ubsan)),
    }


def relevant(signature: types.Signature, module: Module, replaceable: AbstractSet[str]) -> types.Signature:
    """`signature` without the callees and variables of the unit that the function cannot reach."""
    functions, objects = reachable(module, signature.name, replaceable)
    named = {ref for one in functions for ref in module.functions[one].refs}
    named |= {ref for one in objects for ref in module.objects[one].references} | set(objects)
    bases = named | {name.split(".")[0] for name in named}
    return replace(
        signature,
        callees={name: one for name, one in sorted(signature.callees.items()) if name in named},
        variables={name: one for name, one in sorted(signature.variables.items()) if name in bases},
    )


def types_text(signature: types.Signature) -> str:
    """Canonical text of a signature: equal for equal types. What recorded calls added to it is left out."""
    callees: dict[str, Any] = {}
    for name, one in sorted(signature.callees.items()):
        if isinstance(one, core.FarCode):
            callees[name] = one.spec
        elif not isinstance(one, core.FarData):
            callees[name] = one
    plain = replace(signature, callees=callees, variables=dict(sorted(signature.variables.items())))
    return json.dumps(encode(plain), sort_keys=True)


_LABEL = re.compile(r'^[^\n"]*"[^\n]*|(?P<label>\.L[\w.$]*)', re.MULTILINE)
"""A line with a string, whole, or a private label in any other line."""


def steady(text: str) -> str:
    """`text` with its private labels numbered in order of appearance: edits elsewhere in a unit renumber them.

    Equal results mean texts that are equal up to such a numbering: lines with strings stay as they are.
    """
    names: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        label = found["label"]
        return found[0] if label is None else names.setdefault(label, f".L{len(names)}")

    return _LABEL.sub(number, text)


def hexdigest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=32).hexdigest()


def _digest(parts: Mapping[str, str]) -> str:
    return hexdigest("".join(f"{len(name)} {name} {len(value)} {value}\n" for name, value in sorted(parts.items())))
