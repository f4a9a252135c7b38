"""One translation unit, compiled again with other flags.

A `CompileUnit` knows the user's own source, flags and directory; it runs side compiles away from the build's outputs
and remembers each by its flags, so that all functions of a unit share one compile per recipe.

A clone that gcc made of a function (`f.isra.0`) is in a side compile only where it is called there as it is in the
build: with other flags gcc makes other clones under the same names.

Covers C and C++ units whose source is a file. Does not cover units read from standard input without `stdin`, nor
sources that `__DATE__`, `__COUNTER__` side files or a changing header make differ between two compiles: the caller
compares what comes back with the baseline where that matters.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from gccllm.assembly import Module, NotLossless
from gccllm.base.dump import DUMP_OPTION, Prototype, prototypes
from gccllm.base.limits import LIMITS
from gccllm.base.names import original_name
from gccllm.base.toolchain import Ran, Toolchain, run

_DUMP = f"{DUMP_OPTION}=stderr"
_PRLIMIT = shutil.which("prlimit")


def limited() -> list[str]:
    """Put in front of a compiler of untrusted text, so that it cannot take all memory; empty without prlimit."""
    return [_PRLIMIT, f"--as={LIMITS.tool_memory_bytes}", f"--fsize={LIMITS.side_bytes}"] if _PRLIMIT else []


@dataclass(eq=False)
class CompileUnit:
    """Side compiles of one translation unit. Not for use by several threads.

    Every method returns None for a compile that failed; `last_error` then holds the compiler's words.
    """

    source: Path
    flags: tuple[str, ...]
    """The options that decide the code: no inputs, outputs, dependency or debug options (`base.options.repeated`)."""
    cwd: Path
    tools: Toolchain = field(default_factory=Toolchain.find)
    language: str = "c"
    """gcc's -x value."""
    spelled: str = ""
    """The source as the build's command names it, seen from `cwd`: __FILE__ repeats it. Default: its path."""
    baseline: Module | None = None
    """gcc's own assembly of the unit, where known: names of symbols and hardening follow it."""
    last_error: str = ""
    """The compiler's own words on the last compile that failed."""
    timed_out: bool = False
    """The last compile was stopped at its deadline."""
    _modules: dict[tuple[str, ...], Module | None] = field(default_factory=dict, repr=False)

    def module(self, extra: Sequence[str] = (), *, compiler: str = "", flags: Sequence[str] | None = None,
               deadline_s: float = 60.0) -> Module | None:  # fmt: skip
        """The unit with `extra` after the user's flags, private data renamed (`privatised`); memoised.

        `flags` replaces the user's own, for a compiler that does not know them all.
        """
        asks = (_DUMP,) if self._has_clones and not compiler else ()
        argv = self._argv(compiler, flags, (*extra, *asks), self.spelled or self.source)
        key = tuple(argv)
        if key not in self._modules:
            ran = self._run(argv, deadline_s)
            if ran is None and self.timed_out:
                return None  # says nothing about the flags: another function may have more time
            self._modules[key] = self._without_strange_clones(ran) if ran is not None else None
        return self._modules[key]

    def preprocessed_module(self, extra: Sequence[str], *, deadline_s: float = 60.0) -> Module | None:
        """As `module`, of the text that the build's own preprocessing gives, whatever macros `extra` would define.

        Clones stay, however they are called: what calls them has to bring them along (`propose.compiled`).
        """
        kind = "cpp-output" if self.language == "c" else f"{self.language}-cpp-output"
        argv = (self.tools.gcc, *self.flags, *extra, "-w", "-S", "-o", "-", "-x", kind, "-")
        if argv not in self._modules:
            source = self.preprocessed
            if source is None:
                return None
            ran = self._run(argv, deadline_s, source)
            if ran is None and self.timed_out:
                return None
            self._modules[argv] = self._parse(ran) if ran is not None else None
        return self._modules[argv]

    @cached_property
    def preprocessed(self) -> bytes | None:
        """The text that the build's own preprocessing gives; None when it fails."""
        argv = [self.tools.gcc, *self.flags, "-w", "-E", "-x", self.language, str(self.spelled or self.source)]
        ran = run(argv, cwd=self.cwd, deadline_s=LIMITS.side_s)
        if not ran.ok:
            self.last_error = ran.err[:4000]
            return None
        return ran.out

    def module_of(self, source: Path, extra: Sequence[str], *, deadline_s: float = 60.0) -> Module | None:
        """Another source, compiled with the unit's flags within limits of memory; not memoised. For untrusted text."""
        ran = self._run([*limited(), *self._argv("", None, extra, source)], deadline_s)
        return self._without_strange_clones(ran) if ran is not None else None

    def declaration(self, clone: str) -> str:
        """gcc's own of a clone of the build; empty where it is not known."""
        declared = self._declared.get(clone)
        return declared.text if declared is not None else ""

    @property
    def _has_clones(self) -> bool:
        return self.baseline is not None and any(map(original_name, self.baseline.functions))

    @cached_property
    def _declared(self) -> Mapping[str, Prototype]:
        """How the build's own functions are called."""
        ran = self._run(self._argv("", None, (_DUMP,), self.spelled or self.source), LIMITS.side_s)
        return prototypes(ran.err) if ran is not None else {}

    def _without_strange_clones(self, ran: Ran) -> Module | None:
        """The compile's text, less the clones that are called otherwise than the build's."""
        if (module := self._parse(ran)) is None:
            return None
        if clones := [name for name in module.functions if original_name(name)]:
            theirs = prototypes(ran.err)
            for name in clones:
                if name not in theirs or theirs[name] != self._declared.get(name):
                    del module.functions[name]
        return module

    @cached_property
    def original(self) -> str | None:
        """The source file's text, or None when it cannot be read."""
        path = self.source if self.source.is_absolute() else self.cwd / self.source
        try:
            return path.read_bytes().decode("latin-1")
        except OSError:
            return None

    def _argv(self, compiler: str, flags: Sequence[str] | None, extra: Sequence[str], source: Path | str) -> list[str]:
        own = self.flags if flags is None else flags
        return [compiler or self.tools.gcc, *own, *extra, "-w", "-S", "-o", "-", "-x", self.language, str(source)]

    def _run(self, argv: Sequence[str], deadline_s: float, stdin: bytes = b"") -> Ran | None:
        ran = run(argv, stdin=stdin, cwd=self.cwd, deadline_s=deadline_s)
        self.timed_out = ran.code == -1
        if not ran.ok:
            self.last_error = ran.err[:4000]
            return None
        if len(ran.out) > LIMITS.side_bytes:
            self.last_error = "too much output"
            return None
        return ran

    def _parse(self, ran: Ran) -> Module | None:
        try:
            module = Module.parse(privatised(ran.out.decode("latin-1"), self.baseline))
        except NotLossless as error:
            self.last_error = str(error)
            return None
        return module


