"""Functions that gcc cloned: called by the psABI, with a signature that no source has."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gccllm import attempt
from gccllm.assembly import Module
from gccllm.base.core import Candidate, Decline, Timing, accepted
from gccllm.base.dump import DUMP_OPTION, prototypes
from gccllm.base.reasons import Reason
from gccllm.harvest.dwarf import UnitTypes
from gccllm.harvest.side import DEBUG
from gccllm.harvest.types import Signature, describe
from gccllm.pipeline import Result
from gccllm.propose import Prompt
from gccllm.unit.plan import plan
from gccllm.unit.session import UnitSession
from tests.kit.clone_programs import PART, PROGRAMS, SPLIT, Cloned
from tests.kit.program import Program
from tests.kit.project import generous
from tests.kit.units import TOOLS, compiled, module

LIKE_THE_BUILD = ("-O3", "-fno-ipa-ra", "-fno-ipa-stack-alignment")
OTHERWISE = (*LIKE_THE_BUILD, "-fno-tree-vectorize", "-fno-schedule-insns2", "-fno-ivopts")
"""The same code, written otherwise."""


def said(signature: Signature) -> str:
    params = ", ".join(f"{describe(param.type)} {param.name}" for param in signature.params)
    return f"{describe(signature.returns)} ({params})"


def types_of(source: str, place: Path, *flags: str) -> UnitTypes:
    """Of a unit as the build compiles it."""
    (place / "t.c").write_text(source)
    dump = place / "t.dump"
    wanted = [*LIKE_THE_BUILD, *flags, *DEBUG, "-w", "-c", f"{DUMP_OPTION}={dump}", "-o", str(place / "t.o")]
    ran = TOOLS.compile([*wanted, str(place / "t.c")])
    assert ran.ok, ran.err
    return UnitTypes((place / "t.o").read_bytes(), dump.read_text("latin-1"))


def session_of(program: Program) -> UnitSession:
    settings = program.settings()
    return UnitSession(plan(program.request, settings), settings, program.log)


class Offers:
    """A proposer of bodies that were written beforehand."""

    name = "recompile"

    def __init__(self, *bodies: str) -> None:
        self.bodies = bodies
        self.failures: list[Any] = []

    def propose(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        for number, body in enumerate(self.bodies):
            yield Candidate(body, self.name, f"body {number}")

    def refine(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        return iter(())

    def close(self) -> None:
        pass


def body_of(source: str, clone: str) -> str:
    return module(source, *OTHERWISE).functions[clone].body.text()


def offered(program: Program, patch: pytest.MonkeyPatch, *bodies: str, **settings: object) -> Result:
    """A build in which these are the only candidates, and count as faster."""
    patch.setattr("gccllm.unit.session.proposers", lambda _: [Offers(*bodies)])
    patch.setattr(attempt, "quick_speed", lambda *_: 2.0)
    patch.setattr(attempt, "slower_guard_class", lambda *_: "")
    patch.setattr(
        attempt.timing,
        "measure",
        lambda *_, **__: (accepted("timing"), Timing(2.0, 1.9, 2.1, {"typical": 2.0}, 100.0, 1.0, 1, 1)),
    )
    return program.build(isa="baseline", **settings)


def prints(program: Program, unit: Path) -> str:
    out = program.where / "program"
    subprocess.run(["gcc", "-O2", str(program.main), str(unit), "-o", str(out)], check=True)
    return subprocess.run([str(out)], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("cloned", PROGRAMS.values(), ids=list(PROGRAMS))
def test_a_clone_has_the_signature_that_its_callers_use(cloned: Cloned, tmp_path: Path) -> None:
    assert said(types_of(cloned.unit, tmp_path).signature(cloned.clone)) == cloned.passes


@pytest.mark.parametrize("cloned", PROGRAMS.values(), ids=list(PROGRAMS))
def test_a_right_rewrite_of_a_clone_is_linked_and_a_wrong_one_refuted(
    cloned: Cloned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program(tmp_path, cloned.unit, cloned.main)
    wrong, right = body_of(cloned.unit.replace(*cloned.mistake), cloned.clone), body_of(cloned.unit, cloned.clone)
    result = offered(program, monkeypatch, wrong, right, only=cloned.clone)
    (decision,) = [one for one in result.decisions if one.function == cloned.clone]
    assert decision.word == "admitted", decision
    assert decision.entry is not None
    outcomes = [(row["recipe"], row["outcome"]) for row in decision.entry.attempts]
    assert outcomes == [("body 0", "refuted"), ("body 1", "accepted")]
    assert result.text is not None
    (tmp_path / "rewritten.s").write_text(result.text, "latin-1")
    assert Module.parse(result.text).functions[cloned.clone].lines != module(
        cloned.unit, *LIKE_THE_BUILD
    ).functions[cloned.clone].lines  # fmt: skip
    assert prints(program, tmp_path / "rewritten.s") == prints(program, program.unit)


def test_no_build_that_traps_is_asked_about_a_clone(tmp_path: Path) -> None:
    """It has the original, which takes other arguments."""
    program = Program(tmp_path, SPLIT.unit, SPLIT.main)
    session = session_of(program)
    target = session.harvest_target(SPLIT.clone, session.signature(SPLIT.clone), tmp_path)
    assert session.known.trapping is not None
    assert "amplify" in session.known.trapping.functions
    assert target.ubsan_text is None


def test_another_declaration_makes_another_key(tmp_path: Path) -> None:
    """The text of the clone alone does not say whether a number has a sign, nor what it points to."""
    keys = {}
    for kind in ("int", "unsigned", "long"):
        place = tmp_path / kind
        place.mkdir()
        session = session_of(Program(place, TYPED.replace("KIND", kind), "int main(void) { return 0; }"))
        clone = min(name for name in session.unit.module.functions if name.startswith("mix."))
        keys[kind] = session.situation(session.unit.module.functions[clone])
    assert len({one.key for one in keys.values()}) == 3
    assert keys["int"].mismatch(keys["unsigned"].parts)
    assert "declared" in keys["int"].parts


TYPED = """
struct pair { KIND *of; long n; };
static __attribute__((noinline)) void mix(struct pair *p, int by, int mode) {
    for (long i = 0; i < p->n; i++) p->of[i] += mode == 1 ? (KIND)by : 0;
}
void one(struct pair *p) { mix(p, 3, 1); }
void two(struct pair *p, int by) { mix(p, by, 1); mix(p, 5 * by, 1); }
"""


def test_a_function_that_is_not_called_as_its_source_says_is_left_alone(tmp_path: Path) -> None:
    """gcc 12 gives every changed function another name; should one keep it, its callers know, and nobody else."""
    source = (
        "static __attribute__((noipa)) long f(const int *a, int n) { return a[n]; } long g(int *a) { return f(a, 3); }"
    )
    types_of(source, tmp_path)
    dump = (tmp_path / "t.dump").read_text("latin-1")
    changed = {
        "dropped": dump.replace("f (const int * a, int n)", "f (const int * a)"),
        "reordered": dump.replace("f (const int * a, int n)", "f (int n, const int * a)"),
        "result lost": dump.replace("long int f (", "void f ("),
    }
    content = (tmp_path / "t.o").read_bytes()
    assert said(UnitTypes(content, dump).signature("f")) == "i64 (const i32* a, i32 n)"
    for what, text in changed.items():
        assert text != dump, what
        with pytest.raises(Decline, match="gcc changed how it is called") as raised:
            UnitTypes(content, text).signature("f")
        assert raised.value.reason is Reason.NO_TYPES


def test_local_functions_that_keep_their_name_keep_their_signature(tmp_path: Path) -> None:
    """With a parameter that nobody reads, constants that all callers pass, a result that nobody uses."""
    source = """
    struct s { int a, b; long c; };
    static __attribute__((noinline)) int unread(int a, int b, int c) { return a + c; }
    static __attribute__((noinline)) int same(int a, int b) { return a * b; }
    static __attribute__((noinline)) int lost(int *a, int b) { *a = b; return b * 3; }
    static __attribute__((noinline)) int by_value(struct s s, const struct s *p) { return s.a + p->b; }
    int g(int x, struct s s) {
        int y = 0;
        lost(&y, x);
        return unread(x, 1, 2) + unread(1, 2, x) + same(x, 7) + same(y, 7) + by_value(s, &s);
    }
    """
    types = types_of(source, tmp_path)
    names = module(source, *LIKE_THE_BUILD).functions
    assert {name.partition(".")[0] for name in names} == {"unread", "same", "lost", "by_value", "g"}
    assert any("." in name for name in names)
    for name in names:
        types.signature(name)  # raises where name and signature disagree


def test_a_name_that_only_looks_like_a_clone_has_no_types(tmp_path: Path) -> None:
    source = """
    __attribute__((noinline)) long f(const int *a, int n) { return a[n]; }
    long other(double d, const int *a) __asm__("f.constprop.0");
    __attribute__((noinline)) long other(double d, const int *a) { return a[(long)d]; }
    """
    types = types_of(source, tmp_path)
    if "f.constprop.0" in types._reader.functions:  # debugging information has its assembler name
        assert said(types.signature("f.constprop.0")) == "i64 (f64 d, const i32* a)"
    else:
        with pytest.raises(Decline) as raised:
            types.signature("f.constprop.0")
        assert raised.value.reason is Reason.NO_TYPES


SHADOWED = """
typedef int num;
struct box { num *of; long n; };
static __attribute__((noinline)) long add(void *raw, int mode) {
    typedef long num;
    struct local { num step; num n; const unsigned char *of; } *p = raw;
    long s = 0;
    for (long i = 0; i < p->n; i++) s += p->of[i] * (mode == 1 ? p->step : 1);
    return s;
}
long one(void *p) { return add(p, 1); }
long two(void *p) { return add((char *)p + 64, 1); }
"""


def test_a_type_name_that_two_scopes_share_says_nothing(tmp_path: Path) -> None:
    types = types_of(SHADOWED, tmp_path)
    assert types._reader.spelled("num") is None
    assert types._reader.spelled("struct box") is not None


@pytest.mark.parametrize(
    ("returns", "params", "read"),
    [
        ("long int", "const int * const ISRA.115, size_t n", "const int * const ISRA, size_t n"),
        ("void", "int (*<T34f>) (int, int) cb, int[4] * a", "int (*<T34f>) (int, int) cb, int[4] * a"),
        ("struct big", "", ""),
    ],
)
def test_a_declaration_is_read_as_gcc_prints_it(returns: str, params: str, read: str) -> None:
    head = ";; Function f.isra (f.isra.0, funcdef_no=3, decl_uid=1)"
    dump = f"\n{head}\n\n{returns} f.isra ({params})\n{{\n  return;\n}}\n"
    assert prototypes(dump)["f.isra.0"].text == f"{returns} f.isra({read})"


def test_a_recompiled_clone_is_a_candidate_only_where_it_is_called_alike(tmp_path: Path) -> None:
    unit = session_of(Program(tmp_path, PART.unit, PART.main)).side
    alike = unit.module(("-fno-tree-vectorize",))
    assert alike is not None
    assert PART.clone in alike.functions

    # The same name with parameters in another order, as other flags might give it.
    turned = re.sub(r"shift\(([^,()]+), ([^()]+)\)", r"shift(\2, \1)", PART.unit)
    assert f"\n{PART.clone}:" in compiled(turned, *LIKE_THE_BUILD)
    (tmp_path / "turned.c").write_text(turned)
    other = unit.module_of(tmp_path / "turned.c", (f"{DUMP_OPTION}=stderr",))
    assert other is not None
    assert PART.clone not in other.functions


def test_recorded_calls_of_a_clone_are_its_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(tmp_path, SPLIT.unit, SPLIT.main)
    recorded = program.record()
    assert [d.function for d in recorded.decisions if d.word == "recording"] == [SPLIT.clone]
    wrong = body_of(SPLIT.unit.replace(*SPLIT.mistake), SPLIT.clone)
    result = offered(program, monkeypatch, wrong, body_of(SPLIT.unit, SPLIT.clone))
    (decision,) = [one for one in result.decisions if one.function == SPLIT.clone]
    assert decision.word == "admitted", decision
    assert decision.entry is not None
    assert decision.entry.recording is not None
    assert decision.entry.recording.calls == 3
    assert decision.entry.recording.recorded == 3
    assert [row["outcome"] for row in decision.entry.attempts] == ["refuted", "accepted"]


def test_the_launcher_links_a_rewritten_clone(prefix: Path, tmp_path: Path) -> None:
    program = Program(tmp_path, SPLIT.unit, SPLIT.main)
    settings = {"GCCLLM_CACHE_DIR": str(tmp_path / "store"), "GCCLLM_ONLY": "amplify", "GCCLLM_PROPOSERS": "recompile"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GCCLLM_")}
    objects = {}
    for mode in ("off", "inline"):
        command = [str(prefix / "bin" / "gcc-llm"), "-O3", "-c", "unit.c", "-o", f"{mode}.o"]
        env = kept | settings | generous(tmp_path) | {"GCCLLM_MODE": mode}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        objects[mode] = tmp_path / f"{mode}.o"
    assert objects["inline"].read_bytes() != objects["off"].read_bytes()
    events = (tmp_path / "store" / "log" / "events.jsonl").read_text().splitlines()
    words = {row["function"]: row["word"] for row in map(json.loads, events) if row["event"] == "function"}
    assert words[SPLIT.clone] == "admitted"
    assert prints(program, objects["inline"]) == prints(program, objects["off"])
