"""Bodies of provenance: the user's own gcc, the user's own source, other options that keep its meaning.

Such a body is trusted as far as gcc -O3 is: nobody has to test it. What has to be shown is that the piece cut out of
one compile means the same in the place of another, and that is shown here, or the body is refused:

    same source      both compiles start from the text that the build's own preprocessing gives: no `#ifdef __AVX2__`
    same names       a symbol that the body names is the unit's own of that name, for certain, or another unit's; string
                     literals too, whose addresses a program may compare
    same convention  callees that gcc's own text has not, or only as clones (`.isra`, `.part`, ...), come along:
                     each compile gives those its own parameters
    same floats      no fused multiply-add on either side, and no option that lets gcc change floating-point results

Covers C and C++ without exception tables. Not covered, and refused: clones as targets, which another compile may make
for other constants; units with vector types of their own, whose place in a call depends on the instruction set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from gccllm.assembly import Body, BodyError, Line, Module
from gccllm.assembly.module import DataObject
from gccllm.assembly.syntax import symbols
from gccllm.base import options
from gccllm.base.names import original_name
from gccllm.base.reasons import Reason
from gccllm.propose.protocol import Isa
from gccllm.propose.recipes import BASELINE_LIKE, LEVEL_FLAGS, WIDE
from gccllm.propose.unit import PRIVATE_COPY, CompileUnit
from gccllm.verify.screen import MEMORY_CALLS


class CompiledRecipe(NamedTuple):
    """Options that keep the meaning of every program, for machines of an ISA level (0: the unit's own)."""

    name: str
    """What entries and reports say; stable."""
    level: int
    flags: str


COMPILED = (
    CompiledRecipe("O2", 0, "-O2"),
    CompiledRecipe("no-slp", 0, "-O3 -fno-tree-slp-vectorize"),
    CompiledRecipe("scalar", 0, "-O3 -fno-tree-vectorize -fno-tree-slp-vectorize"),
    CompiledRecipe("unrolled", 0, "-O3 -funroll-loops"),
    CompiledRecipe("branchy", 0, "-O3 -fno-if-conversion -fno-if-conversion2 -fno-tree-loop-if-convert"),
    CompiledRecipe("v3", 3, "-O3"),
    CompiledRecipe("v4", 4, "-O3 -mprefer-vector-width=512"),
    CompiledRecipe("v3-unrolled", 3, "-O3 -funroll-all-loops -fno-tree-slp-vectorize"),
    CompiledRecipe("v4-unrolled", 4, f"-O3 {WIDE} -funroll-all-loops -fno-tree-slp-vectorize"),
)
"""The first seven are tuned for no CPU in particular: gcc 12's -march=native lost up to 1.9x on a CPU newer than it.
Each is timed before it is linked, so a row that loses somewhere costs time and nothing else."""
BY_NAME = {recipe.name: recipe for recipe in COMPILED}

_NUMBERED = re.compile(r"(.+)\.[0-9]+")
_OWN_TEXT = re.compile(r"__(?:func|FUNCTION|PRETTY_FUNCTION)__\.[0-9]+|C\.[0-9]+\.[0-9]+")
"""Read-only data that gcc names itself. Its address means nothing: a body may bring a copy."""
_PRIVATE = re.compile(r"\.L[\w.$]+")
_CONSTANT = re.compile(r"\.LC[0-9]+")
STRINGS = (".string", ".ascii")
_FUSED = re.compile(r"vfn?m(?:add|sub)")
_FUSED_LINE = re.compile(r"\s+(vfn?m(?:add|sub)\w*)")
_COMPUTES_FLOATS = re.compile(
    r"v?(?:add|sub|addsub|hadd|hsub|mul|div|sqrt|max|min|rcp|rsqrt|rcp14|rsqrt14|rndscale|dp|cmp\w*|u?comi)[sp][sdh]"
    r"|f(?!wait$)\w+"
)
_LOOSE_FLOATS = re.compile(rb"\bf?(?:(?:fast|unsafe|associative|reciprocal|finite)-math|no-signed-zeros)|Ofast\b")
"""In an attribute or pragma of the source."""
MOST_BROUGHT = 12
"""Callees that one body may bring along."""


@dataclass(frozen=True)
class CompiledBodies:
    """The bodies of one unit's functions by recipe. Each recipe costs one compile, at its first function."""

    unit: CompileUnit
    isa: Isa

    def recipes(self) -> Iterator[CompiledRecipe]:
        """Those that may differ from the baseline here."""
        for recipe in COMPILED:
            if not recipe.level or (self.isa.permitted < recipe.level <= self.isa.allowed and not self._passes_vectors):
                yield recipe

    @cached_property
    def _passes_vectors(self) -> bool:
        """Whether the source has vector types of its own: where the wide ones lie in a call depends on the options."""
        return b"vector_size" in (self.unit.preprocessed or b"")

    def body(self, name: str, recipe: CompiledRecipe, deadline_s: float = 60.0) -> Body:
        """The function as the recipe compiles it. Raises BodyError with the reason why there is none."""
        try:
            return self._cut(name, self.module(recipe, BASELINE_LIKE, deadline_s))
        except BodyError as error:
            if error.reason is not Reason.FUSED:
                raise
        # gcc 12 fuses when it vectorises straight-line code, whatever -ffp-contract says.
        return self._cut(name, self.module(recipe, (*BASELINE_LIKE, "-fno-tree-slp-vectorize"), deadline_s))

    def module(self, recipe: CompiledRecipe, like: tuple[str, ...], deadline_s: float) -> Module:
        level = [flag for flag in LEVEL_FLAGS[recipe.level] if flag != "-mfma"] if recipe.level else []
        flags = (*recipe.flags.split(), *level, *like, "-fno-ipa-stack-alignment", "-ffp-contract=off")
        module = self.unit.preprocessed_module(flags, deadline_s=deadline_s)
        if module is None and self.unit.timed_out:
            raise BodyError(Reason.DEADLINE, f"compiling by {recipe.name}")
        if module is None:
            raise BodyError(Reason.RECIPE_FAILED, f"{recipe.name}: {self.unit.last_error[:200]}")
        return module

    def _cut(self, name: str, module: Module) -> Body:
        baseline = self.unit.baseline
        assert baseline is not None
        if original_name(name):
            raise BodyError(Reason.OTHER_SYMBOLS, "it is a clone: another compile may make it for other constants")
        if name not in baseline.functions:
            raise BodyError(Reason.NO_CANDIDATE, "inlined away")
        body = _plain(name, module)
        brought: dict[str, Body] = {}
        todo = [body]
        while todo:
            for symbol in sorted(todo.pop().externals - brought.keys() - {name}):
                if is_brought_along(symbol, module, baseline):
                    if len(brought) == MOST_BROUGHT:
                        raise BodyError(Reason.OTHER_SYMBOLS, f"it needs more than {MOST_BROUGHT} functions of its own")
                    brought[symbol] = _plain(module.resolve(symbol), module)
                    todo.append(brought[symbol])
                else:
                    check_symbol(symbol, name, module, baseline)
        body = with_subroutines(
            self.anchored(body, module), {symbol: self.anchored(one, module) for symbol, one in brought.items()}
        )
        check_copies(body, module, baseline)
        if fused := next((line.mnemonic for line in body.lines if _FUSED.match(line.mnemonic)), ""):
            raise BodyError(Reason.FUSED, fused)
        lines = (*body.lines, *baseline.functions[name].body.lines)
        if computing := next((line.mnemonic for line in lines if _COMPUTES_FLOATS.fullmatch(line.mnemonic)), ""):
            if self._floats_are_loose:
                raise BodyError(Reason.LOOSE_FLOATS, computing)
            if self._own_fused:  # in gcc's text, of this function or of one that the recipe has inlined
                raise BodyError(Reason.FUSED, f"gcc's own text has {self._own_fused}")
        return body

    def anchored(self, body: Body, module: Module) -> Body:
        """`body` of `module`, its string literals those of gcc's own text: a literal is one object, whoever names it.

        Raises BodyError for a literal that gcc's own text has not.
        """
        texts = {c.label: module.objects[c.label] for c in body.constants if _is_literal(module.objects.get(c.label))}
        if not texts:
            return body
        labels: dict[str, str] = {}
        for label, thing in texts.items():
            known = self._literals.get(thing.directives)
            if known is None or known.align < thing.align:
                raise BodyError(Reason.OTHER_SYMBOLS, f"gcc's own text has no string {thing.directives[0][1][:40]}")
            labels[f".Lown_{label.removeprefix('.L')}"] = known.name
        own = body.renamed("own")  # two compiles number their labels alike
        kept = tuple(one for one in own.constants if one.label not in labels)
        return Body(own.lines, kept).with_symbols(lambda symbol: labels.get(symbol, symbol))

    @cached_property
    def _literals(self) -> dict[tuple[tuple[str, str], ...], DataObject]:
        """gcc's own string literals by their text."""
        assert self.unit.baseline is not None
        return {one.directives: one for one in self.unit.baseline.objects.values() if _is_literal(one)}

    @cached_property
    def _floats_are_loose(self) -> bool:
        """Whether an option, attribute or pragma lets gcc change floating-point results."""
        return options.changes_floats(self.unit.flags) or bool(_LOOSE_FLOATS.search(self.unit.preprocessed or b""))

    @cached_property
    def _own_fused(self) -> str:
        """A fused multiply-add of gcc's own, which the unit's options permit: a recipe may round twice there."""
        lines = self.unit.baseline.lines if self.unit.baseline is not None else ()
        return next((match[1] for line in lines if (match := _FUSED_LINE.match(line))), "")


def _plain(name: str, module: Module) -> Body:
    function = module.functions.get(name)
    if function is None:
        raise BodyError(Reason.NO_CANDIDATE, "inlined away")
    if function.has_lsda:
        raise BodyError(Reason.LSDA, name)
    return function.body.without_endbr()


def _is_literal(thing: DataObject | None) -> bool:
    """Whether it is a string that the source spells out."""
    if thing is None or not _CONSTANT.fullmatch(thing.name):
        return False
    return thing.section.name.startswith(".rodata.str") or any(name in STRINGS for name, _ in thing.directives)


def clones_behind(name: str, module: Module) -> tuple[str, ...]:
    """The clones that a function calls, and those that these call: their time is its own where they come along."""
    found: dict[str, None] = {}
    todo = [name]
    while todo:
        for called in module.functions[todo.pop()].calls:
            if called in module.functions and original_name(called) and called not in found:
                found[called] = None
                todo.append(called)
    return tuple(found)


def is_brought_along(symbol: str, module: Module, baseline: Module) -> bool:
    """Whether a callee comes with the body: gcc's own text has it inlined away, or as a clone of its own."""
    is_function = module.resolve(symbol) in module.functions
    return is_function and (not baseline.defines(symbol) or bool(original_name(symbol)))


def with_subroutines(body: Body, brought: Mapping[str, Body]) -> Body:
    """One body that holds its callees behind it, as subroutines that are called by label.

    Raises BodyError where one is used otherwise than by calls and jumps: somebody might compare its address.
    """
    if not brought:
        return body
    labels = {name: f".Lcallee{number}" for number, name in enumerate(brought)}
    lines, constants = list(body.lines), list(body.constants)
    for number, (name, callee) in enumerate(brought.items()):
        if not lines[-1].stops:
            lines.append(Line("ud2"))  # behind a call that never returns
        own = callee.renamed(f"callee{number}")
        lines += [Line(label=labels[name]), *own.lines]
        constants += own.constants
    for line in lines:
        if not line.target and labels.keys() & set(line.symbols):
            raise BodyError(
                Reason.OTHER_SYMBOLS, f"the address of a function that gcc's own text has not: {line.text()}"
            )
    if named := labels.keys() & {symbol for constant in constants for symbol in constant.symbols}:
        raise BodyError(Reason.OTHER_SYMBOLS, f"the address of {min(named)}, which gcc's own text has not")
    return Body(tuple(lines), tuple(constants)).with_symbols(lambda symbol: labels.get(symbol, symbol))


def check_symbol(symbol: str, name: str, module: Module, baseline: Module) -> None:
    """Refuse a symbol of a compiled body that may mean one thing in its own compile and another in the baseline's."""
    if symbol == name or symbol == "_GLOBAL_OFFSET_TABLE_":
        return
    if original_name(symbol):
        raise BodyError(Reason.OTHER_SYMBOLS, f"it names {symbol}, a clone of this compile")
    here, there = module.objects.get(symbol), baseline.objects.get(symbol)
    if module.defines(symbol) and not baseline.defines(symbol):
        raise BodyError(Reason.OTHER_SYMBOLS, f"{symbol} is not in gcc's own text")
    if not baseline.defines(symbol) and symbol not in baseline.mentions and symbol not in MEMORY_CALLS:
        raise BodyError(Reason.OTHER_SYMBOLS, f"{symbol} is not named in gcc's own text: the program may have none")
    if here is None or there is None:
        return
    if _definition(here, module) != _definition(there, baseline) or here.align > there.align:
        raise BodyError(Reason.OTHER_SYMBOLS, f"{symbol} is defined otherwise in gcc's own text")
    if not _OWN_TEXT.fullmatch(symbol) and _is_ambiguous(symbol, module, baseline):
        raise BodyError(Reason.OTHER_SYMBOLS, f"several functions have a variable like {symbol}")


def check_copies(body: Body, module: Module, baseline: Module) -> None:
    """Refuse private copies of the user's own objects where the program might compare addresses."""
    for constant in body.constants:
        original = constant.label.removeprefix(PRIVATE_COPY)
        if original == constant.label or _OWN_TEXT.fullmatch(original) or set(constant.symbols) & set(body.labels):
            continue
        if original in baseline.objects or _is_ambiguous(original, baseline):
            raise BodyError(Reason.OTHER_SYMBOLS, f"{original} is defined otherwise in gcc's own text")


def _definition(thing: DataObject, module: Module) -> tuple[object, ...]:
    """What an object is made of, private labels spelt out: each compile numbers them as it likes."""
    rows: list[object] = []
    for name, args in thing.directives:
        private = [] if name in STRINGS else [one for one in symbols(args) if one.startswith(".L")]
        spelt = [_definition(module.objects[one], module) if one in module.objects else one for one in private]
        rows.append((name, _PRIVATE.sub("", args) if private else args, *spelt))
    return thing.size, thing.common, thing.is_writable, tuple(rows)


def _is_ambiguous(symbol: str, *modules: Module) -> bool:
    """Whether a number alone tells this variable of a function from another's: each compile numbers as it likes."""
    if not (stem := _NUMBERED.fullmatch(symbol)):
        return False
    alike = re.compile(re.escape(stem[1]) + r"\.[0-9]+")
    return any(sum(bool(alike.fullmatch(name)) for name in module.objects) > 1 for module in modules)
