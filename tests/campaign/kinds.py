"""Kinds of functions for random projects: each rests on a *fact* that gcc's text of the function does not show.

A kind is C text with `$name` places. `FOLD(plain, folded)` is `plain` in every build and `folded` where the campaign
compiles a candidate (-DFOLDED): what a good rewrite may make of the function *while the facts hold*. An edit changes a
fact, and a rewrite that is used after it gives another number. Sums are unsigned, indices bounded, shifts constant:
nothing here is undefined, in any state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Facts = dict[str, str]

NUMBERS = ("3", "5", "17", "40503", "2654435761u")
SMALL = ("1", "2", "3", "7")
WORDS = ("apple,berry,cedar,daisy", "apple,birch,cedar,daisy", "zebra,berry,cedar,dunes", "apple,berry,cobra,daisy")
ATTRIBUTES = ("", "__attribute__((noclone))", "__attribute__((noipa))", "__attribute__((hot))",
              '__attribute__((target("sse4.2")))', "__attribute__((aligned(64)))")  # fmt: skip


@dataclass(frozen=True)
class Kind:
    name: str
    facts: Mapping[str, tuple[str, ...]]
    """What an edit may change, and to what."""
    code: str
    """Callee, data and `target_$N`."""
    call: str
    """An expression: what a caller makes of it. It sees p (any values), q (below 1000), n (1 to 400)."""
    types: str = ""
    """Before the code, and in a header: shared types and macros."""
    other: str = ""
    """Definitions in another unit."""
    before: str = ""
    """Statements before the call."""
    local: str = ""
    """Another text in every unit, before the code: `$U` is the unit's number."""
    derive: Callable[[Facts, tuple[str, ...]], Facts] | None = None
    """Further places, from the facts and the flags of the build."""


LOOP = """$STATIC TARGET $ATTR unsigned target_$N(const unsigned *p, long n) {
    unsigned sum = 0;
    for (long i = 0; i < n; i++) sum = sum * 3u + $EACH;
    return sum;
}
"""


def loop(each: str) -> str:
    return LOOP.replace("$EACH", each)


def _flat(facts: Facts, flags: tuple[str, ...]) -> Facts:
    words = facts["S"].split(",")
    return {"LIST": ", ".join(f'"{w}"' for w in words), "FLAT": "".join(w[:2] for w in words)}


def _signed(facts: Facts, flags: tuple[str, ...]) -> Facts:
    may_overflow = facts["NUM"] == "unsigned" or "-fwrapv" in flags
    return {"WIDE": facts["NUM"] if may_overflow else "long", "AS": "int" if may_overflow else "long",
            "DATA": "p" if may_overflow else "q"}  # fmt: skip


def _restrict(facts: Facts, flags: tuple[str, ...]) -> Facts:
    apart = facts["R"] == "restrict"
    return {"INDEX": "n - 1 - j" if apart else "j", "FROM": "q" if apart else "d_$N"}


def _aliasing(facts: Facts, flags: tuple[str, ...]) -> Facts:
    apart = "-fno-strict-aliasing" not in flags
    return {"INDEX": "n - 1 - j" if apart else "j", "FROM": "q" if apart else "d_$N"}


def _volatile(facts: Facts, flags: tuple[str, ...]) -> Facts:
    return {"INDEX": "j" if facts["V"] else "n - 1 - j", "ARMED": "1" if facts["V"] else "0"}


def _weak(facts: Facts, flags: tuple[str, ...]) -> Facts:
    weak = bool(facts["W"])
    return {"FOLDED": "weak_$N(p[i])" if weak or _is_library(flags) else "p[i] * $A + 1u",
            "STRONG": "unsigned weak_$N(unsigned x) { return x ^ $B; }" if weak else ""}  # fmt: skip


def _alias(facts: Facts, flags: tuple[str, ...]) -> Facts:
    if _is_library(flags):
        return {"FOLDED": "via_$N(p[i])"}
    return {"FOLDED": "p[i] * $A + 1u" if facts["WHICH"] == "one" else "(p[i] ^ $B)"}


def _is_library(flags: tuple[str, ...]) -> bool:
    """Whether exported functions may be another library's: nothing folds them."""
    return "-fPIC" in flags


def _effect(facts: Facts, flags: tuple[str, ...]) -> Facts:
    return {"EFFECT": "count_$N += x & 1u;" if facts["E"] == "1" else "",
            "FOLDED": "(count_$N += p[i] & 1u, p[i] * $A)" if facts["E"] == "1" else "p[i] * $A"}  # fmt: skip


