"""All that is known of one translation unit while its functions are worked on.

Side compiles, recordings and proposers are made once, when something first asks for them, and serve every function.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from gccllm.assembly import Body, BodyError, Function, Module, replaceable
from gccllm.base import options
from gccllm.base.config import Settings
from gccllm.base.core import Decline
from gccllm.base.deadline import NEVER, Deadline
from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.base.scratch import scratch
from gccllm.base.stages import BETWEEN
from gccllm.harvest.abi import convention_of
from gccllm.harvest.effects import UnitFacts, facts_in
from gccllm.harvest.prompt_types import words_of
from gccllm.harvest.side import SideCompile, Typed
from gccllm.harvest.target import Builds, HarvestTarget, trapping_slice
from gccllm.harvest.types import Signature
from gccllm.propose import CompileUnit, Prompt, Proposer, make_prompt, proposers
from gccllm.record.recordings import Recordings
from gccllm.store import Store
from gccllm.store.entry import Entry
from gccllm.unit import isa_allowance
from gccllm.unit.isa_allowance import isa_for
from gccllm.unit.plan import Unit
from gccllm.unit.situation import Situation, asked, relevant, told
from gccllm.verify import adequacy, hardening
from gccllm.verify.screen import Context


@dataclass(frozen=True, slots=True)
class Build:
    """What all units of one build are worked on with."""

    settings: Settings
    store: Store
    log: Log
    deadline: Deadline = NEVER
    """Of the unit at hand."""
    is_waiting: bool = False
    """Somebody waits for it: set-up code is looked up, but not worked on."""


@dataclass(frozen=True, slots=True)
class SideCompiles:
    """What the side compiles of a unit say of it."""

    typed: Typed
    facts: UnitFacts
    trapping: Module | None


@dataclass(frozen=True, slots=True)
class Target:
    """A function of a unit in its situation: what an entry is found and made for."""

    session: UnitSession
    function: Function
    situation: Situation

    @property
    def name(self) -> str:
        return self.function.name

    @property
    def log(self) -> Log:
        """The unit's, with the function on every line."""
        return self.session.log.bind(function=self.name, key=self.situation.key[:16])


