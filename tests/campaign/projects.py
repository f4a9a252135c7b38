"""Random C projects, and one edit of a project. Everything follows from a seed.

A project is `main.c` and 1 to 5 further units. Each part (`kinds`) has its target in one unit, or static in a header
that two units include, and a caller beside each: one that keeps values in registers over the call, or leaves by a tail
call. `render` gives the files; no state of a project has undefined behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from string import Template

from tests.campaign.kinds import ATTRIBUTES, KINDS, Facts

LIVES = ("none", "integers", "reals", "both", "tail", "result")
EXTRAS = ("-fwrapv", "-fno-strict-aliasing", "-fPIC", "-ffixed-r10", "-fno-tree-vectorize", "-fno-inline", "-fno-plt",
          "-mstackrealign", "-fomit-frame-pointer", "-fno-omit-frame-pointer", "-funroll-loops", "-fno-common",
          "-fcall-used-rbx", "-fno-unit-at-a-time", "-fno-math-errno", "-fno-trapping-math", "-DUNUSED=1")  # fmt: skip
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Part:
    """One target with its caller. `home` is the unit that has it; `twin` a second one, where it is in a header."""

    kind: str
    number: int
    facts: Facts
    live: str
    attribute: str
    home: int
    twin: int | None = None


@dataclass(frozen=True)
class Project:
    units: int
    """Beside main.c; numbered from 1."""
    parts: tuple[Part, ...]
    level: str = "-O2"
    extras: tuple[str, ...] = ()
    order: tuple[int, ...] = ()
    inputs: int = 1
    log: tuple[str, ...] = field(default=(), compare=False)
    """The edits so far, in words."""

    @property
    def flags(self) -> tuple[str, ...]:
        return (self.level, *self.extras)


def make(rng: Random) -> Project:
    units = rng.choice((1, 1, 2, 2, 3, 4, 5))
    parts = []
    for number in range(rng.randint(4, 8)):
        kind = rng.choice(KINDS)
        home = rng.randint(1, units)
        in_header = kind.local or (rng.random() < 0.4 and "KEEP_GLOBAL" not in kind.code)
        twin = home % units + 1 if in_header and units > 1 else None
        facts = {name: rng.choice(values) for name, values in kind.facts.items()}
        parts.append(Part(kind.name, number, facts, rng.choice(LIVES), rng.choice(ATTRIBUTES[:2]), home, twin))
    extras = tuple(rng.sample(EXTRAS, rng.choice((0, 0, 0, 1, 2))))
    return Project(units, tuple(parts), rng.choice(("-O1", "-O2", "-O2", "-O3")), extras, tuple(range(units + 1)))


def edit(project: Project, rng: Random) -> Project:
    """One thing changed."""
    index = rng.randrange(len(project.parts))
    part = project.parts[index]
    kind = BY_NAME[part.kind]
    what = rng.choice(
        ("fact",) * 12 + ("live",) * 3 + ("attribute", "flag", "flag", "flag", "level", "order", "home", "inputs")
    )
    match what:
        case "fact":
            name = rng.choice(sorted(kind.facts))
            value = _other(rng, kind.facts[name], part.facts[name])
            return _with_part(project, index, replace(part, facts={**part.facts, name: value}), f"{kind.name}: {name}")
        case "live":
            return _with_part(project, index, replace(part, live=_other(rng, LIVES, part.live)), "a caller's values")
        case "attribute":
            changed = replace(part, attribute=_other(rng, ATTRIBUTES, part.attribute))
            return _with_part(project, index, changed, f"attribute {changed.attribute}")
        case "home":
            if part.twin is None:
                changed = replace(part, home=rng.randint(1, project.units))
            else:
                changed = replace(part, home=part.twin, twin=part.home)
            return _with_part(project, index, changed, "moved to another unit")
        case "level":
            level = _other(rng, ("-O1", "-O2", "-O3"), project.level)
            return replace(project, level=level, log=(*project.log, level))
        case "order":
            order = list(project.order)
            rng.shuffle(order)
            return replace(project, order=tuple(order), log=(*project.log, "order of units"))
        case "inputs":
            return replace(project, inputs=project.inputs + 1, log=(*project.log, "inputs"))
    extra = rng.choice(EXTRAS)
    extras = tuple(x for x in project.extras if x != extra) if extra in project.extras else (*project.extras, extra)
    return replace(project, extras=extras, log=(*project.log, f"flag {extra}"))


def _with_part(project: Project, index: int, part: Part, word: str) -> Project:
    parts = (*project.parts[:index], part, *project.parts[index + 1 :])
    return replace(project, parts=parts, log=(*project.log, f"{part.kind}_{part.number}: {word}"))


def _other(rng: Random, values: Sequence[str], now: str) -> str:
    return rng.choice([value for value in values if value != now])


# --- text -------------------------------------------------------------------------------------------

MIXES = {
    "none": "return $CALL;",
    "integers": "unsigned long r = $CALL;\n    return r + a * 3u + b * 5u + c * 7u + d * 11u + (unsigned long)n;",
    "reals": "unsigned long r = $CALL;\n    return r + (unsigned long)(x * 3.0 + y * 5.0 + z * 7.0);",
    "both": "double w = x * y;\n    unsigned long r = $CALL;\n"
    "    return r + a * 3u + b * 5u + c * 7u + d * 11u + (unsigned long)n + (unsigned long)(w + x * 3.0 + y + z);",
    "result": "unsigned long e = a ^ b, f = c + d;\n    unsigned long r = $CALL;\n"
    "    return (e & ~0xfful) + (f | r) + a + (unsigned long)(x + y);",
    "tail": "return $CALL;",
}
CALLER = """static APART unsigned long live_$N(const unsigned *p, const unsigned *q, long n,
    unsigned long a, unsigned long b, unsigned long c, unsigned long d, double x, double y, double z) {
    $BEFORE
    $MIX
}
"""
DRIVE = """void drive_$U(const unsigned *p, const unsigned *q, long n, unsigned long *out) {
    (void)p, (void)q, (void)n, (void)out;
$CALLS}
"""
MAIN = """#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include "support.h"
$FIXED
$TYPES
$OTHER
$DRIVES
static unsigned char *pages;
static void on_fault(int signal) {
    (void)signal;
    mprotect(pages + 4096, 4096, PROT_READ | PROT_WRITE);
    for (int i = 0; i < 1024; i++) ((unsigned *)pages)[i] = 77u;
}
unsigned *two_pages(int armed) {
    if (pages == NULL) pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages, 8192, PROT_READ | PROT_WRITE);
    for (int i = 0; i < 2048; i++) ((unsigned *)pages)[i] = 4000000000u + (unsigned)i * 9u;
    if (armed) {
        signal(SIGSEGV, on_fault);
        mprotect(pages + 4096, 4096, PROT_NONE);
    }
    return (unsigned *)pages;
}
static unsigned p[512], q[512];
int main(void) {
    unsigned seed = $INPUTS;
    for (int round = 0; round < 3; round++) {
        static const long sizes[3] = {1, 37, 400};
        unsigned long out[$SLOTS] = {0};
        for (int i = 0; i < 512; i++) {
            seed = seed * 1664525u + 1013904223u;
            p[i] = seed;
            q[i] = (seed >> 9) % 1000u;
        }
        $HOLD
$CALLS
        for (int i = 0; i < $SLOTS; i++) printf("%d: %lu\\n", i, out[i]);
        $HELD
    }
    return 0;
}
"""


def places(part: Part, project: Project, unit: int) -> dict[str, str]:
    kind = BY_NAME[part.kind]
    derived = kind.derive(part.facts, project.flags) if kind.derive else {}
    static = "" if part.twin is None and not kind.local else "static"
    known = {**part.facts, "N": str(part.number), "U": str(unit), "STATIC": static, "ATTR": part.attribute}
    return {**{name: Template(value).substitute(known) for name, value in derived.items()}, **known}


def render(project: Project) -> dict[str, str]:
    """File name to text; `support.h` is not among them."""
    files: dict[str, str] = {}
    slots: dict[tuple[int, int], int] = {}
    for unit in range(1, project.units + 1):
        rows = ['#include "support.h"', '#include "types.h"']
        calls = []
        for part in project.parts:
            if unit not in (part.home, part.twin):
                continue
            kind, known = BY_NAME[part.kind], places(part, project, unit)
            rows.append(Template(kind.local).substitute(known))
            code = Template(kind.code).substitute(known)
            if part.twin is None:
                rows.append(code)
            else:
                files[f"part_{part.number}.h"] = Template(kind.code).safe_substitute(known | {"U": "UNIT"})
                rows.append(f'#define UNIT {unit}\n#include "part_{part.number}.h"\n#undef UNIT')
            before = Template(kind.before).substitute(known)
            mix = Template(MIXES[part.live]).substitute(
                CALL=f"(unsigned long)({Template(kind.call).substitute(known)})"
            )
            if part.live == "tail" and not before and kind.call == "target_$N(p, n)":
                rows.append(_tail(part))
            else:
                rows.append(Template(CALLER).substitute(known, BEFORE=before, MIX=mix))
            slot = slots.setdefault((part.number, unit), len(slots))
            values = "p[0], p[1] & 255u, p[2], q[0], q[1], q[2] * 0.5, q[3]"
            calls.append(f"    out[{slot}] += live_{part.number}(p, q, n, {values});\n")
        rows.append(Template(DRIVE).substitute(U=unit, CALLS="".join(calls)))
        files[f"unit_{unit}.c"] = "\n".join(rows)
    files["types.h"] = (
        "\n".join(Template(BY_NAME[part.kind].types).substitute(places(part, project, 0)) for part in project.parts)
        + "\n"
    )
    fixed = "-ffixed-r10" in project.flags
    units = range(1, project.units + 1)
    files["main.c"] = Template(MAIN).substitute(
        FIXED='register unsigned long held __asm__("r10");' if fixed else "",
        TYPES='#include "types.h"',
        OTHER="\n".join(Template(BY_NAME[p.kind].other).substitute(places(p, project, 0)) for p in project.parts),
        DRIVES="\n".join(f"void drive_{u}(const unsigned *, const unsigned *, long, unsigned long *);" for u in units),
        INPUTS=f"{project.inputs}u",
        SLOTS=max(1, len(slots)),
        HOLD="held = 0x123456789abcdeful;\n        int kept = 1;" if fixed else "",
        CALLS="\n".join(
            f"        drive_{u}(p, q, sizes[round], out);"
            + ("\n        kept &= held == 0x123456789abcdeful;" if fixed else "")
            for u in units
        ),
        HELD='printf("kept %d\\n", kept);' if fixed else "",
    )
    return files


def _tail(part: Part) -> str:
    return Template(
        "static APART unsigned long live_$N(const unsigned *p, const unsigned *q, long n,\n"
        "    unsigned long a, unsigned long b, unsigned long c, unsigned long d, double x, double y, double z) {\n"
        "    return target_$N(p, n);\n}\n"
    ).substitute(N=part.number)


def sources(project: Project) -> list[str]:
    """The C files in the order in which they are linked."""
    return ["main.c" if unit == 0 else f"unit_{unit}.c" for unit in project.order]
