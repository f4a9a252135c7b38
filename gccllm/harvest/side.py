"""Compiling the source a second and third time, next to the build: once for its types, once with traps for undefined
behaviour.

Nothing of a side compile is ever linked into the user's program. Covers what `-g` and `-fsanitize` leave unchanged;
sources that read __DATE__, __COUNTER__-dependent generated headers and the like may not compile to the same code twice,
which `SideCompile.typed` notices.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gccllm.assembly import BodyError, Module
from gccllm.base import options
from gccllm.base.core import Decline
from gccllm.base.dump import DUMP_OPTION
from gccllm.base.elf import Elf, ELFError
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Ran, Toolchain
from gccllm.harvest.dwarf import UnitTypes
from gccllm.harvest.sources import Sources, read_sources

DEBUG = ("-gdwarf-5", "-g", "-fno-eliminate-unused-debug-types")
"""Every type by its name, so that a name that two types share is known for it (`prototypes`)."""

# What UBSan checks here. `object-size` and `vptr` are left out: they need optimisation or a run-time library.
_CHECKS = (
    "shift,integer-divide-by-zero,unreachable,vla-bound,null,return,signed-integer-overflow,bounds,bounds-strict,"
    "alignment,nonnull-attribute,returns-nonnull-attribute,bool,enum,pointer-overflow,builtin,float-cast-overflow"
)
# Appended for the trapping compile; later options win over the user's.
_TRAPPING = (
    "-O1", "-g0", "-w", f"-fsanitize={_CHECKS}", "-fsanitize-undefined-trap-on-error", "-fno-inline", "-fno-ipa-sra",
    "-fno-ipa-cp", "-fno-ipa-icf", "-fno-tree-vectorize", "-fno-reorder-blocks-and-partition", "-fno-partial-inlining",
    "-fno-stack-protector", "-fno-optimize-sibling-calls",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Typed:
    """What one side compile says of a unit."""

    types: UnitTypes
    dump: str
    """gcc's last tree dump (`effects`)."""
    sources: Sources
    """The files that the unit was made of."""


@dataclass(frozen=True, slots=True)
class SideCompile:
    """The source of a unit, compiled again as the build compiled it."""

    tools: Toolchain
    flags: Sequence[str]
    """Those of the build that decide code."""
    source: Path | str
    language: str = "c"
    """As `-x` takes it."""
    cwd: Path | None = None
    deadline_s: float = LIMITS.side_s

    def typed(self, baseline: str, workdir: Path) -> Typed:
        """Types, tree dump and files, from a compile whose code and data equal `baseline`, gcc's text in the build.

        Raises Decline(SIDE_COMPILE) when gcc refuses, or when code, data or relocations differ: then the types found
        might be those of other code. Raises Decline(DEADLINE), which says nothing of the unit, when gcc takes too long.
        """
        started = time.time_ns()
        with_types, dump, rule = workdir / "side.o", workdir / "side.dump", workdir / "side.d"
        wanted = (*DEBUG, "-w", "-v", f"{DUMP_OPTION}={dump}", "-MD", "-MF", str(rule))
        ran = self._compile([*self.flags, *wanted, "-c"], with_types)
        if not ran.ok:
            raise Decline(Reason.SIDE_COMPILE, _first_line(ran.err))
        plain = workdir / "baseline.o"
        assembled = self.tools.assemble(baseline, plain)
        if not assembled.ok:
            raise Decline(Reason.SIDE_COMPILE, _first_line(assembled.err))
        try:
            ours, theirs = _loaded_parts(with_types.read_bytes()), _loaded_parts(plain.read_bytes())
        except (ELFError, OSError) as error:
            raise Decline(Reason.SIDE_COMPILE, str(error)) from error
        differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        if differing:
            raise Decline(Reason.SIDE_COMPILE, f"sections differ: {', '.join(differing[:4])}")
        if not dump.exists():
            raise Decline(Reason.SIDE_COMPILE, "no tree dump of the unit")
        text = dump.read_bytes().decode("latin-1")
        return Typed(
            UnitTypes(with_types.read_bytes(), text),
            text,
            read_sources(rule, ran.err, self.cwd or Path.cwd(), started),
        )

    def trapping(self) -> Module | None:
        """The unit with `ud2` where the C standard leaves behaviour undefined; None if gcc refuses.

        Options that define something (-fwrapv, -fno-strict-overflow) stay, so what they define does not trap.
        Functions keep their own symbols and calling conventions: nothing is inlined, cloned or folded. Raises
        Decline(DEADLINE).
        """
        keep_static = ["-fkeep-static-functions"]
        if self.language == "c":
            keep_static.append("-fkeep-inline-functions")
        ran = self._compile([*options.for_trapping(self.flags), *_TRAPPING, *keep_static, "-S"], "-")
        try:
            return Module.parse(ran.out.decode("latin-1")) if ran.ok else None
        except (BodyError, ValueError, Decline):
            return None

    def _compile(self, flags: Sequence[str], output: Path | str) -> Ran:
        """Raises Decline(DEADLINE)."""
        argv = [*flags, "-x", self.language, str(self.source), "-o", str(output)]
        ran = self.tools.compile(argv, cwd=self.cwd, deadline_s=self.deadline_s)
        if ran.code == -1:
            raise Decline(Reason.DEADLINE, f"side compile: {ran.err}")
        return ran


def _loaded_parts(content: bytes) -> dict[str, tuple[bytes, tuple[tuple[object, ...], ...]]]:
    """Contents and relocations of every section that is loaded, but for the unwind table."""
    parts: dict[str, tuple[bytes, tuple[tuple[object, ...], ...]]] = {}
    elf = Elf.of(content)
    for section in elf.sections:
        if section.is_loaded and section.size and section.name not in (".eh_frame", ".note.gnu.property"):
            data = section.data if section.kind != "SHT_NOBITS" else str(section.size).encode()
            rows = tuple((row.offset, row.kind, row.name, row.addend) for row in elf.relocations(section))
            # Two sections may share a name (COMDAT groups): keep all their contents in order.
            before = parts.get(section.name, (b"", ()))
            parts[section.name] = (before[0] + data, before[1] + rows)
    return parts


def _first_line(err: str) -> str:
    return next((line for line in err.splitlines() if "error" in line.lower()), err[:200]).strip()
