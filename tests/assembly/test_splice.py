"""Spliced text assembles, links, runs, unwinds, and is gcc's everywhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from gccllm.assembly import Body, BodyError, Module, Rewrite, splice
from gccllm.base.reasons import Reason
from tests.kit.linked import MAIN, PLUS_100, WHICH, link, run
from tests.kit.sources import C_EXAMPLES, CPP_EXAMPLES, units
from tests.kit.units import TOOLS, compiled, module

SAVES = Body.parse(
    "\tpushq %rbx\n\tpushq %r12\n\tsubq $8, %rsp\n\tmovl %edi, %ebx\n\tmovl $77, %r12d\n\tcall callee@PLT\n"
    "\taddl %ebx, %eax\n\taddq $8, %rsp\n\tpopq %r12\n\tpopq %rbx\n\tret\n"
)


def every_own_body(unit: Module, level: int) -> dict[str, Rewrite]:
    out: dict[str, Rewrite] = {}
    refusals: set[Reason] = set()
    for name, function in unit.functions.items():
        try:
            out[name] = Rewrite(function.body, level)
            splice(unit, {name: out[name]}, TOOLS)
        except BodyError as error:
            out.pop(name, None)
            refusals.add(error.reason)
    assert refusals <= {Reason.UNSUPPORTED_CODE}
    return out


def symbols(path: Path) -> list[tuple[str, str, str, str]]:
    with path.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        return sorted(
            (s.name, s["st_info"]["bind"], s["st_info"]["type"], s["st_other"]["visibility"])
            for s in table.iter_symbols()
            if s.name and s["st_shndx"] != "SHN_UNDEF" and not re.search(r"^\.L|\.cold|gccllm", s.name)
        )


def check_spliced(place: Path, language: str, source: str, flags: tuple[str, ...]) -> int:
    """The unit with its functions' own bodies spliced in has gcc's symbols; how many bodies that were."""
    unit = Module.parse(compiled(source, *flags, language=language))
    assert TOOLS.assemble(unit.text(), place / "gcc.o").ok
    count = 0
    for level in (0, 3):
        rewrites = every_own_body(unit, level)
        count += len(rewrites)
        ran = TOOLS.assemble(splice(unit, rewrites, TOOLS), place / "ours.o")
        assert ran.ok, (flags, ran.err)
        assert symbols(place / "gcc.o") == symbols(place / "ours.o")
    return count


def test_the_assembler_takes_every_function_with_its_own_body_spliced(tmp_path: Path) -> None:
    chosen = (unit for n, unit in enumerate(units()) if n % 13 == n // 12 % 13)
    assert sum(check_spliced(tmp_path, *unit) for unit in chosen) > 100


@pytest.mark.full
def test_the_assembler_takes_them_under_all_flags(tmp_path: Path) -> None:
    for unit in units():
        check_spliced(tmp_path, *unit)


def test_lines_of_other_functions_stay(tmp_path: Path) -> None:
    unit = module(C_EXAMPLES[5], "-O3", "-g")
    text = splice(unit, {"tail5": Rewrite(PLUS_100)}, TOOLS)
    for name, function in unit.functions.items():
        assert ("\n".join(function.lines) in text) == (name != "tail5")
    assert splice(unit, {}, TOOLS) == unit.text()


@pytest.mark.parametrize("flags", [(), ("-fcf-protection",), ("-g",), ("-ffunction-sections", "-fPIC")], ids=" ".join)
def test_the_new_body_runs_in_place_of_gccs(tmp_path: Path, flags: tuple[str, ...]) -> None:
    text = splice(module(WHICH, "-O2", *flags), {"which": Rewrite(PLUS_100)}, TOOLS)
    assert ("endbr64" in text) == ("-fcf-protection" in flags)
    (tmp_path / "which.s").write_text(text)
    (tmp_path / "main.c").write_text(MAIN)
    link(tmp_path, "exe", "which.s", "main.c")
    assert run(tmp_path, "exe") == "107 0"


def test_a_body_that_starts_a_loop_is_entered_once(tmp_path: Path) -> None:
    unit = Module.parse(
        "\t.text\n\t.globl\twhich\n\t.type\twhich, @function\nwhich:\n.LFB0:\n\t.cfi_startproc\n\t.p2align 4,,10\n"
        ".L2:\n\taddl\t$1, %edi\n\tcmpl\t$20, %edi\n\tjne\t.L2\n\tmovl\t%edi, %eax\n\tret\n\t.cfi_endproc\n.LFE0:\n"
        "\t.size\twhich, .-which\n"
    )
    text = splice(unit, {"which": Rewrite(PLUS_100, 2)}, TOOLS)
    assert text.index("jb\t") < text.index("\n.L2:")
    (tmp_path / "which.s").write_text(text.replace("$2, __gccllm", "$99, __gccllm"))
    (tmp_path / "main.c").write_text(MAIN)
    link(tmp_path, "exe", "which.s", "main.c")
    assert run(tmp_path, "exe") == "20 0"


UNWIND = """
#include <cstdio>
#include <execinfo.h>
extern "C" int outer(int); static int depth;
extern "C" int callee(int x) {
  void *at[64]; depth = backtrace(at, 64);
  if (x == 3) throw 42;
  return x;
}
int through(int x) { try { return outer(x); } catch (int code) { return code + 1; } }
int main() {
  register long a asm("rbx"); asm volatile("mov $0x1234, %0" : "=r"(a));
  int first = through(1), thrown = through(3); int with = depth;
  asm volatile("" : "+r"(a));
  std::printf("%d %d %d ", first, thrown, with > 4);
  return 0;
}
"""
OUTER = "int callee(int); int outer(int x){return callee(x)*2+x;}"


@pytest.mark.parametrize("level", [0, 2, 99], ids=["instead", "guarded", "guarded, not taken"])
def test_exceptions_and_backtraces_pass_through_a_rewritten_function(tmp_path: Path, level: int) -> None:
    unit = module(OUTER, "-O2", "-fexceptions", "-g")
    text = splice(unit, {"outer": Rewrite(SAVES, min(level, 2))}, TOOLS)
    if level == 99:
        text = text.replace("cmpb\t$2, __gccllm", "cmpb\t$99, __gccllm")
    (tmp_path / "outer.s").write_text(text)
    (tmp_path / "main.cc").write_text(UNWIND)
    link(tmp_path, "exe", "-O1", "outer.s", "main.cc", compiler="g++")
    assert run(tmp_path, "exe") == ("3 43 1 0" if level == 99 else "2 43 1 0")


def test_debug_information_still_reads_after_gccs_code_is_gone(tmp_path: Path) -> None:
    for flags in (("-g",), ("-g3", "-gdwarf-4"), ("-g", "-gsplit-dwarf"), ("-g", "-ffunction-sections")):
        unit = module(C_EXAMPLES[0] + C_EXAMPLES[5], "-O3", *flags)
        rewrites = every_own_body(unit, 0)
        text = splice(unit, rewrites, TOOLS)
        assert TOOLS.assemble(text, tmp_path / "x.o").ok
        with (tmp_path / "x.o").open("rb") as stream:
            dwarf = ELFFile(stream).get_dwarf_info()
            names = {
                die.attributes["DW_AT_name"].value.decode()
                for cu in dwarf.iter_CUs()
                for die in cu.iter_DIEs()
                if die.tag == "DW_TAG_subprogram" and "DW_AT_name" in die.attributes
            }
            assert "-gsplit-dwarf" in flags or {name.split(".")[0] for name in rewrites} <= names
            programs = [dwarf.line_program_for_CU(cu) for cu in dwarf.iter_CUs()]
            rows = [entry for program in programs if program for entry in program.get_entries() if entry.state]
            assert len(rows) >= len(rewrites)


def test_a_cold_part_stays_behind_a_guard_and_goes_without_one(tmp_path: Path) -> None:
    source = "void bad(int) __attribute__((cold)); int f(int x){if(x<0){bad(x); return 4;} return x*3;}"
    unit = module(source, "-O2")
    assert "f.cold:" in splice(unit, {"f": Rewrite(PLUS_100, 2)}, TOOLS)
    text = splice(unit, {"f": Rewrite(PLUS_100)}, TOOLS)
    assert "f.cold" not in text
    assert TOOLS.assemble(text, tmp_path / "x.o").ok


def test_constants_of_a_comdat_function_are_in_its_group(tmp_path: Path) -> None:
    source = (
        "inline __attribute__((noinline)) double half(double x){return x*.5+1.25;} double f(double x){return half(x);}"
    )
    unit = module(source, "-O2", language="c++")
    name = next(n for n in unit.functions if "half" in n)
    text = splice(unit, {name: Rewrite(unit.functions[name].body)}, TOOLS)
    for copy in ("a", "b"):
        (tmp_path / f"{copy}.s").write_text(text.replace("_Z1fd", f"f_{copy}"))
    (tmp_path / "main.c").write_text("double f_a(double), f_b(double); int main(void){return (int)(f_a(2)+f_b(4));}")
    link(tmp_path, "exe", "a.s", "b.s", "main.c")
    assert run(tmp_path, "exe") == "5"


def test_what_cannot_be_spliced_is_refused_by_name() -> None:
    unit = module(CPP_EXAMPLES[1], "-O2", language="c++")
    name = next(n for n in unit.functions if "tries" in n)
    for rewrites in ({name: Rewrite(PLUS_100)}, {"nobody": Rewrite(PLUS_100)}):
        with pytest.raises(BodyError) as caught:
            splice(unit, rewrites, TOOLS)
        assert caught.value.reason is Reason.UNSUPPORTED_CODE


def test_code_whose_labels_data_names_stays_behind_its_rewrite(tmp_path: Path) -> None:
    text = splice(module(C_EXAMPLES[7], "-O2"), {"label7": Rewrite(PLUS_100)}, TOOLS)
    assert TOOLS.assemble(text, tmp_path / "t.o").ok


def test_without_unwind_tables_none_are_made() -> None:
    unit = module(OUTER, "-O2", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables")
    assert ".cfi" not in splice(unit, {"outer": Rewrite(SAVES, 3)}, TOOLS)
