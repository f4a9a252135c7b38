"""One translation unit, compiled again with other flags.

A `CompileUnit` knows the user's own source, flags and directory; it runs side compiles away from the build's outputs and
remembers each by its flags, so that all functions of a unit share one compile per recipe.

Covers C and C++ units whose source is a file. Does not cover units read from standard input without `stdin`, nor
sources that `__DATE__`, `__COUNTER__` side files or a changing header make differ between two compiles: the caller
compares what comes back with the baseline where that matters.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from gccllm.toolchain import Toolchain, run

MAX_TEXT = 32 << 20
"""Bytes of assembly or preprocessed text that a side compile may print."""

# Options that take the next argument as their value and that a side compile must not repeat.
_DROPPED_WITH_VALUE = frozenset({"-o", "-MF", "-MT", "-MQ", "-MD", "-MMD", "-aux-info", "-dumpdir", "-dumpbase", "-dumpbase-ext",
                                 "-wrapper", "-Xassembler", "-Xlinker", "-L", "-l", "-T", "-u", "-z", "-e"})  # fmt: skip
# -MD and -MMD take a value only inside COLLECT_GCC_OPTIONS of the old style; on a command line they stand alone.
_STAND_ALONE = frozenset({"-MD", "-MMD"})
_DROPPED = frozenset({"-c", "-S", "-E", "-M", "-MM", "-MP", "-MG", "-v", "-###", "-pipe", "-save-temps", "-Werror", "-static",
                      "-shared", "-pie", "-no-pie", "-rdynamic", "-pthreads", "-s", "-fsyntax-only", "-H", "-Q", "-ftime-report",
                      "-fstack-usage", "-fverbose-asm", "-ffat-lto-objects", "-pass-exit-codes"})  # fmt: skip
_DROPPED_PREFIX = ("-g", "-flto", "-fno-lto", "-fuse-linker-plugin", "-Wa,", "-Wl,", "-save-temps=", "-Werror=", "-l", "-L", "-dumpdir",
                   "-dumpbase", "-fdump-", "-fopt-info", "-fprofile-use", "-fauto-profile", "-specs=", "-fdiagnostics-",
                   "-fcallgraph-info", "-ftest-coverage", "-d")  # fmt: skip


def compile_flags(options: Sequence[str], inputs: Sequence[str] = ()) -> tuple[str, ...]:
    """The options that decide what code is made: outputs, dependencies, debugging, linking and warnings-as-errors go.

    `options`  COLLECT_GCC_OPTIONS or a driver's argv, unquoted; `inputs` names to drop wherever they stand alone.
    """
    kept: list[str] = []
    dropped_inputs = set(inputs)
    it = iter(options)
    for option in it:
        if option in _STAND_ALONE:
            continue
        if option in _DROPPED_WITH_VALUE:
            next(it, None)
            continue
        if option in ("-include", "-imacros", "-isystem", "-iquote", "-idirafter", "-iprefix", "-isysroot", "-I", "-D", "-U",
                      "-x", "--param", "-Xpreprocessor", "-imultilib", "-imultiarch"):  # fmt: skip
            value = next(it, None)
            if value is not None and option not in ("-x", "-imultiarch", "-imultilib"):
                kept += [option, value]
            continue
        if option in dropped_inputs or option in _DROPPED:
            continue
        if option.startswith(_DROPPED_PREFIX):
            continue
        if not option.startswith("-"):
            continue
        kept.append(option)
    return tuple(kept)


@dataclass(eq=False)
class CompileUnit:
    """Side compiles of one translation unit. Not for use by several threads.

    Every method returns None for a compile that failed; `errors` then holds the compiler's own words by flags.
    """

    source: Path
    flags: tuple[str, ...]
    """As `compile_flags` leaves them."""
    cwd: Path
    tools: Toolchain = field(default_factory=Toolchain.find)
    language: str = ""
    """gcc's -x value; empty lets the suffix decide."""
    baseline_text: str = ""
    """gcc's own assembly of the unit, where known: equalises hardening."""
    errors: dict[tuple[str, ...], str] = field(default_factory=dict)
    _texts: dict[tuple[str, ...], str | None] = field(default_factory=dict, repr=False)

    def assembly(self, extra: Sequence[str] = (), *, compiler: str = "", flags: Sequence[str] | None = None,
                 source: Path | None = None, deadline_s: float = 60.0) -> str | None:  # fmt: skip
        """Assembly text (latin-1) of the unit with `extra` after the user's flags; memoised by compiler and flags.

        `flags` replaces the user's own (for a compiler that does not know them all).
        """
        argv = self._argv(compiler, flags, extra, ("-S", "-o", "-"), source)
        key = tuple(argv)
        if key not in self._texts:
            self._texts[key] = self._run(argv, deadline_s)
        return self._texts[key]

    @cached_property
    def original(self) -> str | None:
        """The source file's text, or None when it cannot be read."""
        path = self.source if self.source.is_absolute() else self.cwd / self.source
        try:
            return path.read_bytes().decode("latin-1")
        except OSError:
            return None

    @cached_property
    def preprocessed(self) -> str | None:
        """The unit after the preprocessor, without line markers."""
        return self._run(self._argv("", None, (), ("-E", "-P", "-o", "-"), None), 60.0)

    @property
    def is_cxx(self) -> bool:
        return self.language == "c++" or self.source.suffix in (".cc", ".cpp", ".cxx", ".C", ".c++", ".cp", ".CPP", ".ii")

    def _argv(self, compiler: str, flags: Sequence[str] | None, extra: Sequence[str], mode: Sequence[str],
              source: Path | None) -> list[str]:  # fmt: skip
        language = ["-x", self.language] if self.language and source is None else []
        own = self.flags if flags is None else flags
        return [compiler or self.tools.gcc, *own, *extra, "-w", *mode, *language, str(source or self.source)]

    def _run(self, argv: Sequence[str], deadline_s: float) -> str | None:
        ran = run(argv, cwd=self.cwd, deadline_s=deadline_s)
        if not ran.ok:
            self.errors[tuple(argv)] = ran.err[:2000]
            return None
        if len(ran.out) > MAX_TEXT:
            self.errors[tuple(argv)] = "too much output"
            return None
        return ran.out.decode("latin-1")


_CLANG_NAMES = ("clang", *(f"clang-{v}" for v in range(24, 13, -1)))


def find_clang() -> str | None:
    """Path of the newest clang on PATH by name, or None."""
    numbered = [path for name in _CLANG_NAMES[1:] if (path := shutil.which(name))]
    return numbered[0] if numbered else shutil.which("clang")


def has_endbr(text: str) -> bool:
    """True when the assembly was made with -fcf-protection's landing pads."""
    return re.search(r"^\tendbr64\b", text, re.M) is not None
