"""The `recompile` proposer: the same C, other flags, other compilers.

It is the bar that a model has to beat, and needs no judgement of its own: each recipe compiles the user's source once
per unit, and the functions are cut out of the text as they are cut out of gcc's.

Not covered: functions that a recipe inlines away, merges or clones otherwise (no candidate from that recipe),
C++ with clang (its own names for local things differ too much), writable static data that clang names otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from gccllm.assembly import Body, BodyError, Module, canonical
from gccllm.base import options
from gccllm.base.core import Candidate
from gccllm.base.deadline import Deadline
from gccllm.base.names import original_name
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import run
from gccllm.propose.hybrid import hybrid
from gccllm.propose.protocol import Failure, Prompt
from gccllm.propose.recipes import (
    BASELINE_LIKE,
    CLANG_FIXED,
    HYBRIDS,
    RECIPES,
    SAME_SYMBOLS,
    Recipe,
    level_flags,
)
from gccllm.propose.unit import CompileUnit, find_clang

FMA_LEVEL = 3
"""From this ISA level on gcc contracts a*b+c into one rounding unless an option forbids it."""


@dataclass
class RecompileProposer:
    """Candidates from `recipes`, in their order. Each costs a compile the first time a unit asks for it."""

    recipes: Sequence[Recipe] = RECIPES
    clang: str | None = field(default_factory=find_clang)
    """Path of clang; None leaves its recipes out."""
    name: str = "recompile"
    failures: list[Failure] = field(default_factory=list)

    def propose(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        deadline = Deadline(deadline_s)
        unit = prompt.unit
        if unit is None:
            self.failures.append(Failure(Reason.NO_SOURCE, prompt.function))
            return
        seen = {prompt.baseline, *(_canonical_or_empty(attempt.body) for attempt in prompt.attempts)}
        given = 0
        for label, body in self._bodies(prompt, unit, deadline):
            key = canonical(body)
            if key in seen:
                continue
            seen.add(key)
            yield Candidate(body.text(), self.name, label)
            given += 1
            if given >= n:
                return

    def _bodies(self, prompt: Prompt, unit: CompileUnit, deadline: Deadline) -> Iterator[tuple[str, Body]]:
        """(recipe in words, body) of every recipe; then, for the wide ones, behind a test of the length."""
        wide: list[tuple[str, Body]] = []
        for recipe in self.recipes:
            if deadline.is_over:
                return
            body = self._body(recipe, prompt, unit, deadline)
            if body is None:
                continue
            words = self._words(recipe, prompt, unit)
            if recipe.name in HYBRIDS:
                wide.append((f"{recipe.name}-or-own: {words}", body))
            yield f"{recipe.name}: {words}", body
        try:
            own = Body.parse(prompt.baseline)
        except BodyError:
            return
        for label, body in wide:
            both = hybrid(body, own, prompt.signature)
            if both is not None and canonical(body) != prompt.baseline:
                yield label, both

    def refine(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        """Nothing: recipes do not depend on verdicts."""
        return iter(())

    def close(self) -> None:
        pass

    def _body(self, recipe: Recipe, prompt: Prompt, unit: CompileUnit, deadline: Deadline) -> Body | None:
        has_clang = self.clang is not None and unit.language == "c"
        if recipe.compiler == ("no clang" if has_clang else "clang"):
            return None
        isa = level_flags(recipe, prompt.isa.permitted, prompt.isa.allowed)
        if isa is None:
            return None
        for symbols in (BASELINE_LIKE, SAME_SYMBOLS) if recipe.compiler != "clang" else ((),):
            module = self._module(recipe, (*isa, *symbols), prompt, unit, deadline)
            if module is None:
                return None
            body = _cut(module, prompt.function, unit)
            if body is not None:
                return body
        return None

    def _module(
        self, recipe: Recipe, extra: Sequence[str], prompt: Prompt, unit: CompileUnit, deadline: Deadline
    ) -> Module | None:
        flags = (*recipe.flags.split(), *extra)
        if recipe.compiler == "clang":
            assert self.clang is not None
            flags = (*flags, *CLANG_FIXED, *_like_gcc(unit))
            user = options.for_clang(unit.flags)
            module = unit.module(flags, compiler=self.clang, flags=user, deadline_s=deadline.left)
        else:
            # Where the baseline may contract, a candidate has to contract alike: leave the user's setting.
            exact = ("-ffp-contract=off",) if prompt.isa.permitted < FMA_LEVEL else ()
            module = unit.module((*flags, *exact), deadline_s=deadline.left)
        if module is None and not unit.timed_out:
            self.failures.append(Failure(Reason.RECIPE_FAILED, f"{recipe.name}: {unit.last_error[:300]}"))
        return module

    def _words(self, recipe: Recipe, prompt: Prompt, unit: CompileUnit) -> str:
        """The compiler and flags, enough to make the candidate again."""
        isa = level_flags(recipe, prompt.isa.permitted, prompt.isa.allowed) or ()
        version = _version(self.clang or "clang") if recipe.compiler == "clang" else unit.tools.version
        return " ".join(("clang" if recipe.compiler == "clang" else "gcc", version, recipe.flags, *isa))


def _cut(module: Module, name: str, unit: CompileUnit) -> Body | None:
    """The function's body with what it needs of private data, or None when it cannot replace the baseline's."""
    function = module.functions.get(name)
    if function is None:
        return None
    try:
        body = function.body.without_endbr()
        baseline = unit.baseline
        return body if baseline is None or _known(body, name, module, baseline) else None
    except BodyError:
        return None


def _known(body: Body, name: str, module: Module, baseline: Module) -> bool:
    """Every symbol the body names is its own, the baseline unit's (a clone called alike), or foreign to the recompiled
    unit too."""
    ours = module.functions.keys() | module.objects.keys()
    theirs = baseline.functions.keys() | baseline.objects.keys()
    shared = {symbol for symbol in theirs if symbol in ours or not original_name(symbol)}
    return all(symbol == name or symbol in shared or not module.defines(symbol) for symbol in body.externals)


def _canonical_or_empty(text: str) -> str:
    try:
        return canonical(Body.parse(text))
    except BodyError:
        return ""


def _like_gcc(unit: CompileUnit) -> tuple[str, ...]:
    """The defaults that gcc was configured with: position independence, landing pads."""
    extra: list[str] = []
    if not any(re.fullmatch(r"-f(?:no-)?(?:pic|pie)", flag, re.I) for flag in unit.flags):
        extra.append("-fPIE" if _is_pie_by_default(unit.tools.gcc) else "-fno-pie")
    has_pads = unit.baseline is not None and any(f.has_endbr64 for f in unit.baseline.functions.values())
    if has_pads and not any(flag.startswith("-fcf-protection") for flag in unit.flags):
        extra.append("-fcf-protection=full")
    return tuple(extra)


@cache
def _is_pie_by_default(gcc: str) -> bool:
    return b"__PIE__" in run([gcc, "-dM", "-E", "-x", "c", "/dev/null"], deadline_s=10).out


@cache
def _version(compiler: str) -> str:
    return run([compiler, "-dumpversion"], deadline_s=10).out.decode("utf-8", "replace").strip()
