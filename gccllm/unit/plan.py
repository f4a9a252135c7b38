"""From one assembler call to a unit that can be worked on: parsed text, source, and the flags to compile it again."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from gccllm.assembly import Module, NotLossless, march_features
from gccllm.base.config import Settings
from gccllm.base.core import Decline, Request
from gccllm.base.options import repeated
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.unit import policy

_CXX = (".cc", ".cpp", ".cxx", ".c++", ".C", ".ii")
_LANGUAGES = {".c": "c", ".i": "c", **dict.fromkeys(_CXX, "c++")}


@dataclass(frozen=True)
class Unit:
    """One translation unit under work."""

    request: Request
    module: Module
    tools: Toolchain
    source: Path | None
    """The C file, absolute; None when it cannot be found again (standard input, deleted)."""
    spelled: str
    """The C file as the build's command names it: what __FILE__ says in the code."""
    language: str
    """`c` or `c++`."""
    flags: tuple[str, ...]
    """The user's own options, fit for a side compile: no inputs, outputs, dependency or debug options."""
    march: frozenset[str]
    """CPU features (iced names) that -march permits without a guard."""


def plan(request: Request, settings: Settings) -> Unit:
    """Raises Decline with the reason why the unit is left to gcc."""
    policy.declines_unit(request.gcc_options, request.as_argv, request.text, settings)
    try:
        module = Module.parse(request.text)
    except NotLossless as error:
        raise Decline(Reason.NOT_LOSSLESS, str(error)) from error
    source, language = find_source(request)
    options = request.gcc_options
    tools = Toolchain.find(request.compiler, request.assembler)
    return Unit(
        request=request,
        module=module,
        tools=tools,
        source=source,
        spelled=spelling(request, source),
        language=language,
        flags=repeated(options),
        march=march_features(options, tools),
    )


def find_source(request: Request) -> tuple[Path | None, str]:
    """The input of this compile and its language: the driver argument that the text's `.file` names."""
    named = re.search(r'^\t\.file\t"((?:[^"\\]|\\.)*)"$', request.text, re.MULTILINE)
    if not named:
        return None, "c"
    name = named.group(1).encode("latin-1").decode("utf-8", "replace").replace('\\"', '"').replace("\\\\", "\\")
    language: str | None = None
    words = iter(request.driver_argv)
    for word in words:
        if word == "-x":
            language = next(words, "none")
        elif word.startswith("-x") and len(word) > 2:
            language = word[2:]
        elif Path(word).name == Path(name).name and not word.startswith("-"):
            path = (request.cwd / word).resolve()
            known = language if language not in (None, "none") else _LANGUAGES.get(path.suffix)
            if path.is_file() and known in ("c", "c++", "cpp-output", "c++-cpp-output"):
                return path, "c++" if known.startswith("c++") else "c"
    return None, "c"


def spelling(request: Request, source: Path | None) -> str:
    """The driver argument that is `source`; its path when there is none."""
    words = (word for word in request.driver_argv if not word.startswith("-"))
    return next((word for word in words if (request.cwd / word).resolve() == source), str(source or ""))


def unquote_options(collected: str) -> tuple[str, ...]:
    """COLLECT_GCC_OPTIONS as words. Raises ValueError on unbalanced quotes."""
    return tuple(shlex.split(collected))
