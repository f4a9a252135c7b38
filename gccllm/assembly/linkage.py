"""What of a unit may be another unit's in the program: names that the linker or the loader may give to somebody else.

gcc assumes nothing of such a function's body or such an object's contents, so nothing else may either.

    weak                       another unit's strong definition takes the name at link time
    default visibility, -fPIC  a library that is loaded before this one takes it at load time

Not replaceable: what is in a COMDAT group, because C++ has all its copies be one (so gcc inlines them too);
constant data that is not weak (gcc itself puts its contents into code, -fPIC or not); names under
-fno-semantic-interposition, but for weak ones; whatever only this unit can name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gccllm.assembly.module import Module
from gccllm.assembly.section import DATA_DIRECTIVES
from gccllm.assembly.syntax import Kind, Statement

_POSITION = re.compile(r"-f(no-)?(pic|PIC|pie|PIE)")
_BY_TABLE = re.compile(r"([\w.$]+)@(?:PLT|GOTPCREL)")


def replaceable(module: Module, options: Sequence[str]) -> frozenset[str]:
    """Names of functions, data and aliases of the unit that may turn out to be another unit's.

    options  those of the compile; where they are not known, what gcc reaches by a table tells position-independent code
    """
    is_library = _is_for_library(module, options)
    names = (*module.functions, *module.objects, *module.aliases)
    return frozenset(name for name in names if _is_replaceable(module, name, is_library))


def is_pointed_to(module: Module, name: str) -> bool:
    """Whether a pointer may lead to a data object of the unit: others can name it, or the unit takes its address.

    Taken is what stands in data, in `lea`, behind `$`, in the table of addresses, or has an alias; an array whose
    elements are reached through a register counts. Debug information does not.
    """
    if module.binding(name) != "local":
        return True
    return any(_takes_address(item.statement, name) for item in module.mentions.get(name, ()))


def _takes_address(statement: Statement, name: str) -> bool:
    if statement.kind is Kind.DIRECTIVE:
        return statement.name in DATA_DIRECTIVES or statement.name in (".set", ".equ", ".equiv")
    is_named = f"${name}" in statement.args or f"{name}@" in statement.args
    return statement.kind is Kind.ASSIGN or statement.name.startswith("lea") or is_named


def _is_replaceable(module: Module, name: str, is_library: bool) -> bool:
    if _is_one_of_many(module, name):
        return False
    if module.binding(name) == "weak":
        return True
    return is_library and _is_exported(module, name) and not _is_constant(module, name)


def _is_for_library(module: Module, options: Sequence[str]) -> bool:
    """Whether a loader may give exported names to others."""
    interposition = [one for one in options if one in ("-fsemantic-interposition", "-fno-semantic-interposition")]
    if interposition and interposition[-1].startswith("-fno-"):
        return False
    position = [one for one in options if _POSITION.fullmatch(one)]
    if position and position[-1] in ("-fpic", "-fPIC"):
        return True
    if position:
        return False
    named = (match[1] for line in module.lines if "@" in line for match in _BY_TABLE.finditer(line))
    return any(module.binding(one) == "global" and module.defines(one) and _is_exported(module, one) for one in named)


def _is_exported(module: Module, name: str) -> bool:
    return module.binding(name) != "local" and module.visibility.get(name, "default") == "default"


def _is_constant(module: Module, name: str) -> bool:
    name = module.resolve(name)
    return name in module.objects and not module.objects[name].is_writable


def _is_one_of_many(module: Module, name: str) -> bool:
    """Whether it is in a COMDAT group."""
    name = module.resolve(name)
    if name in module.functions:
        return bool(module.functions[name].comdat)
    return name in module.objects and bool(module.objects[name].section.group)