def _written(facts: Facts, flags: tuple[str, ...]) -> Facts:
    fixed = facts["C"] == "const"
    return {"SET": "" if fixed else "static KEEP void set_$N(unsigned x) { k_$N[1] = x; }",
            "DO": "" if fixed else "set_$N(p[0] | 1u);",
            "FOLDED": "(p[i] & 1u ? $B : $A)" if fixed else "k_$N[p[i] & 1u]"}  # fmt: skip


KINDS: tuple[Kind, ...] = (
    Kind(
        "callee", {"A": NUMBERS, "B": SMALL},
        "static KEEP unsigned weigh_$N(unsigned x) { return x * $A + $B; }\n"
        + loop("FOLD(weigh_$N(p[i]), p[i] * $A + $B)"),
        "target_$N(p, n)",
    ),
    Kind(
        "deep", {"A": NUMBERS, "B": SMALL},
        "static KEEP unsigned inner_$N(unsigned x) { return (x ^ $A) * 2654435761u; }\n"
        "static KEEP unsigned outer_$N(unsigned x) { return inner_$N(x) + (inner_$N(x >> 3) >> $B); }\n"
        + loop("FOLD(outer_$N(p[i]), (p[i] ^ $A) * 2654435761u + ((((p[i] >> 3) ^ $A) * 2654435761u) >> $B))"),
        "target_$N(p, n)",
    ),
    Kind(
        "strings", {"S": WORDS},
        "static const char *const names_$N[4] = {$LIST};\n"
        + loop('(unsigned)FOLD(names_$N[p[i] & 3u][p[i] >> 7 & 1u], "$FLAT"[(p[i] & 3u) * 2u + (p[i] >> 7 & 1u)])'),
        "target_$N(p, n)", derive=_flat,
    ),
    Kind(
        "tables", {"A": NUMBERS, "B": NUMBERS},
        "static const unsigned even_$N[2] = {$A, 11u}, odd_$N[2] = {29u, $B};\n"
        "static const unsigned *const both_$N[2] = {even_$N, odd_$N};\n"
        + loop("FOLD(both_$N[p[i] & 1u][p[i] >> 1 & 1u],"
               " (p[i] & 1u ? (p[i] & 2u ? $B : 29u) : (p[i] & 2u ? 11u : $A)))"),
        "target_$N(p, n)",
    ),
    Kind(
        "callee_table", {"A": NUMBERS, "B": NUMBERS},
        "static const unsigned tab_$N[2] = {$A, $B};\n"
        "static KEEP unsigned look_$N(unsigned x) { return tab_$N[x & 1u] ^ x; }\n"
        + loop("FOLD(look_$N(p[i]), ((p[i] & 1u ? $B : $A) ^ p[i]))"),
        "target_$N(p, n)",
    ),
    Kind(
        "signed", {"NUM": ("int", "unsigned")},
        """$STATIC TARGET $ATTR int target_$N(const $NUM *p, long n) {
    FOLD($NUM, $WIDE) sum = 0;
    for (long i = 0; i < n; i++) sum += p[i];
    return (FOLD(int, $AS))sum > 1000;
}
""",
        "target_$N((const $NUM *)$DATA, n)", derive=_signed,
    ),
    Kind(
        "restrict", {"R": ("restrict", "")},
        """static unsigned d_$N[512];
$STATIC TARGET $ATTR void target_$N(unsigned *$R d, const unsigned *$R s, long n) {
    for (long j = 0; j < n; j++) {
        long i = FOLD(j, $INDEX);
        d[i] = s[i] / (s[i] % 7u + 1u) + 1u;
    }
}
""",
        "(target_$N(d_$N + 1, $FROM, n), d_$N[n] + d_$N[n / 2])", before="d_$N[0] = p[0];", derive=_restrict,
    ),
    Kind(
        "aliasing", {"A": SMALL},
        """static unsigned d_$N[512];
$STATIC TARGET $ATTR void target_$N(float *d, const unsigned *s, long n) {
    for (long j = 0; j < n; j++) {
        long i = FOLD(j, $INDEX);
        d[i] = (float)(s[i] / (s[i] % 7u + $A) % 4096u);
    }
}
""",
        "(target_$N((float *)(d_$N + 1), $FROM, n), bits_of(d_$N, n))", before="d_$N[0] = p[0];", derive=_aliasing,
    ),
    Kind(
        "width", {"OUT": ("unsigned", "unsigned long", "unsigned char", "unsigned short"), "A": NUMBERS},
        """$STATIC TARGET $ATTR $OUT target_$N(const unsigned *p, long n) {
    unsigned sum = 0;
    for (long i = 0; i < n; i++) sum += p[i] ^ $A;
    return sum & 0xffu;
}
""",
        "target_$N(p, n)",
    ),
    Kind(
        "volatile", {"V": ("", "volatile")},
        """$STATIC TARGET $ATTR unsigned target_$N($V const unsigned *p, long n) {
    unsigned sum = 0;
    for (long j = 0; j < n; j++) { long i = FOLD(j, $INDEX); sum += p[i] / (n + 1u); }
    return sum;
}
""",
        "target_$N(two_pages($ARMED), 2048)", derive=_volatile,
    ),
    Kind(
        "weak", {"W": ("", "__attribute__((weak))"), "A": NUMBERS, "B": NUMBERS},
        "$W KEEP_GLOBAL unsigned weak_$N(unsigned x) { return x * $A + 1u; }\n"
        + loop("FOLD(weak_$N(p[i]), $FOLDED)"),
        "target_$N(p, n)", other="$STRONG", derive=_weak,
    ),
    Kind(
        "alias", {"WHICH": ("one", "two"), "A": NUMBERS, "B": NUMBERS},
        "KEEP_GLOBAL unsigned one_$N(unsigned x) { return x * $A + 1u; }\n"
        "KEEP_GLOBAL unsigned two_$N(unsigned x) { return x ^ $B; }\n"
        'unsigned via_$N(unsigned) __attribute__((alias("${WHICH}_$N")));\n'
        + loop("FOLD(via_$N(p[i]), $FOLDED)"),
        "target_$N(p, n)", derive=_alias,
    ),
    Kind(
        "effect", {"E": ("0", "1"), "A": NUMBERS},
        "static unsigned count_$N;\n"
        "static KEEP unsigned weigh_$N(unsigned x) { $EFFECT return x * $A; }\n"
        + loop("FOLD(weigh_$N(p[i]), $FOLDED)"),
        "target_$N(p, n) + count_$N", derive=_effect,
    ),
    Kind(
        "written", {"C": ("const", ""), "A": NUMBERS, "B": NUMBERS},
        "static $C unsigned k_$N[2] = {$A, $B};\n$SET\n" + loop("FOLD(k_$N[p[i] & 1u], $FOLDED)"),
        "target_$N(p, n)", before="$DO", derive=_written,
    ),
    Kind(
        "record", {"F": ("unsigned a; short b; short c;", "short c; short b; unsigned a;",
                         "unsigned a; short c; short b;", "unsigned b; short a; short c;")},
        """static KEEP unsigned field_$N(const struct rec_$N *r) { return r->b * 3u + r->a; }
$STATIC TARGET $ATTR unsigned target_$N(const struct rec_$N *r, const unsigned *p, long n) {
    unsigned sum = 0;
    for (long i = 0; i < n; i++) sum = sum * 5u + FOLD(field_$N(r), r->b * 3u + r->a) + p[i];
    return sum;
}
""",
        "target_$N(&r_$N, p, n)", types="struct rec_$N { $F };",
        before="struct rec_$N r_$N = {.a = p[0] & 0xfffu, .b = p[1] & 0xfffu, .c = p[2] & 0xfffu};",
    ),
    Kind(
        "local", {"A": NUMBERS},
        loop("FOLD(local_$N(p[i]), p[i] * $A + $U)"),
        "target_$N(p, n)", local="static KEEP unsigned local_$N(unsigned x) { return x * $A + $U; }",
    ),
    Kind(
        "macro", {"A": NUMBERS},
        "static KEEP unsigned most_$N(unsigned x) { return x % 9u > LIMIT_$N % 9u ? x : LIMIT_$N; }\n"
        + loop("FOLD(most_$N(p[i]), (p[i] % 9u > LIMIT_$N % 9u ? p[i] : LIMIT_$N))"),
        "target_$N(p, n)", types="#define LIMIT_$N ((unsigned)$A)",
    ),
    Kind(
        "real", {"A": SMALL, "OUT": ("double", "float")},
        """static KEEP double part_$N(double x) { return x * $A.0 + 0.5; }
$STATIC TARGET $ATTR $OUT target_$N(const unsigned *q, long n) {
    double sum = 0;
    for (long i = 0; i < n; i++) sum += FOLD(part_$N((double)q[i]), (double)q[i] * $A.0 + 0.5);
    return ($OUT)(sum - 8.0 * (double)(long)(sum / 8.0));
}
""",
        "(unsigned long)(target_$N(q, n) * 2)",
    ),
)  # fmt: skip