PRIVATE_COPY = ".Lprivate."
"""What the label of a copy begins with; the object's own name follows."""


def privatised(text: str, baseline: Module | None) -> str:
    """`text` with local read-only data renamed to private labels, so that a body brings it along, wherever the baseline
    has none of that name or has it with other contents: compilers number and name function-level statics as they
    please (`table.0`, `f.table`).

    Raises NotLossless.
    """
    module = Module.parse(text)
    renamed: list[str] = []
    for name, thing in module.objects.items():
        if name.startswith(".L") or thing.is_writable or module.binding(name) != "local":
            continue
        twin = baseline.objects.get(name) if baseline is not None else None
        if twin is None or twin.directives != thing.directives:
            renamed.append(name)
    if not renamed:
        return text
    names = "|".join(re.escape(name) for name in sorted(renamed, key=len, reverse=True))
    # Declarations of private labels mean nothing to the assembler.
    text = re.sub(rf"^[ \t]*\.(?:type|size|local|hidden)\s+(?:{names})\b[^\n]*\n", "", text, flags=re.M)
    return re.sub(rf"(?<![\w.$@])({names})(?![\w$@]|\.\w)", rf"{PRIVATE_COPY}\1", text)


_CLANG_NAMES = ("clang", *(f"clang-{v}" for v in range(24, 13, -1)))


def find_clang() -> str | None:
    """Path of the newest clang on PATH by name, or None."""
    numbered = [path for name in _CLANG_NAMES[1:] if (path := shutil.which(name))]
    return numbered[0] if numbered else shutil.which("clang")
