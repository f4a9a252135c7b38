"""One text for equal code: labels and constants renumbered, unused ones dropped, numbers in decimal.

Two bodies have the same canonical text exactly when they have the same instructions on the same operands in the same
order, the same labels in the same places and constants with the same contents (labels aside). It is no normal form of
behaviour: an instruction exchanged with its neighbour gives another text.
"""

from __future__ import annotations

import re

from gccllm.assembly.body import Body, Line
from gccllm.assembly.data import STRINGS, Constant
from gccllm.assembly.function import Function
from gccllm.assembly.module import Module

_NUMBER = re.compile(r"(?<![A-Za-z0-9_.%@\x80-\xff])(-?)0[xX]([0-9a-fA-F]+)(?![A-Za-z0-9_.])")


def canonical(body: Body) -> str:
    """The canonical text. `Body.parse(canonical(b))` is a body with the same canonical text."""
    return canonicalize(body)[0].text()


def canonicalize(body: Body) -> tuple[Body, dict[str, str]]:
    """The canonical body, and the map back: canonical label -> label of `body`.

    Code labels become .L1, .L2, ... in order of appearance; constants .LC1, ... in order of first use, equal ones
    merged (the first name wins in the map).
    """
    used = body.references
    names: dict[str, str] = {}
    back: dict[str, str] = {}
    for line in body.lines:
        if line.label and line.label in used:
            names[line.label] = f".L{len(names) + 1}"
            back[names[line.label]] = line.label
    by_label = {constant.label: constant for constant in body.constants}
    order: dict[str, None] = {}
    todo = [name for line in body.lines for name in line.symbols if name in by_label]
    while todo:
        name = todo.pop(0)
        if name not in order:
            order[name] = None
            todo.extend(s for s in by_label[name].symbols if s in by_label)
    contents: dict[object, str] = {}
    kept: list[Constant] = []
    for name in order:
        constant = by_label[name]
        rows = tuple((d, a if d in STRINGS else _decimal(a)) for d, a in constant.directives)
        key = (rows, constant.align, constant.section)
        refers_to_itself = name in constant.symbols
        if key in contents and not refers_to_itself:
            names[name] = names[contents[key]]
            continue
        contents[key] = name
        names[name] = f".LC{len(kept) + 1}"
        back[names[name]] = name
        kept.append(Constant(name, rows, constant.align, constant.section))
    lines = tuple(
        line if line.label else Line(line.mnemonic, tuple(_decimal(op) for op in line.operands), line.prefixes)
        for line in body.lines
        if not line.label or line.label in used
    )
    # Sections print once each: read-only data first, so that parsing the text gives the same order back.
    kept.sort(key=lambda constant: constant.section != ".rodata")
    return Body(lines, tuple(kept)).with_symbols(lambda name: names.get(name, name)), back


def _decimal(text: str) -> str:
    return _NUMBER.sub(lambda m: f"{m[1]}{int(m[2], 16)}", text) if "0x" in text or "0X" in text else text


def baseline_key_text(module: Module, function: Function) -> str:
    """A baseline as text: canonical code with every private constant's bytes, and `attribute_rows`.

    Raises BodyError as `function.body` does.
    """
    return "\n".join((canonical(function.body), *attribute_rows(module, function))) + "\n"


def attribute_rows(module: Module, function: Function) -> list[str]:
    """What stands around a function's code: section kind, alignment, binding, visibility, COMDAT or not, endbr64, stack
    protector, CFI or not, and size, alignment and visibility of the data and functions of the unit that it names."""
    rows = [
        f"align={function.align} binding={function.binding} visibility={function.visibility} "
        f"comdat={bool(function.comdat)} endbr64={function.has_endbr64} "
        f"protector={function.has_stack_protector} cfi={function.has_cfi}",
    ]
    for name in sorted(function.body.externals):
        shown = f"{name} {module.binding(name)} {module.visibility.get(name, 'default')}"
        thing = module.objects.get(name)
        if thing is not None:
            shown += f" {thing.section.name.split('.')[1]} align={thing.align} size={thing.size} {thing.common}"
            if not thing.is_writable:
                shown += " " + ";".join(f"{d} {a}" for d, a in thing.directives)
        rows.append(shown if thing is not None or module.defines(name) else f"{name} undefined")
    return rows