class UnitSession:
    """One unit while its functions are worked on."""

    def __init__(self, unit: Unit, settings: Settings, log: Log) -> None:
        self.unit = unit
        self.settings = settings
        self.log = log
        self.outdated: set[str] = set()
        self._told: dict[str, dict[str, str]] = {}

    # --- made once a unit ---------------------------------------------------------------------

    @cached_property
    def side(self) -> CompileUnit:
        if self.unit.source is None:
            raise Decline(Reason.NO_SOURCE)
        request = self.unit.request
        return CompileUnit(
            self.unit.source, self.unit.flags, request.cwd, self.unit.tools, self.unit.language,
            spelled=self.unit.spelled, baseline=self.unit.module,
        )  # fmt: skip

    @property
    def sources(self) -> tuple[str, ...] | None:
        """Rows on the files that the unit's answer rests on (`harvest.sources`); None when they are not known."""
        return self._found.typed.sources.rows if isinstance(self._found, SideCompiles) else None

    @property
    def known(self) -> SideCompiles:
        """Raises Decline(NO_SOURCE, SIDE_COMPILE, DEADLINE)."""
        if isinstance(self._found, Decline):  # not tried again for the unit's other functions
            raise Decline(self._found.reason, self._found.detail)
        return self._found

    @cached_property
    def _found(self) -> SideCompiles | Decline:
        self.log.step("side compile")
        try:
            return self._compiled()
        except Decline as decline:
            return decline
        finally:
            self.log.stages.begin(BETWEEN)

    def _compiled(self) -> SideCompiles:
        """Raises Decline as `known`."""
        unit = self.unit
        side = SideCompile(unit.tools, unit.flags, self.side.spelled, unit.language, self.side.cwd)
        with scratch() as directory:
            typed = side.typed(unit.request.text, directory)
        return SideCompiles(typed, facts_in(typed.dump), side.trapping())

    @cached_property
    def replaceable(self) -> frozenset[str]:
        """Names of the unit that may turn out to be another's in the program."""
        return replaceable(self.unit.module, self.unit.flags)

    @cached_property
    def recordings(self) -> Recordings:
        return Recordings(self.settings.store_dir)

    @cached_property
    def proposers(self) -> list[Proposer]:
        return proposers(self.settings)

    # --- what is known of one function before it is worked on --------------------------------------

    def signature(self, name: str) -> Signature:
        """How to call a function, and what it reaches. Raises Decline with the reason why it cannot be worked on."""
        if cause := self.known.facts.decline(self.unit.module, name):
            raise Decline(*cause)
        signature = relevant(self.known.typed.types.signature(name), self.unit.module, self.replaceable)
        return replace(signature, strict_aliasing=options.assumes_types(self.unit.request.gcc_options))

    def told(self, function: Function) -> dict[str, str]:
        """The parts of a function's situation that take no side compile. Raises BodyError."""
        if function.name not in self._told:
            unit = self.unit
            self._told[function.name] = told(
                unit.module, function, self.replaceable, unit.request.gcc_options, unit.march,
                {
                    "isa": isa_allowance.key_word(self.settings["isa"]), "ub": self.settings["ub"],
                    "early_exits": str(self.settings["early_exits"]),
                },
            )  # fmt: skip
        return self._told[function.name]

    def situation(self, function: Function) -> Situation:
        """Raises Decline as `signature`, BodyError as `told`."""
        signature = self.signature(function.name)
        words = self.known.facts.words(self.unit.module, function.name)
        trapping = trapping_slice(self.known.trapping, self.unit.module, function.name, self.replaceable)
        facts = asked(signature, trapping, words, self.known.typed.types.declaration(function.name))
        return Situation(self.told(function), facts)

    def target(self, function: Function) -> Target:
        """Raises Decline, BodyError as `situation`."""
        return Target(self, function, self.situation(function))

    def harvest_target(self, name: str, signature: Signature, workdir: Path) -> HarvestTarget:
        """The function as the harvest takes it. Raises Decline or BodyError."""
        unit, as_gcc = self.unit, self.settings["ub"] == "as-gcc"
        builds = Builds(unit.module, unit.tools, self.known.trapping, unit.flags, as_gcc)
        return HarvestTarget.of(builds, name, signature, workdir)

    def context(self, name: str, signature: Signature) -> Context:
        """What the screen has to know of a function of the unit."""
        unit = self.unit
        allowed = isa_for(self.settings["isa"], unit.march, unit.tools).allowed
        return Context.of(
            name,
            convention_of(signature),
            march=unit.march,
            max_level=allowed,
            unit_functions=frozenset(unit.module.functions),
            hardening=hardening.asked(unit.flags),
            early_exits=bool(self.settings["early_exits"]),
        )

    def scalar_body(self, name: str) -> Body | None:
        module = self.side.module(adequacy.SIDE_FLAGS)
        if module is None or name not in module.functions:
            return None
        if not set(module.functions[name].calls) <= set(self.unit.module.functions[name].calls):
            return None  # it calls what gcc -O3 inlined: nothing stubs that
        try:
            return module.functions[name].body
        except BodyError:
            return None

    def prompt(self, function: Function, signature: Signature | None = None) -> Prompt:
        isa = isa_for(self.settings["isa"], self.unit.march, self.unit.tools)
        types = words_of(signature) if signature else None
        return make_prompt(function, self.side, isa, types=types)

    def is_outdated(self, function: Function, entry: Entry) -> bool:
        """Whether calls were recorded of which an entry knows nothing. Logged once a function."""
        if not self.recordings.has_new_calls(self.recordings.key(self.unit.module, function), entry.recording):
            return False
        if function.name not in self.outdated:
            self.outdated.add(function.name)
            self.log.write("store", Reason.RECORDED_SINCE, function=function.name)
        return True
