"""The text of a unit on trial: gcc's, with a choice of bodies in each of its functions, and the chooser behind it.

A function on trial begins with a jump through its slot, whose bodies lie one behind the other at places that are the
same in every run: how code lies in memory is no part of what is compared. The jump costs each body alike.

The chooser (`native/chooser.c`) is one COMDAT group, hidden; each image has one copy, and one record for each function
in the section `gccllm_trial`, in the function's own group where it has one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gccllm.assembly import Body, BodyError, Function, Module
from gccllm.assembly.splice import Choice, choice_label, splice
from gccllm.base.core import Decline
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.record.stub import RUNTIME_FLAGS, grouped

MOST_BODIES = 12
"""Beside gcc's own; the chooser knows no more."""
GROUP = "__gccllm_trial_v1"
"""The chooser's COMDAT group. Another layout of the record needs another name."""
OWN = "gccllm.trial."
"""Prefix of the chooser's symbols, which no C program can have."""
SECTION = "gccllm_trial"
RECORD_BYTES = 128
_CHOOSER = Path(__file__).parent / "native" / "chooser.c"


@dataclass(frozen=True, slots=True)
class Contest:
    """A function on trial: `identity` is sixteen hexadecimal digits, `bodies` are told apart by their index from 1."""

    function: Function
    identity: str
    bodies: tuple[Body, ...]


def contested_text(module: Module, contests: Sequence[Contest], chooser: str, tools: Toolchain) -> str:
    """The unit's text with the choices, and `chooser` (of `chooser_text`) behind it. Raises BodyError."""
    choices: dict[str, Choice] = {}
    behind: dict[str, list[str]] = {}
    for number, contest in enumerate(contests):
        name = contest.function.name
        if not re.fullmatch(r"[A-Za-z0-9_.$]+", name + contest.function.comdat):
            raise BodyError(Reason.UNSUPPORTED_CODE, f"the name {name!r}")
        if len(contest.bodies) > MOST_BODIES:
            raise ValueError(f"{len(contest.bodies)} bodies, at most {MOST_BODIES}")
        choices[name] = Choice(contest.bodies, f".Lgccllm_trial_{number}")
        behind[name] = _record(contest, choices[name])
    text = _with_records(splice(module, choices, tools), module, behind)
    return text + chooser


def _with_records(text: str, module: Module, behind: Mapping[str, Sequence[str]]) -> str:
    """Each function's record behind its `.size`, where its group's section can be named."""
    rows: list[str] = []
    for line in text.split("\n"):
        rows.append(line)
        found = re.match(r"\t\.size\t([^,\s]+),", line)
        if found and found[1] in behind and line == module.lines[module.functions[found[1]].last]:
            rows.extend(behind[found[1]])
    return "\n".join(rows) + ("" if rows and not rows[-1] else "\n")


def _record(contest: Contest, choice: Choice) -> list[str]:
    function, count = contest.function, len(contest.bodies)
    group = f",{function.comdat},comdat" if function.comdat else ""
    labels = [choice_label(choice.slot, number) for number in range(count + 1)]
    return [
        f'\t.pushsection\t{SECTION},"aw{"G" if group else ""}",@progbits{group}',
        "\t.balign\t32",
        f"{choice.slot}:",
        f"\t.quad\t{labels[0]}, {choice.slot}_id, {count}",
        f"\t.quad\t{', '.join([*labels, *['0'] * (MOST_BODIES - count)])}",
        "\t.popsection",
        f'\t.pushsection\t.rodata.{SECTION}.{function.name},"a{"G" if group else ""}",@progbits{group}',
        f"{choice.slot}_id:",
        f'\t.string\t"{contest.identity}"',
        "\t.popsection",
    ]


@lru_cache(maxsize=4)
def chooser_text(gcc: str) -> str:
    """The chooser as text to put behind a unit's. Raises Decline(RECORDER) when `gcc` does not compile it to what is
    expected."""
    ran = Toolchain(gcc=gcc).compile([*RUNTIME_FLAGS, "-S", "-o", "-", str(_CHOOSER)])
    if not ran.ok:
        raise Decline(Reason.RECORDER, ran.err.strip().splitlines()[-1][:200] if ran.err.strip() else "no answer")
    try:
        text = grouped(ran.out.decode("latin-1"), GROUP, OWN, frozenset({f"__start_{SECTION}", f"__stop_{SECTION}"}))
    except ValueError as error:
        raise Decline(Reason.RECORDER, str(error)) from error
    return "\n".join([
        text.rstrip("\n"),
        f'\t.section\t{SECTION},"awG",@progbits,{GROUP},comdat',  # never empty, or its ends have no address
        "\t.balign\t32",
        f"\t.zero\t{RECORD_BYTES}",
        f'\t.section\t.init_array.00080,"awG",@init_array,{GROUP},comdat',
        "\t.balign\t8",
        f"\t.quad\t{OWN}begin_trial",
        "",
    ])  # fmt: skip
